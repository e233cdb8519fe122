//! What belongs to a database itself and stands in no dump of it: sealed in the inventory, used to make it anew.

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Settings with their values, as `pg_db_role_setting` holds them: an object in JSON, in the order of the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(Vec<(String, String)>);

impl Settings {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Settings {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(settings: I) -> Self {
        Self(settings.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CommentedObject;

        impl<'de> Visitor<'de> for CommentedObject {
            type Value = Settings;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of settings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Settings, A::Error> {
                let mut settings = Vec::new();
                while let Some(setting) = object.next_entry()? {
                    settings.push(setting);
                }
                Ok(Settings(settings))
            }
        }

        deserializer.deserialize_map(CommentedObject)
    }
}

/// Settings under which a database's rows are written and checked, in lower case: `CHECK (day::date > …)` reads `05/06/2026` by
/// one of them. Not `array_nulls`, for which `pg_dump` writes without a word, nor what it sets itself in each dump (`search_path`,
/// `xmloption` and others).
pub(crate) const VALUE_SETTINGS: &[&str] = &[
    "bytea_output",
    "datestyle",
    "default_text_search_config",
    "extra_float_digits",
    "intervalstyle",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "quote_all_identifiers",
    "timezone",
    "timezone_abbreviations",
    "transform_null_equals",
    "xmlbinary",
];

/// Whether rows may mean something else without this setting: those above, and users' own (`app.region`) and extensions'.
pub(crate) fn is_of_values(setting: &str) -> bool {
    setting.contains('.') || VALUE_SETTINGS.contains(&&*setting.to_ascii_lowercase())
}

/// Flat fields of the inventory. Backups by earlier releases have none of them: then nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseProperties {
    /// Of the cluster, from `pg_control_system()`: in decimal, since it is larger than what JSON's readers keep exact.
    pub system_identifier: Option<String>,
    pub database_oid: Option<u32>,
    /// Such as `UTF8`.
    pub encoding: Option<String>,
    /// In which the dump is: `UTF8`, or the database's own where not every character of it has a place in UTF-8.
    pub dump_encoding: Option<String>,
    pub collation: Option<String>,
    pub ctype: Option<String>,
    /// `libc`, `icu` or `builtin`.
    pub locale_provider: Option<String>,
    /// Of ICU or of the built-in provider.
    pub locale: Option<String>,
    pub icu_rules: Option<String>,
    pub collation_version: Option<String>,
    pub owner: Option<String>,
    pub tablespace: Option<String>,
    /// -1: no limit.
    pub connection_limit: Option<i32>,
    /// Of `ALTER DATABASE … SET`.
    pub settings: Settings,
    /// Of the server itself, as far as they decide what rows mean ([`VALUE_SETTINGS`]) and the login has no other value.
    #[serde(skip_serializing_if = "Settings::is_empty")]
    pub server_settings: Settings,
    /// Of `ALTER ROLE … IN DATABASE … SET`, by role.
    pub role_settings: BTreeMap<String, Settings>,
    pub comment: Option<String>,
    /// `None`: nobody ever granted or revoked anything.
    pub privileges: Option<Vec<Privilege>>,
    /// That the dump and these properties name: owners, grantees, roles of policies and user mappings.
    pub roles: Vec<String>,
    /// `None`: the dump can have no amount of type `money`, or the backup is of an earlier release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money: Option<MoneyFormat>,
    /// Collations of the operating system that the database uses or has made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system_collations: Vec<SystemCollation>,
    /// What held no text in the encoding of the database: it is not here, or not all of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

/// Of the settings that decide how rows are read, those that anyone may see: for the manifest of a backup without an inventory.
/// Users' own (`app.region`) may hold secrets, and are not among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueProperties {
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub settings: Settings,
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub server_settings: Settings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<MoneyFormat>,
}

impl From<&DatabaseProperties> for ValueProperties {
    fn from(properties: &DatabaseProperties) -> Self {
        let of_postgres = |settings: &Settings| {
            settings
                .iter()
                .filter(|(name, _)| is_of_values(name) && !name.contains('.'))
                .collect()
        };
        Self {
            settings: of_postgres(&properties.settings),
            server_settings: of_postgres(&properties.server_settings),
            money: properties.money.clone(),
        }
    }
}

impl From<ValueProperties> for DatabaseProperties {
    fn from(values: ValueProperties) -> Self {
        Self {
            settings: values.settings,
            server_settings: values.server_settings,
            money: values.money,
            ..Self::default()
        }
    }
}

/// How the dump has amounts of type `money`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoneyFormat {
    /// `lc_monetary` of the session that wrote it.
    pub locale: String,
    /// What [`Self::AMOUNTS`] look like there.
    pub samples: [String; 2],
}

