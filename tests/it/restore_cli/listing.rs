//! What is in a place, and in the folders below it: lists and a fleet's status, on sets that are made in memory.

use super::sealed::{Made, NEWER, OLDER, Order, dump, write};
use super::{Fixture, text};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use time::OffsetDateTime;

fn folder() -> TempDir {
    TempDir::with_prefix("pgseal-listing-").expect("a temporary folder")
}

fn made(place: &Path, time: OffsetDateTime) -> Made {
    let order = Order { time, ..Order::default() };
    let made = order.seal(&dump(20));
    std::fs::create_dir_all(place).expect("a folder");
    write(&made.objects, place);
    made
}

fn report(place: &Path, of: &Made, outcome: &str, finished_at: &str) {
    let manifest = &of.objects[&of.manifest];
    let line = manifest.split(|byte| *byte == b'\n').next().expect("a line");
    let run: Value = serde_json::from_slice(line).expect("JSON");
    let report = json!({"outcome": outcome, "finished_at": finished_at, "backup": {"stem": of.stem, "run": run["run"]}});
    let digits: String = finished_at.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let name = format!("{}.drill-{}000Z.json", of.stem, digits.trim_end_matches('Z'));
    std::fs::create_dir_all(place).expect("a folder");
    std::fs::write(place.join(name), report.to_string()).expect("a report");
}

fn status(place: &Path, more: &[&str]) -> (i32, Value) {
    let said = Fixture::offline(&[&["fleet", "status", text(place), "--max-age", "9999d"], more].concat());
    (said.code, said.receipt())
}

/// A newer backup hid a failed drill: only the runs of manifests up to the newest complete one were known.
#[test]
fn a_failed_drill_of_an_older_backup_is_told_until_a_newer_drill_passes() {
    let folder = folder();
    let place = folder.path().join("db1");
    let (older, newer) = (made(&place, OLDER), made(&place, NEWER));
    assert_eq!(status(folder.path(), &[]).0, 0);
    report(&place, &older, "failed", "2026-11-24T06:00:00Z");
    let (code, told) = status(folder.path(), &[]);
    assert_eq!((code, &told["databases"][0]["drill"]["outcome"]), (7, &json!("failed")), "{told}");
    report(&place, &newer, "passed", "2026-11-25T06:00:00Z");
    assert_eq!(status(folder.path(), &[]).0, 0);
    report(&place, &newer, "not_finished", "2026-11-26T06:00:00Z");
    let (code, told) = status(folder.path(), &[]);
    let missing = told["databases"][0]["missing"].to_string();
    assert!(code == 7 && missing.contains("did not finish: see "), "{told}");
}

/// A drill of an older backup that passed later silenced the alarm of the newest one.
#[test]
fn a_failed_drill_of_the_newest_backup_is_told_until_that_one_passes() {
    let folder = folder();
    let place = folder.path().join("db1");
    let (older, newer) = (made(&place, OLDER), made(&place, NEWER));
    report(&place, &newer, "failed", "2026-11-25T06:00:00Z");
    report(&place, &older, "passed", "2026-11-26T06:00:00Z");
    let (code, told) = status(folder.path(), &[]);
    assert_eq!((code, &told["databases"][0]["drill"]["outcome"]), (7, &json!("failed")), "{told}");
    report(&place, &newer, "passed", "2026-11-27T06:00:00Z");
    assert_eq!(status(folder.path(), &[]).0, 0);
}

/// The report beside the backup hid a newer one that lay elsewhere.
#[test]
fn the_newest_drill_counts_wherever_its_report_is() {
    let folder = folder();
    let (place, reports) = (folder.path().join("backups/db1"), folder.path().join("drills"));
    let made = made(&place, NEWER);
    report(&place, &made, "passed", "2026-11-27T06:00:00Z");
    report(&reports.join("db1"), &made, "failed", "2026-11-30T06:00:00Z");
    let backups = folder.path().join("backups");
    assert_eq!(status(&backups, &[]).0, 0);
    let (code, told) = status(&backups, &["--reports", text(&reports)]);
    assert_eq!((code, &told["databases"][0]["drill"]["outcome"]), (7, &json!("failed")), "{told}");
}

