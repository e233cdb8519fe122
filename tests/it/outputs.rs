//! Outputs that break, and signals: what was done stands, no matter who reads of it, and it always ends.

use crate::support::invariants::{RECIPIENT, backup_stands, event};
use crate::support::pgseal::{CommandOutput, Pgseal, bare};
use crate::support::postgres::Server;
use crate::support::s3::{Bucket, EmbeddedS3};
use crate::support::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::net::TcpListener;
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Stdio};

/// A server with a database of a hundred rows, and a bucket.
struct Fixture {
    server: Server,
    _s3: EmbeddedS3,
    bucket: Bucket,
}

impl Fixture {
    fn new() -> Self {
        let server = Server::start();
        server.create_app("create table plain (id int); insert into plain select generate_series(1, 100)");
        let s3 = EmbeddedS3::start();
        let bucket = s3.bucket();
        Self { server, _s3: s3, bucket }
    }

    fn event(&self, time: &str) -> String {
        let mut event = event(&self.server, "app", &self.bucket);
        event["scheduled_time"] = json!(time);
        event.to_string()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare();
        command
            .args(arguments)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(self.bucket.env())
            .envs(self.server.env())
            .stdin(Stdio::null());
        command
    }

    fn stands(&self, stem: &str) -> bool {
        self.bucket.keys().contains(&format!("backups/{stem}.manifest.jsonl"))
    }
}

/// A stream that takes nothing, by its name.
type Broken = (&'static str, fn() -> Stdio);

/// An event, its environment, and the code and field of the refusal.
type Pinned<'a> = (Value, &'a [(&'a str, &'a str)], &'a str, &'a str);

fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").expect("/dev/full").into()
}

/// A pipe that nobody reads any more.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// S1-7: a reader of the log that went away once turned a finished backup into exit 101 without a receipt.
#[test]
fn a_broken_stderr_changes_no_outcome() {
    let fixture = Fixture::new();
    let broken: [Broken; 2] = [("full", full), ("closed", closed)];
    for (hour, (name, stderr)) in broken.into_iter().enumerate() {
        let event = fixture.event(&format!("2026-11-24T{hour:02}:00:00Z"));
        let output = fixture.command(&["backup", "--event", &event]).stderr(stderr()).output();
        let said = CommandOutput::from(output.expect("it ends"));
        assert_eq!(said.code, 0, "{name}: {}", said.stdout);
        backup_stands(&fixture.bucket, &said.complete());
        for arguments in [["check", "--event", &event], ["plan", "--event", &event]] {
            let output = fixture.command(&arguments).stderr(stderr()).output().expect("it ends");
            assert_eq!(output.status.code(), Some(0), "{name}, {arguments:?}");
        }
        // A failure keeps its code and its receipt too.
        let output = fixture.command(&["backup", "--event", "{}"]).stderr(stderr()).output();
        CommandOutput::from(output.expect("it ends")).failed("no_public_key", 2);
        let output = fixture.command(&["bakcup"]).stderr(stderr()).output().expect("it ends");
        assert_eq!(output.status.code(), Some(2), "{name}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_said_and_what_was_done_stands() {
    let fixture = Fixture::new();
    let broken: [Broken; 2] = [("full", full), ("closed", closed)];
    for (hour, (name, stdout)) in broken.into_iter().enumerate() {
        let event = fixture.event(&format!("2026-11-24T{hour:02}:00:00Z"));
        let place = format!("s3://{}/backups", fixture.bucket.name);
        let commands: [&[&str]; 5] = [
            &["backup", "--event", &event],
            &["check", "--event", &event],
            &["plan", "--event", &event],
            &["list", &place],
            &["--help"],
        ];
        for arguments in commands {
            let output = fixture.command(arguments).stdout(stdout()).output();
            let said = CommandOutput::from(output.expect("it ends"));
            assert_eq!(said.code, 74, "{name}, {}: {}", arguments[0], said.stderr);
            assert!(said.stderr.contains("pgseal: output_failed"), "{name}: {}", said.stderr);
        }
        assert!(
            fixture.stands(&format!("app_20261124T{hour:02}0000Z")),
            "{name}: {:?}",
            fixture.bucket.keys()
        );
        // A failure is worth more than that nobody could read of it.
        let output = fixture
            .command(&["backup", "--event", "{}"])
            .stdout(stdout())
            .output()
            .expect("it ends");
        assert_eq!(output.status.code(), Some(2), "{name}");
    }
    // Both at once.
    let event = fixture.event("2026-11-25T00:00:00Z");
    let ended = fixture
        .command(&["backup", "--event", &event])
        .stdout(full())
        .stderr(full())
        .status();
    assert_eq!(ended.expect("it ends").code(), Some(74));
    assert!(fixture.stands("app_20261125T000000Z"));
}

/// A server that takes the connection and says nothing: whatever then hangs, the signal ends it.
#[test]
fn each_signal_that_ends_a_session_ends_the_program_with_a_receipt() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", silent.local_addr().expect("its address"));
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let child = Pgseal::backup(&order(&RECIPIENT))
            .env("AWS_ENDPOINT_URL_S3", endpoint.as_str())
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "none")
            .spawn();
        // It waits for an answer from here on.
        let connection = silent.accept().expect("it connects");
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        let said = CommandOutput::from(child.wait_with_output().expect("it ends"));
        said.failed("terminated", 6);
        drop(connection);
    }
}

