//! What a dump says of its tables before their rows come, and which rules are for which rows.

use super::MaskedColumn;
use super::charset::Charset;
use super::masked_field::MaskedField;
use super::masked_rows::MaskedRows;
use super::rules::{ColumnMasks, Mask, MaskRules, column_name, refused};
use crate::error::Result;
use crate::format::dump_statement::Statement;
use crate::format::table_name::TableName;
use std::collections::{BTreeMap, BTreeSet};

/// That are remembered.
const MAX_PARTITIONS: usize = 1_000_000;

pub(super) struct DumpTables {
    rules: MaskRules,
    /// Partitions, and of what they are; kept only where a rule is for partitions.
    parents: BTreeMap<TableName, TableName>,
    /// Of those with rules, the ones that the dump makes as partitioned tables.
    partitioned: BTreeSet<TableName>,
    has_rows: bool,
    copied: BTreeSet<TableName>,
    /// Whose rules have met rows.
    met: BTreeSet<TableName>,
}

/// Where the name of a table stands that is made.
fn made_at(statement: &Statement<'_>) -> Option<usize> {
    let at = match statement.is_any(1, &["UNLOGGED", "FOREIGN"]) {
        true => 2,
        false => 1,
    };
    (statement.is(0, "CREATE") && statement.is(at, "TABLE")).then_some(at + 1)
}

pub(super) fn is_of_table(statement: &Statement<'_>) -> bool {
    made_at(statement).is_some()
}

fn table_at(statement: &Statement<'_>, at: usize) -> Option<(TableName, usize)> {
    let (parts, end) = statement.qualified(at)?;
    Some((TableName::new(parts), end))
}

impl DumpTables {
    pub(super) fn new(rules: MaskRules) -> Self {
        Self {
            rules,
            parents: BTreeMap::new(),
            partitioned: BTreeSet::new(),
            has_rows: false,
            copied: BTreeSet::new(),
            met: BTreeSet::new(),
        }
    }

    /// A statement without rows.
    pub(super) fn see(&mut self, statement: &Statement<'_>) -> Result<()> {
        if let Some((table, end)) = made_at(statement).and_then(|at| table_at(statement, at)) {
            return self.see_made(statement, table, end);
        }
        let at = if statement.is(2, "ONLY") { 3 } else { 2 };
        if statement.has(0, "ALTER TABLE")
            && let Some((parent, end)) = table_at(statement, at)
            && statement.has(end, "ATTACH PARTITION")
            && let Some((partition, _)) = table_at(statement, end + 2)
        {
            return self.attach(partition, parent);
        }
        Ok(())
    }

    fn attach(&mut self, partition: TableName, parent: TableName) -> Result<()> {
        if self.rules.partitioned.is_empty() {
            return Ok(());
        }
        if self.copied.contains(&partition) && !self.masks(&parent)?.is_empty() {
            return Err(refused(
                &partition.to_string(),
                "becomes a partition only behind its rows, which the rules are for as well: name it under `tables`",
            ));
        }
        if self.parents.len() >= MAX_PARTITIONS {
            return Err(refused("the dump", "has more partitions than can be remembered"));
        }
        self.parents.insert(partition, parent);
        Ok(())
    }

    fn see_made(&mut self, statement: &Statement<'_>, table: TableName, end: usize) -> Result<()> {
        if statement.has(end, "PARTITION OF")
            && let Some((parent, _)) = table_at(statement, end + 2)
        {
            return self.attach(table, parent);
        }
        let body = statement.is_symbol(end, b'(').then(|| statement.behind_parentheses(end)).flatten();
        let behind = body.unwrap_or(end);
        let inherits = statement.find(behind, "INHERITS");
        if let Some(at) = inherits {
            self.must_cover_inherited(statement, &table, at + 1)?;
        }
        let own = self.rules.tables.get(&table).or_else(|| self.rules.partitioned.get(&table));
        if let (Some(masks), Some(body)) = (own, body) {
            let columns = Columns::read(statement, end + 1, body - 1);
            for (column, mask) in masks {
                columns.must_take(&table, column, mask, inherits.is_some())?;
            }
        }
        if self.rules.partitioned.contains_key(&table) && statement.find(behind, "PARTITION").is_some_and(|at| statement.is(at + 1, "BY")) {
            self.partitioned.insert(table);
        }
        Ok(())
    }

