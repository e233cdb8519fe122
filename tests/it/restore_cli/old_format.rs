//! The format of the legacy image, written by this program: with the roles, and for new recipients. Nothing is said to be done
//! that the program itself does not read.

use super::recipients::{follow, pair};
use super::restore::into;
use super::{Fixture, comparable, text};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::restore::{assert_same, dump};
use serde_json::{Value, json};
use std::path::Path;

fn opens(said: &CommandOutput) {
    let report = said.receipt();
    assert_eq!((said.code, &report["opens"]), (0, &json!(true)), "{report}{}", said.stderr);
}

/// Exactly one backup, and nothing beside it.
fn listed(said: &CommandOutput) -> Value {
    let listing = said.receipt();
    assert_eq!(listing["backups"].as_array().map(Vec::len), Some(1), "{listing}");
    assert_eq!((said.code, &listing["leftovers"]), (0, &json!([])), "{listing}");
    listing["backups"][0].clone()
}

/// It was said to be complete, and every command called it tampered: "it names an object of another backup".
#[test]
fn a_backup_with_the_roles_comes_back() {
    let fixture = Fixture::new(json!({"format": "legacy", "globals": true, "scheduled_time": "2026-11-24T02:00:00Z"}));
    let (fetched, key) = (fixture.fetched(), fixture.key());
    for said in [
        fixture.run(&["verify", &fixture.at_s3(), "--key", &key]),
        Fixture::offline(&["verify", text(&fetched), "--key", &key]),
    ] {
        opens(&said);
    }
    let listing = listed(&fixture.run(&["list", &format!("s3://{}/backups", fixture.bucket.name)]));
    assert_eq!(listing["missing"], Value::Null, "{listing}");
    let roles = Fixture::offline(&["decrypt", text(&fetched), "--key", &key, "--what", "globals"]);
    assert!(
        roles.code == 0 && roles.stdout.contains("CREATE ROLE \"dumper\""),
        "{}",
        roles.stderr
    );
    let restore = [
        "restore",
        text(&fetched),
        "--key",
        &key,
        "--to",
        "dbname=copy",
        "--create",
        "--globals",
    ];
    let said = into(&fixture, &restore);
    assert_eq!((said.code, &said.receipt()["status"]), (0, &json!("restored")), "{}", said.stderr);
    assert_same(&fixture.server, "app", "copy");
    follow(&fixture.server, &key, &fetched, &fixture.name_of("card"));
    // A second delivery of the event found something else under the name.
    let again = Pgseal::backup(&fixture.order)
        .envs(fixture.bucket.env())
        .envs(fixture.server.env())
        .run();
    assert_eq!(
        (again.code, &again.receipt()["status"]),
        (0, &json!("already_complete")),
        "{}",
        again.stdout
    );
    assert_eq!(
        again.receipt()["backups"][0]["objects"].as_array().map(Vec::len),
        Some(4),
        "{}",
        again.stdout
    );
}

