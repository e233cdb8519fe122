//! What comes back is what was: encodings, locales, settings, names; and what was chosen is what is in the backup.

mod collations;
mod databases;
mod extension_tables;
mod foreign_names;
mod leftovers;
mod money;
mod needs;
mod patterns;
mod roles;
mod selections;

use crate::support::invariants::sealed_into;
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::postgres::Server;
use crate::support::s3::{Bucket, EmbeddedS3};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

static ORDERS: AtomicUsize = AtomicUsize::new(0);

/// A server, a bucket and a pair of keys.
struct Fixture {
    server: Server,
    _s3: EmbeddedS3,
    bucket: Bucket,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new(server: Server) -> Self {
        let s3 = EmbeddedS3::start();
        let bucket = s3.bucket();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let made = Command::new("openssl")
            .args(["genrsa", "-out"])
            .arg(folder.path().join("key.pem"))
            .arg("2048")
            .output();
        assert!(made.expect("openssl starts").status.success());
        Self {
            server,
            _s3: s3,
            bucket,
            folder,
        }
    }

    fn key(&self) -> String {
        self.folder.path().join("key.pem").display().to_string()
    }

    fn event(&self, database: &str, fields: &Value) -> Value {
        let mut event = sealed_into(self.server.event(database), &self.bucket);
        let public = Command::new("openssl").args(["pkey", "-pubout", "-in", &self.key()]).output();
        event["public_key"] = json!(String::from_utf8(public.expect("openssl starts").stdout).expect("PEM"));
        event["compression"] = json!("none");
        // A stem of its own for each: within a second the next one would be taken for a repetition.
        event["prefix"] = json!(format!("backups/{}", ORDERS.fetch_add(1, Ordering::Relaxed)));
        for (name, value) in fields.as_object().into_iter().flatten() {
            event[name] = value.clone();
        }
        event
    }

    fn run(&self, command: &str, database: &str, fields: Value) -> CommandOutput {
        let event = self.event(database, &fields);
        Pgseal::new(&[command, "--event", &event.to_string()])
            .envs(self.bucket.env())
            .envs(self.server.env())
            .run()
    }

    /// The entry of the receipt, and where the backup lies.
    fn backup(&self, database: &str, fields: Value) -> (Value, String) {
        let receipt = self.run("backup", database, fields).complete();
        let entry = receipt["backups"][0].clone();
        let place = format!("s3://{}/{}", self.bucket.name, entry["stem"].as_str().expect("a stem"));
        (entry, place)
    }

    fn inventory(&self, place: &str) -> Value {
        let arguments = ["decrypt", place, "--key", &self.key(), "--what", "inventory"];
        Pgseal::new(&arguments).envs(self.bucket.env()).run().receipt()
    }

    fn recovery_instructions(&self, place: &str) -> String {
        let stem = place
            .strip_prefix(&format!("s3://{}/", self.bucket.name))
            .expect("a place in its bucket");
        String::from_utf8(self.bucket.get(&format!("{stem}.RECOVER.md"))).expect("a text")
    }

    /// By the superuser of a server, through its socket.
    fn restore(&self, target: &Server, place: &str, database: &str, options: &[&str]) -> CommandOutput {
        let to = target.conninfo(database);
        let arguments = ["restore", place, "--key", &self.key(), "--to", &to];
        Pgseal::new(&[&arguments[..], options].concat())
            .env(
                "PGSEAL_PG_BIN",
                format!("{}:{}", target.bin().display(), crate::support::postgres::clients_path()),
            )
            .envs(self.bucket.env())
            .run()
    }

    fn restored(&self, target: &Server, place: &str, database: &str, options: &[&str]) -> Value {
        let said = self.restore(target, place, database, options);
        assert_eq!(said.code, 0, "{database}: {}{}", said.stdout, said.stderr);
        said.receipt()
    }

    /// The report of a drill on this machine.
    fn drill(&self, place: &str) -> (CommandOutput, Value) {
        let folder = tempfile::tempdir_in(self.folder.path()).expect("a folder");
        let arguments = [
            "drill",
            place,
            "--key",
            &self.key(),
            "--report",
            &folder.path().display().to_string(),
        ];
        let said = Pgseal::new(&arguments)
            .env("PGSEAL_PG_BIN", self.server.bin())
            .envs(self.bucket.env())
            .run();
        let files = std::fs::read_dir(folder.path()).expect("the folder").flatten();
        let report = files
            .map(|file| file.path())
            .find(|path| path.extension().is_some_and(|end| end == "json"));
        let report = std::fs::read(report.unwrap_or_else(|| panic!("no report: {}{}", said.stdout, said.stderr)));
        let report = serde_json::from_slice(&report.expect("the report")).expect("JSON");
        (said, report)
    }
}

/// Some text of a list holds all of these.
fn some_tells(texts: &Value, words: &[&str]) -> bool {
    let texts = texts.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.into_iter().any(|text| words.iter().all(|word| text.contains(word)))
}
