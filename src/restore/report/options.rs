//! With what a drill was run, beside its backup and its key, and what was left out for that: what passes only with an option
//! would fail without it.

use super::DrillReport;
use super::text::counted;
use crate::restore::filter::FilterOptions;
use serde::Serialize;
use std::collections::BTreeSet;

/// As given on the command line, whatever the drill does by itself.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReportedOptions {
    pub no_owner: bool,
    pub no_privileges: bool,
    pub no_tablespaces: bool,
    pub no_comments: bool,
    pub no_policies: bool,
    pub exclude_extensions: Vec<String>,
    pub search_path: Option<String>,
    pub unconfined: bool,
}

impl ReportedOptions {
    pub(crate) fn new(filter: &FilterOptions, unconfined: bool) -> Self {
        let name = |name: &Vec<u8>| String::from_utf8_lossy(name).into_owned();
        Self {
            no_owner: filter.no_owner,
            no_privileges: filter.no_privileges,
            no_tablespaces: filter.no_tablespaces,
            no_comments: filter.no_comments,
            no_policies: filter.no_policies,
            exclude_extensions: filter.exclude_extensions.iter().map(name).collect(),
            search_path: filter.search_path.clone(),
            unconfined,
        }
    }

    /// As a line of a command.
    pub(crate) fn in_words(&self) -> String {
        let flags = [
            (self.no_owner, "--no-owner"),
            (self.no_privileges, "--no-privileges"),
            (self.no_tablespaces, "--no-tablespaces"),
            (self.no_comments, "--no-comments"),
            (self.no_policies, "--no-policies"),
            (self.unconfined, "--unconfined"),
        ];
        let flags = flags.iter().filter(|(is_given, _)| *is_given).map(|(_, flag)| (*flag).to_owned());
        let extensions = self.exclude_extensions.iter().map(|name| format!("--exclude-extension {name}"));
        let search_path = self.search_path.iter().map(|schemas| format!("--search-path '{schemas}'"));
        let given: Vec<String> = flags.chain(extensions).chain(search_path).collect();
        if given.is_empty() { "none".to_owned() } else { given.join(" ") }
    }
}

impl DrillReport {
    /// Each kind by its name; the notes have the rest of it.
    pub(super) fn without(&self) -> String {
        let kinds = self.left_out.iter().map(|left| left.what);
        let mut kinds: Vec<&str> = self.restored.without.iter().map(String::as_str).chain(kinds).collect();
        let lost = counted(self.not_restored.len() as u64, "object");
        if !self.not_restored.is_empty() {
            kinds.push(&lost);
        }
        let mut seen = BTreeSet::new();
        kinds.retain(|kind| seen.insert(*kind));
        if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") }
    }
}
