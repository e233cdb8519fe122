//! Which statements of a dump may run beside each other, and which tables each of them locks.

use super::pool::Phase;
use super::session_settings::SessionSettings;
use crate::format::dump_statement::Statement;
use std::collections::BTreeMap;

/// The parts of a table's name.
pub(super) type Name = Vec<Vec<u8>>;

/// What becomes of a statement.
pub(super) enum Step {
    /// Set in every session.
    Setting,
    /// Depends on nothing that other sessions do, nor they on it.
    Independent,
    /// Of pg_dump 18 and newer, for the planner.
    Statistics,
    /// Said of the key or index right before it.
    FollowUp,
    Build(BuildStep),
    /// Runs when all before it is done, and before all that comes behind it.
    Other,
}

/// A key, index or foreign key.
pub(super) struct BuildStep {
    pub phase: Phase,
    pub locks: Vec<TableLock>,
    /// For people.
    pub what: String,
    pub sql: Vec<u8>,
    /// Its own name, without the schema.
    name: Vec<u8>,
}

/// Two statements that lock a table run one after the other, unless both only share it, as `CREATE INDEX` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableLock {
    pub table: Name,
    pub shared: bool,
}

impl TableLock {
    fn new(table: Name, shared: bool) -> Self {
        Self { table, shared }
    }
}

/// A foreign key of a partitioned table locks its partitions as well: all of one tree count as one table.
#[derive(Default)]
pub(super) struct Partitions {
    parents: BTreeMap<Name, Name>,
}

impl Partitions {
    /// `ALTER TABLE ONLY parent ATTACH PARTITION name …`
    pub(super) fn see(&mut self, statement: &Statement) {
        let Some((parent, at)) = altered_table(statement) else { return };
        if statement.has(at, "ATTACH PARTITION")
            && let Some((partition, _)) = statement.qualified(at + 2)
        {
            self.parents.insert(partition, parent);
        }
    }

    fn root(&self, table: Name) -> Name {
        let mut root = table;
        // No tree is as high; a dump that was made up may go round.
        for _ in 0..100 {
            match self.parents.get(&root) {
                Some(parent) => root = parent.clone(),
                None => break,
            }
        }
        root
    }
}

/// `open`: the key or index right before it.
pub(super) fn step(statement: &Statement, partitions: &Partitions, open: Option<&BuildStep>) -> Step {
    if SessionSettings::is_one(statement) {
        Step::Setting
    } else if is_independent(statement) {
        Step::Independent
    } else if statement.sets_statistics() {
        Step::Statistics
    } else if open.is_some_and(|open| is_said_of(statement, open)) {
        Step::FollowUp
    } else {
        match index(statement).or_else(|| constraint(statement, partitions)) {
            Some(step) => Step::Build(step),
            None => Step::Other,
        }
    }
}

/// Sequences and large objects: tables and indexes do not ask for them.
fn is_independent(statement: &Statement) -> bool {
    const CALLS: &[&str] = &["setval", "lo_create", "lo_open", "lowrite", "lo_close"];
    let calls = statement.has(0, "SELECT pg_catalog") && statement.is_any(3, CALLS);
    calls || statement.is_any(0, &["BEGIN", "COMMIT"])
}

fn altered_table(statement: &Statement) -> Option<(Name, usize)> {
    if !statement.has(0, "ALTER TABLE") {
        return None;
    }
    statement.qualified(if statement.is(2, "ONLY") { 3 } else { 2 })
}

/// `CREATE [UNIQUE] INDEX name ON [ONLY] table …`
fn index(statement: &Statement) -> Option<BuildStep> {
    let at = if statement.is(1, "UNIQUE") { 2 } else { 1 };
    if !statement.is(0, "CREATE") || !statement.is(at, "INDEX") || !statement.is(at + 2, "ON") {
        return None;
    }
    let name = statement.name(at + 1)?;
    let (table, end) = statement.qualified(if statement.is(at + 3, "ONLY") { at + 4 } else { at + 3 })?;
    Some(BuildStep {
        phase: Phase::KeysAndIndexes,
        locks: vec![TableLock::new(table, true)],
        what: statement.text(0, end),
        sql: statement.all_bytes().to_vec(),
        name,
    })
}

