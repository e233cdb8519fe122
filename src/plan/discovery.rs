//! Which servers of an account and region a fleet's event means.

use super::values;
use crate::error::{Code, Error, Result};
use serde_json::{Map, Value};

/// Tags of an instance or cluster that leave something out. Anyone who may tag can thereby have less backed up, and never more.
pub(crate) const SKIP_TAG: &str = "pgseal:skip";
pub(crate) const DATABASES_TAG: &str = "pgseal:databases";
pub(crate) const EXCLUDE_TAG: &str = "pgseal:exclude-databases";

/// RDS's names of the engines.
const ENGINES: [&str; 2] = ["postgres", "aurora-postgresql"];
const MEMBERS: [&str; 6] = ["tags", "engine", "instances", "clusters", "reader", "only"];

/// What `discover` says. Without names it means every server of these engines and tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Each must be there, with this value.
    pub tags: Vec<(String, String)>,
    pub engines: Vec<&'static str>,
    /// Identifiers. Where instances or clusters are named, only those are meant.
    pub instances: Vec<String>,
    pub clusters: Vec<String>,
    /// Aurora's reader endpoint in place of the writer's.
    pub reader: bool,
    /// Identifiers. Of the servers that all this means, only these; where none is left, that is no failure: an event of RDS
    /// may be of a server that is not meant.
    pub only: Vec<String>,
}

impl Discovery {
    pub(super) fn new(members: &Map<String, Value>) -> Result<Self> {
        if let Some(unknown) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
            let shown: String = unknown.chars().filter(|c| !c.is_control()).take(64).collect();
            return Err(bad(&format!("has no member `{shown}`: it has {}", MEMBERS.join(", "))));
        }
        let engines = match texts(members, "engine")? {
            None => ENGINES.to_vec(),
            Some(named) => {
                let known = |name: &String| ENGINES.iter().copied().find(|engine| engine == name);
                named
                    .iter()
                    .map(|name| known(name).ok_or_else(|| bad(&format!("`engine` must be {}", ENGINES.join(" or ")))))
                    .collect::<Result<_>>()?
            }
        };
        let identifiers = |member: &str| -> Result<Vec<String>> {
            let named = texts(members, member)?.unwrap_or_default();
            let checked = named.into_iter().map(|name| {
                // RDS keeps them in lower case.
                values::instance(name.to_ascii_lowercase())
                    .map_err(|_| bad(&format!("`{member}` must be identifiers: letters, digits and dashes")))
            });
            let mut all = checked.collect::<Result<Vec<String>>>()?;
            all.sort();
            all.dedup();
            Ok(all)
        };
        Ok(Self {
            tags: tags(members.get("tags"))?,
            engines,
            instances: identifiers("instances")?,
            clusters: identifiers("clusters")?,
            reader: match members.get("reader") {
                None => false,
                Some(Value::Bool(reader)) => *reader,
                Some(_) => return Err(bad("`reader` must be true or false")),
            },
            only: identifiers("only")?,
        })
    }

    #[cfg(test)]
    pub(crate) fn for_tests(members: &Map<String, Value>) -> Self {
        Self::new(members).unwrap()
    }

    /// Whether single servers are named.
    pub(crate) fn names_servers(&self) -> bool {
        !self.instances.is_empty() || !self.clusters.is_empty()
    }

    /// Whether this server is one of `only`, if there are any.
    pub(crate) fn is_among(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|other| other == name)
    }

    pub(crate) fn has_tags<'a>(&self, tags: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> bool {
        let is_there = |(key, value): &(String, String)| tags.clone().any(|tag| tag == (key.as_str(), value.as_str()));
        self.tags.iter().all(is_there)
    }
}

fn tags(value: Option<&Value>) -> Result<Vec<(String, String)>> {
    let members = match value {
        None => return Ok(Vec::new()),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(bad("`tags` must be a JSON object of names and values")),
    };
    let pair = |(key, value): (&String, &Value)| match value {
        Value::String(value) => Ok((key.clone(), value.clone())),
        _ => Err(bad("`tags` must have texts as values")),
    };
    members.iter().map(pair).collect()
}

