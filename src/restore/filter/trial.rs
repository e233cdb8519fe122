//! Statements of which the server decides whether they can be made here: in a block that goes on where they cannot, and says
//! so in a line that is found by its mark.
//!
//! psql puts no variable into a dollar quote and runs nothing in one; its tag is nowhere in what it holds.

mod refresh;

pub(super) use refresh::{refresh_as_seen, refreshed};

use super::suspects::GeneratedColumns;
use crate::format::{hex, sha256};
use crate::restore::psql::trial_reports::{LACKS, SAID, told_line};

/// What a server says of a statement that needs something which is not there, or which is somebody else's.
const CONDITIONS: &str = "undefined_function OR undefined_object OR undefined_table OR undefined_column OR undefined_parameter \
    OR invalid_schema_name OR insufficient_privilege OR datatype_mismatch OR wrong_object_type OR invalid_object_definition \
    OR invalid_function_definition OR invalid_table_definition OR invalid_foreign_key OR invalid_column_reference \
    OR feature_not_supported OR ambiguous_function OR cannot_coerce OR indeterminate_datatype OR grouping_error \
    OR object_not_in_prerequisite_state OR collation_mismatch OR indeterminate_collation";
/// Lines that the server puts into a context by itself: of an index that several processes build, and of the rows that a new
/// foreign key is held against.
const ITS_OWN: &str = r#"E'^(parallel worker\n|SQL statement "SELECT fk\.[^\n]*"\n)+'"#;
/// A variable of the block.
const CONTEXT: &str = "told_context";
/// How the place of such a block begins in a context.
const OURS: &str = "PL/pgSQL function inline_code_block ";
/// Marks where nobody reads them.
const MARK: &str = "pgseal";

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trial {
    pub(super) kind: TrialKind,
    /// It names something that is not there, or may be. Where it does not, only what the server says of the very statement is
    /// forgiven: nothing that code which runs in it meets, since a restore elsewhere would meet that as well.
    pub(super) is_named: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum TrialKind {
    Plain(PlainTrial),
    /// The rows of a materialized view of this name.
    Refresh {
        name: Vec<u8>,
        what: String,
        suspect: bool,
    },
    Table(Box<TrialTable>),
}

/// A statement that makes no rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlainTrial {
    pub(super) what: String,
    pub(super) told: TrialNotice,
    /// Columns that may be null, since nobody computes them.
    pub(super) generated: Vec<GeneratedColumns>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum TrialNotice {
    Always,
    Never,
    /// Unless the relation that it is about is not there either.
    IfThere(Vec<u8>),
}

/// Its rows, or what others are made of, are worth more than its clauses.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TrialTable {
    pub(super) what: String,
    /// Whose functions the role must be able to run, since its rows do.
    pub(super) name: Vec<u8>,
    pub(super) without: Vec<Replacement>,
    /// In place of a parent: a table like it, which stands alone.
    pub(super) alone: Vec<Replacement>,
    pub(super) clauses: Vec<TrialClause>,
    /// It holds no rows itself.
    pub(super) may_go: bool,
}

/// In place of these bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replacement {
    pub(super) bytes: std::ops::Range<usize>,
    pub(super) text: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct TrialClause {
    pub(super) what: String,
    /// What puts it there later on.
    pub(super) again: Option<Vec<u8>>,
    /// Clauses before it without which it would not hold.
    pub(super) needs: Vec<usize>,
}

/// The bytes there with something else in some places.
pub(super) fn replaced(bytes: &[u8], start: usize, instead: &[Replacement]) -> Vec<u8> {
    let mut sorted: Vec<&Replacement> = instead.iter().collect();
    sorted.sort_by_key(|instead| (instead.bytes.start, instead.bytes.end));
    let (mut text, mut from) = (Vec::new(), start);
    for Replacement { bytes: place, text: new } in sorted {
        text.extend_from_slice(bytes.get(from..place.start).unwrap_or_default());
        text.extend_from_slice(new);
        from = from.max(place.end);
    }
    text.extend_from_slice(bytes.get(from..).unwrap_or_default());
    text
}