/// A reader that neither reads nor goes away: the answer waits for it, until a signal comes.
#[test]
fn a_stdout_that_nobody_empties_does_not_outlive_a_signal() {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).expect("a small pipe");
    std::io::Write::write_all(&mut writer, &[b' '; 4096]).expect("it is full now");
    let mut child = bare()
        .args(["codes"])
        .stdout(writer)
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    // In the midst of its answer it sleeps in the system.
    let stat = format!("/proc/{}/wchan", child.id());
    until("it sleeps in its answer", || {
        std::fs::read_to_string(&stat).is_ok_and(|wchan| wchan.contains("pipe"))
    });
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    assert_eq!(child.wait().expect("it ends").code(), Some(74));
    drop(reader);
}

fn order(key: &str) -> Value {
    json!({
        "database": "app", "host": "orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com", "user": "backup", "region": "eu-west-1",
        "bucket": "acme-backups", "public_key": key,
    })
}

#[test]
fn a_variable_that_is_not_utf_8_is_named_through_every_entry_point() {
    let value = || std::ffi::OsString::from_vec(vec![b'x', 0xff]);
    let text = order(&RECIPIENT).to_string();
    for name in ["PGSEAL_ALLOWED_FINGERPRINTS", "OPENSSL_PUBLIC_KEY", "BACKUP_EVENT"] {
        for arguments in [&["backup", "--event", &text] as &[&str], &["check", "--event", &text], &[]] {
            let receipt = Pgseal::new(arguments).env(name, value()).run().failed("bad_event", 2);
            assert_eq!(receipt["error"]["field"], name, "{receipt}");
        }
        let said = Pgseal::new(&["list", "."]).env(name, value()).run();
        assert!(said.code == 2 && said.stderr.contains(name), "{}", said.stderr);
    }
}

/// What lies in the repository is nobody's key.
#[test]
fn a_test_key_of_the_repository_is_refused_and_a_fresh_one_is_not() {
    let text = include_str!("../../events/accepted/minimal.json");
    let public: Value = serde_json::from_str(text).expect("JSON");
    let check = |event: &Value| Pgseal::new(&["check", "--offline", "--event", &event.to_string()]);
    check(&public).run().failed("bad_public_key", 2);
    assert_eq!(check(&order(&RECIPIENT)).run().code, 0);
    let allowed = check(&public).env("TESTBED_KEYS", "allowed").run().receipt();
    assert!(
        allowed["warnings"][0].as_str().is_some_and(|told| told.contains("test key")),
        "{allowed}"
    );
}