fn texts(members: &Map<String, Value>, member: &str) -> Result<Option<Vec<String>>> {
    let wrong = || bad(&format!("`{member}` must be text or a list of texts"));
    match members.get(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(vec![text.clone()])),
        Some(Value::Array(items)) => {
            let text = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(wrong);
            items.iter().map(text).collect::<Result<_>>().map(Some)
        }
        Some(_) => Err(wrong()),
    }
}

fn bad(reason: &str) -> Error {
    Error::field(Code::BadEvent, "discover", reason)
}

/// What an instance's own tags leave out, given what the event means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Narrowing {
    pub skip: bool,
    /// Only these.
    pub databases: Option<Vec<String>>,
    pub excluded: Vec<String>,
}

impl Narrowing {
    /// A tag's value has no commas: names are separated by spaces. A tag that names nothing narrows nothing: a value that was
    /// forgotten must not leave a whole server without backups.
    pub(crate) fn from_tags<'a>(tags: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let names = |value: &str| value.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut found = Self::default();
        for (key, value) in tags {
            match key {
                SKIP_TAG => found.skip = value != "false",
                DATABASES_TAG => found.databases = Some(names(value)).filter(|names| !names.is_empty()),
                EXCLUDE_TAG => found.excluded = names(value),
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn discovery(value: Value) -> Result<Discovery> {
        Discovery::new(value.as_object().unwrap())
    }

    #[test]
    fn it_is_what_it_says_and_nothing_else() {
        let all = discovery(json!({})).unwrap();
        assert_eq!(all.engines, ENGINES);
        assert!(!all.names_servers() && !all.reader);
        let named = discovery(json!({
            "tags": {"backup": "nightly"}, "engine": "postgres", "instances": ["B", "a", "a"], "clusters": ["c"], "reader": true
        }));
        let named = named.unwrap();
        assert_eq!(
            (named.engines, named.instances, named.clusters),
            (vec!["postgres"], vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()])
        );
        for wrong in [
            json!({"tag": {}}),
            json!({"tags": ["backup"]}),
            json!({"tags": {"backup": 1}}),
            json!({"engine": "mysql"}),
            json!({"instances": 1}),
            json!({"instances": ["a_b"]}),
            json!({"only": 1}),
            json!({"reader": "yes"}),
        ] {
            let error = discovery(wrong.clone()).unwrap_err();
            assert_eq!((error.code, error.field.as_deref()), (Code::BadEvent, Some("discover")), "{wrong}");
        }
    }

    #[test]
    fn every_tag_must_be_there_with_its_value() {
        let asked = discovery(json!({"tags": {"backup": "nightly", "team": "a"}})).unwrap();
        let has = |tags: &[(&'static str, &'static str)]| asked.has_tags(tags.iter().copied());
        assert!(has(&[("team", "a"), ("x", "y"), ("backup", "nightly")]));
        assert!(!has(&[("team", "a")]) && !has(&[("team", "a"), ("backup", "weekly")]) && !has(&[]));
        assert!(discovery(json!({})).unwrap().has_tags([].into_iter()));
    }

    #[test]
    fn tags_leave_out() {
        let of = |tags: &[(&'static str, &'static str)]| Narrowing::from_tags(tags.iter().copied());
        assert_eq!(of(&[("backup", "nightly")]), Narrowing::default());
        assert!(of(&[(SKIP_TAG, "")]).skip && of(&[(SKIP_TAG, "true")]).skip && !of(&[(SKIP_TAG, "false")]).skip);
        assert_eq!(of(&[(DATABASES_TAG, "a  b")]).databases, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(of(&[(EXCLUDE_TAG, "c")]).excluded, ["c"]);
        assert_eq!(of(&[(DATABASES_TAG, " "), (EXCLUDE_TAG, "")]), Narrowing::default());
    }
}