/// Revisions were taken in the order of their names, `.manifest.jsonl` for the newest.
#[test]
fn the_newest_revision_says_what_must_be_there() {
    let folder = folder();
    let made = made(folder.path(), NEWER);
    let (private, public) = (folder.path().join("new.key"), folder.path().join("new.pem"));
    super::openssl(&["genrsa", "-out", text(&private), "2048"]);
    super::openssl(&["pkey", "-in", text(&private), "-pubout", "-out", text(&public)]);
    let key = format!("{}/tests/vectors/keys/recipient-a.pem", env!("CARGO_MANIFEST_DIR"));
    let rewrapped = Fixture::offline(&["rewrap", text(folder.path()), "--key", &key, "--recipient", text(&public)]);
    assert_eq!(rewrapped.code, 0, "{}", rewrapped.stderr);
    let agree = |expected: i32| {
        let listed = Fixture::offline(&["list", text(folder.path()), "--max-age", "9999d"]);
        assert_eq!(
            (listed.code, status(folder.path(), &[]).0),
            (expected, expected),
            "{}",
            listed.stdout
        );
    };
    agree(0);
    // What only the first revision names may go, once that is gone: a manifest whose objects are missing is a doubt.
    let first = made.objects.keys().find(|name| name.contains(".key.")).expect("a key object");
    std::fs::remove_file(folder.path().join(first)).expect("removed");
    agree(7);
    std::fs::remove_file(folder.path().join(&made.manifest)).expect("removed");
    agree(0);
    let second = rewrapped.receipt()["written"][0].as_str().expect("a key object").to_owned();
    std::fs::remove_file(folder.path().join(second)).expect("removed");
    agree(7);
}

#[test]
fn files_of_others_are_no_backups_and_interrupted_runs_of_the_old_format_are_told() {
    let folder = folder();
    made(folder.path(), OLDER);
    std::fs::write(folder.path().join("report_20240101T000000Z.csv"), "x").expect("a file");
    let (code, told) = status(folder.path(), &[]);
    assert_eq!((code, told["databases"].as_array().map(Vec::len)), (0, Some(1)), "{told}");
    std::fs::write(folder.path().join("app_2026-11-24T02:00:00Z.sql.bz.enc"), "x").expect("a file");
    let (code, told) = status(folder.path(), &[]);
    assert!(code == 7 && told.to_string().contains("interrupted"), "{told}");
}

#[test]
fn a_list_goes_into_the_folders_below_if_it_is_told_to() {
    let folder = folder();
    for (name, time) in [("eu/db1", OLDER), ("eu/db2", NEWER)] {
        made(&folder.path().join(name), time);
    }
    let list = |more: &[&str]| Fixture::offline(&[&["list", text(folder.path())], more].concat());
    assert_eq!(list(&[]).receipt()["backups"], json!([]));
    let all = list(&["--recursive"]).receipt();
    let folders: Vec<&str> = all["backups"]
        .as_array()
        .expect("backups")
        .iter()
        .filter_map(|entry| entry["folder"].as_str())
        .collect();
    assert_eq!(folders, ["eu/db2", "eu/db1"], "{all}");
    assert_eq!(list(&["--recursive", "--database", "nowhere"]).receipt()["backups"], json!([]));
    let old = list(&["--recursive", "--max-age", "1h"]);
    assert_eq!(
        (old.code, &old.receipt()["error"]["code"]),
        (7, &json!("too_old")),
        "{}",
        old.stdout
    );
    assert_eq!(list(&["--recursive", "--max-age", "9999d"]).code, 0);
}

/// Another manifest beside a backup's own: line 1 changed, and the line 2 that no longer proves it.
fn plant(place: &Path, of: &Made, change: impl FnOnce(&mut Value)) {
    let manifest = &of.objects[&of.manifest];
    let mut lines = manifest.splitn(2, |byte| *byte == b'\n');
    let mut first: Value = serde_json::from_slice(lines.next().expect("line 1")).expect("JSON");
    first["generation"] = json!(2);
    change(&mut first);
    let planted = [first.to_string().as_bytes(), b"\n", lines.next().expect("line 2")].concat();
    std::fs::write(place.join(format!("{}.manifest.2.jsonl", of.stem)), planted).expect("planted");
}

fn key() -> String {
    format!("{}/tests/vectors/keys/recipient-a.pem", env!("CARGO_MANIFEST_DIR"))
}

