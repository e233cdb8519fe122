//! The database that a dump is restored into: like the source's, with the settings under which its rows were written.

use super::{block, opened, quoted};
use crate::envelope::manifest::{Manifest, Role};
use crate::format::database_properties::{DatabaseProperties, VALUE_SETTINGS, ValueProperties, is_of_values};

/// Options of `createdb` for a database like the source's.
pub(crate) fn createdb_options(properties: &DatabaseProperties) -> String {
    let DatabaseProperties {
        encoding,
        collation,
        ctype,
        locale_provider,
        locale,
        icu_rules,
        ..
    } = properties;
    let provider = locale_provider.as_deref().filter(|provider| *provider != "libc");
    let of_locale = if provider == Some("builtin") {
        "builtin-locale"
    } else {
        "icu-locale"
    };
    let options = [
        ("encoding", encoding.as_deref()),
        ("lc-collate", collation.as_deref()),
        ("lc-ctype", ctype.as_deref()),
        ("locale-provider", provider),
        (of_locale, locale.as_deref().filter(|_| provider.is_some())),
        ("icu-rules", icu_rules.as_deref().filter(|_| provider.is_some())),
    ];
    // What a line of shell cannot hold is left out: nobody has such a locale.
    let given = options.iter().filter_map(|(option, value)| Some((option, (*value)?)));
    let given = given.filter(|(_, value)| !value.chars().any(char::is_control));
    let given = given.map(|(option, value)| format!(" {}", quoted(&format!("--{option}={value}"))));
    format!("--template=template0{}", given.collect::<String>())
}

/// The file that the settings are written to.
pub(super) const SETTINGS_FILE: &str = "settings.sql";

/// Under other settings constraints read rows otherwise, and amounts of type money may be a hundred times as high. They stay
/// sealed, and come from the inventory.
pub(super) fn settings(manifest: &Manifest, properties: &DatabaseProperties) -> Option<String> {
    let settings = properties.settings.iter().chain(properties.server_settings.iter());
    let is_sealed = settings.into_iter().any(|(name, _)| is_of_values(name)) || properties.money.is_some();
    if !is_sealed && manifest.value_settings.is_none() {
        return None;
    }
    let money = if properties.money.is_some() {
        " A server that refuses\n\
         `lc_monetary` lacks the locale of the amounts of type money, and would read them otherwise: install the locale there\n\
         (localedef), or take another server."
    } else {
        ""
    };
    let shared = if manifest.is_partial() {
        " Where this part goes\n\
         into a database that holds more, take the `ALTER DATABASE` out as well: they change it for everybody."
    } else {
        ""
    };
    Some(format!(
        "\nThe rows were written and checked under these settings of the source, which the dump does not hold: without them it may not\n\
         restore, or dates and amounts may mean something else. What the new server does not know can be taken out of `{SETTINGS_FILE}`.{shared}{money}\n{}",
        block(&match manifest.object(Role::Inventory) {
            Some(inventory) => setting_values(&opened(manifest, inventory), "restored"),
            None => written_out(manifest.value_settings.as_ref()?),
        })
    ))
}

/// What writes them where no inventory has them: the manifest is not encrypted either.
fn written_out(values: &ValueProperties) -> String {
    let has_own_money = values.settings.iter().any(|(name, _)| name.eq_ignore_ascii_case("lc_monetary"));
    let of_dump = values.money.as_ref().map(|money| ("lc_monetary", &*money.locale));
    let of_server = values
        .server_settings
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("lc_monetary"));
    // A login may have another one than everybody else: then the database gets the server's.
    let shown = of_server.or(of_dump).filter(|_| values.money.is_some() && !has_own_money);
    // A configuration of the dump's own is not there yet.
    let is_there =
        |(name, value): &(&str, &str)| !name.eq_ignore_ascii_case("default_text_search_config") || value.starts_with("pg_catalog.");
    let session = values
        .server_settings
        .iter()
        .chain(values.settings.iter())
        .chain(of_dump)
        .filter(is_there);
    let database = values.settings.iter().chain(shown);
    let session = session.filter_map(in_sql).map(|setting| format!("SET {setting};\n"));
    let database = database
        .filter_map(in_sql)
        .map(|setting| format!("ALTER DATABASE restored SET {setting};\n"));
    let lines: String = session.chain(database).collect();
    format!("cat > {SETTINGS_FILE} <<'SQL'\nSET client_encoding TO 'UTF8';\n{lines}SQL\n")
}

/// Whatever the new server takes a backslash for: these lines come before the command by which psql takes no others. What a line
/// cannot hold is left out: no such value is a locale, a time zone or a style.
fn in_sql((name, value): (&str, &str)) -> Option<String> {
    let is_plain = !name.chars().chain(value.chars()).any(char::is_control);
    let value = value.replace('\\', "\\\\").replace('\'', "''");
    is_plain.then(|| format!("\"{}\" TO E'{value}'", name.replace('"', "\"\"")))
}

