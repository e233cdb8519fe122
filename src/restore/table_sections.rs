//! Of a dump only the rows of chosen tables: `COPY … FROM stdin;`, the rows, and the line that ends them, as the dump has them.

use crate::error::{Code, Error, Result};
use crate::format::dump_lexer::{DumpLexer, Lexed};
use crate::format::dump_statement::Statement;
use crate::format::inventory::TableRows;
use crate::format::table_name::TableName;
use crate::pipeline::{DumpStats, Stage};
use crate::rds::preflight::some_of;
use std::collections::BTreeSet;

/// More than any head of `COPY` that PostgreSQL can write.
const HEADER_LIMIT: usize = 256 << 10;
/// How like the name of a table that is there a mistyped one is (Jaro-Winkler).
const NEAR: f64 = 0.85;

/// What a `COPY` is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CopyHead {
    pub table: TableName,
    /// In the order of the rows, in the bytes of the dump.
    pub columns: Vec<Vec<u8>>,
    /// The statement, with its `;`.
    pub sql: Vec<u8>,
}

impl CopyHead {
    /// Of a statement that rows follow.
    fn new(statement: &Statement<'_>) -> Option<Self> {
        let sql = statement.all_bytes();
        let name = statement.span(1, 2).start - statement.start();
        let (table, read) = TableName::from_sql(sql.get(name..)?)?;
        let mut rest = sql.get(name + read..)?.trim_ascii_start();
        let mut columns = Vec::new();
        if let Some(list) = rest.strip_prefix(b"(") {
            rest = list;
            while !rest.starts_with(b")") {
                let (column, read) = TableName::from_sql(rest)?;
                columns.extend(column.parts().next().map(<[u8]>::to_vec));
                rest = rest.get(read..)?;
                rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
            }
        }
        Some(Self {
            table,
            columns,
            sql: sql.to_vec(),
        })
    }
}

/// Takes what the chosen tables' sections hold.
pub(crate) trait SectionSink: Stage {
    /// A section begins.
    fn begin_section(&mut self, head: &CopyHead) -> Result<()>;
    /// Its rows end; `mark` is the line that ends them, as it is in the dump.
    fn end_section(&mut self, mark: &[u8]) -> Result<()>;
}

/// Which tables are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChosenTables {
    /// All that come.
    All,
    /// Those with these numbers in the inventory, which counts them in the dump's order: its names may be in another encoding.
    Numbers(Vec<usize>),
    /// Those of these names, where there is no inventory.
    Names(Vec<TableName>),
}

/// Passes on what the chosen tables' sections hold: to its sink only whole or broken rows come by `put`.
pub(crate) struct TableSections<S> {
    lexer: DumpLexer,
    statement: Vec<u8>,
    chosen: ChosenTables,
    /// Sections so far.
    count: usize,
    found: Vec<TableName>,
    /// In a section that is meant, and what may be its end.
    passing: Option<Vec<u8>>,
    below: S,
}

impl<S: SectionSink> TableSections<S> {
    pub(crate) fn new(chosen: ChosenTables, below: S) -> Self {
        Self {
            lexer: DumpLexer::default(),
            statement: Vec::new(),
            chosen,
            count: 0,
            found: Vec::new(),
            passing: None,
            below,
        }
    }

    fn buffer(&mut self, part: &[u8]) {
        if !self.lexer.is_insert() {
            let room = HEADER_LIMIT - self.statement.len();
            self.statement.extend_from_slice(&part[..part.len().min(room)]);
        }
    }

    fn end_statement(&mut self) -> Result<()> {
        if self.lexer.rows_follow() {
            let head = CopyHead::new(&Statement::new(&self.statement, self.lexer.tokens()));
            let number = self.count;
            self.count += 1;
            let is_meant = |head: &CopyHead| match &self.chosen {
                ChosenTables::All => true,
                ChosenTables::Numbers(numbers) => numbers.contains(&number),
                ChosenTables::Names(names) => names.iter().any(|name| is_named(&head.table, name)),
            };
            if let Some(head) = head.filter(is_meant) {
                self.below.begin_section(&head)?;
                self.found.push(head.table);
                self.passing = Some(Vec::new());
            }
        }
        self.statement.clear();
        Ok(())
    }
}

