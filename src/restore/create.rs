//! Makes a database as its source was: in its encoding, and sorting as it did.

use super::psql::{PsqlTarget, ReportText};
use crate::cancel::Cancel;
use crate::envelope::recovery_instructions::createdb_options;
use crate::error::{Code, Error, Result};
use crate::format::database_properties::DatabaseProperties;
use crate::format::sql::{identifier, literal};
use std::fmt::{self, Display};

/// How a database is made; what is `None` is left to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CreateOptions {
    /// Such as `UTF8`.
    pub encoding: Option<String>,
    /// Such as `en_US.UTF-8`.
    pub collation: Option<String>,
    pub ctype: Option<String>,
    /// `libc`, `icu` or `builtin`.
    pub provider: Option<String>,
    /// Of ICU or of the built-in provider, such as `de-AT`.
    pub locale: Option<String>,
    pub icu_rules: Option<String>,
}

impl CreateOptions {
    /// As the source's database is.
    pub(crate) fn from_properties(properties: &DatabaseProperties) -> Self {
        Self {
            encoding: properties.encoding.clone(),
            collation: properties.collation.clone(),
            ctype: properties.ctype.clone(),
            provider: properties.locale_provider.clone(),
            locale: properties.locale.clone(),
            icu_rules: properties.icu_rules.clone(),
        }
    }

    /// For a server that lacks the locale: the same encoding, in a locale that each one has.
    pub(crate) fn nearest(&self) -> Vec<Self> {
        let is_utf8 = self.encoding.as_deref() == Some("UTF8");
        let locales = ["C.UTF-8", "C"].into_iter().filter(|locale| is_utf8 || *locale == "C");
        let near = |locale: &str| Self {
            encoding: self.encoding.clone(),
            collation: Some(locale.to_owned()),
            ctype: Some(locale.to_owned()),
            ..Self::default()
        };
        locales.map(near).collect()
    }

    /// The locales of the system that it needs.
    pub(crate) fn libc_locales(&self) -> impl Iterator<Item = &str> {
        [&self.collation, &self.ctype].into_iter().flatten().map(String::as_str)
    }

    /// The statement, for a server of this major.
    fn sql(&self, name: &str, major: u32) -> String {
        let mut sql = format!("CREATE DATABASE {} TEMPLATE template0", identifier(name));
        let mut add = |option: &str, value: &Option<String>| {
            if let Some(value) = value {
                sql.push_str(&format!(" {option} {}", literal(value)));
            }
        };
        add("ENCODING", &self.encoding);
        add("LC_COLLATE", &self.collation);
        add("LC_CTYPE", &self.ctype);
        let provider = self.provider.as_deref().unwrap_or("libc");
        // Before 15 there was but one, and no word for it.
        if major >= 15 || provider != "libc" {
            add("LOCALE_PROVIDER", &self.provider);
        }
        match provider {
            "icu" => {
                add("ICU_LOCALE", &self.locale);
                add("ICU_RULES", &self.icu_rules);
            }
            "builtin" => add("BUILTIN_LOCALE", &self.locale),
            _ => {}
        }
        sql
    }
}

/// For people: `UTF8, de_DE.UTF-8`.
impl Display for CreateOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = self.encoding.iter().cloned().collect();
        match (&self.collation, &self.ctype) {
            (Some(collation), Some(ctype)) if collation != ctype => words.push(format!("{collation} with the letters of {ctype}")),
            (Some(locale), _) | (None, Some(locale)) => words.push(locale.clone()),
            (None, None) => {}
        }
        if let Some(provider) = self.provider.as_deref().filter(|provider| *provider != "libc") {
            words.push(format!("{provider} {}", self.locale.as_deref().unwrap_or_default()));
        }
        formatter.write_str(&words.join(", "))
    }
}

/// SQLSTATE insufficient_privilege.
const NOT_ALLOWED: &str = "42501";

/// What came of it.
pub(crate) enum CreateOutcome {
    Yes,
    /// The server's words: it knows no such locale, or not with this encoding.
    LocaleRefused(ReportText),
}

/// The same server, in a database that lets us in.
pub(super) fn maintenance(target: &PsqlTarget, cancel: &Cancel) -> Result<PsqlTarget> {
    let server = target.database("postgres");
    match server.query("SELECT 1;", cancel) {
        Ok(_) => Ok(server),
        // Hardened servers close it, and some have none.
        Err(error) => {
            cancel.check()?;
            let other = target.database("template1");
            other.query("SELECT 1;", cancel).map(|_| other).map_err(|_| error)
        }
    }
}

