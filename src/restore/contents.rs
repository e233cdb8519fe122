//! What restored tables hold, against the digests in the inventory: each is read back as the dump wrote it, and a value that was
//! changed in one row is found.
//!
//! The same rows must come as the same text. So nothing is compared where the server may write them in another way than the
//! source's did: by another major version, under settings that are unknown or refused, or with amounts of type `money`.

use super::compare::{Comparison, Contents};
use super::psql::PsqlTarget;
use super::psql::trial_reports::random_word;
use super::value_settings::ValueSettings;
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::inventory::Inventory;
use crate::format::row_digest::{RowDigests, RowKeys};
use crate::format::table_name::TableName;
use crate::format::{hex, unhex};
use crate::process::output::LineFilter;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Settings without which the text of a value is not known.
const NEEDED: [&str; 2] = ["TimeZone", "bytea_output"];
/// What `pg_dump` sets by itself before it reads.
const OF_PG_DUMP: &str = "SET DateStyle TO 'ISO'; SET IntervalStyle TO 'postgres'; SET extra_float_digits TO 3; SET row_security TO off; \
    SET statement_timeout TO 0; SET default_transaction_read_only TO on; SET quote_all_identifiers TO on;\n";

/// How the tables of a dump were written: their `COPY` statements, in its order, and the keys of their digests.
pub(super) struct WrittenTables {
    pub heads: Vec<Vec<u8>>,
    pub keys: Arc<RowKeys>,
    /// Tables that have other values than the backup, since they were asked for.
    pub masked: BTreeSet<String>,
}

/// Compares what can be compared, and notes why the rest cannot.
pub(super) fn compare_or_note(
    comparison: &mut Comparison,
    inventory: &Inventory,
    written: &WrittenTables,
    (values, server_major): (&ValueSettings, u32),
    cancel: &Cancel,
) -> Result<()> {
    match obstacle(inventory, server_major, values) {
        Some(reason) => {
            comparison
                .notes
                .push(format!("rows were counted, and their values not compared: {reason}"));
            Ok(())
        }
        None => compare(comparison, inventory, written, &values.target.clone().after_load(), cancel),
    }
}

/// Why nothing can be compared, if that is so.
fn obstacle(inventory: &Inventory, server_major: u32, values: &ValueSettings) -> Option<String> {
    let source: Option<u32> = inventory
        .server_version
        .split('.')
        .next()
        .and_then(|major| major.trim().parse().ok());
    let properties = &inventory.properties;
    if inventory.tables.iter().all(|table| table.digest.is_none()) {
        return Some("the backup has no digests of its tables: it was made by an earlier release".to_owned());
    }
    if source != Some(server_major) {
        return Some(format!(
            "the source is PostgreSQL {}, and PostgreSQL {server_major} may write the same values in another way",
            inventory.server_version
        ));
    }
    if properties.money.is_some() {
        return Some("amounts of type money are written as the server's locale has it".to_owned());
    }
    let unknown = NEEDED
        .into_iter()
        .find(|name| properties.setting(name).is_none() || values.refuses(name));
    unknown.map(|name| format!("the source's {name}, which decides how values are written, is unknown or not taken here"))
}

