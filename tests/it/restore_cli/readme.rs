//! README.md's commands for the restore, as they stand, on a backup with the names that they use.

use super::{Fixture, openssl, text};
use crate::support::aws::REGION;
use crate::support::invariants::event;
use crate::support::pgseal::Pgseal;
use crate::support::restore::{RESTORED, assert_same, run};
use crate::support::s3::Bucket;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// What a reader has: the keys, the fetched objects, and a shell that finds everything.
struct Reader {
    fixture: Fixture,
    folder: tempfile::TempDir,
    environment: BTreeMap<String, String>,
}

impl Reader {
    fn new() -> Self {
        let fixture = Fixture::new(json!({}));
        let folder = tempfile::tempdir().expect("a folder");
        let place = |name: &str| folder.path().join(name);
        std::fs::copy(fixture.key(), place("private_key.pem")).expect("the key");
        openssl(&["genrsa", "-out", text(&place("new.key")), "2048"]);
        openssl(&[
            "pkey",
            "-in",
            text(&place("new.key")),
            "-pubout",
            "-out",
            text(&place("new_public_key.pem")),
        ]);
        let bucket = Bucket::named("acme-backups", fixture.s3.env(), REGION);
        let mut order = event(&fixture.server, "app", &bucket);
        order["public_key"] = json!(String::from_utf8(openssl(&["pkey", "-pubout", "-in", &fixture.key()])).expect("PEM"));
        order["scheduled_time"] = json!("2026-11-24T02:00:00Z");
        Pgseal::backup(&order)
            .envs(bucket.env())
            .envs(fixture.server.env())
            .run()
            .complete();
        for name in ["fetched", "reports"] {
            std::fs::create_dir(place(name)).expect("a folder");
        }
        bucket.download(&place("fetched"));

        let psql = fixture.server.psql_command("postgres");
        let set = psql
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value?.to_str()?.to_owned())));
        let mut environment: BTreeMap<_, _> = set.chain(bucket.env()).collect();
        let ours = Path::new(env!("CARGO_BIN_EXE_pgseal")).parent().expect("a folder");
        let server = fixture.server.bin();
        environment.insert(
            "PATH".into(),
            format!("{}:{}:/usr/local/bin:/usr/bin:/bin", ours.display(), server.display()),
        );
        environment.insert("PGSEAL_PG_BIN".into(), server.display().to_string());
        Self {
            fixture,
            folder,
            environment,
        }
    }

    /// Makes a signer, and puts a signed backup in the other's place.
    fn sign(&self) {
        self.run("signer", "");
        let (folder, fixture) = (self.folder.path(), &self.fixture);
        let mut order = event(&fixture.server, "app", &fixture.bucket);
        order["public_key"] = json!(String::from_utf8(openssl(&["pkey", "-pubout", "-in", &fixture.key()])).expect("PEM"));
        order["prefix"] = json!("signed");
        order["scheduled_time"] = json!("2026-11-24T02:00:00Z");
        let run = Pgseal::backup(&order).envs(fixture.bucket.env()).envs(fixture.server.env());
        run.env("PGSEAL_SIGNING_KEY", folder.join("signer.key")).run().complete();
        std::fs::remove_dir_all(folder.join("fetched")).expect("removed");
        std::fs::create_dir(folder.join("fetched")).expect("a folder");
        for key in fixture.bucket.keys().iter().filter(|key| key.starts_with("signed/")) {
            std::fs::write(folder.join("fetched").join(&key[7..]), fixture.bucket.get(key)).expect("written");
        }
    }

    /// With this private key: unwrapped, checked, and read.
    fn opens_by_hand(&self, key: &Path) {
        std::fs::copy(key, self.folder.path().join("fetched/private_key.pem")).expect("copied");
        self.run("unwrap", "fetched");
        let said = self.run("check", "fetched");
        assert!(said.contains("manifest: OK\n") && !said.contains("NOT"), "{said}");
        assert!(said.matches(": OK\n").count() >= 4, "{said}");
        assert!(self.run("inventory", "fetched").contains("\"public.plain\""));
    }

    fn run(&self, block: &str, folder: &str) -> String {
        String::from_utf8(run(block, &self.folder.path().join(folder), &self.environment).fine()).expect("UTF-8")
    }
}