impl<S: SectionSink> Stage for TableSections<S> {
    /// The tables that were found, in the dump's order, with their schemas.
    type Done = (Vec<TableName>, S::Done);

    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (read, lexed) = self.lexer.read(bytes);
            let (part, rest) = bytes.split_at(read);
            bytes = rest;
            match (lexed, &mut self.passing) {
                (Lexed::Rows, Some(mark)) => {
                    // What looked like the end was the beginning of a row.
                    let begun = std::mem::take(mark);
                    if !begun.is_empty() {
                        self.below.put(&begun)?;
                    }
                    self.below.put(part)?;
                }
                (Lexed::Mark, Some(mark)) => mark.extend_from_slice(part),
                (Lexed::RowsEnd, Some(mark)) => {
                    mark.extend_from_slice(part);
                    let mark = std::mem::take(mark);
                    self.passing = None;
                    self.below.end_section(&mark)?;
                }
                (Lexed::Rows | Lexed::Mark | Lexed::RowsEnd, None) | (Lexed::Opening, _) => {}
                (Lexed::Command, _) if !self.lexer.has_begun() => self.statement.clear(),
                (Lexed::Command | Lexed::Sql | Lexed::Variable, _) => self.buffer(part),
                (Lexed::End, _) => {
                    self.buffer(part);
                    self.end_statement()?;
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Self::Done> {
        Ok((self.found, self.below.finish()?))
    }
}

/// A table that is named without its schema is meant in whichever it is.
fn is_named(table: &TableName, asked: &TableName) -> bool {
    match asked.parts().count() {
        1 => table.parts().last() == asked.parts().last(),
        _ => table == asked,
    }
}

/// The names as a user writes them, `orders`, `public.orders` or `"Odd name"`, held against the inventory where there is one:
/// each must be one table with rows in the dump. A table may have several
/// sections: `pg_dump` names those of some partitions by their root.
pub(crate) fn chosen_tables(asked: &[String], tables: Option<&[TableRows]>) -> Result<ChosenTables> {
    let Some(tables) = tables else {
        let names: Result<Vec<TableName>> = asked.iter().map(|text| name_of(text)).collect();
        return Ok(ChosenTables::Names(names?));
    };
    let numbers: Result<Vec<Vec<usize>>> = asked.iter().map(|text| numbers_of(text, tables)).collect();
    let numbers: BTreeSet<usize> = numbers?.into_iter().flatten().collect();
    Ok(ChosenTables::Numbers(numbers.into_iter().collect()))
}

fn name_of(text: &str) -> Result<TableName> {
    let improper = || {
        Error::new(Code::BadUsage, "--table: no name of a table")
            .advise("Write it as in SQL: orders, public.orders, or in double quotes if it needs them: 'public.\"Odd name\"'.")
    };
    TableName::parse(text).filter(|name| name.parts().count() <= 2).ok_or_else(improper)
}

/// As SQL reads a name, without quotes in small letters; and as it stands, since a name in a shell's quotes often has none of
/// its own.
fn numbers_of(text: &str, tables: &[TableRows]) -> Result<Vec<usize>> {
    let exact = numbers_of_name(&name_of(text)?, tables);
    let folded = text.to_lowercase();
    match exact {
        Err(_) if !text.contains('"') && folded != text => numbers_of_name(&name_of(&folded)?, tables).or(exact),
        _ => exact,
    }
}

fn numbers_of_name(name: &TableName, tables: &[TableRows]) -> Result<Vec<usize>> {
    let known: Vec<Option<TableName>> = tables.iter().map(|table| TableName::parse(&table.name)).collect();
    let is_meant = |table: &Option<TableName>| table.as_ref().is_some_and(|table| is_named(table, name));
    let fitting: Vec<usize> = (0..known.len()).filter(|number| is_meant(&known[*number])).collect();
    match fitting.as_slice() {
        [first, others @ ..] if others.iter().all(|other| known[*other] == known[*first]) => Ok(fitting),
        [] => Err(not_there(name, &known.into_iter().flatten().collect::<Vec<_>>())),
        several => {
            let names: BTreeSet<String> = several.iter().map(|number| tables[*number].name.clone()).collect();
            let error = Error::new(
                Code::BadUsage,
                format!("--table: {name} is in {} schemas: {}", names.len(), some_of(&names)),
            );
            Err(error.advise("Name the schema, too."))
        }
    }
}

/// Where no inventory could tell before.
pub(crate) fn must_be_found(chosen: &ChosenTables, found: &[TableName], dump: &DumpStats) -> Result<()> {
    let ChosenTables::Names(chosen) = chosen else { return Ok(()) };
    match chosen.iter().find(|chosen| !found.iter().any(|table| is_named(table, chosen))) {
        None => Ok(()),
        Some(missing) => {
            let known: Vec<TableName> = dump.tables.iter().filter_map(|table| TableName::parse(&table.name)).collect();
            Err(not_there(missing, &known))
        }
    }
}

fn not_there(name: &TableName, known: &[TableName]) -> Error {
    let error = Error::new(Code::BadUsage, format!("--table: the backup has no rows of a table {name}"));
    let shown = name.to_string();
    let alike = |table: &&TableName| {
        let last = table.parts().last().map(String::from_utf8_lossy).unwrap_or_default();
        strsim::jaro_winkler(&table.to_string(), &shown).max(strsim::jaro_winkler(&last, &shown)) >= NEAR
    };
    match known.iter().find(alike) {
        Some(near) => error.advise(format!("Did you mean {near}?")),
        None => error.advise("`pgseal decrypt … --what inventory` lists its tables."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it was given, with the heads and ends in their places.
    #[derive(Default)]
    struct Heard(Vec<u8>);

    impl Stage for Heard {
        type Done = Vec<u8>;

        fn put(&mut self, bytes: &[u8]) -> Result<()> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }

        fn finish(self) -> Result<Vec<u8>> {
            Ok(self.0)
        }
    }

    impl SectionSink for Heard {
        fn begin_section(&mut self, head: &CopyHead) -> Result<()> {
            let columns: Vec<_> = head.columns.iter().map(|column| String::from_utf8_lossy(column)).collect();
            self.0
                .extend_from_slice(format!("<{}: {}>", head.table, columns.join(" ")).as_bytes());
            Ok(())
        }

        fn end_section(&mut self, mark: &[u8]) -> Result<()> {
            self.0.extend_from_slice(b"<");
            self.0.extend_from_slice(mark);
            self.0.extend_from_slice(b">");
            Ok(())
        }
    }

    const DUMP: &str = "SET x = 1;\n\n--\n-- Data\n--\n\nCOPY \"public\".\"a\" (\"id\", \"t, (x)\") FROM stdin;\n1\tx\n\\.x\n\\.\n\n\n\
                        COPY other.a (id) FROM stdin;\n2\n\\.\n\nCOPY \"public\".\"none\"  FROM stdin;\n\n\\.\n\nSELECT 1;\n";

    fn heard(tables: &[&str], piece: usize) -> String {
        chosen_heard(
            chosen_tables(&tables.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), None).unwrap(),
            piece,
        )
    }

    fn chosen_heard(chosen: ChosenTables, piece: usize) -> String {
        let mut sections = TableSections::new(chosen, Heard::default());
        DUMP.as_bytes().chunks(piece).for_each(|chunk| sections.put(chunk).unwrap());
        String::from_utf8(sections.finish().unwrap().1).unwrap()
    }

    #[test]
    fn only_what_is_chosen_passes_in_pieces_of_any_size() {
        for piece in [1, 2, 3, 7, 64, usize::MAX] {
            assert_eq!(heard(&["public.a"], piece), "<public.a: id t, (x)>1\tx\n\\.x\n<\\.\n>", "{piece}");
            assert_eq!(
                heard(&["other.a", "none"], piece),
                "<other.a: id>2\n<\\.\n><public.none: >\n<\\.\n>",
                "{piece}"
            );
            assert_eq!(heard(&["a"], piece).matches("<\\.").count(), 2, "{piece}");
            assert_eq!(heard(&["b"], piece), "", "{piece}");
            assert_eq!(
                chosen_heard(ChosenTables::Numbers(vec![1]), piece),
                "<other.a: id>2\n<\\.\n>",
                "{piece}"
            );
        }
    }

    #[test]
    fn a_name_must_be_one_table_of_the_inventory() {
        let tables = ["public.orders", "sales.orders", "public.\"Odd\""].map(|name| TableRows {
            name: name.to_owned(),
            rows: 1,
            ..TableRows::default()
        });
        let chosen = |name: &str| chosen_tables(&[name.to_owned()], Some(&tables));
        assert_eq!(chosen("sales.orders").unwrap(), ChosenTables::Numbers(vec![1]));
        assert_eq!(chosen("\"Odd\"").unwrap(), ChosenTables::Numbers(vec![2]));
        assert_eq!(chosen("SALES.Orders").unwrap(), ChosenTables::Numbers(vec![1]));
        assert_eq!(chosen("public.Odd").unwrap(), ChosenTables::Numbers(vec![2]));
        assert!(chosen("orders").unwrap_err().message.contains("2 schemas"));
        assert!(chosen("sales.order").unwrap_err().hint().contains("sales.orders"));
        for improper in ["", "a.b.c", "a b", "a;"] {
            assert!(chosen(improper).unwrap_err().message.contains("no name"), "{improper}");
        }
    }
}