/// Reads each table back that has as many rows as it should, and says in the comparison what came of it.
fn compare(
    comparison: &mut Comparison,
    inventory: &Inventory,
    written: &WrittenTables,
    restored: &PsqlTarget,
    cancel: &Cancel,
) -> Result<()> {
    if written.heads.len() != inventory.tables.len() {
        return Err(Error::new(Code::Bug, "the dump's tables are not those of its inventory"));
    }
    let mut sections: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, table) in inventory.tables.iter().enumerate() {
        sections.entry(&table.name).or_default().push(number);
    }
    let mut asked = Vec::new();
    for (at, table) in comparison.tables.iter().enumerate() {
        if written.masked.contains(&table.name) || table.expected_rows.is_none() || table.expected_rows != table.found_rows {
            continue;
        }
        let Some(numbers) = sections.get(&*table.name) else { continue };
        let head = &written.heads[numbers[0]];
        // Rows of some partitions are written as their root's, each with its columns in its own order.
        if numbers.iter().any(|number| written.heads[*number] != *head) {
            let note = "its partitions have their columns in different orders";
            comparison.notes.push(not_compared(&table.name, note));
            continue;
        }
        let digests = numbers.iter().map(|number| inventory.tables[*number].digest.as_deref());
        if let Some(sealed) = sum_of(digests) {
            asked.push((at, sealed, head));
        }
    }
    let encoding = inventory.properties.dump_encoding.as_deref().unwrap_or("UTF8");
    let settings = format!("{OF_PG_DUMP}SET client_encoding TO '{encoding}';\n");
    let answers = |questions: Vec<Vec<u8>>| digests(&settings, &questions, &written.keys, restored, cancel);
    let mut found = answers(asked.iter().map(|(.., head)| read_back(head)).collect())?;
    // COPY takes rows in through a partitioned table, and gives none out.
    let refused: Vec<usize> = (0..found.len()).filter(|place| found[*place].is_none()).collect();
    let again = answers(refused.iter().map(|place| read_by_query(asked[*place].2)).collect())?;
    refused.into_iter().zip(again).for_each(|(place, answer)| found[place] = answer);
    for ((at, sealed, _), found) in asked.iter().zip(found) {
        let is_equal = found.as_ref().map(|found| found == sealed);
        let table = &mut comparison.tables[*at];
        if is_equal.is_none() {
            comparison
                .notes
                .push(not_compared(&table.name, "the server does not give its rows out"));
        }
        table.contents = match is_equal {
            Some(true) => Contents::Equal,
            Some(false) => Contents::Differ,
            None => Contents::NotCompared,
        };
        table.equal &= is_equal != Some(false);
        (table.expected_digest, table.found_digest) = (Some(sealed.clone()), found);
        if is_equal == Some(false) {
            let told = format!("the table {} has as many rows as it should, and other values in them", table.name);
            comparison.differences.push(told);
        }
    }
    Ok(())
}

fn not_compared(table: &str, why: &str) -> String {
    format!("the rows of {table} were counted, and their values not compared: {why}")
}

/// The digest of all rows of several sections; none if one of them has none.
fn sum_of<'a>(digests: impl Iterator<Item = Option<&'a str>>) -> Option<String> {
    let mut sum = 0u128;
    for digest in digests {
        sum = sum.wrapping_add(u128::from_be_bytes(unhex::<16>(digest?)?));
    }
    Some(hex(&sum.to_be_bytes()))
}

/// `"t" ("a")` of `COPY "t" ("a") FROM stdin;`
fn source_of(head: &[u8]) -> &[u8] {
    let of = head.trim_ascii_end().strip_suffix(b";").unwrap_or(head).trim_ascii_end();
    let of = of.strip_prefix(b"COPY ").unwrap_or(of);
    of.strip_suffix(b"FROM stdin").unwrap_or(of).trim_ascii()
}

/// The other way round.
fn read_back(head: &[u8]) -> Vec<u8> {
    [b"COPY ", source_of(head), b" TO STDOUT;"].concat()
}

/// The same rows by a query.
fn read_by_query(head: &[u8]) -> Vec<u8> {
    let source = source_of(head);
    let name = TableName::from_sql(source).map_or(source.len(), |(_, read)| read);
    let (name, columns) = source.split_at(name);
    let columns = columns.trim_ascii();
    let columns = columns
        .strip_prefix(b"(")
        .and_then(|list| list.strip_suffix(b")"))
        .unwrap_or(columns);
    [b"COPY (SELECT ", columns, b" FROM ", name, b") TO STDOUT;"].concat()
}

/// What each of these statements copies out; `None` where the server refuses.
fn digests(
    settings: &str,
    questions: &[Vec<u8>],
    keys: &Arc<RowKeys>,
    restored: &PsqlTarget,
    cancel: &Cancel,
) -> Result<Vec<Option<String>>> {
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    let mark = random_word()?;
    let mut script = format!("{settings}\\set ON_ERROR_STOP off\n\\echo {mark} false\n").into_bytes();
    for question in questions {
        script.extend_from_slice(question);
        script.extend_from_slice(format!("\n\\echo {mark} :ERROR\n").as_bytes());
    }
    let found = Arc::new(Mutex::new(Vec::new()));
    let reader = TableReader {
        mark: mark.into_bytes(),
        line: Vec::new(),
        is_row: false,
        digests: RowDigests::new(keys.clone()),
        found: found.clone(),
    };
    restored.stream(&script, Box::new(reader), cancel)?;
    let mut found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner)).into_iter();
    // What came before the first mark is not of a table.
    found.next();
    let found: Vec<Option<String>> = found.collect();
    if found.len() == questions.len() {
        return Ok(found);
    }
    Err(Error::new(Code::RestoreFailed, "psql did not come to the end of the tables"))
}