/// Each pin: what the environment fixes, and what an event may then still say.
#[test]
fn the_environment_pins_what_an_event_may_set() {
    let other = "billing.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com";
    let with = |more: Value| {
        let mut event = order(&RECIPIENT);
        event
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        event
    };
    let run = |event: Value, environment: &[(&str, &str)]| {
        let text = event.to_string();
        Pgseal::new(&["check", "--offline", "--event", &text])
            .envs(environment.iter().copied())
            .run()
    };
    let own = ("POSTGRES_HOST", "orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com");
    let envelope = json!({"source": "aws.events", "detail-type": "Scheduled Event", "time": "2026-11-24T02:00:00Z", "detail": {}});
    let with_detail = |detail: Value| {
        let mut envelope = envelope.clone();
        envelope["detail"] = detail;
        envelope
    };
    let refused: [Pinned<'_>; 10] = [
        (
            with_detail(json!({"scheduled_time": "2026-11-24T02:00:00Z"})),
            &[("PGSEAL_EVENT_FIELDS", "action")],
            "bad_event",
            "scheduled_time",
        ),
        (
            with(json!({})),
            &[("PGSEAL_EVENT_FIELDS", "action,scheduled_time")],
            "bad_event",
            "database",
        ),
        (json!({"prefix": "x"}), &[("PGSEAL_EVENT_FIELDS", "action")], "bad_event", "prefix"),
        (json!({}), &[("PGSEAL_EVENT_FIELDS", "action,bukcet")], "bad_event", "bukcet"),
        (json!({}), &[("PGSEAL_EVENT_DEFAULTS", r#"{"bukcet": "b"}"#)], "bad_event", "bukcet"),
        (with(json!({"host": other})), &[own], "host_not_allowed", "host"),
        (
            with(json!({"host": other, "auth": "password"})),
            &[own, ("PGPASSWORD", "x")],
            "host_not_allowed",
            "host",
        ),
        (
            with(json!({"host": "localhost"})),
            &[("POSTGRES_HOST", "localhost")],
            "host_not_allowed",
            "host",
        ),
        (with(json!({})), &[("OPENSSL_PUBLIC_KEY", "")], "bad_event", "public_key"),
        (with(json!({"rate_limit": "0.00001M"})), &[], "bad_event", "rate_limit"),
    ];
    for (event, environment, code, field) in refused {
        let receipt = run(event, environment).failed(code, 2);
        assert_eq!(receipt["error"]["field"], field, "{environment:?}: {receipt}");
    }
    let defaults = with(json!({"prefix": "defaults", "compression": "none"})).to_string();
    let environment = [
        ("PGSEAL_EVENT_DEFAULTS", defaults.as_str()),
        ("PGSEAL_EVENT_FIELDS", "prefix"),
        ("S3_BUCKET", "single-variable"),
    ];
    let plan = run(json!({"prefix": "event"}), &environment).receipt();
    assert_eq!(
        (&plan["prefix"], &plan["compression"], &plan["bucket"]),
        (&json!("event"), &json!("none"), &json!("acme-backups")),
        "{plan}"
    );
    let listed = [
        ("PGSEAL_EVENT_DEFAULTS", defaults.as_str()),
        ("PGSEAL_EVENT_FIELDS", "scheduled_time"),
    ];
    assert_eq!(run(envelope, &listed).receipt()["scheduled_time"], "2026-11-24T02:00:00Z");
    // What the defaults say is validated like an event, and told as theirs.
    let receipt = run(
        json!({}),
        &[("PGSEAL_EVENT_DEFAULTS", &with(json!({"compression": "gzip"})).to_string())],
    )
    .failed("bad_event", 2);
    assert!(
        receipt["error"]["message"]
            .as_str()
            .is_some_and(|told| told.contains("PGSEAL_EVENT_DEFAULTS")),
        "{receipt}"
    );
    let both = [own, ("PGSEAL_ALLOWED_HOSTS", "*.rds.amazonaws.com")];
    assert_eq!(run(with(json!({"host": other})), &both).code, 0, "the list is the deployment's own");
}
