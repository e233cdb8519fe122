//! Secrets: hunted in what a run says at its most talkative, in what its processes show, and in what it leaves behind.
//! Beside these, every run of every test is looked through (`support::canaries`).

use crate::support::canaries::hunt;
use crate::support::invariants::{RECIPIENT, child_of, sealed_into};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::postgres::Server;
use crate::support::s3::{EmbeddedS3, SECRET_KEY};
use crate::support::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const SESSION_TOKEN: &str = "FwoGcanaryOfASessionTokenThatNobodyMaySee//////////";

struct Fixture {
    server: Server,
    s3: EmbeddedS3,
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let server = Server::start();
        server.create_app("create table plain as select generate_series(1, 1000) as id");
        Self {
            server,
            s3: EmbeddedS3::start(),
            folder: TempDir::with_prefix("pgseal-secrets-").expect("a temporary folder"),
        }
    }

    /// A run that logs all it has, in a folder of its own that is also its place for temporary files.
    fn talkative(&self, arguments: &[&str]) -> Pgseal {
        let run = Pgseal::new(arguments).envs(self.s3.env()).envs(self.server.env());
        run.env("PGSEAL_LOG", "trace")
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full")
            .env("AWS_SESSION_TOKEN", SESSION_TOKEN)
            .env("TESTBED_KEYS", "allowed")
            .env("TMPDIR", self.folder.path())
            .current_dir(self.folder.path())
    }

    fn event(&self, public_key: &str) -> Value {
        let mut event = sealed_into(self.server.event("app"), &self.s3.bucket());
        event["public_key"] = json!(public_key);
        event
    }

    fn left_nothing(&self) {
        let left: Vec<PathBuf> = fs::read_dir(self.folder.path())
            .expect("the folder")
            .flatten()
            .map(|entry| entry.path())
            .collect();
        assert!(left.is_empty(), "files were left: {left:?}");
    }

    /// What nobody may see of this fixture.
    fn canaries(&self) -> [&str; 3] {
        [SECRET_KEY, SESSION_TOKEN, self.server.password()]
    }
}