/// What passes in place of the statement that begins there. `cuts` are made in any case.
pub(super) fn script(trial: &Trial, bytes: &[u8], start: usize, cuts: &[Replacement], mark: &str) -> Vec<u8> {
    let whole = replaced(bytes, start, cuts);
    let mut script = TrialScript::new(&whole, mark, trial.is_named);
    match &trial.kind {
        TrialKind::Plain(plain) => script.plain(plain, &whole),
        TrialKind::Refresh { name, what, suspect } => script.refresh(name, what, *suspect, &whole),
        TrialKind::Table(table) => {
            let with = |more: &[Replacement]| replaced(bytes, start, &[cuts, more].concat());
            let without = with(&table.without);
            let alone = (!table.alone.is_empty()).then(|| with(&table.alone));
            script.table(table, &whole, &without, alone.as_deref());
        }
    }
    script.end()
}

struct TrialScript<'a> {
    mark: &'a str,
    tag: String,
    is_named: bool,
    text: Vec<u8>,
}

impl<'a> TrialScript<'a> {
    fn new(whole: &[u8], mark: &'a str, is_named: bool) -> Self {
        // Of 128 bits that are the statement's own: nobody finds one that holds them.
        let tag = format!("t{}", &hex(&sha256(whole))[..32]);
        let mark = if mark.is_empty() { MARK } else { mark };
        let text = format!("DO LANGUAGE plpgsql $b{tag}$ DECLARE {CONTEXT} pg_catalog.text; ").into_bytes();
        Self { mark, tag, is_named, text }
    }

    fn end(mut self) -> Vec<u8> {
        self.put(&format!(" $b{}$;", self.tag));
        self.text
    }

