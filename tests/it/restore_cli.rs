//! The restore pipeline: what was backed up comes back, from S3 and from a directory, and what was changed does not.

use crate::support::invariants::{event, key_pair};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::postgres::{Server, clients_path, debian_major};
use crate::support::restore::dump;
use crate::support::s3::{Bucket, EmbeddedS3};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

mod arguments;
mod before_rows;
mod changed;
mod contents;
mod dependents;
mod drills;
mod exhaustive;
mod extensions;
mod foreign;
mod forger;
mod history;
mod interop;
mod jobs;
mod listing;
mod masks;
mod mistakes;
mod mutations;
mod numbers;
mod old_format;
mod origin;
mod partitions;
mod parts;
mod readme;
mod recipients;
mod restore;
mod rewraps;
mod rights;
mod round_trips;
mod sealed;
mod selected;
mod statistics;
mod streams;
mod told_rows;
mod value_settings;
mod vectors;
mod writes;

/// A backup of a small database, in S3 and downloaded, with the private key that opens it.
struct Fixture {
    server: Server,
    s3: EmbeddedS3,
    bucket: Bucket,
    order: Value,
    receipt: Value,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new(asked: Value) -> Self {
        Self::with("", asked)
    }

    /// With this behind the table.
    fn with(sql: &str, asked: Value) -> Self {
        Self::on(Server::start(), sql, asked)
    }

    fn on(server: Server, sql: &str, asked: Value) -> Self {
        let table =
            "create table plain (id int, note text); insert into plain select g, repeat('x', g % 50) from generate_series(1, 5000) g;";
        server.create_app(&format!("{table} {sql}"));
        let s3 = EmbeddedS3::start();
        let bucket = s3.bucket();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (_, public) = key_pair(folder.path());
        let mut order = event(&server, "app", &bucket);
        order["public_key"] = json!(public);
        for (name, value) in asked.as_object().into_iter().flatten() {
            order[name] = value.clone();
        }
        let clients = match server.major() {
            major if major == debian_major() => server.bin().display().to_string(),
            _ => clients_path(),
        };
        let run = Pgseal::backup(&order)
            .envs(bucket.env())
            .envs(server.env())
            .env("PGSEAL_PG_BIN", clients);
        let receipt = run.run().complete();
        std::fs::create_dir(folder.path().join("fetched")).expect("a folder");
        bucket.download(&folder.path().join("fetched"));
        Self {
            server,
            s3,
            bucket,
            order,
            receipt,
            folder,
        }
    }

    fn key(&self) -> String {
        self.folder.path().join("private_key.pem").display().to_string()
    }

    fn fetched(&self) -> PathBuf {
        self.folder.path().join("fetched")
    }

    fn stem(&self) -> &str {
        self.receipt["backups"][0]["stem"].as_str().expect("a stem")
    }

    fn at_s3(&self) -> String {
        format!("s3://{}/{}", self.bucket.name, self.stem())
    }

    fn run(&self, arguments: &[&str]) -> CommandOutput {
        Pgseal::new(arguments).envs(self.bucket.env()).run()
    }

    /// From here, without any network.
    fn offline(arguments: &[&str]) -> CommandOutput {
        Pgseal::new(arguments).run()
    }

