//! Texts that all databases of a server share: names of roles, settings, comments of databases. Who wrote one wrote it in the
//! encoding of another database; here it may be other letters, or no text at all. It is taken by its bytes, and what is no
//! text is left out and named: another text in its place would be restored as if it were theirs.

use crate::error::Result;
use crate::format::database_properties::{DatabaseProperties, Settings};
use crate::format::sql;
use crate::rds::session::{AdvisoryRows, Session};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};

/// Texts outside ASCII that a server is asked to convert, one by one: one that it refuses costs itself alone.
const MAX_CONVERTED: usize = 1000;

/// The server's answer. Each byte of a text is one character here, so that JSON can hold whatever the bytes are.
#[derive(Deserialize)]
pub(super) struct SharedTexts {
    settings: Vec<String>,
    role_settings: Vec<RoleSettings>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct RoleSettings {
    role: String,
    settings: Vec<String>,
}

impl SharedTexts {
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        let text: String = json.iter().map(|byte| char::from(*byte)).collect();
        serde_json::from_str(&text).ok()
    }

    /// The same as texts, by the server's own conversion where its encoding is not UTF-8.
    pub(super) async fn properties(self, session: &Session<'_>) -> Result<DatabaseProperties> {
        let encoding = self.rest.get("encoding").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut texts = Texts(HashMap::new());
        let mut strange = BTreeSet::new();
        self.for_each(&mut |text| {
            if !text.is_ascii() {
                strange.insert(text.to_owned());
            }
        });
        for text in strange.into_iter().take(MAX_CONVERTED) {
            let bytes = bytes(&text);
            let converted = match &*encoding {
                "UTF8" | "SQL_ASCII" => String::from_utf8(bytes).ok(),
                _ => convert(session, &bytes, &encoding).await?,
            };
            if let Some(converted) = converted {
                texts.0.insert(text, converted);
            }
        }
        Ok(self.by(&texts))
    }

    fn for_each(&self, work: &mut impl FnMut(&str)) {
        self.settings.iter().for_each(|text| work(text));
        for RoleSettings { role, settings } in &self.role_settings {
            work(role);
            settings.iter().for_each(|text| work(text));
        }
        self.rest.values().for_each(|value| each_text(value, work));
    }

    fn by(self, texts: &Texts) -> DatabaseProperties {
        let mut lost = BTreeSet::new();
        let mut rest = Map::new();
        for (name, value) in self.rest {
            let whole = match value {
                // One that is missing is no reason to forget the others.
                Value::Array(items) if name == "roles" => {
                    let count = items.len();
                    let kept: Vec<Value> = items.iter().filter_map(|item| texts.value(item)).collect();
                    if kept.len() < count {
                        lost.insert("names of roles".to_owned());
                    }
                    Some(Value::Array(kept))
                }
                // Privileges among them: a list that lacks one must not be taken for all of them.
                value => texts.value(&value),
            };
            match whole {
                Some(value) => drop(rest.insert(name, value)),
                None => drop(lost.insert(name.replace('_', " "))),
            }
        }
        let mut settings = |list: Vec<String>| -> Settings {
            let known = list.iter().filter_map(|text| {
                let text = texts.text(text);
                if text.is_none() {
                    lost.insert("settings".to_owned());
                }
                text.and_then(|text| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
            });
            known.collect()
        };
        let of_database = settings(self.settings);
        let mut of_roles = Vec::new();
        for RoleSettings { role, settings: list } in self.role_settings {
            of_roles.push((texts.text(&role), settings(list)));
        }
        if of_roles.iter().any(|(role, _)| role.is_none()) {
            lost.insert("settings of roles".to_owned());
        }
        let mut properties: DatabaseProperties = serde_json::from_value(Value::Object(rest)).unwrap_or_default();
        // As words; before 15 there was but one provider, and no column for it.
        let provider = match properties.locale_provider.as_deref() {
            None | Some("c") => Some("libc"),
            Some("i") => Some("icu"),
            Some("b") => Some("builtin"),
            Some(_) => None,
        };
        properties.locale_provider = provider.map(str::to_owned);
        properties.settings = of_database;
        properties.role_settings = of_roles
            .into_iter()
            .filter_map(|(role, settings)| Some((role?, settings)))
            .collect();
        properties.unreadable = lost.into_iter().collect();
        properties
    }
}

/// What texts outside ASCII are in UTF-8; those that are no text are missing.
struct Texts(HashMap<String, String>);

impl Texts {
    fn text(&self, text: &str) -> Option<String> {
        if text.is_ascii() {
            return Some(text.to_owned());
        }
        self.0.get(text).cloned()
    }

