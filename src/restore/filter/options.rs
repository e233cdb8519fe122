//! What is wished of the filter, and what it did.

use super::judge::FilterNote;
use super::missing::ExtensionMembers;
use super::object::{DumpObject, ObjectKind, joined};
use crate::format::dump_statement::Statement;
use crate::format::table_name::TableName;
use crate::restore::psql::ReportText;
use serde::Serialize;
use std::collections::BTreeSet;

/// What is left out where the planner's statistics are.
pub(super) const STATISTICS: &str = "statistics";
/// Of a kind of things that were left out, so many names are told.
const NAMES: usize = 20;
/// So many objects that were not restored are told one by one.
const TOLD: usize = 10_000;
/// Names of tables that are remembered.
const TABLES: usize = 100_000;
/// Bytes of each: an identity of many arguments is longer than that hardly ever.
const WORDS: usize = 1024;

/// What to leave out of a dump, and what to change in it. By default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterOptions {
    /// `ALTER … OWNER TO …` and `SET SESSION AUTHORIZATION …`.
    pub no_owner: bool,
    /// `GRANT`, `REVOKE`, `ALTER DEFAULT PRIVILEGES`, and what else is for a role by name: policies and user mappings.
    pub no_privileges: bool,
    /// `SET default_tablespace` and the clauses `TABLESPACE …`.
    pub no_tablespaces: bool,
    pub no_comments: bool,
    /// `CREATE POLICY` and `ENABLE ROW LEVEL SECURITY`, as `pg_restore` has it.
    pub no_policies: bool,
    /// `CREATE EXTENSION` of these, and their comments.
    pub exclude_extensions: BTreeSet<Vec<u8>>,
    /// What the source's extensions have: of one that is not made, a dump's words about it do not pass either.
    pub members: ExtensionMembers,
    /// In place of the empty one that `pg_dump` sets.
    pub search_path: Option<String>,
    /// `BEGIN` and `COMMIT`, which `pg_dump` writes around large objects: inside `psql --single-transaction` its `COMMIT`
    /// would end the one transaction half way.
    pub no_transactions: bool,
    /// Settings and words that a server of this major does not know, such as the `transaction_timeout` (17) of a newer
    /// `pg_dump`.
    pub settings_newer_than: Option<u32>,
    /// Schemas and extensions that are there already: they are not made, and the extensions not commented on.
    pub existing_schemas: BTreeSet<Vec<u8>>,
    /// Those among them that keep owner, rights and comment.
    pub schemas_of_others: BTreeSet<Vec<u8>>,
    pub existing_extensions: BTreeSet<Vec<u8>>,
    /// Schemas and extensions that were made out of the dump's head: not a word about them.
    pub made_schemas: BTreeSet<Vec<u8>>,
    pub made_extensions: BTreeSet<Vec<u8>>,
    /// A dump of chosen tables makes no schema: those of what it makes are made, unless they are there. What users have in
    /// schemas of missing extensions has them made in any case.
    pub makes_schemas: bool,
    /// The planner's statistics: the most common values of a column stand in them.
    pub no_statistics: bool,
    /// Statements of ownership and privileges are kept aside for the superuser instead of passing.
    pub set_aside: bool,
    /// What PostgreSQL keeps for superusers is left out.
    pub superuser_only: bool,
    /// The same for what depends on the server; `None`: not known.
    pub rights: Option<ServerRights>,
    /// In the lines in which the server says what could not be made; no dump can know it.
    pub mark: String,
}

impl FilterOptions {
    /// Why the planner's statistics do not pass, if they do not.
    pub(super) fn without_statistics(&self) -> Option<&'static str> {
        if self.no_statistics {
            return Some("of the planner: they hold values of the source");
        }
        let is_older = self.settings_newer_than.is_some_and(|major| major < 18);
        is_older.then_some("of the planner: the server is older than PostgreSQL 18")
    }
}

/// What a role without superuser can do on the server at hand, and what it cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerRights {
    /// In which it may write functions.
    pub languages: BTreeSet<Vec<u8>>,
    /// Parameters that it may not set.
    pub settings: BTreeSet<Vec<u8>>,
    /// Tables of extensions, which are somebody else's: schema and name.
    pub tables: BTreeSet<Vec<Vec<u8>>>,
    /// Foreign data wrappers that are there.
    pub wrappers: BTreeSet<Vec<u8>>,
    /// Functions of PostgreSQL and of extensions that it may not use.
    pub refused: BTreeSet<Vec<u8>>,
    /// Names of all that extensions have.
    pub known: BTreeSet<Vec<u8>>,
}