    fn name_of(&self, role: &str) -> String {
        let objects = self.receipt["backups"][0]["objects"].as_array().expect("objects");
        let key = objects
            .iter()
            .find(|object| object["role"] == role)
            .and_then(|object| object["key"].as_str());
        key.and_then(|key| key.rsplit('/').next())
            .expect("an object of this role")
            .to_owned()
    }
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().expect("openssl starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// As the tests compare dumps: without the lines that hold a random key.
fn comparable(dump: &str) -> String {
    dump.split_inclusive('\n')
        .filter(|line| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict "))
        .collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn every_compression_comes_back_from_s3_and_from_a_directory() {
    for compression in ["bzip2", "bzip2:1", "zstd", "none"] {
        let fixture = Fixture::new(json!({"compression": compression}));
        let expected = String::from_utf8(dump(&fixture.server, "app")).expect("UTF-8");
        let from_s3 = fixture.run(&["decrypt", &fixture.at_s3(), "--key", &fixture.key()]);
        assert_eq!(from_s3.code, 0, "{compression}: {}", from_s3.stderr);
        assert!(comparable(&from_s3.stdout) == expected, "{compression}");

        let output = fixture.folder.path().join("app.sql");
        let (fetched, key) = (fixture.fetched(), fixture.key());
        let arguments = ["decrypt", text(&fetched), "--key", &key, "-o", text(&output)];
        let from_directory = Fixture::offline(&arguments);
        assert_eq!(
            (from_directory.code, from_directory.stdout.as_str()),
            (0, ""),
            "{}",
            from_directory.stderr
        );
        let written = std::fs::read_to_string(&output).expect("the dump is written");
        assert!(comparable(&written) == expected, "{compression}");
        let again = Fixture::offline(&arguments);
        assert_eq!(again.code, 2, "nothing is overwritten: {}", again.stderr);
    }
}

#[test]
fn verify_says_what_it_compared() {
    let fixture = Fixture::new(json!({}));
    let verified = |arguments: &[&str]| {
        let said = fixture.run(arguments);
        assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
        said.receipt()
    };
    let (s3, fetched) = (fixture.at_s3(), fixture.fetched());
    let in_store = verified(&["verify", &s3]);
    let reached = |report: &Value| ["status", "sizes_match", "hashes_match", "opens"].map(|name| report[name].clone());
    assert_eq!(reached(&in_store), [json!("sizes_match"), json!(true), json!(false), json!(false)]);
    let deep = verified(&["verify", text(&fetched), "--deep"]);
    assert!(
        deep["objects"]
            .as_array()
            .expect("objects")
            .iter()
            .all(|object| object["compared"] == "sha256"),
        "{deep}"
    );
    assert_eq!(reached(&deep), [json!("hashes_match"), json!(true), json!(true), json!(false)]);
    let opened = verified(&["verify", &s3, "--key", &fixture.key()]);
    assert_eq!(reached(&opened), [json!("verified"), json!(true), json!(true), json!(true)]);
    assert_eq!((&opened["rows"], &opened["written_to"]), (&json!(5000), &json!("backups")));
    assert_eq!((&opened["signed_by"], &opened["pinned"]), (&Value::Null, &json!(false)));
    let object = |role: &str| {
        let objects = opened["objects"].as_array().expect("objects");
        objects.iter().find(|object| object["role"] == role).expect("the object")["compared"].clone()
    };
    assert_eq!(
        (object("dump"), object("inventory"), object("key")),
        (json!("plaintext"), json!("plaintext"), json!("sha256"))
    );
}

#[test]
fn the_inventory_is_given_too() {
    let fixture = Fixture::new(json!({}));
    let said = fixture.run(&["decrypt", &fixture.at_s3(), "--key", &fixture.key(), "--what", "inventory"]);
    let inventory: Value = serde_json::from_str(&said.stdout).expect("JSON");
    let tables = inventory["tables"].as_array().expect("tables");
    assert_eq!(
        (tables.len(), &tables[0]["name"], &tables[0]["rows"]),
        (1, &json!("public.plain"), &json!(5000))
    );
    assert!(
        tables[0]["bytes"].as_u64() < tables[0]["length"].as_u64() && inventory["part_index"][0]["part"] == 1,
        "{inventory}"
    );
}

#[test]
fn a_wrong_key_is_named_and_so_is_the_right_one() {
    let fixture = Fixture::new(json!({}));
    let other = fixture.folder.path().join("other.pem");
    openssl(&["genrsa", "-out", text(&other), "2048"]);
    let said = fixture.run(&["decrypt", &fixture.at_s3(), "--key", text(&other)]);
    assert_eq!((said.code, said.stdout.as_str()), (7, ""), "{}", said.stderr);
    let needed = fixture.receipt["backups"][0]["recipients"][0].as_str().expect("a fingerprint");
    let given = openssl(&["pkey", "-in", text(&other), "-pubout", "-outform", "DER"]);
    std::fs::write(fixture.folder.path().join("other.der"), given).expect("written");
    let given = openssl(&["dgst", "-sha256", "-r", text(&fixture.folder.path().join("other.der"))]);
    let given = String::from_utf8_lossy(&given[..64]).into_owned();
    assert!(said.stderr.contains("wrong_key") || said.stderr.contains(needed), "{}", said.stderr);
    assert!(said.stderr.contains(needed) && said.stderr.contains(&given), "{}", said.stderr);
}

/// Where `drill --report` is the place of the backups, its reports were taken for what interrupted runs left.
#[test]
fn reports_of_drills_are_no_leftovers() {
    let fixture = Fixture::new(json!({}));
    let stem = fixture.stem().rsplit('/').next().expect("a name").to_owned();
    let mut reports = vec!["app_20200101T000000Z.drill-20200102T000000Z.json".to_owned()];
    reports.extend(["html", "json"].map(|ending| format!("{stem}.drill-20261129T110322123Z.{ending}")));
    for name in &reports {
        std::fs::write(fixture.fetched().join(name), "x").expect("written");
    }
    let listing = Fixture::offline(&["list", text(&fixture.fetched())]).receipt();
    assert_eq!(
        (&listing["leftovers"], &listing["reports"]),
        (&json!([]), &json!(reports)),
        "{listing}"
    );
    assert_eq!(listing["backups"].as_array().map(Vec::len), Some(1), "{listing}");
    let report = Fixture::offline(&["verify", text(&fixture.fetched())]).receipt();
    assert_eq!(
        (&report["status"], &report["strangers"]),
        (&json!("sizes_match"), &Value::Null),
        "{report}"
    );
    // Only what a drill writes is named so.
    std::fs::write(fixture.fetched().join(format!("{stem}.drill-x.sh")), "x").expect("written");
    let listing = Fixture::offline(&["list", text(&fixture.fetched())]).receipt();
    assert_eq!(
        listing["leftovers"][0]["objects"],
        json!([format!("{stem}.drill-x.sh")]),
        "{listing}"
    );
}

/// It was an empty list, and success.
#[test]
fn one_backup_is_listed_by_the_name_that_other_commands_take() {
    for asked in [json!({}), json!({"format": "legacy"})] {
        let fixture = Fixture::new(asked);
        fixture
            .bucket
            .put("backups/app_20200101T000000Z.00000000.key.0123456789abcdef.enc", "x");
        fixture.bucket.download(&fixture.fetched());
        let stem = fixture.stem().rsplit('/').next().expect("a name");
        let in_folder = fixture.fetched().join(stem);
        for place in [
            fixture.at_s3(),
            text(&in_folder).to_owned(),
            text(&fixture.fetched().join(fixture.name_of("dump"))).to_owned(),
        ] {
            let said = fixture.run(&["list", &place]);
            let listing = said.receipt();
            let backups = listing["backups"].as_array().expect("a list");
            assert_eq!((said.code, backups.len()), (0, 1), "{place}: {listing}");
            assert_eq!(
                (&backups[0]["stem"], &backups[0]["missing"]),
                (&json!(stem), &Value::Null),
                "{listing}"
            );
            assert_eq!(listing["leftovers"], json!([]), "{listing}");
        }
        assert_eq!(fixture.run(&["list", "/nonexistent/app_20200101T000000Z"]).code, 2);
    }
}

/// Whatever had failed, the sizes were said not to match.
#[test]
fn a_failed_verification_says_how_far_it_came() {
    let fixture = Fixture::new(json!({}));
    let (fetched, key, other) = (fixture.fetched(), fixture.key(), fixture.folder.path().join("other.pem"));
    openssl(&["genrsa", "-out", text(&other), "2048"]);
    let fails = |arguments: &[&str], sizes: bool| {
        let said = fixture.run(&[&["verify"], arguments].concat());
        let report = said.receipt();
        assert_eq!(
            (said.code, &report["status"], &report["sizes_match"]),
            (7, &json!("failed"), &json!(sizes)),
            "{report}"
        );
        assert_eq!(
            (&report["hashes_match"], &report["opens"]),
            (&json!(false), &json!(false)),
            "{report}"
        );
    };
    for place in [fixture.at_s3(), text(&fetched).to_owned()] {
        fails(&[&place, "--key", text(&other)], true);
    }
    let dump = fetched.join(fixture.name_of("dump"));
    let bytes = std::fs::read(&dump).expect("the dump");
    let mut changed = bytes.clone();
    changed[100] ^= 1;
    std::fs::write(&dump, changed).expect("written");
    for more in [&["--deep"][..], &["--key", &key]] {
        fails(&[&[text(&fetched)], more].concat(), true);
    }
    std::fs::write(&dump, &bytes[1..]).expect("written");
    for more in [&[][..], &["--key", &key], &["--key", text(&other)]] {
        fails(&[&[text(&fetched)], more].concat(), false);
    }
}

#[test]
fn backups_of_the_old_image_are_listed_as_unauthenticated() {
    let fixture = Fixture::new(json!({}));
    for name in ["key.txt.enc", "sql.bz.enc"] {
        fixture.bucket.put(&format!("backups/app_2020-01-01T00:00:00Z.{name}"), "x");
    }
    fixture.bucket.put("backups/app_2020-01-02T00:00:00Z.key.txt.enc", "x");
    let listing = fixture.run(&["list", &format!("s3://{}/backups", fixture.bucket.name)]).receipt();
    let stems = |list: &str| {
        let entries = listing[list].as_array().into_iter().flatten();
        entries.filter_map(|entry| entry["stem"].as_str()).collect::<Vec<_>>()
    };
    assert_eq!(stems("unauthenticated"), ["app_2020-01-01T00:00:00Z"], "{listing}");
    assert_eq!(stems("leftovers"), ["app_2020-01-02T00:00:00Z"], "{listing}");
}

/// Named by the legacy image's stem, it was opened as that image's: unauthenticated, whatever had been done to it.
#[test]
fn a_set_in_the_old_format_is_proven_by_its_manifest_whichever_of_its_names_is_given() {
    let fixture = Fixture::new(json!({"format": "legacy"}));
    let (fetched, dump) = (fixture.fetched(), fixture.name_of("dump"));
    let old_stem = dump.strip_suffix(".sql.bz.enc").expect("an old name");
    let given = [dump.as_str(), old_stem, &fixture.name_of("manifest")].map(|name| fetched.join(name));
    for given in &given {
        let said = Fixture::offline(&["verify", text(given), "--key", &fixture.key()]);
        assert_eq!((said.code, &said.receipt()["opens"]), (0, &json!(true)), "{}", said.stdout);
    }
    let mut bytes = std::fs::read(&given[0]).expect("the dump");
    bytes[5000] ^= 1;
    std::fs::write(&given[0], bytes).expect("written");
    for given in &given {
        let said = Fixture::offline(&["decrypt", text(given), "--key", &fixture.key()]);
        assert!(said.code == 7 && said.stderr.contains("tampered"), "{}", said.stderr);
    }
}

#[test]
fn a_backup_that_is_not_there_or_not_whole_is_said() {
    let fixture = Fixture::new(json!({}));
    let said = fixture.run(&["verify", &format!("s3://{}/backups/app_20200101T000000Z", fixture.bucket.name)]);
    assert!(said.code == 7 && said.stderr.contains("pgseal list"), "no advice: {}", said.stderr);
    std::fs::remove_file(fixture.fetched().join(fixture.name_of("manifest"))).expect("removed");
    let said = Fixture::offline(&["decrypt", text(&fixture.fetched()), "--key", &fixture.key()]);
    assert_eq!((said.code, said.stdout.as_str()), (7, ""), "{}", said.stderr);
    assert!(fixture.s3.endpoint().starts_with("http://"));
}