/// One object, which nobody need have a key for, made `latest` an old backup: it said that the newest was a part.
#[test]
fn a_planted_manifest_does_not_put_an_older_backup_in_front() {
    let changes: [fn(&mut Value); 2] = [
        |manifest| manifest["partial"] = json!(true),
        |manifest| drop(manifest.as_object_mut().expect("an object").remove("source")),
    ];
    for change in changes {
        let folder = folder();
        made(folder.path(), OLDER);
        let newest = made(folder.path(), NEWER);
        plant(folder.path(), &newest, change);
        let latest = format!("{}/latest:app", folder.path().display());
        let verified = Fixture::offline(&["decrypt", &latest, "--key", &key(), "-o", text(&folder.path().join("app.sql"))]);
        assert!(verified.code == 0 && verified.stderr.contains(&newest.stem), "{}", verified.stderr);
        let listed = Fixture::offline(&["list", text(folder.path()), "--max-age", "9999d"]);
        assert!(listed.code == 7 && listed.stdout.contains("in doubt"), "{}", listed.stdout);
        assert_eq!(status(folder.path(), &[]).0, 7);
    }
}

/// A manifest without what is gone made the backup whole again for all who have no key.
#[test]
fn a_planted_manifest_does_not_make_up_for_what_is_lost() {
    for role in ["inventory", "key", "other key"] {
        let folder = folder();
        let newest = made(folder.path(), NEWER);
        let kind = role.trim_start_matches("other ");
        let lost = newest
            .objects
            .keys()
            .find(|name| name.contains(&format!(".{kind}.")))
            .expect("such an object");
        std::fs::remove_file(folder.path().join(lost)).expect("removed");
        plant(folder.path(), &newest, |manifest| {
            let objects = manifest["objects"].as_array_mut().expect("objects");
            if role == "other key" {
                let name = lost.replace(".key.", ".key.0000");
                std::fs::write(folder.path().join(&name), [7; 256]).expect("planted");
                let object = objects.iter_mut().find(|object| object["role"] == "key").expect("a key");
                object["key"] = json!(format!("backups/{name}"));
                object["size"] = json!(256);
                manifest["recipients"][0]["object"] = json!(format!("backups/{name}"));
                return;
            }
            objects.retain(|object| object["role"] != role);
            if role == "key" {
                manifest["recipients"] = json!([]);
            }
        });
        let listed = Fixture::offline(&["list", text(folder.path()), "--max-age", "9999d"]);
        assert_eq!((listed.code, status(folder.path(), &[]).0), (7, 7), "{role}: {}", listed.stdout);
        assert_eq!(Fixture::offline(&["verify", text(folder.path())]).code, 7, "{role}");
    }
}

/// Of a time to come, or of none, a report hid every later one; and one in another server's folder, too.
#[test]
fn a_planted_report_hides_no_failed_drill() {
    let folder = folder();
    let (place, other) = (folder.path().join("db1"), folder.path().join("db2"));
    let newest = made(&place, NEWER);
    report(&place, &newest, "failed", "2026-11-25T06:00:00Z");
    for (planted_in, time) in [(&place, "9999-12-31T00:00:00Z"), (&place, "zzz"), (&other, "2026-11-30T06:00:00Z")] {
        report(planted_in, &newest, "passed", time);
        let (code, told) = status(folder.path(), &[]);
        assert_eq!(
            (code, &told["databases"][0]["drill"]["outcome"]),
            (7, &json!("failed")),
            "{time}: {told}"
        );
    }
}

#[test]
fn a_database_of_which_no_run_came_to_its_end_is_missed_and_names_are_whole() {
    let folder = folder();
    made(folder.path(), NEWER);
    let max_age = |more: &[&str]| Fixture::offline(&[&["list", text(folder.path()), "--max-age", "9999d"], more].concat());
    assert_eq!(max_age(&[]).code, 0);
    std::fs::write(folder.path().join("app_prod_20261125T020000Z.1a2b3c4d.sql.enc"), "x").expect("a file");
    let told = max_age(&[]);
    assert!(
        told.code == 7 && told.stdout.contains("app_prod_20261125T020000Z"),
        "{}",
        told.stdout
    );
    // Of another database, whose name begins alike.
    let of_app = max_age(&["--database", "app"]);
    assert_eq!((of_app.code, &of_app.receipt()["leftovers"]), (0, &json!([])), "{}", of_app.stdout);
}