/// `server`: in any database of it.
pub(super) fn must_not_exist(name: &str, server: &PsqlTarget, cancel: &Cancel) -> Result<()> {
    let state = format!(
        "SELECT pg_catalog.json_build_array(EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) {}));",
        literal(name)
    );
    let (exists,): (bool,) = server.json(&state, cancel)?;
    match exists {
        false => Ok(()),
        true => Err(Error::new(Code::RestoreFailed, format!("the database {name} exists already")).advise(
            "Leave out --create to restore into it if it is empty, or name another one in --to. One that ends in _restoring is left of a restore that was killed: drop it.",
        )),
    }
}

/// Makes the database that `target` names; one that exists is refused.
pub(crate) fn try_create(target: &PsqlTarget, creation: &CreateOptions, cancel: &Cancel) -> Result<CreateOutcome> {
    let name = target
        .conninfo
        .dbname()
        .ok_or_else(|| Error::field(Code::BadEvent, "to", "names no database to be created").advise("Add dbname=… to --to."))?;
    let server = maintenance(target, cancel)?;
    must_not_exist(name, &server, cancel)?;
    let version = "SELECT pg_catalog.json_build_array(pg_catalog.current_setting('server_version_num'));";
    let (version,): (String,) = server.json(version, cancel)?;
    let major = version.parse::<u32>().unwrap_or_default() / 10_000;
    let sql = creation.sql(name, major);
    let answer = server.try_statement(&sql, cancel).map_err(|mut error| {
        error.message = format!(
            "{}; whether the database {name} was made is not known: if it is there, drop it before the next try",
            error.message
        );
        error
    });
    match answer? {
        None => Ok(CreateOutcome::Yes),
        Some(refusal) if is_about_the_locale(&refusal.sqlstate) => Ok(CreateOutcome::LocaleRefused(refusal.message)),
        Some(refusal) => {
            let error = Error::new(
                Code::RestoreFailed,
                format!("the database {name} cannot be made: {}", refusal.message),
            );
            Err(error.advise(match &*refusal.sqlstate {
                NOT_ALLOWED => {
                    "Name a user in --to that may make databases (CREATEDB), or have somebody make an empty one and leave out --create."
                }
                _ => "Make an empty database yourself, and restore into it without --create.",
            }))
        }
    }
}

/// One that was made a moment ago, and that nobody else knows.
pub(super) fn rename_database(target: &PsqlTarget, name: &str, cancel: &Cancel) -> Result<()> {
    let known = target.conninfo.dbname().unwrap_or_default();
    let sql = format!("ALTER DATABASE {} RENAME TO {};", identifier(known), identifier(name));
    maintenance(target, cancel)?.execute(&sql, cancel).map(drop)
}

/// One that was made a moment ago.
pub(crate) fn drop_database(target: &PsqlTarget, name: &str, cancel: &Cancel) -> Result<()> {
    maintenance(target, cancel)?
        .execute(&format!("DROP DATABASE {};", identifier(name)), cancel)
        .map(drop)
}

/// `CREATE DATABASE` says so of an unknown locale of the system (42809), of one that does not fit the encoding or that ICU
/// does not know (22023), of a provider that this build or major lacks (0A000, 42601, and XX000 from ICU itself).
fn is_about_the_locale(sqlstate: &str) -> bool {
    matches!(sqlstate, "42809" | "22023" | "0A000" | "42601" | "XX000")
}

/// The same, where nothing else than the source's own locale will do.
pub fn create(target: &PsqlTarget, properties: &DatabaseProperties, cancel: &Cancel) -> Result<()> {
    let creation = CreateOptions::from_properties(properties);
    match try_create(target, &creation, cancel)? {
        CreateOutcome::Yes => Ok(()),
        CreateOutcome::LocaleRefused(words) => {
            let message = format!("this server cannot make a database with the source's locale ({creation}): {words}");
            let hint = format!(
                "Install that locale on the server; or make the database yourself, in another locale at your own risk (createdb {} …), \
                 and restore into it without --create.",
                createdb_options(properties)
            );
            Err(Error::new(Code::RestoreFailed, message).advise(hint))
        }
    }
}