fn keys() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/keys")
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().expect("openssl starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The secret of one backup is known to nobody but its recipients: here one of them asks stock openssl for it.
#[test]
fn no_log_at_any_level_holds_a_secret_of_a_good_run() {
    let fixture = Fixture::new();
    let private = keys().join("recipient-a.pem");
    let public = openssl(&["pkey", "-pubout", "-in", path(&private)]);
    let event = fixture.event(&String::from_utf8(public).expect("PEM"));
    let said = fixture.talkative(&["backup", "--event", &event.to_string()]).run();
    let receipt = said.complete();
    assert!(said.stderr.contains("starting"), "it said nothing: {}", said.stderr);

    let kept = tempfile::tempdir().expect("a temporary folder");
    let bucket = event["bucket"].as_str().expect("a bucket");
    let objects = receipt["backups"][0]["objects"].as_array().expect("objects");
    let wrapped = objects.iter().find(|object| object["role"] == "key").expect("a key")["key"]
        .as_str()
        .expect("its name");
    let object = fixture.s3.path(bucket, wrapped);
    let secret = openssl(&[
        "pkeyutl",
        "-decrypt",
        "-inkey",
        path(&private),
        "-in",
        path(&object),
        "-pkeyopt",
        "rsa_padding_mode:oaep",
        "-pkeyopt",
        "rsa_oaep_md:sha256",
        "-pkeyopt",
        "rsa_mgf1_md:sha256",
    ]);
    let secret = String::from_utf8(secret).expect("the secret is text");
    let place = format!("s3://{bucket}/{}", receipt["backups"][0]["stem"].as_str().expect("a stem"));
    let out = kept.path().join("dump.sql");
    let home = [
        vec!["verify", &place, "--key", path(&private)],
        vec!["decrypt", &place, "--key", path(&private), "-o", path(&out)],
        vec!["list", &place],
    ];
    let mut told = vec![said];
    told.extend(home.iter().map(|arguments| fixture.talkative(arguments).run()));
    assert!(
        told.iter().all(|said| said.code == 0),
        "{}",
        told.iter().map(|said| said.stderr.clone()).collect::<String>()
    );
    let lines: Vec<String> = fs::read_to_string(&private).expect("PEM").lines().map(str::to_owned).collect();
    for said in &told {
        hunt(said, &fixture.canaries());
        hunt(said, &[secret.trim_end()]);
        hunt(
            said,
            &lines
                .iter()
                .filter(|line| !line.starts_with("-----"))
                .map(String::as_str)
                .collect::<Vec<_>>(),
        );
    }
    fixture.left_nothing();
}

#[test]
fn no_error_at_any_level_holds_a_secret() {
    let fixture = Fixture::new();
    let private = fs::read_to_string(keys().join("recipient-a.pem")).expect("PEM");
    let body: String = private.lines().filter(|line| !line.starts_with("-----")).take(1).collect();
    let changed = |name: &str, value: Value| {
        let mut event = fixture.event(&RECIPIENT);
        event[name] = value;
        event
    };
    let in_a_line = private.replace('\n', "\\n");
    let with_noise = private.replace('\n', " \t\n");
    let encoded = {
        use base64::{Engine, prelude::BASE64_STANDARD};
        BASE64_STANDARD.encode(&private)
    };
    let without_ends = private.lines().filter(|line| !line.starts_with("-----")).collect::<String>();
    // A private key in five disguises, then other ends.
    let events = [
        changed("public_key", json!(private)),
        changed("public_key", json!(in_a_line)),
        changed("public_key", json!(with_noise)),
        changed("public_key", json!(encoded)),
        changed("public_key", json!(without_ends)),
        changed("database", json!("missing")),
        changed("user", json!("nobody")),
        changed("bucket", json!("no-such-bucket-here")),
        changed("password", json!(fixture.server.password())),
        changed("password_secret", json!("no ARN")),
    ];
    for (number, event) in events.iter().enumerate() {
        let said = fixture.talkative(&["backup", "--event", &event.to_string()]).run();
        assert_ne!(said.code, 0, "event {number}: {}", said.stdout);
        if number < 5 {
            said.failed("private_key_given", 2);
        }
        hunt(&said, &fixture.canaries());
        hunt(&said, &[&body]);
    }
    fixture.left_nothing();
}

/// The pg_dump of this run, once it waits for a lock.
fn waiting(fixture: &Fixture, run: u32) -> u32 {
    let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
    until("a pg_dump waits", || fixture.server.psql("postgres", waits) != "0");
    child_of(run).expect("a pg_dump")
}

/// Every regular file that a process has open and that has a name on some disk.
fn named_files(process: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{process}/fd")).expect("its descriptors").flatten();
    let targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets
        .filter(|target| target.starts_with("/") && !target.starts_with("/dev"))
        .filter(|target| !target.to_string_lossy().starts_with("/memfd:"))
        .collect()
}

#[test]
fn processes_of_a_run_show_no_secret_and_leave_no_core() {
    let fixture = Fixture::new();
    let mut holder = fixture.server.session("app");
    holder.run("begin; lock table plain in access exclusive mode");
    let event = fixture.event(&RECIPIENT);
    let child = fixture.talkative(&["backup", "--event", &event.to_string()]).spawn();
    let dump = waiting(&fixture, child.id());

    let read = |process: u32, file: &str| {
        String::from_utf8_lossy(&fs::read(format!("/proc/{process}/{file}")).expect("root reads all")).into_owned()
    };
    // Our own environment is our user's; whatever we start has none of it.
    let shown = [read(child.id(), "cmdline"), read(dump, "cmdline"), read(dump, "environ")].concat();
    for canary in fixture.canaries() {
        assert!(!shown.contains(canary), "a process shows {canary}");
    }
    for process in [child.id(), dump] {
        let core = read(process, "limits")
            .lines()
            .find(|line| line.starts_with("Max core file size"))
            .map(str::to_owned);
        let core = core.expect("a limit of cores");
        assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
        let named = named_files(process);
        assert!(named.is_empty(), "{process} has files open: {named:?}");
    }
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(format!("/proc/{}/mem", child.id())).expect("its memory"));
    assert_eq!(owner, 0, "a process that can be dumped belongs to its user in /proc");

    kill_process(Pid::from_child(&child), Signal::QUIT).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    assert!(
        !std::os::unix::process::ExitStatusExt::core_dumped(&output.status),
        "it left a core"
    );
    hunt(&CommandOutput::from(output), &fixture.canaries());
    fixture.left_nothing();
}