/// Statements of one kind that did not pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Such as `comments`.
    pub what: &'static str,
    pub count: u64,
    /// Of the first ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl LeftOut {
    /// For people.
    pub(crate) fn in_words(&self) -> String {
        let more = self.count.saturating_sub(self.names.len() as u64);
        let names = self.names.join(", ");
        match (names.is_empty(), more) {
            (true, count) => format!("Left out: {}, {count} statements", self.what),
            (false, 0) => format!("Left out: {}: {names}", self.what),
            (false, more) => format!("Left out: {}: {names}, and {more} more statements", self.what),
        }
    }
}

/// Something that is not there though nobody wished so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotRestored {
    /// Such as `EVENT TRIGGER audit`.
    pub what: String,
    pub reason: ReportText,
}

/// What became of the dump, and what lay below the filter.
#[derive(Debug)]
pub struct Filtered<T> {
    pub changes: FilterChanges,
    pub below: T,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterChanges {
    pub left_out: Vec<LeftOut>,
    pub not_restored: Vec<NotRestored>,
    /// Beyond those.
    more_not_restored: usize,
    /// Made though the dump does not.
    pub schemas_made: Vec<String>,
    /// Tables of extensions that are not there, by schema and name.
    pub rows_left_out: Vec<Vec<Vec<u8>>>,
    /// That the dump makes: of others a report has no names.
    pub tables_made: BTreeSet<TableName>,
    /// Statements of ownership and privileges, in their order, in the dump's encoding.
    pub aside: Vec<u8>,
    /// The dump holds the planner's statistics, whether or not they passed.
    has_statistics: bool,
}

/// Some words of a statement, which may be as long as somebody made it.
fn shortened(mut words: String) -> String {
    if words.len() > WORDS {
        words.truncate(words.floor_char_boundary(WORDS));
        words.push('…');
        words.shrink_to_fit();
    }
    words
}

impl FilterChanges {
    pub(crate) fn leave_out(&mut self, what: &'static str, name: String) {
        let known = self.left_out.iter().position(|left| left.what == what);
        let place = known.unwrap_or_else(|| {
            let (count, names) = (0, Vec::new());
            self.left_out.push(LeftOut { what, count, names });
            self.left_out.len() - 1
        });
        let left = &mut self.left_out[place];
        left.count += 1;
        let name = shortened(name);
        if left.names.len() < NAMES && !name.is_empty() && !left.names.contains(&name) {
            left.names.push(name);
        }
    }

    pub(super) fn see_table(&mut self, statement: &Statement<'_>) {
        self.has_statistics |= statement.sets_statistics();
        let made = DumpObject::made(statement).filter(|made| made.kind == ObjectKind::Relation);
        if let Some(made) = made.filter(|_| self.tables_made.len() < TABLES)
            && let Some((name, _)) = TableName::from_sql(made.sql(statement))
        {
            self.tables_made.insert(name);
        }
    }

    /// The planner's statistics came with the rows.
    pub(crate) fn brings_statistics(&self) -> bool {
        self.has_statistics && !self.left_out.iter().any(|left| left.what == STATISTICS)
    }

    /// Warnings, for people.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        self.schemas_made.iter().map(|name| {
            format!(
                "the schema {name} was made: the dump makes none of that name; an extension that makes it by itself can be added \
                     only after it was dropped"
            )
        })
    }

    pub(super) fn tell(&mut self, note: FilterNote) {
        match note {
            FilterNote::LeftOut(what, name) => self.leave_out(what, name),
            FilterNote::NotRestored(what, reason) => self.not_restored(what, reason),
        }
    }

    pub(super) fn leave_out_rows(&mut self, name: Vec<Vec<u8>>) {
        self.leave_out("rows of left-out extensions", joined(&name));
        if self.rows_left_out.len() < TOLD {
            self.rows_left_out.push(name);
        }
    }

    /// Told one by one up to a limit: a dump may consist of nothing else.
    pub(crate) fn not_restored(&mut self, what: String, reason: impl Into<ReportText>) {
        let told = self.not_restored.len();
        if told < TOLD {
            let (what, reason) = (shortened(what), reason.into().map(shortened));
            return self.not_restored.push(NotRestored { what, reason });
        }
        self.more_not_restored += 1;
        let what = format!("{} more objects", self.more_not_restored);
        let reason = ReportText::ours(format!("only the first {TOLD} are told one by one"));
        self.not_restored.truncate(TOLD);
        self.not_restored.push(NotRestored { what, reason });
    }
}
