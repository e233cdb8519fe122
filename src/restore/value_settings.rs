//! Settings of the source's database and server that its rows were written and checked under. A dump does not hold them, and what
//! belongs to the database itself comes after the rows: `CHECK (day::date > …)` would read `05/06/2026` otherwise than it did there.

use super::psql::PsqlTarget;
use super::steps::blocking;
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::database_properties::{DatabaseProperties, MoneyFormat, is_of_values};
use crate::format::sql::{identifier, literal};

/// Those whose values are locales.
const LOCALES: &[&str] = &["lc_monetary", "lc_numeric", "lc_time"];

/// A target whose session for the dump has the settings.
#[derive(Clone)]
pub(super) struct ValueSettings {
    pub(super) target: PsqlTarget,
    /// Names of those that its server does not take.
    refused: Vec<String>,
    /// Arrays are read otherwise in the source than in any restore.
    has_null_words: bool,
    /// In which amounts of type `money` look as in the source, where this server's own is another one.
    pub(super) lc_monetary: Option<String>,
}

impl ValueSettings {
    /// As far as the server takes them. Settings of users' own (`app.region`) and of extensions are among them.
    ///
    /// # Errors
    /// `restore_failed` where the server would read amounts of type `money` otherwise than they were written.
    pub(super) async fn read(properties: &DatabaseProperties, target: &PsqlTarget, cancel: &Cancel) -> Result<Self> {
        let wanted = statements(properties);
        let (target, cancel, money) = (target.clone(), cancel.clone(), properties.money.clone());
        // Backups of earlier releases do not know the server's.
        let is_known = !properties.server_settings.is_empty();
        let has_null_words = properties.setting("array_nulls").is_some_and(|value| !is_on(value));
        let of_dump = properties.money.as_ref().map(|money| money.locale.clone());
        let of_source = if is_known {
            properties.setting("lc_monetary").map(str::to_owned)
        } else {
            of_dump
        };
        if wanted.is_empty() && money.is_none() {
            return Ok(Self {
                target,
                refused: Vec::new(),
                has_null_words,
                lc_monetary: None,
            });
        }
        blocking(move || {
            let sql: Vec<&str> = wanted.iter().map(|(_, statement)| &**statement).collect();
            let refusals = target.try_statements(&sql, &cancel)?;
            let (mut taken, mut refused) = (String::new(), Vec::new());
            for ((name, statement), refusal) in wanted.iter().zip(refusals) {
                match refusal {
                    None => taken.push_str(&format!("{statement};\n")),
                    Some(_) => refused.push(name.clone()),
                }
            }
            let mut lc_monetary = None;
            if let Some(money) = money {
                let own = own_lc_monetary(&target, &cancel)?;
                let reading = reading(&money, own.as_deref(), &target, &cancel)?;
                // Of a login that had another one than the source's database, the dump's is nobody else's.
                let of_database = of_source.map(|locale| if locale == money.locale { reading.clone() } else { locale });
                lc_monetary = of_database.filter(|locale| Some(locale) != own.as_ref());
                taken.push_str(&set_lc_monetary(&reading));
                taken.push_str(";\n");
            }
            Ok(Self {
                target: target.with_settings(taken),
                refused,
                has_null_words,
                lc_monetary,
            })
        })
        .await
    }

    /// Whether the target does not take it.
    pub(super) fn refuses(&self, name: &str) -> bool {
        self.refused.iter().any(|refused| refused.eq_ignore_ascii_case(name))
    }

    /// Before the rows.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let refused = (!self.refused.is_empty()).then(|| {
            format!(
                "this server does not take these settings of the source, and generated columns, materialized views and checks that depend on \
                 them may have other values: {}",
                self.refused.join(", ")
            )
        });
        let arrays = self.has_null_words.then(|| {
            "the source's database has array_nulls = off, under which the rows of a dump cannot be read: generated columns and materialized \
             views of arrays with the word NULL may have other values"
                .to_owned()
        });
        refused.into_iter().chain(arrays)
    }

    pub(super) fn likely_cause(&self, mut error: Error) -> Error {
        if error.code == Code::RestoreFailed && !self.refused.is_empty() {
            error.message = format!(
                "{}; settings of the source's database that this server does not take may be the cause: {}",
                error.message,
                self.refused.join(", ")
            );
        }
        error
    }
}

/// Locales of the system that values were written or checked in.
pub(super) fn locales(properties: &DatabaseProperties) -> impl Iterator<Item = &str> {
    let is_locale = |(name, _): &(&str, &str)| LOCALES.contains(&&*name.to_ascii_lowercase());
    let settings = properties.settings.iter().chain(properties.server_settings.iter());
    let of_settings = settings.filter(is_locale).map(|(_, value)| value);
    of_settings.chain(properties.money.iter().map(|money| &*money.locale))
}