    /// Nothing where any part of it is no text.
    fn value(&self, value: &Value) -> Option<Value> {
        Some(match value {
            Value::String(text) => Value::String(self.text(text)?),
            Value::Array(items) => Value::Array(items.iter().map(|item| self.value(item)).collect::<Option<_>>()?),
            Value::Object(fields) => {
                let field = |(name, value): (&String, &Value)| Some((name.clone(), self.value(value)?));
                Value::Object(fields.iter().map(field).collect::<Option<_>>()?)
            }
            other => other.clone(),
        })
    }
}

fn each_text(value: &Value, work: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => work(text),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, work)),
        Value::Object(fields) => fields.values().for_each(|value| each_text(value, work)),
        _ => {}
    }
}

fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|character| character as u8).collect()
}

async fn convert(session: &Session<'_>, bytes: &[u8], encoding: &str) -> Result<Option<String>> {
    let query = format!(
        "SELECT pg_catalog.encode(pg_catalog.convert(pg_catalog.decode({}, 'hex'), {}, 'UTF8'), 'hex')",
        sql::literal(&crate::format::hex(bytes)),
        sql::literal(encoding)
    );
    match session.advice(&query).await? {
        AdvisoryRows::Rows(rows) => match rows.first() {
            Some(row) => Ok(String::from_utf8(row.bytes(0)?).ok()),
            None => Ok(None),
        },
        AdvisoryRows::Refused(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &[u8]) -> DatabaseProperties {
        let shared = SharedTexts::read(json).unwrap();
        let mut texts = Texts(HashMap::new());
        shared.for_each(&mut |text| {
            if let Ok(known) = String::from_utf8(bytes(text)) {
                texts.0.insert(text.to_owned(), known);
            }
        });
        shared.by(&texts)
    }

    /// A comment in SQL_ASCII came back with another letter; an honest U+FFFD was lost beside one.
    #[test]
    fn what_is_no_text_is_left_out_and_named() {
        let json = b"{\"encoding\":\"SQL_ASCII\",\"owner\":\"\xef\xbf\xbd\",\"comment\":\"caf\xe9\",\"roles\":[\"a\",\"\xe9\"],\
            \"settings\":[\"a=1\",\"b=\xe9\"],\"role_settings\":[{\"role\":\"\xe9\",\"settings\":[\"x=y\"]}]}";
        let properties = read(json);
        assert_eq!(
            properties.unreadable,
            ["comment", "names of roles", "settings", "settings of roles"]
        );
        assert_eq!((properties.comment, properties.owner.as_deref()), (None, Some("\u{fffd}")));
        assert_eq!(properties.settings.iter().collect::<Vec<_>>(), [("a", "1")]);
        assert_eq!((properties.roles, properties.role_settings.len()), (vec!["a".to_owned()], 0));
    }

    /// The grantor of all of them was such an owner: the list came out empty, and PUBLIC lost CONNECT.
    #[test]
    fn privileges_are_whole_or_unknown() {
        let json =
            b"{\"settings\":[],\"role_settings\":[],\"privileges\":[{\"grantor\":\"\xe9\",\"grantee\":null,\"privilege\":\"CONNECT\"},\
            {\"grantor\":\"o\",\"grantee\":null,\"privilege\":\"CREATE\"}]}";
        let properties = read(json);
        assert_eq!(
            (properties.privileges, properties.unreadable),
            (None, vec!["privileges".to_owned()])
        );
    }

    #[test]
    fn what_the_server_says_is_read() {
        let json = br#"{"database_oid":16384,"encoding":"UTF8","collation":"C","ctype":"C","locale_provider":null,"locale":null,
            "icu_rules":null,"collation_version":null,"owner":"o","tablespace":"pg_default","connection_limit":-1,
            "settings":["search_path=app, public"],"role_settings":[{"role":"r","settings":["z=b=c","a=1"]}],"comment":null,
            "privileges":[{"grantor":"o","grantee":null,"privilege":"CONNECT","grantable":false}],"roles":["o","r"]}"#;
        let properties = read(json);
        assert_eq!(properties.role_settings["r"].iter().collect::<Vec<_>>(), [("z", "b=c"), ("a", "1")]);
        assert_eq!(
            (properties.locale_provider.as_deref(), properties.database_oid),
            (Some("libc"), Some(16384))
        );
        assert!(properties.has_settings() && properties.privileges.unwrap()[0].grantee.is_none());
    }
}