    /// Rows of a child hold values of the same columns, and no rule of its parent is for them.
    fn must_cover_inherited(&self, statement: &Statement<'_>, table: &TableName, mut at: usize) -> Result<()> {
        let own = self.rules.tables.get(table);
        while statement.is_symbol(at, b'(') || statement.is_symbol(at, b',') {
            let Some((parent, end)) = table_at(statement, at + 1) else { break };
            for column in self.rules.tables.get(&parent).into_iter().flat_map(BTreeMap::keys) {
                if own.is_none_or(|own| !own.contains_key(column)) {
                    let why = format!(
                        "inherits {} from {parent}, which has a rule for it: say what is to become of it here, if only \"keep\"",
                        column_name(column)
                    );
                    return Err(refused(&table.to_string(), &why));
                }
            }
            at = end;
        }
        Ok(())
    }

    /// The rules for rows of this table: its own, and those for all partitions of what it is part of.
    fn masks(&self, table: &TableName) -> Result<ColumnMasks> {
        let mut masks = self.rules.tables.get(table).cloned().unwrap_or_default();
        for above in self.line(table) {
            for (column, mask) in self.rules.partitioned.get(above).into_iter().flatten() {
                if masks.insert(column.clone(), mask.clone()).is_some() {
                    let why = format!("has two rules for {}: its own, and one under `partitioned`", column_name(column));
                    return Err(refused(&table.to_string(), &why));
                }
            }
        }
        Ok(masks)
    }

    /// It, and all that it is a part of.
    fn line<'a>(&'a self, table: &'a TableName) -> impl Iterator<Item = &'a TableName> {
        // No table is part of itself: a dump that says so comes to an end as well.
        std::iter::successors(Some(table), |table| self.parents.get(*table)).take(100)
    }

    /// A `COPY` whose rows follow: how they are masked, if they are.
    pub(super) fn copy(&mut self, statement: &Statement<'_>, charset: Charset) -> Result<Option<MaskedRows>> {
        if !std::mem::replace(&mut self.has_rows, true) {
            self.must_have_partitions()?;
        }
        let head = table_at(statement, 1);
        let Some((table, end)) = head else {
            return Err(refused("the dump", "has rows of a table whose name cannot be read"));
        };
        if !self.rules.partitioned.is_empty() {
            self.copied.insert(table.clone());
        }
        let masks = self.masks(&table)?;
        if masks.is_empty() {
            return Ok(None);
        }
        let columns = copied_columns(statement, end).ok_or_else(|| {
            refused(
                &table.to_string(),
                "has its rows in another form than COPY's text with a list of columns",
            )
        })?;
        let mut fields = Vec::new();
        fields.resize_with(columns.len(), || None);
        let mut masked = Vec::new();
        for (column, mask) in &masks {
            let shown = column_name(column);
            let Some(place) = columns.iter().position(|known| known == column) else {
                let why = format!("has no column {shown} whose values are in this backup");
                return Err(refused(&table.to_string(), &why));
            };
            let is_of_ascii = |text: &[u8]| text.is_ascii() || charset == Charset::Utf8;
            match mask {
                Mask::Constant(text) if !is_of_ascii(text) => {
                    let why = "has a constant with letters beyond ASCII, and the dump is in another encoding than UTF-8";
                    return Err(refused(&format!("{table}.{shown}"), why));
                }
                Mask::Shape { .. } if charset == Charset::Other => {
                    let why = "cannot have its shape kept: the encoding of the dump is none whose letters are known";
                    return Err(refused(&format!("{table}.{shown}"), why));
                }
                _ => {}
            }
            if let Some(field) = MaskedField::new(mask, charset) {
                fields[place] = Some(field);
                let (column, mask) = (shown, mask.name());
                masked.push((place, MaskedColumn { column, mask, values: 0 }));
            }
        }
        masked.sort_by_key(|(place, _)| *place);
        let met: Vec<TableName> = self.line(&table).cloned().collect();
        self.met.extend(met);
        Ok((!masked.is_empty()).then(|| MaskedRows::new(table.to_string(), fields, masked)))
    }