/// Those of the server first: the database's own go before them.
fn statements(properties: &DatabaseProperties) -> Vec<(String, String)> {
    let settings = properties.server_settings.iter().chain(properties.settings.iter());
    let of_values = settings.filter(|(name, _)| is_of_values(name));
    of_values
        .map(|(name, value)| (name.to_owned(), format!("SET {} TO {}", identifier(name), literal(value))))
        .collect()
}

/// As PostgreSQL reads a truth value; what is none would not have been taken.
fn is_on(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    value == "1" || value == "on" || (!value.is_empty() && ["true", "yes"].iter().any(|word| word.starts_with(&value)))
}

fn set_lc_monetary(locale: &str) -> String {
    format!("SET lc_monetary TO {}", literal(locale))
}

/// The target's, for those who have none of their own; `None` where this login has one, and it cannot be seen.
fn own_lc_monetary(target: &PsqlTarget, cancel: &Cancel) -> Result<Option<String>> {
    let sources = "{default,configuration file,command line,environment variable,global,override,database}";
    let own: Vec<String> = target.json(
        &format!(
            "SELECT coalesce(pg_catalog.json_agg(s.setting), '[]') FROM pg_catalog.pg_settings s
             WHERE s.name OPERATOR(pg_catalog.=) 'lc_monetary' AND s.source OPERATOR(pg_catalog.=) ANY ('{sources}'::pg_catalog.text[])"
        ),
        cancel,
    )?;
    Ok(own.into_iter().next())
}

/// The locale in which the server reads amounts as they were written; its own if that serves.
fn reading(money: &MoneyFormat, own: Option<&str>, target: &PsqlTarget, cancel: &Cancel) -> Result<String> {
    let same: Vec<String> = money
        .samples
        .iter()
        .zip(MoneyFormat::AMOUNTS)
        .map(|(sample, amount)| {
            format!(
                "{}::pg_catalog.money OPERATOR(pg_catalog.=) '{amount}'::pg_catalog.numeric::pg_catalog.money",
                literal(sample)
            )
        })
        .collect();
    let test = format!(
        "SELECT WHERE 0 OPERATOR(pg_catalog.=) (1 OPERATOR(pg_catalog./) (CASE WHEN {} THEN 1 ELSE 0 END))",
        same.join(" AND ")
    );
    let respelt = match money.locale.strip_suffix(".UTF-8") {
        Some(language) => format!("{language}.utf8"),
        None => money.locale.replace(".utf8", ".UTF-8"),
    };
    let choices = own.into_iter().chain([&*money.locale, &respelt, "C"]).map(str::to_owned);
    let choices: Vec<String> = choices.collect();
    let set: Vec<String> = choices.iter().map(|locale| set_lc_monetary(locale)).collect();
    let statements: Vec<&str> = set.iter().flat_map(|set| [&**set, &*test]).collect();
    let refusals = target.try_statements(&statements, cancel)?;
    let fits = refusals.chunks(2).position(|pair| pair.iter().all(Option::is_none));
    fits.map(|place| choices[place].clone()).ok_or_else(|| {
        let [amount, _] = MoneyFormat::AMOUNTS;
        let message = format!(
            "the source wrote amounts of type money in the locale {} ({amount} as {}), which this server does not have, and reads otherwise",
            money.locale, money.samples[0]
        );
        Error::new(Code::RestoreFailed, message).advise("Install the locale where the server runs (localedef), or take a server that has it.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_values_mean_is_set_for_a_dump() {
        let settings = [
            ("DateStyle", "ISO, DMY"),
            ("app.region", "it's; \\! id"),
            ("LC_Monetary", "de_DE.UTF-8"),
            ("search_path", "app"),
            ("default_transaction_read_only", "on"),
            ("intervalstyle", "sql_standard"),
            ("role", "postgres"),
        ];
        let properties = DatabaseProperties {
            settings: settings.into_iter().collect(),
            ..DatabaseProperties::default()
        };
        let statements: Vec<String> = statements(&properties).into_iter().map(|(_, statement)| statement).collect();
        assert_eq!(
            statements,
            [
                "SET \"DateStyle\" TO E'ISO, DMY'",
                "SET \"app.region\" TO E'it''s; \\\\! id'",
                "SET \"LC_Monetary\" TO E'de_DE.UTF-8'",
                "SET \"intervalstyle\" TO E'sql_standard'"
            ]
        );
        assert_eq!(locales(&properties).collect::<Vec<_>>(), ["de_DE.UTF-8"]);
    }
}
