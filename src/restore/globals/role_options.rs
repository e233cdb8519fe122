//! The options of a role, as `pg_dumpall` writes them.

use crate::format::dump_statement::Statement;

/// What `pg_dumpall` writes from there on, and nothing else: `USER` and a list, say, would make members of others.
pub(super) fn are_role_options(statement: &Statement, mut at: usize) -> bool {
    const FLAGS: [&str; 7] = [
        "SUPERUSER",
        "INHERIT",
        "CREATEROLE",
        "CREATEDB",
        "LOGIN",
        "REPLICATION",
        "BYPASSRLS",
    ];
    while at < statement.len() && !statement.is_symbol(at, b';') {
        let is_flag = FLAGS
            .iter()
            .any(|flag| statement.is(at, flag) || statement.is(at, &format!("NO{flag}")));
        at += if is_flag {
            1
        } else if statement.has(at, "CONNECTION LIMIT") {
            let is_negative = statement.is_symbol(at + 2, b'-');
            let number = at + 2 + usize::from(is_negative);
            if !statement.is_number(number) {
                return false;
            }
            number + 1 - at
        } else if statement.is(at, "PASSWORD") && statement.is_text(at + 1) {
            2
        } else if statement.has(at, "VALID UNTIL") && statement.is_text(at + 2) {
            3
        } else {
            return false;
        };
    }
    at + 1 >= statement.len()
}
