//! What the names of objects say.

use crate::format::names::revision_number;

const TIME: &str = "_ddddddddTddddddZ";
/// As the legacy image writes it.
const OLD_TIME: &str = "_dddd-dd-ddTdd:dd:ddZ";

/// The stem at the beginning of a name: up to the time of a backup, as this program or the legacy image writes it.
///
/// `app_20261124T020000Z.3f9a12bc.sql.bz2.enc` → `app_20261124T020000Z`. A database's name may itself look like a time, so
/// the last time that ends the name, or has a dot behind it, counts: what follows a stem never holds one.
pub fn stem_of(name: &str) -> Option<&str> {
    let ends = name.match_indices('Z').map(|(at, _)| at + 1);
    ends.into_iter()
        .filter(|end| matches!(name.as_bytes().get(*end), None | Some(b'.')))
        .map(|end| &name[..end])
        .rfind(|stem| [TIME, OLD_TIME].iter().any(|shape| ends_like(stem, shape)))
}

/// What stands before the time in a stem: the database, as names of objects have it.
pub(crate) fn database_of(stem: &str) -> &str {
    stem.rsplit_once('_').map_or(stem, |(database, _)| database)
}

/// Whether a text ends in this shape, `d` being any digit, behind at least one other byte.
fn ends_like(text: &str, shape: &str) -> bool {
    let (text, shape) = (text.as_bytes(), shape.as_bytes());
    let same = |(byte, wanted): (&u8, &u8)| if *wanted == b'd' { byte.is_ascii_digit() } else { byte == wanted };
    text.len() > shape.len() && text.iter().rev().zip(shape.iter().rev()).all(same)
}

/// The stem as this program writes it: its manifests have it even where the other objects are named as the legacy image did.
///
/// `app_2026-11-24T02:00:00Z` → `app_20261124T020000Z`.
pub fn compact(stem: &str) -> String {
    match stem.len().checked_sub(OLD_TIME.len()) {
        Some(at) if ends_like(stem, OLD_TIME) => format!("{}{}", &stem[..at], stem[at..].replace(['-', ':'], "")),
        _ => stem.to_owned(),
    }
}

/// The stem as the legacy image writes it.
///
/// `app_20261124T020000Z` → `app_2026-11-24T02:00:00Z`.
pub(crate) fn old_spelling(stem: &str) -> String {
    match stem.len().checked_sub(TIME.len()) {
        Some(at) if ends_like(stem, TIME) => {
            let (database, time) = stem.split_at(at);
            let part = |range: std::ops::Range<usize>| &time[range];
            let (day, hour) = ([part(1..5), part(5..7), part(7..9)], [part(10..12), part(12..14), part(14..16)]);
            format!("{database}_{}T{}Z", day.join("-"), hour.join(":"))
        }
        _ => stem.to_owned(),
    }
}

/// Whether it is the name of an object of this program's, by its stem's time and by what is behind it. A drill's report, which
/// may lie beside, is none.
pub(crate) fn is_of_sealed(name: &str) -> bool {
    stem_of(name).is_some_and(|stem| ends_like(stem, TIME) && stem != name && !is_report(name))
}

/// Whether it is the name of a drill's report: `STEM.drill-TIME.json`, or the page beside it.
pub(crate) fn is_report(name: &str) -> bool {
    let behind = stem_of(name).and_then(|stem| name[stem.len()..].strip_prefix(".drill-"));
    let time = behind.and_then(|behind| behind.strip_suffix(".json").or_else(|| behind.strip_suffix(".html")));
    let is_time =
        |time: &str| time.bytes().filter(u8::is_ascii_digit).count() + 2 == time.len() && time.contains('T') && time.ends_with('Z');
    time.is_some_and(is_time)
}

/// Whether a run of this program writes objects of this name: beside manifests and recovery instructions `STEM.RUN.…enc`.
/// Other programs end names with a time, too.
pub(crate) fn is_of_a_run(name: &str) -> bool {
    if manifest_revision(name).is_some() || instructions_revision(name).is_some() {
        return true;
    }
    let behind = stem_of(name)
        .filter(|stem| ends_like(stem, TIME))
        .and_then(|stem| name[stem.len()..].strip_prefix('.'));
    let Some((run, rest)) = behind.and_then(|behind| behind.split_once('.')) else {
        return false;
    };
    let is_run = run.len() == 8 && run.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let role = rest.split('.').next().unwrap_or_default();
    is_run && rest.ends_with(".enc") && ["sql", "key", "inventory", "globals"].contains(&role)
}

/// The stem and revision of a manifest's name.
pub fn manifest_revision(name: &str) -> Option<(&str, u32)> {
    let stem = stem_of(name)?;
    let revision = match name[stem.len()..].strip_prefix(".manifest")?.strip_suffix("jsonl")? {
        "." => 1,
        later => revision_number(later.strip_prefix('.')?.strip_suffix('.')?)?,
    };
    Some((stem, revision))
}