/// `ALTER TABLE ONLY table ADD CONSTRAINT name PRIMARY KEY …` and the like, but for checks.
fn constraint(statement: &Statement, partitions: &Partitions) -> Option<BuildStep> {
    let (table, at) = altered_table(statement)?;
    if !statement.has(at, "ADD CONSTRAINT") {
        return None;
    }
    let name = statement.name(at + 2)?;
    let (phase, locks) = if statement.is_any(at + 3, &["PRIMARY", "UNIQUE", "EXCLUDE"]) {
        (Phase::KeysAndIndexes, vec![TableLock::new(table, false)])
    } else if statement.has(at + 3, "FOREIGN KEY") {
        let (referenced, _) = statement.qualified(statement.find(at + 5, "REFERENCES")? + 1)?;
        let mut tables = [table, referenced].map(|table| partitions.root(table)).to_vec();
        tables.dedup();
        let locks = tables.into_iter().map(|table| TableLock::new(table, false));
        (Phase::ForeignKeys, locks.collect())
    } else {
        return None;
    };
    Some(BuildStep {
        phase,
        locks,
        what: statement.text(0, at + 5),
        sql: statement.all_bytes().to_vec(),
        name,
    })
}

/// `COMMENT ON INDEX`, `ALTER TABLE … CLUSTER ON` and others that name what was built right before.
fn is_said_of(statement: &Statement, open: &BuildStep) -> bool {
    let is_it = |at: usize| {
        let name = statement.qualified(at);
        name.is_some_and(|(parts, _)| parts.last() == Some(&open.name))
    };
    let of_table = |words: &str| {
        let behind = altered_table(statement).filter(|(_, at)| statement.has(*at, words));
        behind.is_some_and(|(table, at)| open.locks.iter().any(|lock| lock.table == table) && is_it(at + words.split(' ').count()))
    };
    statement.has(0, "COMMENT ON") && statement.is_any(2, &["INDEX", "CONSTRAINT"]) && is_it(3)
        || statement.has(0, "ALTER INDEX") && is_it(2) && statement.find(3, "ATTACH").is_none()
        || of_table("CLUSTER ON")
        || of_table("REPLICA IDENTITY USING INDEX")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::dump_lexer::{DumpLexer, Lexed};

    fn with<T>(sql: &str, look: impl FnOnce(&Statement) -> T) -> T {
        let mut lexer = DumpLexer::default();
        let (read, lexed) = lexer.read(sql.as_bytes());
        assert_eq!((read, lexed), (sql.len(), Lexed::End), "{sql}");
        look(&Statement::new(sql.as_bytes(), lexer.tokens()))
    }

    fn told(sql: &str, partitions: &Partitions, open: Option<&BuildStep>) -> String {
        let name = |name: &Name| name.iter().map(|part| String::from_utf8_lossy(part)).collect::<Vec<_>>().join(".");
        match with(sql, |statement| step(statement, partitions, open)) {
            Step::Setting => "setting".to_owned(),
            Step::Independent => "independent".to_owned(),
            Step::Statistics => "statistics".to_owned(),
            Step::FollowUp => "follow-up".to_owned(),
            Step::Other => "other".to_owned(),
            Step::Build(step) => {
                let locks = step
                    .locks
                    .iter()
                    .map(|lock| format!(" {}{}", name(&lock.table), if lock.shared { " shared" } else { "" }));
                format!("{:?}{}", step.phase, locks.collect::<String>())
            }
        }
    }

    #[test]
    fn what_may_run_beside_what_is_known_by_the_kind_of_statement() {
        let alone = Partitions::default();
        for (sql, expected) in [
            ("SET default_tablespace = '';", "setting"),
            ("SELECT pg_catalog.set_config('search_path', '', false);", "setting"),
            ("SELECT pg_catalog.setval('public.s', 7, true);", "independent"),
            ("SELECT pg_catalog.lowrite(0, '\\x00');", "independent"),
            ("BEGIN;", "independent"),
            (
                "SELECT * FROM pg_catalog.pg_restore_relation_stats('version', '180000'::integer);",
                "statistics",
            ),
            ("CREATE INDEX i ON public.t USING btree (a);", "KeysAndIndexes public.t shared"),
            (
                "CREATE UNIQUE INDEX \"I i\" ON ONLY public.\"T\" USING btree (a) WHERE (b > 0);",
                "KeysAndIndexes public.T shared",
            ),
            (
                "ALTER TABLE ONLY public.t ADD CONSTRAINT k PRIMARY KEY (a);",
                "KeysAndIndexes public.t",
            ),
            (
                "ALTER TABLE ONLY public.t ADD CONSTRAINT k UNIQUE (a) DEFERRABLE;",
                "KeysAndIndexes public.t",
            ),
            (
                "ALTER TABLE ONLY public.t ADD CONSTRAINT k EXCLUDE USING gist (a WITH &&);",
                "KeysAndIndexes public.t",
            ),
            (
                "ALTER TABLE ONLY public.t ADD CONSTRAINT k FOREIGN KEY (a, b) REFERENCES s.u(a, b) ON DELETE CASCADE;",
                "ForeignKeys public.t s.u",
            ),
            (
                "ALTER TABLE ONLY public.t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES public.t(b);",
                "ForeignKeys public.t",
            ),
            ("ALTER TABLE public.t ADD CONSTRAINT k CHECK ((a > 0)) NOT VALID;", "other"),
            ("ALTER INDEX public.i ATTACH PARTITION public.j;", "other"),
            ("COMMENT ON INDEX public.i IS 'x';", "other"),
            (
                "CREATE TRIGGER t AFTER INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.f();",
                "other",
            ),
            ("REFRESH MATERIALIZED VIEW public.m;", "other"),
            ("DO LANGUAGE plpgsql $b$ BEGIN NULL; END $b$;", "other"),
        ] {
            assert_eq!(told(sql, &alone, None), expected, "{sql}");
        }
    }

    #[test]
    fn what_is_said_of_a_key_or_index_goes_with_it() {
        let alone = Partitions::default();
        let Step::Build(open) = with("CREATE INDEX i ON public.t USING btree (a);", |statement| {
            step(statement, &alone, None)
        }) else {
            panic!("an index")
        };
        for (sql, is_said_of_it) in [
            ("COMMENT ON INDEX public.i IS 'x';", true),
            ("COMMENT ON INDEX public.j IS 'x';", false),
            ("ALTER TABLE public.t CLUSTER ON i;", true),
            ("ALTER TABLE public.u CLUSTER ON i;", false),
            ("ALTER TABLE ONLY public.t REPLICA IDENTITY USING INDEX i;", true),
            ("ALTER INDEX public.i ALTER COLUMN 1 SET STATISTICS 100;", true),
            ("ALTER INDEX public.i ATTACH PARTITION public.j;", false),
        ] {
            assert_eq!(told(sql, &alone, Some(&open)) == "follow-up", is_said_of_it, "{sql}");
        }
    }

    #[test]
    fn foreign_keys_of_one_tree_of_partitions_have_one_lock() {
        let mut partitions = Partitions::default();
        for attach in [
            "ALTER TABLE ONLY public.p ATTACH PARTITION public.q FOR VALUES IN (1);",
            "ALTER TABLE ONLY public.q ATTACH PARTITION public.r DEFAULT;",
            "ALTER TABLE ONLY public.x ATTACH PARTITION public.x DEFAULT;",
        ] {
            with(attach, |statement| partitions.see(statement));
        }
        for (sql, expected) in [
            (
                "ALTER TABLE public.p ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES public.u(a);",
                "ForeignKeys public.p public.u",
            ),
            (
                "ALTER TABLE public.u ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES public.r(a);",
                "ForeignKeys public.u public.p",
            ),
            (
                "ALTER TABLE public.q ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES public.r(a);",
                "ForeignKeys public.p",
            ),
            (
                "ALTER TABLE public.x ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES public.u(a);",
                "ForeignKeys public.x public.u",
            ),
            // Keys and indexes lock no other partition.
            (
                "ALTER TABLE ONLY public.r ADD CONSTRAINT k PRIMARY KEY (a);",
                "KeysAndIndexes public.r",
            ),
        ] {
            assert_eq!(told(sql, &partitions, None), expected, "{sql}");
        }
    }
}
