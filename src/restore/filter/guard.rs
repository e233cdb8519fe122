//! A dump is data: psql runs its SQL, and none of its own commands.
//!
//! The only ones that a dump may hold are one `\restrict KEY` at its head and the `\unrestrict KEY` at its end, which
//! `pg_dump` has written since August 2025. They are checked and not passed on.

use crate::error::{Code, Error, Result};
use crate::format::dump_commands::DumpCommands;
use crate::format::dump_statement::Statement;

/// How psql is to read a statement's strings and letters, whatever code of the dump has set meanwhile.
#[derive(Debug)]
pub(in crate::restore) struct Guard {
    commands: DumpCommands,
    has_begun: bool,
    in_transaction: bool,
    /// As the dump sets them.
    standard_strings: bool,
    encoding: String,
}

pub(in crate::restore) fn tampered(what: &str) -> Error {
    Error::new(Code::Tampered, format!("the dump holds {what}")).advise(
        "No pg_dump writes that: do not restore it with psql. `pgseal decrypt` gives the SQL for a look; if a name with a line end \
         explains it, the source was attacked (CVE-2025-8715).",
    )
}

fn refused(line: &str) -> Error {
    tampered(&format!("a command for psql: {line}"))
}

impl Guard {
    pub(in crate::restore) fn new() -> Self {
        Self {
            commands: DumpCommands::default(),
            has_begun: false,
            in_transaction: false,
            standard_strings: true,
            encoding: "UTF8".to_owned(),
        }
    }

    /// A part of a command; `begun`: a statement has begun before it.
    pub(in crate::restore) fn command(&mut self, part: &[u8], begun: bool) -> Result<()> {
        self.commands.read(part, begun, self.has_begun).map_err(|line| refused(&line))
    }

    /// Anything of a statement.
    pub(in crate::restore) fn begin(&mut self) -> Result<()> {
        self.has_begun = true;
        if self.commands.is_closed() {
            return Err(tampered("statements behind its \\unrestrict"));
        }
        Ok(())
    }

    /// At the end of the dump.
    pub(in crate::restore) fn finish(&self) -> Result<()> {
        self.commands.finish().map_err(|line| refused(&line))?;
        if self.commands.is_open() {
            return Err(tampered("a \\restrict without its \\unrestrict"));
        }
        if self.in_transaction {
            // psql takes back all of it at its end, without a word.
            return Err(tampered("a BEGIN without its COMMIT"));
        }
        Ok(())
    }

    /// Takes note of what a statement sets.
    pub(in crate::restore) fn see(&mut self, statement: &Statement) -> Result<()> {
        let is_plain = statement.len() == 1 && statement.is_any(0, &["BEGIN", "COMMIT"]);
        if statement.is_any(0, TRANSACTIONS) && !is_plain {
            // A transaction of ours would end half way.
            return Err(tampered(&format!("the statement {}", statement.text(0, statement.len().min(3)))));
        }
        if is_plain {
            self.in_transaction = statement.is(0, "BEGIN");
        }
        if !statement.is(0, "SET") {
            return Ok(());
        }
        let at = if statement.is_any(1, &["SESSION", "LOCAL"]) { 2 } else { 1 };
        if statement.is(at, "standard_conforming_strings") {
            let value = value(statement, at + 2);
            // Of a value that is neither, the server makes what it likes; ours is set again wherever it matters.
            self.standard_strings = value != b"off";
        }
        let at = if statement.is(at, "NAMES") {
            Some(at + 1)
        } else {
            statement.is(at, "client_encoding").then_some(at + 2)
        };
        if let Some(at) = at {
            let value = value(statement, at);
            let name: Vec<u8> = value.iter().filter(|byte| byte.is_ascii_alphanumeric()).copied().collect();
            if !ENCODINGS.iter().any(|known| known.as_bytes() == name) {
                return Err(tampered(&format!(
                    "a client_encoding that no dump is in: {}",
                    String::from_utf8_lossy(&value)
                )));
            }
            // Letters and digits alone, which mean the same to the server.
            self.encoding = String::from_utf8_lossy(&name).into_owned();
        }
        Ok(())
    }

    /// Of a statement that is too long to be looked at whole.
    pub(in crate::restore) fn see_beginning(&self, statement: &Statement) -> Result<()> {
        let is_short = statement.is_any(0, TRANSACTIONS) || statement.is_any(0, &["COPY", "RESET", "SET"]);
        match is_short {
            true => Err(tampered(&format!("a statement {} of that length", statement.text(0, 1)))),
            false => Ok(()),
        }
    }

    /// What makes psql read a statement as we did, in front of it.
    pub(in crate::restore) fn settings(&self, depends_on_strings: bool, is_beyond_ascii: bool) -> Result<String> {
        let mut settings = String::new();
        if depends_on_strings {
            if !self.standard_strings {
                return Err(tampered("a string that ends in two places"));
            }
            settings.push_str("\nSET standard_conforming_strings = on;\n");
        }
        if is_beyond_ascii {
            settings.push_str(&format!("\nSET client_encoding = '{}';\n", self.encoding));
        }
        Ok(settings)
    }

    /// The same for a statement whose rest is still to come.
    pub(in crate::restore) fn all_settings(&self) -> String {
        let strings = if self.standard_strings { "on" } else { "off" };
        format!(
            "\nSET standard_conforming_strings = {strings};\nSET client_encoding = '{}';\n",
            self.encoding
        )
    }

    pub(in crate::restore) fn encoding(&self) -> &str {
        &self.encoding
    }
}

/// Of these, `pg_dump` writes `BEGIN` and `COMMIT` around large objects.
const TRANSACTIONS: &[&str] = &[
    "ABORT",
    "BEGIN",
    "COMMIT",
    "END",
    "PREPARE",
    "RELEASE",
    "ROLLBACK",
    "SAVEPOINT",
    "START",
];

/// A word or string, in small letters.
fn value(statement: &Statement, at: usize) -> Vec<u8> {
    let value = statement.literal(at).or_else(|| statement.name(at)).unwrap_or_default();
    value.to_ascii_lowercase()
}

/// Encodings that a server can have, by their letters and digits: the others are for clients only, and hide a backslash
/// inside of a letter.
const ENCODINGS: &[&str] = &[
    "sqlascii",
    "utf8",
    "unicode",
    "latin1",
    "latin2",
    "latin3",
    "latin4",
    "latin5",
    "latin6",
    "latin7",
    "latin8",
    "latin9",
    "latin10",
    "iso88591",
    "iso88592",
    "iso88593",
    "iso88594",
    "iso88595",
    "iso88596",
    "iso88597",
    "iso88598",
    "iso88599",
    "iso885910",
    "iso885913",
    "iso885914",
    "iso885915",
    "iso885916",
    "win",
    "win866",
    "win874",
    "win1250",
    "win1251",
    "win1252",
    "win1253",
    "win1254",
    "win1255",
    "win1256",
    "win1257",
    "win1258",
    "windows866",
    "windows874",
    "windows1250",
    "windows1251",
    "windows1252",
    "windows1253",
    "windows1254",
    "windows1255",
    "windows1256",
    "windows1257",
    "windows1258",
    "alt",
    "koi8",
    "koi8r",
    "koi8u",
    "eucjp",
    "euccn",
    "euckr",
    "euctw",
    "eucjis2004",
    "muleinternal",
];
