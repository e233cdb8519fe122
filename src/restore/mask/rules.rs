//! The rules file: which columns of which tables get which mask. Strict: what is not understood is refused by its name.

use super::key::MaskKey;
use crate::error::{Code, Error, Result};
use crate::format::inventory::Inventory;
use crate::format::table_name::TableName;
use crate::format::unique_names::UniqueNames;
use serde::de::DeserializeSeed;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const MAX_CONSTANT: usize = 64 << 10;
/// Hexadecimal digits of a hash: unless a column is short, so many that two values never share one.
const DIGITS: usize = 32;
const FEWEST_DIGITS: u64 = 8;
const MOST_DIGITS: u64 = 64;

#[derive(Clone, Debug)]
pub(super) enum Mask {
    /// Said on purpose.
    Keep,
    Null,
    /// As COPY writes it.
    Constant(Vec<u8>),
    Hash {
        key: MaskKey,
        form: HashForm,
    },
    Shape {
        key: MaskKey,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HashForm {
    Text { digits: usize },
    Integer,
    BigInt,
    Uuid,
}

impl Mask {
    /// In answers.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Null => "null",
            Self::Constant(_) => "constant",
            Self::Hash { .. } => "hash",
            Self::Shape { .. } => "shape",
        }
    }
}

/// Masks by column, in the bytes of the dump.
pub(super) type ColumnMasks = BTreeMap<Vec<u8>, Mask>;

/// All rules of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct MaskRules {
    /// For the rows of just these tables.
    pub(super) tables: BTreeMap<TableName, ColumnMasks>,
    /// For the rows of all partitions of these.
    pub(super) partitioned: BTreeMap<TableName, ColumnMasks>,
}

impl MaskRules {
    /// Keys that the rules name are read now, and one is made if they name none.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let json = std::fs::read(file).map_err(|error| {
            Error::new(Code::BadUsage, format!("--mask: {} cannot be read: {error}", file.display()))
                .advise("Correct the file's name, and see that this user may read it.")
        })?;
        Self::parse(&json, file)
    }

    pub(super) fn parse(json: &[u8], file: &Path) -> Result<Self> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let value = UniqueNames
            .deserialize(&mut reader)
            .and_then(|value| reader.end().map(|()| value))
            .map_err(|error| refused("the rules", &format!("are no JSON: {error}")))?;
        let mut names = object("the rules", value)?;
        let parser = RuleParser {
            folder: file.parent().unwrap_or(Path::new("")),
            default: match names.remove("key_file") {
                Some(name) => read_key(file.parent(), "`key_file`", &name)?,
                None => MaskKey::generate()?,
            },
        };
        let mut take = |name: &str| match names.remove(name) {
            Some(tables) => parser.tables(name, tables),
            None => Ok(BTreeMap::new()),
        };
        let rules = Self {
            tables: take("tables")?,
            partitioned: take("partitioned")?,
        };
        no_more("the rules", &names, "`tables`, `partitioned` and `key_file`")?;
        if rules.tables.is_empty() && rules.partitioned.is_empty() {
            return Err(refused("the rules", "name no table"));
        }
        if let Some(both) = rules.tables.keys().find(|name| rules.partitioned.contains_key(name)) {
            return Err(refused(&both.to_string(), "stands under `tables` and under `partitioned`"));
        }
        Ok(rules)
    }

    /// Before anything is restored: tables of whose rows the backup has none.
    pub(crate) fn must_fit(&self, inventory: &Inventory) -> Result<()> {
        let known: BTreeSet<TableName> = inventory.tables.iter().filter_map(|table| TableName::parse(&table.name)).collect();
        let unknown: Vec<String> = self
            .tables
            .keys()
            .filter(|name| !known.contains(name))
            .map(|name| name.to_string())
            .collect();
        if !unknown.is_empty() {
            let error = refused(&unknown.join(", "), "has no rows in this backup");
            return Err(error.advise(
                "Name tables as `pgseal decrypt --what inventory` lists them. One that is split into partitions goes under `partitioned`.",
            ));
        }
        if let Some(plain) = self.partitioned.keys().find(|name| known.contains(name)) {
            return Err(refused(
                &plain.to_string(),
                "has rows of its own: it goes under `tables`, not under `partitioned`",
            ));
        }
        Ok(())
    }

    /// Columns with a mask, for people.
    pub(crate) fn columns(&self) -> String {
        let all = self.tables.iter().chain(&self.partitioned);
        let names: Vec<String> = all
            .flat_map(|(table, masks)| {
                let masked = masks.iter().filter(|(_, mask)| !matches!(mask, Mask::Keep));
                masked.map(move |(column, _)| format!("{table}.{}", column_name(column)))
            })
            .collect();
        let more = names.len().saturating_sub(10);
        let shown = names.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
        if more > 0 { format!("{shown} and {more} more") } else { shown }
    }
}

