//! The environment, read once.

use super::pins;
use crate::error::Error;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

/// The environment as it stood at the start. An empty variable counts as unset: that is how templates pass "none".
#[derive(Clone, Default)]
pub struct Env {
    pub(super) values: BTreeMap<String, String>,
    /// Names of variables that are not UTF-8, or whose values are not.
    pub(super) unreadable: Vec<String>,
    /// Names of variables that a file of the image sets.
    pub(super) pinned: BTreeSet<String>,
    /// What Parameter Store has where OPENSSL_PUBLIC_KEY names a path there; `None` where nobody has looked.
    stored_keys: Option<Vec<String>>,
    /// Why that file cannot be used.
    pub(super) fault: Option<Error>,
}

impl Env {
    /// With options of the command line that stand for variables: they go before these, and what the image pins or forbids holds
    /// against both.
    pub fn from_process(options: &[(&str, Option<&str>)]) -> Self {
        let given = options
            .iter()
            .filter_map(|(name, value)| Some((OsString::from(name), OsString::from((*value)?))));
        Self::from_pairs(std::env::vars_os().chain(given)).pinned_by(Path::new(pins::FILE))
    }

    pub(crate) fn from_pairs(pairs: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut env = Self::default();
        for (name, value) in pairs {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => drop(env.values.insert(name, value)),
                (Ok(name), Err(_)) => env.unreadable.push(name),
                (Err(name), _) => env.unreadable.push(name.to_string_lossy().into_owned()),
            }
        }
        env
    }

    /// # Panics
    /// In builds with debug assertions, if the name is not in the table of [`variables`](super).
    pub fn get(&self, name: &str) -> Option<&str> {
        debug_assert!(super::is_known(name), "{name} is not in the table of src/variables.rs");
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Folders in which PostgreSQL's programs are looked for before the usual ones.
    pub(crate) fn client_folders(&self) -> Vec<std::path::PathBuf> {
        let folders = self.get("PGSEAL_PG_BIN").into_iter().flat_map(std::env::split_paths);
        folders.collect()
    }

    /// The same with one variable more, which nobody set.
    #[must_use]
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut env = self.clone();
        env.values.insert(name.to_owned(), value.to_owned());
        env
    }

    #[must_use]
    pub(crate) fn with_stored_keys(&self, keys: Vec<String>) -> Self {
        let mut env = self.clone();
        env.stored_keys = Some(keys);
        env
    }

    pub(crate) fn stored_keys(&self) -> Option<&[String]> {
        self.stored_keys.as_deref()
    }

    /// Whether it is there, be it empty.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Whether its value is the image's own.
    pub(crate) fn is_pinned(&self, name: &str) -> bool {
        self.pinned.contains(name)
    }

    pub(crate) fn fault(&self) -> Option<&Error> {
        self.fault.as_ref()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    pub(crate) fn unreadable(&self) -> impl Iterator<Item = &str> {
        self.unreadable.iter().map(String::as_str)
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self {
            values: pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            ..Self::default()
        }
    }
}
