//! Names that anyone who may write to the bucket can give to objects of theirs.

use super::recipients::pair;
use super::{Fixture, text};
use serde_json::{Value, json};

/// The backup's name without its folder.
fn name(fixture: &Fixture) -> &str {
    fixture.stem().rsplit('/').next().expect("a name")
}

fn rewrap(fixture: &Fixture, new: &str) -> (i32, Value) {
    let (fetched, key) = (fixture.fetched(), fixture.key());
    let said = Fixture::offline(&["rewrap", text(&fetched), "--key", &key, "--recipient", new]);
    (said.code, said.receipt())
}

/// `list` once made a name for each number up to that of a manifest which nobody had proven.
#[test]
fn a_manifest_of_a_huge_generation_takes_no_memory_of_list() {
    let fixture = Fixture::new(json!({}));
    let fetched = fixture.fetched();
    let manifest = std::fs::read_to_string(fetched.join(fixture.name_of("manifest"))).expect("the manifest");
    for number in [999_999_u32, 4_000_000_000] {
        let forged = manifest.replacen("\"run\"", &format!("\"generation\":{number},\"run\""), 1);
        let file = format!("{}.manifest.{number}.jsonl", name(&fixture));
        std::fs::write(fetched.join(file), forged).expect("written");
    }
    let mut command = crate::support::pgseal::bare();
    command.args(["list", text(&fetched)]);
    let said = crate::support::pgseal::CommandOutput::from(command.output().expect("pgseal ends"));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let listing = said.receipt();
    assert_eq!(listing["backups"][0]["stem"], name(&fixture), "{listing:#}");
    assert!(listing["leftovers"].to_string().contains("4000000000"), "{listing:#}");
}

/// The number above the highest that was there wrapped round, and every later rewrap was refused.
#[test]
fn no_name_in_the_place_of_a_later_manifest_blocks_a_rewrap() {
    let fixture = Fixture::new(json!({}));
    let (_, new) = pair(&fixture, "new");
    for rest in [
        "manifest.4294967295.jsonl",
        "manifest.4294967294.jsonl",
        "manifest.999999.jsonl",
        "manifest.2.jsonl",
        "RECOVER.3.md",
    ] {
        std::fs::write(fixture.fetched().join(format!("{}.{rest}", name(&fixture))), "garbage").expect("written");
    }
    let (code, answer) = rewrap(&fixture, text(&new));
    assert_eq!((code, &answer["generation"]), (0, &json!(4)), "{answer:#}");
    // What stands beside it under a number without a manifest is no part of it.
    let listing = Fixture::offline(&["list", text(&fixture.fetched())]).receipt();
    assert!(listing["leftovers"].to_string().contains("RECOVER.3.md"), "{listing:#}");
    let (code, answer) = rewrap(&fixture, text(&pair(&fixture, "newer").1));
    assert_eq!((code, &answer["generation"]), (0, &json!(5)), "{answer:#}");
}
