//! Which table somebody means who types its name.

use crate::error::{Code, Error, Result};
use crate::format::table_name::TableName;
use crate::rds::preflight::some_of;
use std::sync::Arc;

/// How like the name of a table that is there a mistyped one is (Jaro-Winkler).
const NEAR: f64 = 0.85;

/// Takes `public.orders`, `orders` where one schema has it, `Orders` as SQL would read it, and names that need quotes with or
/// without them: a shell takes them away.
pub(super) fn choose_table<'a>(asked: &str, tables: &[&'a Arc<str>]) -> Result<&'a Arc<str>> {
    let folded = asked.to_ascii_lowercase();
    let readings = [
        TableName::parse(asked),
        bare(asked),
        TableName::parse(&folded).filter(|_| !asked.contains('"')),
    ];
    for wanted in readings.iter().flatten() {
        let fitting: Vec<&&Arc<str>> = tables.iter().filter(|table| is_meant(wanted, table)).collect();
        match fitting.as_slice() {
            [] => {}
            [one] => return Ok(one),
            several => {
                let names: Vec<String> = several.iter().map(|name| name.to_string()).collect();
                let message = format!("--table: {asked} may be any of {} tables: {}", names.len(), some_of(&names));
                return Err(Error::new(Code::BadUsage, message).advise("Name the schema, too: SCHEMA.TABLE."));
            }
        }
    }
    let likeness = |name: &str| {
        let table = name.rsplit('.').next().unwrap_or(name);
        strsim::jaro_winkler(name, &folded).max(strsim::jaro_winkler(table, &folded))
    };
    let near = tables
        .iter()
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness >= NEAR);
    let error = Error::new(Code::BadUsage, format!("--table: no night has rows of a table {asked}"));
    Err(match near.max_by(|(one, _), (other, _)| one.total_cmp(other)) {
        Some((_, name)) => error.advise(format!("Did you mean {name}?")),
        None => error.advise("Without --table all tables are told. A view or a partitioned table has no rows of its own in a dump."),
    })
}

/// Each letter of it, up to a point between schema and table.
fn bare(asked: &str) -> Option<TableName> {
    let parts = asked.split('.').map(|part| part.as_bytes().to_vec());
    (!asked.is_empty() && !asked.contains('"')).then(|| TableName::new(parts))
}

fn is_meant(wanted: &TableName, table: &str) -> bool {
    let Some(known) = TableName::parse(table) else {
        return false;
    };
    match wanted.parts().count() {
        1 => known.parts().last() == wanted.parts().next(),
        _ => known == *wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(asked: &str) -> Result<String> {
        let tables: Vec<Arc<str>> = [
            "public.orders",
            "shop.\"Orders\"",
            "public.\"Odd Name\"",
            "shop.items",
            "public.items",
            "public.\"a.b\"",
        ]
        .map(Arc::from)
        .into();
        let tables: Vec<&Arc<str>> = tables.iter().collect();
        choose_table(asked, &tables).map(|name| name.to_string())
    }

    #[test]
    fn a_name_may_be_written_in_each_way_that_people_write_it() {
        for (asked, name) in [
            ("public.orders", "public.orders"),
            ("orders", "public.orders"),
            ("\"public\".\"orders\"", "public.orders"),
            ("PUBLIC.ORDERS", "public.orders"),
            ("Orders", "shop.\"Orders\""),
            ("\"Orders\"", "shop.\"Orders\""),
            ("\"Odd Name\"", "public.\"Odd Name\""),
            ("Odd Name", "public.\"Odd Name\""),
            ("public.Odd Name", "public.\"Odd Name\""),
            ("shop.items", "shop.items"),
            ("public.\"a.b\"", "public.\"a.b\""),
        ] {
            assert_eq!(chosen(asked).unwrap(), name, "{asked}");
        }
    }

    #[test]
    fn a_name_that_may_be_two_or_none_is_told() {
        let error = chosen("items").unwrap_err();
        assert!(error.code == Code::BadUsage && error.message.contains("public.items"), "{error}");
        let error = chosen("ordres").unwrap_err();
        assert!(error.code == Code::BadUsage && error.hint().contains("public.orders"), "{error}");
        for none in ["", "zzz", "\"", "no.such", "public."] {
            assert_eq!(chosen(none).unwrap_err().code, Code::BadUsage, "{none}");
        }
    }
}
