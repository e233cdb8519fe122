//! The head of a dump: what comes before anything of it that could run code. From it somebody with more rights can make
//! the schemas and extensions first.

use super::judge::{created_extension, owner_clause};
use super::options::ServerRights;
use crate::error::Result;
use crate::format::dump_lexer::{DumpLexer, Lexed};
use crate::format::dump_statement::Statement;
use crate::restore::psql::ReportText;

/// Of a head: more than 10,000 schemas with their comments and privileges.
const MAX_HEAD: usize = 16 << 20;

/// Schemas and extensions that a dump makes at its head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DumpHead {
    pub schemas: Vec<Vec<u8>>,
    pub extensions: Vec<HeadExtension>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeadExtension {
    pub name: Vec<u8>,
    pub schema: Option<Vec<u8>>,
}

/// What was made of it; the dump's own statements for these are left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct PreparedTarget {
    pub schemas: Vec<Vec<u8>>,
    pub extensions: Vec<Vec<u8>>,
    /// Extensions that could not be made, and why: they are not restored.
    pub missing: Vec<(Vec<u8>, ReportText)>,
    pub rights: Option<ServerRights>,
}

pub(crate) type Prepare = Box<dyn FnOnce(&DumpHead) -> Result<PreparedTarget> + Send>;

/// Reads a dump's beginning and keeps it, up to the first statement that is no part of the head.
pub(super) struct HeadReader {
    lexer: DumpLexer,
    statement: Vec<u8>,
    pub(super) kept: Vec<u8>,
    pub(super) head: DumpHead,
    pub(super) prepare: Prepare,
}

impl HeadReader {
    pub(super) fn new(prepare: Prepare) -> Self {
        Self {
            lexer: DumpLexer::default(),
            statement: Vec::new(),
            kept: Vec::new(),
            head: DumpHead::default(),
            prepare,
        }
    }

    /// Keeps all bytes; gives whether the head is over.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> bool {
        self.kept.extend_from_slice(bytes);
        while !bytes.is_empty() {
            let (read, lexed) = self.lexer.read(bytes);
            let (part, rest) = bytes.split_at(read);
            bytes = rest;
            if self.lexer.fault().is_some() {
                return true;
            }
            match lexed {
                Lexed::Command => self.statement.clear(),
                _ => self.statement.extend_from_slice(part),
            }
            if lexed == Lexed::End {
                let statement = Statement::new(&self.statement, self.lexer.tokens());
                if !see(&statement, &mut self.head) {
                    return true;
                }
                self.statement.clear();
            }
        }
        self.kept.len() > MAX_HEAD
    }
}

/// Whether it belongs to a head.
fn see(statement: &Statement, head: &mut DumpHead) -> bool {
    if let Some(at) = created_extension(statement) {
        let Some(name) = statement.name(at) else { return false };
        let schema = statement.find(at + 1, "SCHEMA").and_then(|schema| statement.name(schema + 1));
        head.extensions.push(HeadExtension { name, schema });
        return true;
    }
    if statement.has(0, "CREATE SCHEMA") && statement.len() == 3 {
        head.schemas.extend(statement.name(2));
        return true;
    }
    let is_config = statement.has(0, "SELECT pg_catalog") && statement.is(3, "set_config") && statement.len() == 11;
    let is_plain = statement.is_any(0, &["SET", "RESET", "COMMENT", "GRANT", "REVOKE"]) || statement.has(0, "CREATE COLLATION");
    // Languages stand before extensions; to make one runs no code.
    let is_language = statement.is(0, "CREATE") && language_at(statement).is_some();
    statement.is_empty() || is_config || is_plain || is_language || owner_clause(statement).is_some()
}

/// Behind `CREATE OR REPLACE TRUSTED PROCEDURAL`.
fn language_at(statement: &Statement) -> Option<usize> {
    let mut at = if statement.has(1, "OR REPLACE") { 3 } else { 1 };
    at += usize::from(statement.is(at, "TRUSTED"));
    at += usize::from(statement.is(at, "PROCEDURAL"));
    statement.is(at, "LANGUAGE").then_some(at)
}
