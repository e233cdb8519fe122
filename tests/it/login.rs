//! Logins: by IAM token against a server that checks it as RDS does, and (in `password`) by password from each source.

mod password;

use crate::support::aws::{Ministack, REGION};
use crate::support::invariants::{backup_stands, child_of, no_secret, nothing_left, sealed_into};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::postgres::{Authority, Builder, Server};
use crate::support::s3::Bucket;
use crate::support::wait::until;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;
use tempfile::TempDir;

const ACCESS_KEY: &str = "ASIATESTTESTTESTTEST";
const SECRET: &str = "iam/s3cr3t+iam/s3cr3t+iam/s3cr3t+iam/s3c";

/// As long as a real role's, with the characters that base64 brings.
fn session_token() -> String {
    "IQoJb3JpZ2luX2VjE+/w9Hd=".repeat(70)
}

/// A server that lets members of `rds_iam` in by token only: TLS under an authority of its own, PAM, the verifier.
struct Rds {
    server: Server,
    folder: TempDir,
}

impl Rds {
    fn start() -> Self {
        Self::start_with(Server::builder().tls(&["localhost"]))
    }

    fn start_with(builder: Builder) -> Self {
        let folder = TempDir::with_prefix("pgseal-iam-").expect("a temporary folder");
        // The verifier runs as the server's user.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("the folder is opened");
        let config = folder.path().join("iam.json");
        let server = builder
            .hba("hostssl all +rds_iam all pam pamservice=pgseal-rds-iam")
            .environment("TESTBED_IAM_CONFIG", config.to_str().expect("a path in UTF-8"))
            .setting("log_connections", "on")
            .start();
        server.psql("postgres", "create role rds_iam; grant rds_iam to dumper; create database app");
        server.psql(
            "app",
            "create table kept (id int); insert into kept select generate_series(1, 1000)",
        );
        let rds = Self { server, folder };
        rds.knows(json!({}));
        rds
    }

    /// What the instance believes from now on, where it differs from the truth.
    fn knows(&self, otherwise: Value) {
        let mut config = json!({
            "host": "localhost", "port": self.server.port(), "region": REGION, "access_key": ACCESS_KEY,
            "secret_key": SECRET, "session_token": session_token(), "users": ["dumper"], "clock_shift": 0,
        });
        for (name, value) in otherwise.as_object().expect("an object") {
            config[name] = value.clone();
        }
        std::fs::write(self.folder.path().join("iam.json"), config.to_string()).expect("the configuration is written");
    }

    fn event(&self, bucket: &Bucket) -> Value {
        let mut event = sealed_into(self.server.event("app"), bucket);
        event["auth"] = json!("iam");
        event["region"] = json!(REGION);
        event
    }

    /// A run with temporary credentials.
    fn run(&self, event: &Value, bucket: &Bucket) -> CommandOutput {
        self.prepared(event, bucket).run()
    }

    fn prepared(&self, event: &Value, bucket: &Bucket) -> Pgseal {
        let run = Pgseal::backup(event).envs(bucket.env()).envs(self.server.env_without_password());
        let run = run.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET);
        run.env("AWS_SESSION_TOKEN", session_token())
    }

    fn tokens_accepted(&self) -> usize {
        self.server.log().matches("rds-iam: accepted").count()
    }

    /// Not one token reached the server, good or bad.
    fn saw_no_token(&self) {
        assert!(!self.server.log().contains("rds-iam:"), "a token was sent: {}", self.server.log());
    }

    fn nothing_left(&self, bucket: &Bucket, said: &CommandOutput) {
        nothing_left(&self.server, bucket, said, &[SECRET, &session_token()]);
    }
}

#[test]
fn a_token_of_temporary_credentials_is_let_in() {
    let rds = Rds::start();
    let bucket = Ministack::shared().bucket();
    let said = rds.run(&rds.event(&bucket), &bucket);
    let receipt = said.complete();
    assert_eq!(receipt["backups"][0]["rows"], 1000);
    backup_stands(&bucket, &receipt);
    no_secret(&said, &[SECRET, &session_token()]);
    // The preflight and pg_dump at least, each with a token of its own.
    assert!(rds.tokens_accepted() >= 2, "{}", rds.server.log());
    let log = rds.server.log();
    let sizes = log.lines().filter_map(|line| line.strip_prefix("rds-iam: accepted a token of "));
    for size in sizes.filter_map(|rest| rest.split(' ').next()?.parse::<usize>().ok()) {
        assert!(size >= 1600, "tokens as long as a role's: {size}");
    }
}