/// The revision whose recovery instructions have this name.
pub(crate) fn instructions_revision(name: &str) -> Option<u32> {
    match name[stem_of(name)?.len()..].strip_prefix(".RECOVER")?.strip_suffix("md")? {
        "." => Some(1),
        later => revision_number(later.strip_prefix('.')?.strip_suffix('.')?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_are_read_off_names() {
        for (name, stem) in [
            ("app_20261124T020000Z.3f9a12bc.sql.bz2.enc", Some("app_20261124T020000Z")),
            ("app_20261124T020000Z", Some("app_20261124T020000Z")),
            ("a.b_20261124T020000Z.manifest.jsonl", Some("a.b_20261124T020000Z")),
            ("app_2026-11-24T02:00:00Z.key.txt.enc", Some("app_2026-11-24T02:00:00Z")),
            ("Z.x_20261124T020000Z.RECOVER.md", Some("Z.x_20261124T020000Z")),
            (
                "a_20261124T020000Z.b_20261125T020000Z.manifest.jsonl",
                Some("a_20261124T020000Z.b_20261125T020000Z"),
            ),
            ("_20261124T020000Z", None),
            ("app_20261124T02000Z.x", None),
            ("backups", None),
        ] {
            assert_eq!(stem_of(name), stem, "{name}");
        }
    }

    /// `clean --delete` took whatever ended in a time for what a run had left.
    #[test]
    fn what_other_programs_name_by_a_time_is_not_of_a_run() {
        for name in [
            "app_20261124T020000Z.3f9a12bc.sql.bz2.enc",
            "app_20261124T020000Z.3f9a12bc.key.0123456789abcdef.enc",
            "app_20261124T020000Z.3f9a12bc.inventory.json.enc",
            "app_20261124T020000Z.3f9a12bc.globals.sql.zst.enc",
            "app_20261124T020000Z.RECOVER.2.md",
            "app_20261124T020000Z.manifest.jsonl",
        ] {
            assert!(is_of_a_run(name), "{name}");
        }
        for name in [
            "app_20240101T000000Z.dump",
            "app_20240102T000000Z.sql.gz",
            "report_20240101T000000Z.csv",
            "app_2024-01-03T00:00:00Z.pgdump",
            "keys_20240101T000000Z.private_key.pem",
            "app_20240101T000000Z.sql.bz.enc",
            "app_2024-01-03T00:00:00Z.3f9a12bc.sql.bz2.enc",
            "app_20240101T000000Z.3f9a12bc.sql.gz",
            "app_20240101T000000Z.3F9A12BC.sql.enc",
            "app_20240101T000000Z",
        ] {
            assert!(!is_of_a_run(name), "{name}");
        }
    }

    #[test]
    fn an_old_stem_has_a_compact_one() {
        for (stem, expected) in [
            ("app_2026-11-24T02:00:00Z", "app_20261124T020000Z"),
            ("a-b:c_2026-11-24T02:00:00Z", "a-b:c_20261124T020000Z"),
            ("app_20261124T020000Z", "app_20261124T020000Z"),
            ("é", "é"),
        ] {
            assert_eq!(compact(stem), expected);
        }
    }

    #[test]
    fn an_old_spelling_comes_of_a_compact_one() {
        for stem in ["app_2026-11-24T02:00:00Z", "a-b:c_2026-11-24T02:00:00Z", "é", "Z"] {
            assert_eq!(old_spelling(&compact(stem)), stem);
            assert_eq!(old_spelling(stem), stem);
        }
    }

    #[test]
    fn reports_of_drills_are_known() {
        for (name, is) in [
            ("app_20261124T020000Z.drill-20261129T110322123Z.json", true),
            ("app_20261124T020000Z.drill-20261129T110322Z.html", true),
            ("app_2026-11-24T02:00:00Z.drill-20261129T110322Z.html", true),
            ("app_20261124T020000Z.drill-20261129T110322Z.exe", false),
            ("app_20261124T020000Z.drill-x.json", false),
            ("app_20261124T020000Z.drill-.json", false),
            ("app.drill-20261129T110322Z.json", false),
        ] {
            assert_eq!(is_report(name), is, "{name}");
        }
    }

    #[test]
    fn manifests_have_generations() {
        let stem = "app_20261124T020000Z";
        for (rest, revision) in [
            (".manifest.jsonl", Some(1)),
            (".manifest.2.jsonl", Some(2)),
            (".manifest.17.jsonl", Some(17)),
            (".manifest.1.jsonl", None),
            (".manifest.02.jsonl", None),
            (".manifest.+2.jsonl", None),
            (".manifest..jsonl", None),
            (".manifest2.jsonl", None),
            (".sql.bz2.enc", None),
        ] {
            let name = format!("{stem}{rest}");
            assert_eq!(manifest_revision(&name).map(|(_, revision)| revision), revision, "{name}");
        }
    }
}
