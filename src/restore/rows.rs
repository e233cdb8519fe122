//! Rows of one table, with no server at all: as `COPY`, `INSERT`, CSV or JSON lines.

use super::find::ChosenBackup;
use super::legacy;
use super::selected::SelectedTables;
use super::table_sections::{CopyHead, SectionSink};
use crate::cancel::Cancel;
use crate::envelope::private_key::PrivateKey;
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::copy_text;
use crate::observe::output;
use crate::pipeline::Stage;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Longer than a row of PostgreSQL can be: each value has at most 1 GB, and its escapes double it.
const LONGEST_ROW: usize = 2 << 30;

pub(crate) struct RowsOptions<'a> {
    pub key: &'a PrivateKey,
    pub signer: Option<&'a Verifier>,
    pub table: &'a str,
    /// Columns and the text of their values: all must fit.
    pub conditions: Vec<(String, String)>,
    pub limit: Option<u64>,
    pub format: RowFormat,
    pub legacy: legacy::Consent,
    pub workers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowFormat {
    /// A statement that psql takes, with its rows.
    Copy,
    Insert,
    Csv,
    /// An object a line, its values texts or null.
    Json,
}

/// Writes the rows to standard output. What is read for them is proven; behind the last row of a limit nothing is read.
pub(crate) async fn rows(backup: &ChosenBackup, ask: &RowsOptions<'_>, cancel: &Cancel) -> Result<()> {
    let is_enough = Arc::new(AtomicBool::new(false));
    let sink = || -> Result<RowPrinter<BufWriter<File>>> {
        let stdout = output::for_content().map_err(|error| not_taken(&error))?;
        Ok(RowPrinter::new(BufWriter::new(stdout), ask, is_enough.clone()))
    };
    let selected = SelectedTables {
        key: ask.key,
        signer: ask.signer,
        tables: &[ask.table.to_owned()],
        legacy: ask.legacy,
        workers: ask.workers,
        to_terminal: output::stdout_is_terminal(),
    };
    match selected.fetch(backup, sink, cancel).await {
        Err(_) if is_enough.load(Ordering::Relaxed) => Ok(()),
        read => read.map(drop),
    }
}

fn not_taken(error: &std::io::Error) -> Error {
    Error::new(Code::OutputFailed, format!("the rows cannot be written to stdout: {error}"))
        .advise("Make room, or keep the reader of the pipe alive.")
}

struct RowPrinter<W> {
    out: W,
    format: RowFormat,
    conditions: Vec<(String, String)>,
    left: Option<u64>,
    is_enough: Arc<AtomicBool>,
    head: Option<CopyHead>,
    /// The columns of CSV, in the order of the first section: another one of the same table may have another order.
    header: Vec<Vec<u8>>,
    /// Places of the columns that conditions name.
    places: Vec<usize>,
    /// The beginning of a row.
    begun: Vec<u8>,
}

impl<W: Write> RowPrinter<W> {
    fn new(out: W, ask: &RowsOptions<'_>, is_enough: Arc<AtomicBool>) -> Self {
        Self {
            out,
            format: ask.format,
            conditions: ask.conditions.clone(),
            left: ask.limit,
            is_enough,
            head: None,
            header: Vec::new(),
            places: Vec::new(),
            begun: Vec::new(),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|error| not_taken(&error))
    }

    fn row(&mut self, line: &[u8]) -> Result<()> {
        let values = copy_text::values(line);
        let fits =
            |(place, (_, wanted)): (&usize, &(String, String))| values.get(*place).and_then(Option::as_deref) == Some(wanted.as_bytes());
        if !self.places.iter().zip(&self.conditions).all(fits) {
            return Ok(());
        }
        let Some(head) = &self.head else { return Ok(()) };
        let text = match self.format {
            RowFormat::Copy => [line, b"\n"].concat(),
            RowFormat::Insert => insert(head, &values),
            RowFormat::Csv => {
                let place = |column: &Vec<u8>| head.columns.iter().position(|known| known == column);
                let in_order = self.header.iter().map(|column| values.get(place(column)?)?.as_deref());
                csv(in_order)
            }
            RowFormat::Json => json(head, &values)?,
        };
        self.write(&text)?;
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        self.end_if_enough()
    }

    /// Ends the run behind the last row that is asked for: what is behind it need not be read.
    fn end_if_enough(&mut self) -> Result<()> {
        if self.left != Some(0) {
            return Ok(());
        }
        if self.format == RowFormat::Copy {
            self.write(b"\\.\n")?;
        }
        self.out.flush().map_err(|error| not_taken(&error))?;
        self.is_enough.store(true, Ordering::Relaxed);
        Err(Error::new(Code::Terminated, "all rows that were asked for are there"))
    }
}

