//! What a dump makes, read off its beginning before anything of it is restored: which tables there are, and what belongs to them.

use super::object::{DumpObject, ObjectKind, parts_of};
use crate::error::Result;
use crate::format::dump_lexer::{DumpLexer, Lexed};
use crate::format::dump_statement::Statement;
use crate::pipeline::Stage;
use std::collections::{BTreeMap, BTreeSet};

/// Schema and name, in the bytes of the dump.
pub(crate) type ObjectName = Vec<Vec<u8>>;

/// What is kept of a statement: its beginning tells what it makes.
const KEPT: usize = 1 << 20;

/// Relations of a dump and what belongs to each.
#[derive(Debug, Default)]
pub(crate) struct DumpOutline {
    pub schemas: BTreeSet<Vec<u8>>,
    /// Tables, views, sequences and foreign tables.
    pub relations: BTreeSet<ObjectName>,
    /// Partitions and other children, by their parent.
    children: BTreeMap<ObjectName, Vec<ObjectName>>,
    /// Sequences, by the table whose columns own them.
    sequences: BTreeMap<ObjectName, Vec<ObjectName>>,
}

impl DumpOutline {
    /// These, with all that is below them and the sequences that they own.
    pub(crate) fn with_belongings(&self, tables: impl IntoIterator<Item = ObjectName>) -> BTreeSet<ObjectName> {
        let mut open: Vec<ObjectName> = tables.into_iter().collect();
        let mut found = BTreeSet::new();
        while let Some(table) = open.pop() {
            if found.contains(&table) {
                continue;
            }
            let of = |map: &BTreeMap<ObjectName, Vec<ObjectName>>| map.get(&table).cloned().unwrap_or_default();
            open.extend(of(&self.children));
            open.extend(of(&self.sequences));
            found.insert(table);
        }
        found
    }

    /// Parents of a table, and theirs.
    pub(crate) fn above(&self, table: &ObjectName) -> BTreeSet<ObjectName> {
        let (mut open, mut found) = (vec![table.clone()], BTreeSet::new());
        while let Some(table) = open.pop() {
            let parents = self.children.iter().filter(|(_, children)| children.contains(&table));
            let new = parents.map(|(parent, _)| parent.clone()).filter(|parent| !found.contains(parent));
            let new: Vec<ObjectName> = new.collect();
            found.extend(new.iter().cloned());
            open.extend(new);
        }
        found
    }

    fn see(&mut self, statement: &Statement<'_>) {
        if let Some(object) = DumpObject::made(statement) {
            let parts = statement.qualified(object.at).map(|(parts, _)| parts);
            match (object.kind, parts) {
                (ObjectKind::Schema, _) => {
                    self.schemas.insert(object.own);
                }
                (ObjectKind::Relation, Some(parts)) if parts.len() == 2 && !is_index(statement, &object) => {
                    self.see_relation(statement, &object, parts)
                }
                _ => {}
            }
            return;
        }
        let (Some(altered), true) = (DumpObject::read(statement, 1), statement.is(0, "ALTER")) else {
            return;
        };
        let Some((name, end)) = statement.qualified(altered.at).filter(|_| altered.kind == ObjectKind::Relation) else {
            return;
        };
        if let Some(partition) = statement.find(end, "ATTACH").filter(|at| statement.is(at + 1, "PARTITION"))
            && statement.is(1, "TABLE")
            && let Some((child, _)) = statement.qualified(partition + 2)
        {
            self.children.entry(name).or_default().push(child);
        } else if statement.is(1, "SEQUENCE")
            && let Some(owned) = statement.find(end, "OWNED")
            && let Some((mut column, _)) = statement.qualified(owned + 2)
        {
            column.pop();
            self.sequences.entry(column).or_default().push(name);
        } else if let Some(at) = statement.find_word(end, "SEQUENCE").filter(|at| statement.is(at + 1, "NAME"))
            && let Some((sequence, _)) = statement.qualified(at + 2)
        {
            self.sequences.entry(name).or_default().push(sequence);
        }
    }

    fn see_relation(&mut self, statement: &Statement<'_>, object: &DumpObject, name: ObjectName) {
        if let Some(parents) = statement.find(object.words.1, "INHERITS") {
            let mut at = parents + 2;
            while let Some((parent, end)) = statement.qualified(at) {
                self.children.entry(parent).or_default().push(name.clone());
                at = end + 1;
            }
        }
        self.relations.insert(name);
    }
}

pub(super) fn is_index(statement: &Statement<'_>, object: &DumpObject) -> bool {
    statement.is(object.words.0, "INDEX") || statement.has(object.words.0, "UNIQUE INDEX")
}