/// Which collations the dump needs of the new server's system: their names stay sealed.
pub(super) fn collations(manifest: &Manifest, properties: &DatabaseProperties) -> Option<String> {
    let inventory = manifest
        .object(Role::Inventory)
        .filter(|_| properties.collations().next().is_some())?;
    Some(format!(
        "\nThe database uses collations of the source's operating system. A server whose system lacks one of their locales ends the restore\n\
         with its name: install the locale there (localedef), then run `SELECT pg_import_system_collations('pg_catalog')` in the new\n\
         database, and restore again. The inventory lists them:\n{}",
        block(&format!("{} | jq .system_collations\n", opened(manifest, inventory)))
    ))
}

/// What a shell runs to write them to a file, from the inventory that this command opens: for the session of the dump, since a
/// login's own would go before a database's, and the database's own for good.
pub(crate) fn setting_values(opened: &str, database: &str) -> String {
    let names: Vec<String> = VALUE_SETTINGS.iter().map(|name| format!("'{name}'")).collect();
    let lines: Vec<String> = names.chunks(5).map(|names| names.join(", ")).collect();
    format!(
        "psql -XAt -v ON_ERROR_STOP=1 -d {database} > {SETTINGS_FILE} <<'SQL'\n\
         \\encoding UTF8\n\
         \\set inventory `{opened}`\n\
         SELECT concat(CASE WHEN here AND (lower(name) <> 'default_text_search_config' OR value LIKE 'pg_catalog.%') THEN format('SET %I TO %L;', name, value) END,\n\
         \x20             CASE WHEN kept THEN format('ALTER DATABASE %I SET %I TO %L;', current_database(), name, value) END)\n\
         FROM (SELECT 1, 'client_encoding', 'UTF8', true, false\n\
         \x20     UNION ALL SELECT 2, key, value, true, false FROM json_each_text(:'inventory'::json -> 'server_settings')\n\
         \x20     UNION ALL SELECT 3, key, value, true, true FROM json_each_text(:'inventory'::json -> 'settings')\n\
         \x20     UNION ALL SELECT 4, 'lc_monetary', j -> 'money' ->> 'locale', true, j -> 'server_settings' IS NULL FROM (SELECT :'inventory'::json) x (j)\n\
         \x20     UNION ALL SELECT 5, 'lc_monetary', j -> 'server_settings' ->> 'lc_monetary', false, true FROM (SELECT :'inventory'::json) x (j)\n\
         \x20     WHERE j -> 'money' IS NOT NULL) AS s (place, name, value, here, kept)\n\
         WHERE value IS NOT NULL AND (place = 1 OR name LIKE '%.%' OR lower(name) IN (\n\
         \x20 {})) ORDER BY place;\n\
         SQL\n",
        lines.join(",\n  ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::database_properties::MoneyFormat;

    /// An owner of the source could have a command of psql run by anyone who follows the instructions, where a server takes a
    /// backslash before a quote for more than itself.
    #[test]
    fn no_value_ends_its_quotes_whatever_a_backslash_means() {
        let values = ValueProperties {
            settings: [
                ("default_text_search_config", "pg_catalog.x\\"),
                ("timezone", "<\\! touch /tmp/x #>5"),
                ("a", "b\nSQL"),
            ]
            .into_iter()
            .collect(),
            server_settings: [("lc_monetary", "ja_JP.UTF-8")].into_iter().collect(),
            money: Some(MoneyFormat {
                locale: "C".to_owned(),
                samples: Default::default(),
            }),
        };
        let written = written_out(&values);
        for line in [
            "SET \"default_text_search_config\" TO E'pg_catalog.x\\\\';",
            "SET \"timezone\" TO E'<\\\\! touch /tmp/x #>5';",
            "ALTER DATABASE restored SET \"lc_monetary\" TO E'ja_JP.UTF-8';",
        ] {
            assert!(written.contains(line), "{line} in {written}");
        }
        assert_eq!(written.matches("SQL").count(), 2, "{written}");
        // The session reads the rows as they were written.
        assert!(written.find("TO E'ja_JP").unwrap() < written.find("TO E'C'").unwrap(), "{written}");
    }

    #[test]
    fn createdb_makes_a_database_like_the_sources() {
        let mut properties = DatabaseProperties {
            encoding: Some("UTF8".to_owned()),
            collation: Some("en_US.UTF-8".to_owned()),
            ctype: Some("en_US.UTF-8".to_owned()),
            locale_provider: Some("libc".to_owned()),
            ..DatabaseProperties::default()
        };
        let plain = "--template=template0 --encoding=UTF8 --lc-collate=en_US.UTF-8 --lc-ctype=en_US.UTF-8";
        assert_eq!(createdb_options(&properties), plain);
        properties.locale_provider = Some("icu".to_owned());
        properties.locale = Some("de".to_owned());
        properties.icu_rules = Some("&a < 'b' $(id)".to_owned());
        let icu = format!("{plain} --locale-provider=icu --icu-locale=de '--icu-rules=&a < '\\''b'\\'' $(id)'");
        assert_eq!(createdb_options(&properties), icu);
        properties.icu_rules = Some("a\n```".to_owned());
        assert!(!createdb_options(&properties).contains('`'));
        assert_eq!(createdb_options(&DatabaseProperties::default()), "--template=template0");
    }
}