/// Reads rows as they come, and the lines with a mark between tables, which no server saw.
struct TableReader {
    mark: Vec<u8>,
    /// The beginning of a line, as long as it may be a mark's.
    line: Vec<u8>,
    /// What comes is of a row.
    is_row: bool,
    digests: RowDigests,
    found: Arc<Mutex<Vec<Option<String>>>>,
}

impl TableReader {
    fn end_table(&mut self, is_refused: bool) {
        let [digest, _] = self.digests.take();
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.push((!is_refused).then_some(digest));
    }
}

impl LineFilter for TableReader {
    fn read(&mut self, mut bytes: &[u8], _: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.is_row {
                let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
                self.digests.put(&bytes[..end]);
                self.is_row = !bytes[..end].ends_with(b"\n");
                bytes = &bytes[end..];
                continue;
            }
            let room = self.mark.len() + b" false\n".len();
            let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
            let taken = end.min(room - self.line.len());
            self.line.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            let line = std::mem::take(&mut self.line);
            match line.strip_prefix(self.mark.as_slice()) {
                Some(b" true\n") => self.end_table(true),
                Some(b" false\n") => self.end_table(false),
                _ if line.len() < room && !line.ends_with(b"\n") => self.line = line,
                _ => {
                    self.digests.put(&line);
                    self.is_row = !line.ends_with(b"\n");
                }
            }
        }
    }

    fn finish(&mut self, _: &mut Vec<u8>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_told_apart_in_pieces_of_any_size() {
        let keys = Arc::new(RowKeys::new(b"k", &["a"]));
        let of = |text: &str| {
            let mut digests = RowDigests::new(keys.clone());
            digests.put(text.as_bytes());
            let [digest, _] = digests.take();
            Some(digest)
        };
        let long = "x".repeat(3000);
        let tables = ["", "1\ta\n2\tmark\n", "", &format!("mar\nmark fals\n{long}\nmark falsely\n\n")];
        let expected: Vec<Option<String>> = vec![of(tables[0]), of(tables[1]), None, of(tables[3])];
        let text = format!(
            "mark false\n{}mark false\n{}mark false\n{}mark true\n{}mark false\n",
            tables[0], tables[1], tables[2], tables[3]
        );
        for piece in [1, 2, 5, 11, 64, 5000] {
            let found = Arc::new(Mutex::new(Vec::new()));
            let mut reader = TableReader {
                mark: b"mark".to_vec(),
                line: Vec::new(),
                is_row: false,
                digests: RowDigests::new(keys.clone()),
                found: found.clone(),
            };
            text.as_bytes().chunks(piece).for_each(|piece| reader.read(piece, &mut Vec::new()));
            assert_eq!(found.lock().unwrap()[1..], expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_copy_is_turned_round() {
        let turned = |head: &str| [read_back(head.as_bytes()), read_by_query(head.as_bytes())].map(|sql| String::from_utf8(sql).unwrap());
        assert_eq!(
            turned("COPY \"s\".\"t (x)\" (\"a\", \"b)\") FROM stdin;"),
            [
                "COPY \"s\".\"t (x)\" (\"a\", \"b)\") TO STDOUT;",
                "COPY (SELECT \"a\", \"b)\" FROM \"s\".\"t (x)\") TO STDOUT;"
            ]
        );
        assert_eq!(
            turned("COPY public.none  FROM stdin;\n"),
            ["COPY public.none TO STDOUT;", "COPY (SELECT  FROM public.none) TO STDOUT;"]
        );
    }

    #[test]
    fn the_digests_of_sections_add_up() {
        let of = |digests: &[Option<&str>]| sum_of(digests.iter().copied());
        let (one, all) = (format!("{:032x}", 1), "f".repeat(32));
        assert_eq!(of(&[Some(&one), Some(&one)]), Some(format!("{:032x}", 2)));
        assert_eq!(of(&[Some(&one), Some(&all)]), Some("0".repeat(32)));
        assert_eq!(of(&[Some(&one), None]), None);
    }
}