/// In a database that somebody else made: bytes without an encoding become text of another one unseen, and what holds in
/// one order of letters need not in another.
pub(super) fn another_locale(source: &DatabaseProperties, target: &PsqlTarget, cancel: &Cancel) -> Result<Vec<String>> {
    let state = "SELECT pg_catalog.json_build_array(pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype)
        FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database();";
    let (encoding, collation, ctype): (String, String, String) = target.json(state, cancel)?;
    let mut warnings = Vec::new();
    let is_other = |known: &Option<String>, found: &str| known.as_deref().is_some_and(|known| known != found);
    if is_other(&source.encoding, &encoding) && source.encoding.as_deref() == Some("SQL_ASCII") {
        warnings.push(format!("the source has no encoding (SQL_ASCII), the target has {encoding}: text that is not valid in it is there all the same, and cannot be read"));
    } else if let Some(known) = source.encoding.as_deref().filter(|known| *known != encoding) {
        let kept = match encoding.as_str() {
            "SQL_ASCII" => "text is kept as the bytes that the dump has, and no longer checked",
            _ => "text is converted, and a character that has no place there ends the restore where it comes",
        };
        warnings.push(format!("the source's encoding is {known}, the target's {encoding}: {kept}"));
    }
    if is_other(&source.collation, &collation) || is_other(&source.ctype, &ctype) {
        let wanted = CreateOptions::from_properties(source);
        warnings.push(format!(
            "the source's locale is {wanted}, the target's {collation}: text sorts otherwise"
        ));
    }
    Ok(warnings)
}

/// A dump may hold what a server older than its own does not know. `source`: such as `15.14`.
pub(super) fn older_target(source: &str, target: u32) -> Option<String> {
    let digits = source.split(|letter: char| !letter.is_ascii_digit()).next();
    let major: u32 = digits.and_then(|digits| digits.parse().ok())?;
    (target < major)
        .then(|| format!("the target is PostgreSQL {target}, the backup is of {major}: the restore stops at what only the newer one knows"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_older_than_the_source_is_told() {
        let warning = older_target("15.14 (Debian 15.14-1)", 10).unwrap();
        assert!(warning.starts_with("the target is PostgreSQL 10, the backup is of 15"), "{warning}");
        for (source, target) in [("15.14", 15), ("15.14", 18), ("", 10), ("17beta1", 17)] {
            assert_eq!(older_target(source, target), None);
        }
    }

    fn creation(provider: &str, locale: Option<&str>, rules: Option<&str>) -> CreateOptions {
        CreateOptions {
            encoding: Some("UTF8".to_owned()),
            collation: Some("en_US.UTF-8".to_owned()),
            ctype: Some("en_US.UTF-8".to_owned()),
            provider: Some(provider.to_owned()),
            locale: locale.map(str::to_owned),
            icu_rules: rules.map(str::to_owned),
        }
    }

    #[test]
    fn each_major_has_its_words() {
        let head = "CREATE DATABASE \"a\"\"b\" TEMPLATE template0 ENCODING E'UTF8' LC_COLLATE E'en_US.UTF-8' LC_CTYPE E'en_US.UTF-8'";
        for (major, made, words) in [
            (10, creation("libc", None, None), ""),
            (15, creation("libc", None, None), " LOCALE_PROVIDER E'libc'"),
            (15, creation("icu", Some("de"), None), " LOCALE_PROVIDER E'icu' ICU_LOCALE E'de'"),
            (
                16,
                creation("icu", Some("de"), Some("&a < 'b'")),
                " LOCALE_PROVIDER E'icu' ICU_LOCALE E'de' ICU_RULES E'&a < ''b'''",
            ),
            (
                17,
                creation("builtin", Some("C.UTF-8"), None),
                " LOCALE_PROVIDER E'builtin' BUILTIN_LOCALE E'C.UTF-8'",
            ),
            // Refused there, as it has to be, instead of made in another locale.
            (14, creation("icu", Some("de"), None), " LOCALE_PROVIDER E'icu' ICU_LOCALE E'de'"),
        ] {
            assert_eq!(made.sql("a\"b", major), format!("{head}{words}"));
        }
        assert_eq!(CreateOptions::default().sql("x", 15), "CREATE DATABASE \"x\" TEMPLATE template0");
    }

    #[test]
    fn a_near_locale_keeps_the_encoding() {
        let near = creation("icu", Some("de"), None).nearest();
        assert_eq!(near.len(), 2);
        assert!(
            near.iter()
                .all(|near| near.encoding.as_deref() == Some("UTF8") && near.provider.is_none())
        );
        let latin = CreateOptions {
            encoding: Some("LATIN1".to_owned()),
            ..CreateOptions::default()
        };
        assert_eq!(latin.nearest()[0].collation.as_deref(), Some("C"));
    }
}