impl<W: Write> Stage for RowPrinter<W> {
    type Done = ();

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let begun = std::mem::take(&mut self.begun);
            if begun.is_empty() {
                self.row(&rest[..end])?;
            } else {
                self.row(&[&begun, &rest[..end]].concat())?;
            }
            rest = &rest[end + 1..];
        }
        if self.begun.len() + rest.len() > LONGEST_ROW {
            return Err(Error::new(Code::Tampered, "a row is longer than PostgreSQL takes"));
        }
        self.begun.extend_from_slice(rest);
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.out.flush().map_err(|error| not_taken(&error))
    }
}

impl<W: Write> SectionSink for RowPrinter<W> {
    fn begin_section(&mut self, head: &CopyHead) -> Result<()> {
        self.places = self
            .conditions
            .iter()
            .map(|(column, _)| place_of(column, head))
            .collect::<Result<_>>()?;
        match self.format {
            RowFormat::Copy => self.write(&[&head.sql[..], b"\n"].concat())?,
            RowFormat::Csv if self.header.is_empty() => {
                self.header.clone_from(&head.columns);
                self.write(&csv(head.columns.iter().map(|column| Some(column.as_slice()))))?
            }
            RowFormat::Csv => {}
            RowFormat::Insert | RowFormat::Json => {}
        }
        self.head = Some(head.clone());
        self.end_if_enough()
    }

    fn end_section(&mut self, mark: &[u8]) -> Result<()> {
        match self.format {
            RowFormat::Copy => self.write(mark),
            _ => Ok(()),
        }
    }
}

fn place_of(column: &str, head: &CopyHead) -> Result<usize> {
    let found = head.columns.iter().position(|known| known == column.as_bytes());
    found.ok_or_else(|| {
        let known: Vec<_> = head.columns.iter().map(|column| String::from_utf8_lossy(column)).collect();
        Error::new(Code::BadUsage, format!("--where: {} has no column {column}", head.table))
            .advise(format!("It has {}.", known.join(", ")))
    })
}

fn insert(head: &CopyHead, values: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut sql = [b"INSERT INTO ".as_slice(), &head.table.to_sql(), b" ("].concat();
    for (at, column) in head.columns.iter().enumerate() {
        sql.extend_from_slice(if at > 0 { b", " } else { b"" });
        quoted(&mut sql, b'"', column);
    }
    // Also of columns that are always generated as identities: the values are those of the backup.
    sql.extend_from_slice(b") OVERRIDING SYSTEM VALUE VALUES (");
    for (at, value) in values.iter().enumerate() {
        sql.extend_from_slice(if at > 0 { b", " } else { b"" });
        match value {
            None => sql.extend_from_slice(b"NULL"),
            // As pg_dump writes it: right whatever `standard_conforming_strings` says.
            Some(value) if value.contains(&b'\\') => {
                sql.extend_from_slice(b"E");
                let doubled = value
                    .iter()
                    .flat_map(|byte| std::iter::repeat_n(*byte, if *byte == b'\\' { 2 } else { 1 }));
                quoted(&mut sql, b'\'', &doubled.collect::<Vec<u8>>());
            }
            Some(value) => quoted(&mut sql, b'\'', value),
        }
    }
    sql.extend_from_slice(b");\n");
    sql
}

fn quoted(text: &mut Vec<u8>, quote: u8, value: &[u8]) {
    text.push(quote);
    text.extend(
        value
            .iter()
            .flat_map(|byte| std::iter::repeat_n(*byte, if *byte == quote { 2 } else { 1 })),
    );
    text.push(quote);
}

/// As `COPY … CSV` has it: NULL is nothing, an empty text is in quotes.
fn csv<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> Vec<u8> {
    let mut line = Vec::new();
    for (at, value) in values.enumerate() {
        line.extend_from_slice(if at > 0 { b"," } else { b"" });
        let Some(value) = value else { continue };
        let needs_quotes = value.is_empty() || value.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'));
        match needs_quotes {
            true => quoted(&mut line, b'"', value),
            false => line.extend_from_slice(value),
        }
    }
    // Alone in a line it is the end for some readers.
    if line == b"\\." {
        line = b"\"\\.\"".to_vec();
    }
    line.push(b'\n');
    line
}

fn json(head: &CopyHead, values: &[Option<Vec<u8>>]) -> Result<Vec<u8>> {
    let text = |bytes: &[u8]| {
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| {
            Error::new(Code::BadUsage, format!("--as json: a value of {} is not UTF-8", head.table))
                .advise("The database has another encoding: use --as copy, insert or csv.")
        })
    };
    let mut row = Map::new();
    for (column, value) in head.columns.iter().zip(values) {
        let value = value.as_deref().map(text).transpose()?;
        row.insert(text(column)?, value.map_or(Value::Null, Value::String));
    }
    Ok(format!("{}\n", Value::Object(row)).into_bytes())
}