/// It was said to be rewrapped, and no key opened what was written.
#[test]
fn new_recipients_open_it() {
    let fixture = Fixture::new(json!({"format": "legacy"}));
    let (new_key, new) = pair(&fixture, "new");
    let (fetched, old_key) = (fixture.fetched(), fixture.key());
    let kept = fixture.folder.path().join("kept");
    std::fs::create_dir(&kept).expect("a folder");
    fixture.bucket.download(&kept);
    let expected = String::from_utf8(dump(&fixture.server, "app")).expect("UTF-8");
    for (place, more) in [(text(&fetched), None), (text(&kept), Some("--keep")), (&fixture.at_s3(), None)] {
        let mut arguments = vec!["rewrap", place, "--key", &old_key, "--recipient", text(&new)];
        arguments.extend(more);
        let said = fixture.run(&arguments);
        assert_eq!((said.code, &said.receipt()["status"]), (0, &json!("rewrapped")), "{}", said.stderr);
        for key in [text(&new_key), &old_key] {
            opens(&fixture.run(&["verify", place, "--key", key]));
            let said = fixture.run(&["decrypt", place, "--key", key]);
            assert!(said.code == 0 && comparable(&said.stdout) == expected, "{}", said.stderr);
        }
        let folder = place
            .strip_suffix(fixture.stem().rsplit('/').next().expect("a stem"))
            .unwrap_or(place);
        assert_eq!(listed(&fixture.run(&["list", folder]))["generation"], json!(2));
    }
    // Retired: what is left is opened by this program, and by stock tools.
    let manifest = fixture.name_of("manifest");
    std::fs::remove_file(fetched.join(&manifest)).expect("removed");
    opens(&Fixture::offline(&["verify", text(&fetched), "--key", text(&new_key)]));
    let card = manifest.replace(".manifest.jsonl", ".RECOVER.2.md");
    follow(&fixture.server, text(&new_key), &fetched, &card);
    assert_same(&fixture.server, "app", "restored");
    fetches_its_own_alone(&fixture, &fetched, &card);
}

/// It fetched every backup of the database that there ever was.
fn fetches_its_own_alone(fixture: &Fixture, folder: &Path, card: &str) {
    let card = std::fs::read_to_string(folder.join(card)).expect("the recovery instructions");
    let line = card.lines().find(|line| line.contains("aws s3 cp")).expect("how to fetch");
    let (stem, old) = (fixture.name_of("manifest"), fixture.name_of("dump"));
    let (stem, old) = (stem.replace("manifest.jsonl", "*"), old.replace("sql.bz.enc", "*"));
    assert!(
        line.ends_with(&format!("--exclude '*' --include '{old}' --include '{stem}'")),
        "{line}"
    );
}

/// Nobody had tampered with it: there is nothing in it that could be compared.
#[test]
fn a_drill_says_that_it_has_no_inventory() {
    let fixture = Fixture::new(json!({"format": "legacy"}));
    let (fetched, reports) = (fixture.fetched(), fixture.folder.path().join("reports"));
    let (_, new) = pair(&fixture, "new");
    std::fs::create_dir(&reports).expect("a folder");
    let said = into(
        &fixture,
        &["drill", text(&fetched), "--key", &fixture.key(), "--report", text(&reports)],
    );
    let report = said.receipt();
    assert_eq!((said.code, &report["error"]["code"]), (2, &json!("bad_usage")), "{report}");
    // What the legacy image wrote has no manifest either.
    for entry in std::fs::read_dir(&fetched).expect("the folder").flatten() {
        let name = entry.file_name().into_string().expect("UTF-8");
        if !name.ends_with(".key.txt.enc") && !name.ends_with(".sql.bz.enc") {
            std::fs::remove_file(entry.path()).expect("removed");
        }
    }
    for command in ["verify", "drill", "rewrap"] {
        let mut arguments = vec![command, text(&fetched), "--key"];
        let key = fixture.key();
        arguments.push(&key);
        match command {
            "drill" => arguments.extend(["--report", text(&reports)]),
            "rewrap" => arguments.extend(["--recipient", text(&new)]),
            _ => {}
        }
        let said = into(&fixture, &arguments);
        let told = format!("{}{}", said.stdout, said.stderr);
        assert!(
            said.code == 7 && told.contains("no_backup") && !told.contains("tampered"),
            "{command}: {told}"
        );
    }
}

/// The hint sent its reader to `pgseal list`, which does not know either.
#[test]
fn roles_that_are_not_there_are_asked_for_in_the_event() {
    let fixture = Fixture::new(json!({}));
    let said = Fixture::offline(&["decrypt", text(&fixture.fetched()), "--key", &fixture.key(), "--what", "globals"]);
    assert!(said.code == 2 && said.stderr.contains("\"globals\": true"), "{}", said.stderr);
}
