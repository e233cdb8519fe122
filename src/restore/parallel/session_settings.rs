//! What a dump sets for its session, for other sessions of the same restore.

use crate::format::dump_statement::Statement;
use std::sync::Arc;

/// As they are at this place of the dump.
#[derive(Default)]
pub(super) struct SessionSettings {
    /// What is set, and by which statement; the one that came last is the last.
    statements: Vec<(Vec<u8>, Vec<u8>)>,
    now: Arc<[u8]>,
}

impl SessionSettings {
    pub(super) fn is_one(statement: &Statement) -> bool {
        statement.is(0, "SET") || statement.is(0, "RESET") || statement.has(0, "SELECT pg_catalog") && statement.is(3, "set_config")
    }

    /// Takes note of one.
    pub(super) fn see(&mut self, statement: &Statement) {
        let name = match statement.is(0, "SELECT") {
            true => statement.literal(5),
            false => {
                let at = if statement.is_any(1, &["SESSION", "LOCAL"]) && !statement.is(2, "AUTHORIZATION") {
                    2
                } else {
                    1
                };
                statement.name(at)
            }
        };
        let name = name.unwrap_or_else(|| statement.all_bytes().to_vec());
        self.statements.retain(|(known, _)| *known != name);
        self.statements.push((name, statement.all_bytes().to_vec()));
        let mut now = Vec::new();
        for (_, statement) in &self.statements {
            now.extend_from_slice(statement);
            now.push(b'\n');
        }
        self.now = now.into();
    }

    /// All of them as statements; the same value as long as nothing is set.
    pub(super) fn now(&self) -> &Arc<[u8]> {
        &self.now
    }
}
