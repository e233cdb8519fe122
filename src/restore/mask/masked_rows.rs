//! Rows of one table in COPY's text format: fields of masked columns are replaced, the others pass.

use super::masked_field::MaskedField;
use super::{MaskedColumn, MaskedTable};
use crate::error::{Code, Error, Result};
use memchr::{memchr, memchr2};

pub(super) struct MaskedRows {
    table: String,
    /// In the order of the `COPY`; of those that stay `None`.
    fields: Vec<Option<MaskedField>>,
    columns: Vec<(usize, MaskedColumn)>,
    /// Behind the last masked one.
    end_of_masked: usize,
    at: usize,
    /// What came of the field at hand ends in an odd number of backslashes.
    is_escaped: bool,
    rows: u64,
    /// A row has begun and has not ended.
    is_open: bool,
}

impl MaskedRows {
    pub(super) fn new(table: String, fields: Vec<Option<MaskedField>>, columns: Vec<(usize, MaskedColumn)>) -> Self {
        let end_of_masked = fields.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        Self {
            table,
            fields,
            columns,
            end_of_masked,
            at: 0,
            is_escaped: false,
            rows: 0,
            is_open: false,
        }
    }

    /// Reads up to the end of `bytes`, or until `out` has so many; gives how many bytes it read.
    pub(super) fn put(&mut self, bytes: &[u8], out: &mut Vec<u8>, enough: usize) -> Result<usize> {
        let mut read = 0;
        while read < bytes.len() && out.len() < enough {
            let rest = &bytes[read..];
            // Behind the last masked field only the end of the row matters.
            let end = match self.at < self.end_of_masked {
                true => memchr2(b'\t', b'\n', rest),
                false => memchr(b'\n', rest),
            };
            // A field that stays is handed on in pieces, too: its row may be as long as memory.
            let limit = end.unwrap_or(rest.len()).min(enough);
            self.put_field(&rest[..limit], out)?;
            read += limit;
            if end == Some(limit) {
                self.end_field(rest[limit], out)?;
                read += 1;
            }
        }
        Ok(read)
    }

    fn put_field(&mut self, part: &[u8], out: &mut Vec<u8>) -> Result<()> {
        if part.is_empty() {
            return Ok(());
        }
        // COPY would take these for ends of rows, or of none, and then the columns are not where they seem to be.
        if memchr(b'\r', part).is_some() {
            return Err(self.odd("a carriage return"));
        }
        let backslashes = part.iter().rev().take_while(|byte| **byte == b'\\').count();
        self.is_escaped = (backslashes % 2 == 1) != (self.is_escaped && backslashes == part.len());
        self.is_open = true;
        match self.fields.get_mut(self.at) {
            Some(Some(field)) => field.put(part, out),
            _ => out.extend_from_slice(part),
        }
        Ok(())
    }

    fn end_field(&mut self, separator: u8, out: &mut Vec<u8>) -> Result<()> {
        if self.is_escaped {
            return Err(self.odd("a backslash before the end of a field"));
        }
        let at = self.at;
        if let Some(Some(field)) = self.fields.get_mut(at)
            && field.end(out)
            && let Some((_, column)) = self.columns.iter_mut().find(|(place, _)| *place == at)
        {
            column.values += 1;
        }
        out.push(separator);
        self.at += 1;
        self.is_open = true;
        if separator == b'\n' {
            if self.at < self.end_of_masked {
                return Err(self.odd("a row with too few fields"));
            }
            self.at = 0;
            self.rows += 1;
            self.is_open = false;
        }
        Ok(())
    }

    pub(super) fn end(self) -> Result<MaskedTable> {
        if self.is_open {
            return Err(self.odd("a row without an end"));
        }
        Ok(MaskedTable {
            table: self.table,
            rows: self.rows,
            columns: self.columns.into_iter().map(|(_, column)| column).collect(),
        })
    }

    fn odd(&self, what: &str) -> Error {
        Error::new(
            Code::RestoreFailed,
            format!(
                "the rows of {} cannot be masked: in the dump they have {what}, which no pg_dump writes",
                self.table
            ),
        )
    }
}
