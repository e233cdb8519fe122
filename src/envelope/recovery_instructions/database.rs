//! The database that a dump is restored into: like the source's, with the settings under which its rows were written.

use super::{block, opened, quoted};
use crate::envelope::manifest::{Manifest, Role};
use crate::format::database_properties::{DatabaseProperties, VALUE_SETTINGS, is_of_values};

/// Options of `createdb` for a database like the source's.
pub fn createdb_options(properties: &DatabaseProperties) -> String {
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

/// Under other settings constraints read rows otherwise, and amounts of type money may be a hundred times as high. Their values
/// stay sealed.
pub(super) fn settings(manifest: &Manifest, properties: &DatabaseProperties) -> String {
    let is_needed = properties.settings.iter().any(|(name, _)| is_of_values(name)) || properties.money.is_some();
    let Some(inventory) = manifest.object(Role::Inventory).filter(|_| is_needed) else {
        return String::new();
    };
    let money = if properties.money.is_some() {
        " Where it refuses `lc_monetary`, its server lacks the locale of the\n\
         amounts of type money, and would read them otherwise: install the locale there (localedef), or take another server."
    } else {
        ""
    };
    format!(
        "\nThe rows were written and checked under these settings of the source's database, which the dump does not hold: without them\n\
         it may not restore, or dates and amounts may mean something else.{money}\n{}",
        block(&setting_values(&opened(manifest, inventory), "restored"))
    )
}

/// What a shell runs to set them in a database from the inventory that this command opens.
fn setting_values(opened: &str, database: &str) -> String {
    let names: Vec<String> = VALUE_SETTINGS.iter().map(|name| format!("'{name}'")).collect();
    let lines: Vec<String> = names.chunks(5).map(|names| names.join(", ")).collect();
    format!(
        "psql -X -d {database} <<'SQL'\n\
         \\encoding UTF8\n\
         \\set inventory `{opened}`\n\
         SELECT format('ALTER DATABASE %I SET %I TO %L', current_database(), name, value)\n\
         FROM (SELECT key, value FROM json_each_text(:'inventory'::json -> 'settings')\n\
         \x20     UNION ALL SELECT 'lc_monetary', :'inventory'::json -> 'money' ->> 'locale') AS s (name, value)\n\
         WHERE value IS NOT NULL AND (name LIKE '%.%' OR lower(name) IN (\n  {})) \\gexec\n\
         SQL\n",
        lines.join(",\n  ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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
