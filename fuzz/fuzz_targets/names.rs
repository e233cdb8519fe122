//! Names of databases and prefixes to names of objects and back: encoding is reversible, two names never collide, and a
//! backup is found again by each of its objects' names.
//!
//! Input: prefix, NUL, one database's name, NUL, another's; in front a byte that moves the second one's time.

#![no_main]

use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use pgseal::envelope::manifest::base_name;
use pgseal::envelope::recovery_instructions::instructions_name;
use pgseal::format::names::{DatabaseName, Prefix, Stem};
use pgseal::format::object_names::{compact, manifest_revision, stem_of};
use pgseal_fuzz::Input;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

const RUN: &str = "3f9a12bc";
const OBJECTS: &[&str] = &[
    "key.0123456789abcdef.enc",
    "sql.bz2.enc",
    "sql.zst.enc",
    "sql.enc",
    "inventory.json.enc",
    "globals.sql.bz2.enc",
];
const START: OffsetDateTime = datetime!(2026-11-24 02:00 UTC);

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let later = START + Duration::hours(i64::from(input.byte() % 4));
    let prefix = input.until(0);
    let first = input.until(0);
    let second = input.rest();
    let texts = [prefix, first, second].map(std::str::from_utf8);
    let [Ok(prefix), Ok(first), Ok(second)] = texts else { return };

    // Names in a bucket are anyone's.
    for text in [prefix, first, second] {
        let stem = stem_of(text);
        assert!(stem.is_none_or(|stem| text.starts_with(stem)));
        if let Some((stem, generation)) = manifest_revision(text) {
            assert!(generation > 0 && text.len() > stem.len());
        }
        compact(text);
    }

    let Ok(prefix) = Prefix::new(prefix) else { return };
    let (first, second) = (DatabaseName::new(first), DatabaseName::new(second));
    for name in [&first, &second].into_iter().flatten() {
        round_trip(&prefix, name);
    }
    if let (Ok(first), Ok(second)) = (first, second) {
        apart(&prefix, (&first, START), (&second, later));
    }
});

fn round_trip(prefix: &Prefix, name: &DatabaseName) {
    let encoded = name.encoded();
    assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-%".contains(&b)));
    assert_eq!(percent_decode_str(&encoded).decode_utf8().expect("UTF-8"), name.as_str());
    let Ok(stem) = Stem::new(prefix, name, START) else { return };
    let text = stem.to_string();
    let base = base_name(&text);
    let mut names: Vec<String> = OBJECTS.iter().map(|rest| stem.object(RUN, rest)).collect();
    names.extend([
        stem.manifest(),
        stem.manifest_revision(2),
        instructions_name(&text, 1),
        instructions_name(&text, 2),
    ]);
    for object in &names {
        assert!(object.len() <= 1024);
        assert_eq!(stem_of(base_name(object)), Some(base), "{object}");
    }
    assert_eq!(manifest_revision(base_name(&stem.manifest())), Some((base, 1)));
    assert_eq!(manifest_revision(base_name(&stem.manifest_revision(17))), Some((base, 17)));
    let old = stem.legacy_object("sql.bz.enc");
    let old_stem = stem_of(base_name(&old)).expect("a stem");
    assert!(old.len() <= 1024);
    assert_eq!(compact(old_stem), base, "{old}");
}

/// Different backups have no object in common, and none of one lies where the other's manifest is looked for.
fn apart(prefix: &Prefix, one: (&DatabaseName, OffsetDateTime), other: (&DatabaseName, OffsetDateTime)) {
    if one == other {
        return;
    }
    let [Ok(a), Ok(b)] = [one, other].map(|(name, time)| Stem::new(prefix, name, time)) else {
        return;
    };
    assert!(one.0 == other.0 || one.0.encoded() != other.0.encoded());
    let all = |stem: &Stem| {
        let mut names: Vec<String> = OBJECTS.iter().map(|rest| stem.object(RUN, rest)).collect();
        names.extend([
            stem.manifest(),
            stem.manifest_revision(2),
            stem.legacy_object("sql.bz.enc"),
            stem.legacy_object("key.txt.enc"),
        ]);
        names.push(instructions_name(&stem.to_string(), 1));
        names
    };
    let (a, b) = (all(&a), all(&b));
    assert!(a.iter().all(|name| !b.contains(name)));
}
