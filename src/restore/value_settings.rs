//! Settings of the source's database that its rows were checked under. A dump does not hold them, and what belongs to the
//! database itself comes after the rows: `CHECK (day::date > …)` would read `05/06/2026` otherwise than it did there.

use super::psql::PsqlTarget;
use super::steps::blocking;
use super::target_database::{identifier, literal};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::format::database_properties::DatabaseProperties;

/// In lower case. Not those that decide how `pg_dump` wrote the rows (`IntervalStyle`, `array_nulls`), nor what it sets itself
/// in each dump (`search_path`, `xmloption` and others).
const OF_VALUES: &[&str] = &[
    "bytea_output",
    "datestyle",
    "default_text_search_config",
    "extra_float_digits",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "quote_all_identifiers",
    "timezone",
    "timezone_abbreviations",
    "transform_null_equals",
    "xmlbinary",
];

/// The target, with a session for the dump that has these settings, as far as the server takes them: one that it does not
/// take is told when the settings of the database are applied. Settings of users' own (`app.region`) and of extensions are
/// among them.
pub(super) async fn with_value_settings(properties: &DatabaseProperties, target: &PsqlTarget, cancel: &Cancel) -> Result<PsqlTarget> {
    let statements = statements(properties);
    let (target, cancel) = (target.clone(), cancel.clone());
    if statements.is_empty() {
        return Ok(target);
    }
    blocking(move || {
        let wanted: Vec<&str> = statements.iter().map(String::as_str).collect();
        let refusals = target.try_statements(&wanted, &cancel)?;
        let taken = wanted.iter().zip(refusals).filter(|(_, refusal)| refusal.is_none());
        let taken: String = taken.map(|(statement, _)| format!("{statement};\n")).collect();
        Ok(target.with_settings(taken))
    })
    .await
}

fn statements(properties: &DatabaseProperties) -> Vec<String> {
    let settings = properties.settings.iter();
    let of_values = settings.filter(|(name, _)| name.contains('.') || OF_VALUES.contains(&&*name.to_ascii_lowercase()));
    of_values
        .map(|(name, value)| format!("SET {} TO {}", identifier(name), literal(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_values_mean_is_set_for_a_dump() {
        let settings = [
            ("DateStyle", "ISO, DMY"),
            ("app.region", "it's; \\! id"),
            ("search_path", "app"),
            ("default_transaction_read_only", "on"),
            ("intervalstyle", "sql_standard"),
            ("role", "postgres"),
        ];
        let properties = DatabaseProperties {
            settings: settings.into_iter().collect(),
            ..DatabaseProperties::default()
        };
        assert_eq!(
            statements(&properties),
            ["SET \"DateStyle\" TO E'ISO, DMY'", "SET \"app.region\" TO E'it''s; \\\\! id'"]
        );
    }
}