    /// When the first rows come, all tables are made, and all partitions have their place.
    fn must_have_partitions(&self) -> Result<()> {
        for table in self.rules.partitioned.keys() {
            if !self.partitioned.contains(table) {
                return Err(refused(
                    &table.to_string(),
                    "stands under `partitioned`, and is no partitioned table of this backup",
                ));
            }
            if !self
                .parents
                .keys()
                .any(|partition| self.line(partition).skip(1).any(|above| above == table))
            {
                return Err(refused(&table.to_string(), "has no partitions in this backup"));
            }
        }
        Ok(())
    }

    pub(super) fn must_all_be_met(&self) -> Result<()> {
        let all = self.rules.tables.keys().chain(self.rules.partitioned.keys());
        let unmet: Vec<String> = all
            .filter(|table| !self.met.contains(table))
            .map(|table| table.to_string())
            .collect();
        match unmet.is_empty() {
            true => Ok(()),
            false => Err(refused(&unmet.join(", "), "has no rows in this dump: its rule was for nothing")),
        }
    }
}

/// The columns of `COPY t (…) FROM stdin;`, and nothing else behind them.
fn copied_columns(statement: &Statement<'_>, mut at: usize) -> Option<Vec<Vec<u8>>> {
    let mut columns = Vec::new();
    while statement.is_symbol(at, b'(') || (!columns.is_empty() && statement.is_symbol(at, b',')) {
        columns.push(statement.name(at + 1)?);
        at += 2;
    }
    let is_end = statement.is_symbol(at, b')') && statement.has(at + 1, "FROM stdin") && statement.len() == at + 3;
    is_end.then_some(columns)
}

/// The columns of a `CREATE TABLE`, as far as a mask must know them.
#[derive(Default)]
struct Columns {
    all: BTreeSet<Vec<u8>>,
    not_null: BTreeSet<Vec<u8>>,
    computed: BTreeSet<Vec<u8>>,
}

impl Columns {
    fn read(statement: &Statement<'_>, from: usize, to: usize) -> Self {
        let (mut columns, mut start, mut at) = (Self::default(), from, from);
        while at < to {
            if statement.is_symbol(at, b',') {
                columns.see(statement, start, at);
                start = at + 1;
            }
            at = match statement.is_symbol(at, b'(') {
                true => statement.behind_parentheses(at).unwrap_or(to),
                false => at + 1,
            };
        }
        columns.see(statement, start, to);
        columns
    }

    fn see(&mut self, statement: &Statement<'_>, from: usize, to: usize) {
        // Of a column or of the table, with a name or without.
        let at = if statement.is(from, "CONSTRAINT") { from + 2 } else { from };
        if statement.has(at, "NOT NULL") {
            self.not_null.extend(statement.name(at + 2));
            return;
        }
        if at > from || statement.is_any(at, &["CHECK", "LIKE"]) {
            return;
        }
        let Some(name) = statement.name(from) else { return };
        let mut at = from + 1;
        while at < to {
            if statement.has(at, "NOT NULL") && !statement.is(at - 1, "IS") {
                self.not_null.insert(name.clone());
            } else if statement.has(at, "GENERATED ALWAYS AS") && statement.is_symbol(at + 3, b'(') {
                self.computed.insert(name.clone());
            }
            at = match statement.is_symbol(at, b'(') {
                true => statement.behind_parentheses(at).unwrap_or(to),
                false => at + 1,
            };
        }
        self.all.insert(name);
    }

    /// `inherits`: it has columns that are not listed.
    fn must_take(&self, table: &TableName, column: &[u8], mask: &Mask, inherits: bool) -> Result<()> {
        let what = format!("{table}.{}", column_name(column));
        if self.computed.contains(column) {
            return Err(refused(
                &what,
                "is computed from other columns, and follows what becomes of them: it takes no mask",
            ));
        }
        if !inherits && !self.all.contains(column) {
            return Err(refused(&table.to_string(), &format!("has no column {}", column_name(column))));
        }
        if matches!(mask, Mask::Null) && self.not_null.contains(column) {
            return Err(refused(&what, "is NOT NULL and cannot be masked with \"null\""));
        }
        Ok(())
    }
}
