//! What a check came to: a status for each thing that was looked at.

use crate::error::{Error, Result};
use crate::format::names::DatabaseName;
use crate::plan::MemoryBudget;
use serde::Serialize;
use serde_json::Value;

/// Each thing that was looked at, and what it came to.
#[derive(Debug, Serialize)]
pub(crate) struct CheckReport {
    pub status: CheckStatus,
    pub checks: Vec<Check>,
    /// Why nothing could be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// The formula, before any database is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryBudget>,
    /// For each database.
    pub estimates: Vec<Value>,
    /// Of all databases together.
    pub estimate: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CheckStatus {
    Ok,
    /// Changes neither the outcome nor the exit code.
    Warning,
    NotChecked,
    Skipped,
    Failed,
}

#[derive(Debug, Serialize)]
pub(crate) struct Check {
    pub name: &'static str,
    pub status: CheckStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

impl CheckReport {
    pub(crate) fn empty(memory: Option<MemoryBudget>) -> Self {
        Self {
            status: CheckStatus::Ok,
            checks: Vec::new(),
            error: None,
            memory,
            estimates: Vec::new(),
            estimate: Value::Null,
        }
    }

    /// Of an event that nothing can be looked at for.
    pub(crate) fn refused(error: Error) -> Self {
        let mut report = Self::empty(None);
        report.record("event", None, Err(error.clone()));
        report.error = Some(error);
        report
    }

    pub(crate) fn failure(&self) -> Option<&Error> {
        self.checks.iter().find_map(|check| check.error.as_ref())
    }

    pub(crate) fn add(&mut self, name: &'static str, status: CheckStatus, detail: Value) {
        self.checks.push(Check {
            name,
            status,
            database: None,
            detail: Some(detail),
            error: None,
        });
    }

    pub(crate) fn record(&mut self, name: &'static str, database: Option<&DatabaseName>, outcome: Result<Value>) {
        self.note_of(name, database.map(|name| name.as_str().to_owned()), outcome)
    }

    pub(super) fn note_of(&mut self, name: &'static str, database: Option<String>, outcome: Result<Value>) {
        let (status, detail, error) = match outcome {
            Ok(detail) => (CheckStatus::Ok, Some(detail), None),
            Err(error) => (CheckStatus::Failed, None, Some(error)),
        };
        if error.is_some() {
            self.status = CheckStatus::Failed;
        }
        self.checks.push(Check {
            name,
            status,
            database,
            detail,
            error,
        });
    }
}