#[test]
fn the_readmes_way_back() {
    let reader = Reader::new();
    let said = reader.run("commands", "");
    assert!(
        said.contains("\"status\":\"verified\"") && said.contains("\"status\":\"restored\""),
        "{said}"
    );
    assert!(std::fs::read_to_string(reader.folder.path().join("app.sql")).is_ok_and(|sql| sql.contains("COPY \"public\".\"plain\"")));
    assert_same(&reader.fixture.server, "app", RESTORED);
}

#[test]
fn the_readmes_drill() {
    let reader = Reader::new();
    assert!(reader.run("drill", "").contains("\"outcome\": \"passed\""));
    assert_eq!(
        std::fs::read_dir(reader.folder.path().join("reports")).expect("the folder").count(),
        2
    );
}

#[test]
fn the_readmes_new_recipients() {
    let reader = Reader::new();
    reader.run("rewrap", "");
    let answer = std::fs::read_to_string(reader.folder.path().join("rewrapped.json")).expect("the answer");
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(
        (&answer["written"].as_array().map(Vec::len), &answer["written_to"]),
        (&Some(3), &json!("backups"))
    );
    let fetched = reader.folder.path().join("fetched");
    let new = reader.folder.path().join("new.key");
    assert_eq!(Fixture::offline(&["verify", text(&fetched), "--key", text(&new)]).code, 0);
}

#[test]
fn the_readmes_signatures() {
    let reader = Reader::new();
    reader.sign();
    assert!(reader.run("signed", "").contains("\"status\":\"verified\""));
    let folder = reader.folder.path();
    std::fs::copy(folder.join("signer.pem"), folder.join("fetched/signer.pem")).expect("copied");
    assert!(reader.run("signature", "fetched").contains("Verified OK"));
}

/// They once took the first manifest for the only one, and had no words for a signature.
#[test]
fn the_readmes_commands_by_hand_open_each_generation() {
    for signed in [false, true] {
        let reader = Reader::new();
        if signed {
            reader.sign();
        }
        let place = |name: &str| reader.folder.path().join(name);
        let fetched = place("fetched");
        let public = openssl(&["pkey", "-in", &reader.fixture.key(), "-pubout"]);
        std::fs::write(place("old_public_key.pem"), public).expect("written");
        let (old, new) = (place("private_key.pem"), place("new.key"));
        reader.opens_by_hand(&old);
        // Others open it, then the first ones again: of those there are two key objects.
        for (key, recipient) in [(&old, "new_public_key.pem"), (&new, "old_public_key.pem")] {
            let recipient = place(recipient);
            let mut run = Pgseal::new(&["rewrap", text(&fetched), "--key", text(key), "--recipient", text(&recipient)]);
            if signed {
                run = run.env("PGSEAL_SIGNING_KEY", place("signer.key"));
            }
            let said = run.run();
            assert_eq!(said.code, 0, "{}", said.stderr);
            for key in [&old, &new] {
                reader.opens_by_hand(key);
            }
        }
        assert!(fetched.join("app_20261124T020000Z.RECOVER.3.md").exists());
        std::fs::remove_file(fetched.join("app_20261124T020000Z.manifest.jsonl")).expect("the first is retired");
        for key in [&old, &new] {
            reader.opens_by_hand(key);
        }
        if signed {
            std::fs::copy(place("signer.pem"), fetched.join("signer.pem")).expect("copied");
            assert_eq!(reader.run("signature", "fetched").matches("Verified OK").count(), 2);
        }
    }
}