#[test]
fn what_rds_refuses_is_db_auth() {
    let rds = Rds::start();
    let bucket = Ministack::shared().bucket();
    let refusals = [
        (json!({"secret_key": "another/s3cr3t"}), "signature"),
        (json!({"session_token": "another session"}), "session token"),
        (json!({"access_key": "ASIAANOTHER"}), "credential or region"),
        (json!({"region": "us-east-1"}), "credential or region"),
        (json!({"clock_shift": 901}), "expired"),
        (json!({"clock_shift": -600}), "from the future"),
        (json!({"host": "other.eu-central-1.rds.amazonaws.com"}), "other host"),
        (json!({"users": ["somebody"]}), "rds-db:connect denied"),
    ];
    for (otherwise, why) in refusals {
        rds.knows(otherwise);
        let before = rds.server.log().len();
        let said = rds.run(&rds.event(&bucket), &bucket);
        said.failed("db_auth", 3);
        let log = rds.server.log();
        assert!(
            log[before..].contains(&format!("rds-iam: refused: {why}")),
            "refused for this reason: {why}\n{log}"
        );
        rds.nothing_left(&bucket, &said);
    }
    assert_eq!(rds.tokens_accepted(), 0);
}

#[test]
fn a_user_without_rds_iam_is_db_auth() {
    let rds = Rds::start();
    rds.server.psql("postgres", "revoke rds_iam from dumper");
    let bucket = Ministack::shared().bucket();
    let said = rds.run(&rds.event(&bucket), &bucket);
    let receipt = said.failed("db_auth", 3);
    let hint = receipt["backups"][0]["error"]["hint"].as_str().expect("a hint");
    assert!(hint.contains("rds_iam") && hint.contains("rds-db:connect"), "a checklist: {hint}");
    rds.nothing_left(&bucket, &said);
}

#[test]
fn special_characters_in_a_user_are_encoded_in_the_token() {
    let rds = Rds::start();
    let bucket = Ministack::shared().bucket();
    for user in [
        "o'brien",
        "a+b c",
        "x&DBUser=root",
        "per%cent/slash",
        "Jürgen@example.com",
        "ends=",
        "\"quoted\"",
    ] {
        let quoted = format!("\"{}\"", user.replace('"', "\"\""));
        rds.server
            .psql("postgres", &format!("create role {quoted} login in role rds_iam, pg_read_all_data"));
        rds.knows(json!({"users": [user]}));
        let mut event = rds.event(&bucket);
        event["user"] = json!(user);
        event["prefix"] = json!(format!("backups/{}", rds.tokens_accepted()));
        let said = rds.run(&event, &bucket);
        said.complete();
    }
}

#[test]
fn a_token_goes_over_proven_tls_only() {
    let bucket = Ministack::shared().bucket();
    let servers = [
        ("no TLS", Server::builder()),
        ("another name", Server::builder().tls(&["db.example"])),
        (
            "an expired certificate",
            Server::builder().tls_by(Authority::of_expired(), &["localhost"]),
        ),
    ];
    for (fault, builder) in servers {
        let rds = Rds::start_with(builder);
        // What would do for a password is no way round.
        let said = rds.prepared(&rds.event(&bucket), &bucket).env("PGSSLMODE", "disable").run();
        assert_eq!(said.error_code(), "db_tls", "{fault}: {}", said.stderr);
        assert_eq!(said.code, 3);
        rds.saw_no_token();
        rds.nothing_left(&bucket, &said);
    }
}

#[test]
fn an_unknown_authority_gets_no_token() {
    let rds = Rds::start();
    let bucket = Ministack::shared().bucket();
    let stranger = Authority::new();
    let named = rds
        .prepared(&rds.event(&bucket), &bucket)
        .env("PGSSLROOTCERT", stranger.pem())
        .run();
    // An empty variable is as none: then Amazon's authorities count, and they did not sign this.
    let default = rds.prepared(&rds.event(&bucket), &bucket).env("PGSSLROOTCERT", "").run();
    for said in [named, default] {
        said.failed("db_tls", 3);
        rds.nothing_left(&bucket, &said);
    }
    rds.saw_no_token();
}

#[test]
fn iam_keeps_to_tls_whatever_pgsslmode_says() {
    let rds = Rds::start();
    let bucket = Ministack::shared().bucket();
    rds.prepared(&rds.event(&bucket), &bucket)
        .env("PGSSLMODE", "disable")
        .run()
        .complete();
}