pub(super) fn column_name(column: &[u8]) -> String {
    TableName::new([column.to_vec()]).to_string()
}

/// A rule that cannot hold.
pub(super) fn refused(what: &str, why: &str) -> Error {
    Error::new(Code::BadUsage, format!("--mask: {what} {why}")).advise("Correct the rules file; docs/RESTORE.md has all masks.")
}

fn object(what: &str, value: Value) -> Result<Map<String, Value>> {
    match value {
        Value::Object(names) => Ok(names),
        _ => Err(refused(what, "must be an object")),
    }
}

fn no_more(what: &str, names: &Map<String, Value>, known: &str) -> Result<()> {
    match names.keys().next() {
        Some(unknown) => Err(refused(what, &format!("know no `{unknown}`: only {known}"))),
        None => Ok(()),
    }
}

/// A relative name is one beside the rules.
fn read_key(folder: Option<&Path>, what: &str, name: &Value) -> Result<MaskKey> {
    match name {
        Value::String(name) if !name.is_empty() => MaskKey::read(&folder.unwrap_or(Path::new("")).join(name)),
        _ => Err(refused(what, "must be the name of a file")),
    }
}

struct RuleParser<'a> {
    folder: &'a Path,
    default: MaskKey,
}

impl RuleParser<'_> {
    fn tables(&self, list: &str, value: Value) -> Result<BTreeMap<TableName, ColumnMasks>> {
        let mut tables = BTreeMap::new();
        for (name, columns) in object(&format!("`{list}`"), value)? {
            let parsed = TableName::parse(&name).filter(|name| name.parts().count() == 2);
            let table = parsed.ok_or_else(|| {
                refused(
                    &format!("`{name}`"),
                    "is no name of a table: say schema.table, and put a part with capitals, spaces or signs into double quotes",
                )
            })?;
            let masks = self.columns(&table.to_string(), columns)?;
            if tables.insert(table, masks).is_some() {
                return Err(refused(&format!("`{name}`"), "stands there twice"));
            }
        }
        Ok(tables)
    }

    fn columns(&self, table: &str, value: Value) -> Result<ColumnMasks> {
        let mut masks = BTreeMap::new();
        for (name, rule) in object(table, value)? {
            let mask = self.mask(&format!("{table}.{name}"), rule)?;
            // As it is, or in the spelling of names that are no UTF-8.
            let of_bytes = TableName::parse(&name).filter(|_| name.starts_with("E\""));
            let column = of_bytes.and_then(|name| name.parts().next().map(<[u8]>::to_vec));
            masks.insert(column.unwrap_or_else(|| name.into_bytes()), mask);
        }
        if masks.is_empty() {
            return Err(refused(table, "has no columns in the rules"));
        }
        Ok(masks)
    }

    fn mask(&self, what: &str, rule: Value) -> Result<Mask> {
        const KNOWN: &str = "is no mask: there are \"null\", {\"constant\": \"…\"}, \"hash\", \"shape\" and \"keep\"";
        let (name, options) = match rule {
            Value::String(name) => (name, None),
            Value::Object(names) if names.len() == 1 => match names.into_iter().next() {
                Some((name, options)) => (name, Some(options)),
                None => return Err(refused(what, KNOWN)),
            },
            _ => return Err(refused(what, KNOWN)),
        };
        match (&*name, options) {
            ("keep", None) => Ok(Mask::Keep),
            ("null", None) => Ok(Mask::Null),
            ("constant", Some(Value::String(text))) => constant(what, &text),
            ("constant", _) => Err(refused(
                what,
                "needs its constant as a text, as COPY reads it: {\"constant\": \"0\"}",
            )),
            ("hash", options) => self.hash(what, options),
            ("shape", options) => {
                let mut options = options.map_or(Ok(Map::new()), |options| object(what, options))?;
                let key = self.key(what, &mut options)?;
                no_more(&format!("{what}: options of `shape`"), &options, "`key_file`")?;
                Ok(Mask::Shape { key })
            }
            ("keep" | "null", Some(_)) => Err(refused(what, &format!("has options, and `{name}` takes none"))),
            _ => Err(refused(what, KNOWN)),
        }
    }

    fn hash(&self, what: &str, options: Option<Value>) -> Result<Mask> {
        let mut options = options.map_or(Ok(Map::new()), |options| object(what, options))?;
        let key = self.key(what, &mut options)?;
        let length = options.remove("length");
        let form = match options.remove("as") {
            None => HashForm::Text { digits: DIGITS },
            Some(Value::String(form)) => match &*form {
                "text" => HashForm::Text { digits: DIGITS },
                "integer" => HashForm::Integer,
                "bigint" => HashForm::BigInt,
                "uuid" => HashForm::Uuid,
                _ => {
                    return Err(refused(
                        what,
                        "has an unknown `as`: a hash is `text`, `integer`, `bigint` or `uuid`",
                    ));
                }
            },
            Some(_) => return Err(refused(what, "has an `as` that is no text")),
        };
        no_more(&format!("{what}: options of `hash`"), &options, "`as`, `length` and `key_file`")?;
        let form = match (form, length) {
            (form, None) => form,
            (HashForm::Text { .. }, Some(length)) => {
                let digits = length.as_u64().filter(|digits| (FEWEST_DIGITS..=MOST_DIGITS).contains(digits));
                let digits = digits.ok_or_else(|| {
                    refused(
                        what,
                        &format!("has a `length` that is no number from {FEWEST_DIGITS} to {MOST_DIGITS}"),
                    )
                })?;
                HashForm::Text { digits: digits as usize }
            }
            (_, Some(_)) => return Err(refused(what, "has a `length`, which only a hash as text has")),
        };
        Ok(Mask::Hash { key, form })
    }

    fn key(&self, what: &str, options: &mut Map<String, Value>) -> Result<MaskKey> {
        match options.remove("key_file") {
            Some(name) => read_key(Some(self.folder), &format!("{what}: `key_file`"), &name),
            None => Ok(self.default.clone()),
        }
    }
}

fn constant(what: &str, text: &str) -> Result<Mask> {
    if text.len() > MAX_CONSTANT {
        return Err(refused(what, &format!("has a constant of more than {MAX_CONSTANT} bytes")));
    }
    let mut escaped = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            0 => return Err(refused(what, "has a zero byte, which no PostgreSQL can hold")),
            b'\\' => escaped.extend_from_slice(b"\\\\"),
            b'\t' => escaped.extend_from_slice(b"\\t"),
            b'\n' => escaped.extend_from_slice(b"\\n"),
            b'\r' => escaped.extend_from_slice(b"\\r"),
            byte => escaped.push(byte),
        }
    }
    Ok(Mask::Constant(escaped))
}