/// Its report was looked for by the run that the planted manifest named.
#[test]
fn a_planted_manifest_hides_no_failed_drill() {
    let folder = folder();
    let (older, _) = (made(folder.path(), OLDER), made(folder.path(), NEWER));
    report(folder.path(), &older, "failed", "2026-11-24T06:00:00Z");
    plant(folder.path(), &older, |manifest| manifest["run"] = json!("deadbeef"));
    let (code, told) = status(folder.path(), &[]);
    assert_eq!((code, &told["databases"][0]["drill"]["outcome"]), (7, &json!("failed")), "{told}");
}

/// What somebody else put there, signed by nobody, was in doubt and in front of what the signer signed.
#[test]
fn with_a_signer_others_backups_are_passed_over_in_silence() {
    let folder = folder();
    let keys = format!("{}/tests/vectors/keys", env!("CARGO_MANIFEST_DIR"));
    let ours = made(folder.path(), OLDER);
    let arguments = [
        "rewrap",
        text(folder.path()),
        "--key",
        &key(),
        "--recipient",
        &format!("{keys}/new.pem"),
        "--adopt-unsigned",
    ];
    let (private, public) = (folder.path().join("new.key"), folder.path().join("new.pem"));
    super::openssl(&["genrsa", "-out", text(&private), "2048"]);
    super::openssl(&["pkey", "-in", text(&private), "-pubout", "-out", text(&public)]);
    let arguments: Vec<&str> = arguments
        .iter()
        .map(|word| if word.ends_with("new.pem") { text(&public) } else { *word })
        .collect();
    let unsigned = crate::support::pgseal::Pgseal::new(&arguments).run();
    assert_eq!(
        (unsigned.code, unsigned.error_code().as_str()),
        (2, "bad_usage"),
        "{}",
        unsigned.stdout
    );
    let signed = crate::support::pgseal::Pgseal::new(&[&arguments[..], &["--keep"]].concat())
        .env("PGSEAL_SIGNING_KEY", format!("{keys}/signer.key"))
        .run();
    assert_eq!(signed.code, 0, "{}", signed.stderr);
    made(folder.path(), NEWER);
    let signer = ["--signer", &format!("{keys}/signer.pem")];
    let listed = Fixture::offline(&[&["list", text(folder.path()), "--max-age", "9999d"][..], &signer].concat());
    assert_eq!((listed.code, status(folder.path(), &signer).0), (0, 0), "{}", listed.stdout);
    let latest = format!("{}/latest:app", folder.path().display());
    let verified = Fixture::offline(&[&["verify", &latest, "--key", &key()][..], &signer].concat());
    assert_eq!(
        (verified.code, &verified.receipt()["stem"]),
        (0, &json!(ours.stem)),
        "{}",
        verified.stdout
    );
}

/// With an age of minutes the key of a backup that was still running went, and the backup said that it was complete.
#[test]
fn nothing_that_is_not_a_day_old_is_removed_unless_it_is_forced() {
    let folder = folder();
    made(folder.path(), NEWER);
    let left = folder.path().join("app_20261125T020000Z.1a2b3c4d.key.0011223344556677.enc");
    std::fs::write(&left, "x").expect("a file");
    let clean = |more: &[&str]| Fixture::offline(&[&["clean", text(folder.path()), "--delete", "--older-than", "0m"], more].concat());
    let refused = clean(&[]);
    assert!(
        (refused.code, refused.error_code().as_str()) == (2, "bad_usage") && left.exists(),
        "{}",
        refused.stdout
    );
    let cleaned = clean(&["--force"]);
    assert!(cleaned.code == 0 && !left.exists(), "{}", cleaned.stdout);
}

#[test]
fn the_list_has_whole_backups_and_leftovers_apart() {
    let fixture = Fixture::new(json!({}));
    fixture
        .bucket
        .put("backups/app_20200101T000000Z.00000000.key.0123456789abcdef.enc", "x");
    let said = fixture.run(&["list", &format!("s3://{}/backups", fixture.bucket.name)]);
    let listing = said.receipt();
    assert_eq!((said.code, listing["backups"].as_array().map(Vec::len)), (0, Some(1)), "{listing}");
    let stem = fixture.stem().rsplit('/').next().expect("a name");
    assert_eq!(
        (&listing["backups"][0]["stem"], &listing["backups"][0]["rows"]),
        (&json!(stem), &json!(5000))
    );
    assert_eq!(listing["leftovers"][0]["stem"], "app_20200101T000000Z", "{listing}");
    assert_eq!(listing["leftovers"].as_array().map(Vec::len), Some(1), "{listing}");
}
