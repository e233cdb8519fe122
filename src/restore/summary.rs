//! What a restore answers.

use super::analyze::StatisticsSummary;
use super::compare::Comparison;
use super::filter::LeftOut;
use super::find::ChosenBackup;
use super::mask::MaskedTable;
use super::provenance::Origin;
use super::psql::PsqlTarget;
use super::unsealed::UnsealedBackup;
use crate::format::order::UNKNOWN_SOURCE;
use crate::pipeline::DumpStats;
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Instant;

#[derive(Debug, Serialize)]
pub(crate) struct RestoreSummary {
    pub status: &'static str,
    pub stem: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The private key opened it, and the dump is what its inventory says. `false` of a backup of the legacy image.
    pub opens: bool,
    #[serde(flatten)]
    pub origin: Origin,
    /// The digest of the source, or `source unknown`.
    pub source: String,
    /// Only a part of the source database came back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    pub to: String,
    pub tables: u64,
    pub rows: u64,
    pub bytes: u64,
    pub psql_version: String,
    pub duration_ms: u64,
    /// Statements that did not pass, by kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// With the inventory, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// Tables of which columns have other values than in the backup.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub masked: Vec<MaskedTable>,
    /// The planner's, if the restored database has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistics: Option<StatisticsSummary>,
    /// What psql said though it went on.
    pub warnings: Vec<String>,
}

impl RestoreSummary {
    pub(super) fn new(
        backup: &ChosenBackup,
        opened: Option<&UnsealedBackup<'_>>,
        access: &PsqlTarget,
        counted: &DumpStats,
        mut warnings: Vec<String>,
        begun: Instant,
    ) -> Self {
        // Some are of roles and dump alike.
        let mut told = BTreeSet::new();
        warnings.retain(|warning| told.insert(warning.clone()));
        let manifest = opened.map(|opened| &*opened.manifest);
        Self {
            status: "restored",
            stem: backup.stem.clone(),
            opens: opened.is_some(),
            origin: opened.map(|opened| opened.origin.clone()).unwrap_or_default(),
            run: manifest.map(|manifest| manifest.run.clone()),
            source: manifest.map_or_else(|| UNKNOWN_SOURCE.to_owned(), |manifest| manifest.source_text()),
            partial: manifest.is_some_and(|manifest| manifest.is_partial()),
            to: access.conninfo.describe(),
            tables: counted.tables.iter().map(|table| &*table.name).collect::<BTreeSet<_>>().len() as u64,
            rows: counted.rows,
            bytes: counted.plain_bytes,
            psql_version: access.client.version.clone(),
            duration_ms: begun.elapsed().as_millis() as u64,
            left_out: Vec::new(),
            comparison: None,
            masked: Vec::new(),
            statistics: None,
            warnings,
        }
    }
}