/// The sequence whose name stands in `nextval('…'::regclass)` or `setval('…', …)`.
pub(super) fn sequence_in(statement: &Statement<'_>, function: &str) -> Option<ObjectName> {
    let at = statement.find_word(0, function)?;
    Some(parts_of(&statement.literal(at + 2)?))
}

/// Reads the outline of what passes; of rows it takes no notice. What passes is kept, as long as it is small.
pub(crate) struct OutlineReader {
    lexer: DumpLexer,
    statement: Vec<u8>,
    outline: DumpOutline,
    kept: Option<Vec<u8>>,
    room: usize,
}

impl OutlineReader {
    /// Keeps at most so many bytes.
    pub(crate) fn new(room: usize) -> Self {
        Self {
            lexer: DumpLexer::default(),
            statement: Vec::new(),
            outline: DumpOutline::default(),
            kept: Some(Vec::new()),
            room,
        }
    }
}

impl Stage for OutlineReader {
    /// And what passed, unless it was more than there was room for.
    type Done = (DumpOutline, Option<Vec<u8>>);

    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        match &mut self.kept {
            Some(kept) if kept.len() + bytes.len() <= self.room => kept.extend_from_slice(bytes),
            _ => self.kept = None,
        }
        while !bytes.is_empty() {
            let (read, lexed) = self.lexer.read(bytes);
            let (part, rest) = bytes.split_at(read);
            bytes = rest;
            match lexed {
                Lexed::Sql | Lexed::Variable | Lexed::End => {
                    let room = KEPT - self.statement.len();
                    self.statement.extend_from_slice(&part[..part.len().min(room)]);
                    if lexed == Lexed::End {
                        self.outline.see(&Statement::new(&self.statement, self.lexer.tokens()));
                        self.statement.clear();
                    }
                }
                Lexed::Command if !self.lexer.has_begun() => self.statement.clear(),
                _ => {}
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Self::Done> {
        Ok((self.outline, self.kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGINNING: &str = r#"SET x = 1;
CREATE SCHEMA "s";
CREATE TABLE "public"."orders" ("id" bigint NOT NULL, "at" date) PARTITION BY RANGE ("at");
CREATE SEQUENCE "public"."orders_id_seq" START WITH 1;
ALTER SEQUENCE "public"."orders_id_seq" OWNED BY "public"."orders"."id";
CREATE TABLE "s"."orders_2026" ("id" bigint, "at" date);
ALTER TABLE ONLY "public"."orders" ATTACH PARTITION "s"."orders_2026" FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE "public"."base" ("i" int);
CREATE TABLE "public"."child" ("j" int) INHERITS ("public"."base", "s"."mixin");
ALTER TABLE "public"."base" ALTER COLUMN "i" ADD GENERATED BY DEFAULT AS IDENTITY (SEQUENCE NAME "public"."base_i_seq" START WITH 1);
CREATE FUNCTION "public"."f"() RETURNS void LANGUAGE sql AS $$ CREATE TABLE "public"."none" () $$;
CREATE VIEW "public"."seen" AS SELECT 1;
CREATE INDEX "i" ON "public"."base" USING btree ("i");
"#;

    fn name(text: &str) -> ObjectName {
        parts_of(text.as_bytes())
    }

    #[test]
    fn what_a_table_has_belongs_to_it() {
        for piece in [1, 7, 10_000] {
            let mut reader = OutlineReader::new(10_000);
            BEGINNING.as_bytes().chunks(piece).for_each(|piece| reader.put(piece).unwrap());
            let (outline, kept) = reader.finish().unwrap();
            assert_eq!(kept.as_deref(), Some(BEGINNING.as_bytes()));
            let relations = ["orders", "orders_id_seq", "base", "child", "seen"].map(|table| name(&format!("public.{table}")));
            assert_eq!(outline.relations, relations.into_iter().chain([name("s.orders_2026")]).collect());
            assert_eq!(outline.schemas, [b"s".to_vec()].into());
            let with = |table: &str| outline.with_belongings([name(table)]);
            assert_eq!(
                with("public.orders"),
                ["public.orders", "public.orders_id_seq", "s.orders_2026"].map(name).into()
            );
            assert_eq!(
                with("public.base"),
                ["public.base", "public.base_i_seq", "public.child"].map(name).into()
            );
            assert_eq!(with("s.mixin"), ["s.mixin", "public.child"].map(name).into());
        }
        let mut reader = OutlineReader::new(10);
        reader.put(BEGINNING.as_bytes()).unwrap();
        assert!(reader.finish().unwrap().1.is_none());
    }
}