#[test]
fn a_host_that_is_not_allowed_is_never_called() {
    let rds = Rds::start();
    let bucket = Ministack::shared().bucket();
    let calls = || rds.server.log().matches("connection received: host=127.0.0.1").count();
    let before = calls();
    for (allowed, code) in [
        ("", "bad_event"),
        ("*.rds.amazonaws.com", "host_not_allowed"),
        ("db.example,*.localhost", "host_not_allowed"),
        ("localhos", "host_not_allowed"),
    ] {
        for auth in ["iam", "password"] {
            let mut event = rds.event(&bucket);
            event["auth"] = json!(auth);
            let run = rds.prepared(&event, &bucket).env("PGSEAL_ALLOWED_HOSTS", allowed);
            let said = run.env("PGPASSWORD", rds.server.password()).run();
            said.failed(code, 2);
            assert!(said.stdout.contains("PGSEAL_ALLOWED_HOSTS"), "names the variable: {}", said.stdout);
            rds.nothing_left(&bucket, &said);
        }
    }
    assert_eq!(calls(), before, "{}", rds.server.log());
}

#[test]
fn a_missing_region_is_never_guessed() {
    let rds = Rds::start();
    let bucket = Ministack::shared().bucket();
    let mut event = rds.event(&bucket);
    event.as_object_mut().expect("an object").remove("region");
    let said = rds.prepared(&event, &bucket).env("AWS_REGION", "").run();
    assert_eq!(said.failed("bad_event", 2)["error"]["field"], "region");
    rds.saw_no_token();
}

/// While pg_dump waits for a lock, what the machine shows of it and of pgseal is free of secrets.
#[test]
fn processes_show_no_secret() {
    let rds = Rds::start();
    let bucket = Ministack::shared().bucket();
    let mut iam = rds.event(&bucket);
    iam["lock_timeout"] = json!("60s");
    let mut password = iam.clone();
    password["auth"] = json!("password");
    password["user"] = json!("owner");
    for event in [iam, password] {
        let mut holder = rds.server.session("app");
        holder.run("begin; lock table kept in access exclusive mode");
        let run = rds.prepared(&event, &bucket).env("PGPASSWORD", rds.server.password());
        let pgseal = run.spawn();
        let (dump, shown) = seen_waiting(&pgseal, &rds.server);
        for secret in [
            rds.server.password(),
            SECRET,
            &session_token(),
            ACCESS_KEY,
            "X-Amz",
            "AWS_",
            "PGPASSWORD",
        ] {
            assert!(!shown.contains(secret), "pg_dump's /proc shows {secret}: {shown}");
        }
        // The password travels in a file without a name, which nobody else may open.
        assert!(
            memory_files(dump).iter().all(|mode| mode & 0o077 == 0),
            "a memory file is open to others"
        );
        drop(holder);
        let said = CommandOutput::from(pgseal.wait_with_output().expect("pgseal ends"));
        said.complete();
        no_secret(&said, &[rds.server.password(), SECRET, &session_token()]);
        for key in bucket.keys() {
            bucket.delete(&key);
        }
    }
}

/// Waits until the child pg_dump of this run waits for the lock; its id, its arguments and its environment.
fn seen_waiting(pgseal: &Child, server: &Server) -> (u32, String) {
    const WAITING: &str = "select count(*) from pg_stat_activity
        where wait_event_type = 'Lock' and query like 'LOCK TABLE%'";
    until("pg_dump comes to the lock", || server.psql("postgres", WAITING) != "0");
    let dump = child_of(pgseal.id()).expect("a child pg_dump");
    let read = |file: &str| std::fs::read(format!("/proc/{dump}/{file}")).expect("our own child");
    let shown = ["cmdline", "environ"].map(read).concat();
    (dump, String::from_utf8_lossy(&shown).into_owned())
}

/// The modes of the memory files that a process holds open.
fn memory_files(process: u32) -> Vec<u32> {
    let held = std::fs::read_dir(format!("/proc/{process}/fd")).expect("our own child").flatten();
    let target = |file: &Path| std::fs::read_link(file).unwrap_or_default().to_string_lossy().into_owned();
    let memory = held.map(|file| file.path()).filter(|file| target(file).starts_with("/memfd:"));
    memory
        .filter_map(|file| Some(std::fs::metadata(file).ok()?.permissions().mode()))
        .collect()
}