impl MoneyFormat {
    pub(crate) const AMOUNTS: [&str; 2] = ["1234567.89", "-1234567.89"];
}

/// Of the provider `libc`: a server has it only if its system has the locale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemCollation {
    /// In the schema `pg_catalog`, where no dump makes it. `None`: the dump does, in a schema of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub collate: String,
    pub ctype: String,
}

impl SystemCollation {
    /// More than any honest database has: a drill makes locales for them.
    pub(crate) const MAX_COUNT: usize = 200;
    /// Bytes of a name or locale.
    pub(crate) const MAX_NAME: usize = 255;
}

/// One right of one role at the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privilege {
    pub grantor: String,
    /// `None`: everybody, `PUBLIC`.
    pub grantee: Option<String>,
    /// `CONNECT`, `CREATE` or `TEMPORARY`.
    pub privilege: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub grantable: bool,
}

impl DatabaseProperties {
    /// The value of a setting in the source for those who have none of their own: the database's, or the server's.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        let all = self.settings.iter().chain(self.server_settings.iter());
        all.into_iter()
            .find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
    }

    /// With `lc_monetary`, unless the database has a setting of it.
    pub(crate) fn with_money_in(mut self, locale: Option<&str>) -> Self {
        let is_set = self.settings.iter().any(|(name, _)| name.eq_ignore_ascii_case("lc_monetary"));
        if let Some(locale) = locale.filter(|_| !is_set) {
            self.settings.0.push(("lc_monetary".to_owned(), locale.to_owned()));
        }
        self
    }

    /// Those of a length and number that somebody can have.
    pub(crate) fn collations(&self) -> impl Iterator<Item = &SystemCollation> {
        let is_short = |text: &str| text.len() <= SystemCollation::MAX_NAME;
        let is_plain =
            move |one: &&SystemCollation| is_short(&one.collate) && is_short(&one.ctype) && one.name.as_deref().is_none_or(is_short);
        self.system_collations.iter().filter(is_plain).take(SystemCollation::MAX_COUNT)
    }

    /// Whether anything is set that a dump restored by itself lacks.
    pub(crate) fn has_settings(&self) -> bool {
        !self.settings.is_empty() || !self.role_settings.is_empty() || self.comment.is_some() || self.privileges.is_some()
    }
}

/// How a dump of a database in this encoding is written.
///
/// In UTF-8, which keeps names readable and means the same wherever it is restored, if each byte that the server may hold
/// has a character there. For the other encodings that is not so (WIN1252 has no 81, EUC_JP has private characters), and
/// a single such byte would fail the whole dump: these are dumped as they are, as SQL_ASCII has to be.
pub(crate) fn dump_encoding(server_encoding: &str) -> &str {
    if CONVERTIBLE.contains(&server_encoding) {
        "UTF8"
    } else {
        server_encoding
    }
}

/// Encodings of PostgreSQL whose every byte converts to UTF-8 and back: `tests/it/fidelity.rs` asks a server.
pub const CONVERTIBLE: &[&str] = &[
    "UTF8",
    "LATIN1",
    "LATIN2",
    "LATIN4",
    "LATIN5",
    "LATIN6",
    "LATIN7",
    "LATIN8",
    "LATIN9",
    "LATIN10",
    "ISO_8859_5",
    "KOI8R",
    "KOI8U",
    "WIN866",
    "WIN1256",
];