    fn put(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    fn quoted(&mut self, text: &[u8]) {
        self.put(&format!("${}$", self.tag));
        self.text.extend_from_slice(text);
        self.put(&format!(" ${}$", self.tag));
    }

    fn execute(&mut self, statement: &[u8]) {
        self.put("EXECUTE ");
        self.quoted(statement);
        self.put(";");
    }

    /// The level of messages is the dump's to set.
    fn say(&mut self, what: &str, reason: &str) {
        let line = told_line(self.mark, &self.tag, what);
        self.put("PERFORM pg_catalog.set_config('client_min_messages', 'warning', true); ");
        self.put(&format!("RAISE WARNING '% %', '{line}', {reason}; "));
    }

    /// Says in one line what the server said, in a handler of it: its SQLSTATE alone. Code of the statement can have read rows, or
    /// say the line again when it has.
    fn say_error(&mut self, what: &str, before: &str) {
        self.say(what, &format!("pg_catalog.concat('{before}SQLSTATE ', SQLSTATE)"));
    }

    /// Passes on what the server did not say of this statement itself: code within, be it another block, has lines of its own in the
    /// context.
    fn only_of(&mut self, statement: &[u8]) {
        self.put(&format!("GET STACKED DIAGNOSTICS {CONTEXT} = PG_EXCEPTION_CONTEXT; "));
        self.put(&format!(
            "{CONTEXT} := pg_catalog.replace({CONTEXT}, pg_catalog.concat('SQL statement \"', "
        ));
        self.quoted(statement);
        self.put(", E'\"\\n'), ''); ");
        self.put(&format!("{CONTEXT} := pg_catalog.regexp_replace({CONTEXT}, {ITS_OWN}, ''); "));
        self.put(&format!(
            "IF pg_catalog.strpos({CONTEXT}, '{OURS}') OPERATOR(pg_catalog.<>) 1 \
             OR pg_catalog.strpos({CONTEXT}, E'\\n') OPERATOR(pg_catalog.>) 0 THEN RAISE; END IF; "
        ));
    }

    fn on_conditions(&mut self, statement: &[u8]) {
        self.put(&format!(" EXCEPTION WHEN {CONDITIONS} THEN "));
        if !self.is_named {
            self.only_of(statement);
        }
    }

    fn plain(&mut self, plain: &PlainTrial, whole: &[u8]) {
        self.put("BEGIN ");
        self.execute(whole);
        self.on_conditions(whole);
        self.tell(plain);
        if !plain.generated.is_empty() {
            // Where its column is computed as ever, the rows are at fault.
            self.put(" WHEN integrity_constraint_violation THEN IF ");
            for (place, GeneratedColumns { table, column, .. }) in plain.generated.iter().enumerate() {
                self.put(if place > 0 { " OR EXISTS (" } else { "EXISTS (" });
                self.put("SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(");
                self.quoted(table);
                self.put(") AND a.attname OPERATOR(pg_catalog.=) pg_catalog.rtrim(");
                self.quoted(column);
                self.put(")::pg_catalog.name AND a.attgenerated OPERATOR(pg_catalog.=) '')");
            }
            self.put(" THEN ");
            self.tell(plain);
            self.put(" ELSE RAISE; END IF; ");
        }
        self.put("END");
    }

    fn tell(&mut self, plain: &PlainTrial) {
        match &plain.told {
            TrialNotice::Never => self.put("NULL; "),
            TrialNotice::Always => self.say_error(&plain.what, SAID),
            TrialNotice::IfThere(name) => {
                self.put("IF pg_catalog.to_regclass(");
                self.quoted(name);
                self.put(") IS NOT NULL THEN ");
                self.say_error(&plain.what, SAID);
                self.put("END IF; ");
            }
        }
    }

    fn table(&mut self, table: &TrialTable, whole: &[u8], without: &[u8], alone: Option<&[u8]>) {
        let TrialTable { what, clauses, may_go, .. } = table;
        for place in 0..clauses.len() {
            self.put(&format!("made_{place} boolean := false; "));
        }
        self.put("BEGIN BEGIN ");
        self.execute(whole);
        self.must_be_able_to_run(&table.name);
        self.put(" RETURN;");
        self.on_conditions(whole);
        self.put("NULL; END; ");
        self.put("BEGIN ");
        self.execute(without);
        match alone {
            Some(alone) => {
                self.on_conditions(without);
                self.say_error(&format!("INHERITS of {what}"), SAID);
                self.execute(alone);
            }
            None if *may_go => {
                self.on_conditions(without);
                self.say_error(what, SAID);
                self.put("RETURN; ");
            }
            None => {}
        }
        self.put("END; ");
        for (place, clause) in clauses.iter().enumerate() {
            let needs = clause.needs.iter().map(|need| format!(" AND made_{need}")).collect::<String>();
            let Some(again) = &clause.again else {
                self.say(&clause.what, &format!("'{LACKS}'"));
                continue;
            };
            self.put(&format!("IF true{needs} THEN BEGIN "));
            self.execute(again);
            self.must_be_able_to_run(&table.name);
            self.put(&format!(" made_{place} := true;"));
            self.on_conditions(again);
            self.say_error(&clause.what, SAID);
            self.put("END; ELSE ");
            self.say(&clause.what, &format!("'{LACKS}'"));
            self.put("END IF; ");
        }
        self.put("END");
    }

    /// Constraints are made by who may not run their functions, and fail only when rows come.
    fn must_be_able_to_run(&mut self, name: &[u8]) {
        self.put(" IF EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
             AND NOT pg_catalog.has_function_privilege(d.refobjid, 'EXECUTE') \
             AND (d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) ANY (\
             SELECT k.oid FROM pg_catalog.pg_constraint k WHERE k.conrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(");
        self.quoted(name);
        self.put(") OR k.contypid OPERATOR(pg_catalog.=) pg_catalog.to_regtype(");
        self.quoted(name);
        self.put(
            ")) OR d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) ANY (\
             SELECT f.oid FROM pg_catalog.pg_attrdef f JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) f.adrelid \
             AND a.attnum OPERATOR(pg_catalog.=) f.adnum AND pg_catalog.to_jsonb(a) OPERATOR(pg_catalog.->>) 'attgenerated' \
             OPERATOR(pg_catalog.<>) '' WHERE f.adrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(",
        );
        self.quoted(name);
        self.put("))) ) THEN RAISE insufficient_privilege USING MESSAGE = 'it needs a function that only a superuser may run'; END IF; ");
    }
}
