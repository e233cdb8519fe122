//! The Lambda door, behind the real runtime interface emulator: the same loop that runs on AWS.

mod ends;

use crate::support::aws::{Kept, http, testbed};
use crate::support::invariants::{backup_stands, clients_of, event};
use crate::support::platform::Platform;
use crate::support::ports::Reserved;
use crate::support::postgres::Server;
use crate::support::s3::{Bucket, EmbeddedS3, SECRET_KEY};
use crate::support::wait::until;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// One function of one process, warm after its first event.
struct Function {
    server: Server,
    bucket: Bucket,
    port: Reserved,
    _api: Reserved,
    process: Kept,
    _s3: EmbeddedS3,
    _folder: tempfile::TempDir,
}

fn emulator() -> PathBuf {
    let name = if cfg!(target_arch = "aarch64") {
        "aws-lambda-rie-arm64"
    } else {
        "aws-lambda-rie-x86_64"
    };
    let libraries = std::fs::read_dir(testbed("venv-sam/lib")).expect("the venv").flatten();
    let found = libraries.map(|python| python.path().join("site-packages/samcli/local/rapid").join(name));
    found
        .into_iter()
        .find(|path| path.exists())
        .expect("the emulator: run testbed/aws.sh install")
}

impl Function {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(settings: &[(&str, &str)]) -> Self {
        let server = Server::start();
        server.create_app("create table plain (id int); insert into plain select generate_series(1, 100)");
        let s3 = EmbeddedS3::start();
        let bucket = s3.bucket();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (port, api) = (Reserved::new(), Reserved::new()); // they cannot be 0
        let mut command = Command::new(emulator());
        command
            .args(["--log-level", "error"])
            .args(["--runtime-interface-emulator-address", &format!("127.0.0.1:{}", port.port())])
            .args(["--runtime-api-address", &format!("127.0.0.1:{}", api.port())])
            .arg(env!("CARGO_BIN_EXE_pgseal"))
            .env("AWS_LAMBDA_FUNCTION_TIMEOUT", "120")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(bucket.env())
            .envs(server.env())
            .envs(settings.iter().copied())
            .current_dir(folder.path());
        let process = Kept::spawn(command, &folder.path().join("log"));
        process.wait_for(|| TcpStream::connect(("127.0.0.1", port.port())).is_ok());
        Self {
            server,
            bucket,
            port,
            process,
            _api: api,
            _s3: s3,
            _folder: folder,
        }
    }

    fn event(&self) -> Value {
        event(&self.server, "app", &self.bucket)
    }

    fn invoke(&self, event: &Value) -> Value {
        self.invoke_text(&event.to_string())
    }

    fn invoke_text(&self, event: &str) -> Value {
        let path = "/2015-03-31/functions/function/invocations";
        let answer = http("127.0.0.1", self.port.port(), "POST", path, event.as_bytes()).expect("an answer");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{}: {text}\n{}", answer.status, self.process.log()))
    }

    fn complete(&self, event: &Value) -> Value {
        let receipt = self.invoke(event);
        assert_eq!(receipt["status"], "complete", "{receipt}\n{}", self.process.log());
        backup_stands(&self.bucket, &receipt);
        receipt
    }

    /// Asserts the `errorType`, and gives what the message holds: the receipt's failed entries.
    fn fails(&self, event: &Value, error_type: &str) -> Value {
        let answer = self.invoke(event);
        assert_eq!(answer["errorType"], error_type, "{answer}\n{}", self.process.log());
        let message = answer["errorMessage"].as_str().expect("a message");
        let receipt: Value = serde_json::from_str(message).expect("the message is a receipt");
        assert_eq!(receipt["status"], "failed");
        receipt
    }

    /// Process ids of the program itself, below the emulator.
    fn runtimes(&self) -> Vec<u32> {
        let parent = |id: u32| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            let (_, after_name) = stat.rsplit_once(')')?;
            after_name.split_whitespace().nth(1)?.parse::<u32>().ok()
        };
        let named = |id: &u32| std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim() == "pgseal");
        let all = std::fs::read_dir("/proc").expect("/proc").flatten();
        let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter(named).filter(|id| parent(*id) == Some(self.process.id())).collect()
    }
}

#[test]
fn a_good_event_gives_the_receipt() {
    let function = Function::new();
    let receipt = function.complete(&function.event());
    assert_eq!(receipt["backups"][0]["rows"], 100);
}

#[test]
fn a_bad_event_is_an_error_of_its_own_type() {
    let function = Function::new();
    let mut event = function.event();
    event["compression"] = json!("topsecretvalue");
    let receipt = function.fails(&event, "pgseal.bad_event");
    assert_eq!(receipt["error"]["field"], "compression");
    assert!(!receipt.to_string().contains("topsecretvalue"), "{receipt}");
    assert_eq!(function.bucket.keys(), [""; 0]);
    for event in [json!("text"), json!([]), json!(7), json!(null), json!({})] {
        let answer = function.invoke(&event);
        let error_type = answer["errorType"].as_str().unwrap_or_default();
        assert!(
            error_type == "pgseal.bad_event" || error_type == "pgseal.no_public_key",
            "{event}: {answer}"
        );
    }
}

/// It once took the last of the two: another order than the sender's reader sees.
#[test]
fn a_field_given_twice_is_refused_here_as_everywhere() {
    let function = Function::new();
    let event = function.event().to_string();
    let twice = format!("{},\"database\":\"part\"}}", event.trim_end_matches('}'));
    let answer = function.invoke_text(&twice);
    assert_eq!(answer["errorType"], "pgseal.bad_event", "{answer}");
    assert!(
        answer["errorMessage"].as_str().is_some_and(|told| told.contains("given twice")),
        "{answer}"
    );
    assert_eq!(function.bucket.keys(), [""; 0]);
}

/// The runtime library once answered these by itself, and logged where to see what was in them.
#[test]
fn an_event_that_is_no_json_is_a_bad_event_and_told_nowhere() {
    let platform = Platform::start([("AWS_LAMBDA_LOG_LEVEL", "TRACE")]);
    let deep = format!("{{\"database\": {}\"hunter2\"{}}}", "[".repeat(140), "]".repeat(140));
    let bodies: [(&[u8], &str); 8] = [
        (deep.as_bytes(), "nested too deeply"),
        (br#"{"database": "hunter2\ud800"}"#, "not JSON"),
        (br#"{"database": "hunter2", "port": 1e999}"#, "not JSON"),
        (b"", "empty"),
        (b"\xef\xbb\xbf\xef\xbb\xbf{\"database\": \"hunter2\"}", "not JSON"),
        (b"hunter2", "not JSON"),
        (b"{\"database\": \"hunter2\xff\"}", "not UTF-8"),
        (br#"{"database": "hunter2"} {"#, "not JSON"),
    ];
    for (body, reason) in bodies {
        let shown = String::from_utf8_lossy(body);
        let (error_type, receipt) = platform.invoke_bytes(body, Duration::from_secs(60)).expect_err(&shown);
        assert_eq!(error_type, "pgseal.bad_event", "{shown}");
        assert_eq!(
            (&receipt["status"], &receipt["error"]["code"]),
            (&json!("failed"), &json!("bad_event"))
        );
        let message = receipt["error"]["message"].as_str().expect("a message");
        assert!(message.contains(reason), "{shown}: {message}");
        assert!(!receipt.to_string().contains("hunter2"), "{receipt}");
    }
    until("the failure is in the log", || platform.log().contains("bad_event"));
    let log = platform.log();
    assert!(
        log.contains("bad_event") && !log.contains("hunter2") && !log.contains("TRACE level"),
        "{log}"
    );
}

#[test]
fn an_event_without_an_id_is_a_fault_of_the_platforms_and_no_bug() {
    let mut platform = Platform::start([("", ""); 0]);
    let exit = platform.give_event_without_id();
    let log = platform.log();
    assert_eq!(exit, Some(4), "{log}");
    assert!(log.contains("aws_failed") && log.contains("Lambda-Runtime-Aws-Request-Id"), "{log}");
}

/// One beyond the year 9999 ended the process by a panic, and the event was never answered.
#[test]
fn a_deadline_without_sense_is_none() {
    let platform = Platform::start([("", ""); 0]);
    let deadlines = [
        "",
        "soon",
        "-1",
        "0",
        "999999999999999999",
        "18446744073709551615",
        "99999999999999999999999",
    ];
    let header = |deadline: &str| format!("Lambda-Runtime-Deadline-Ms: {deadline}\r\n");
    for headers in deadlines.map(header).into_iter().chain([String::new()]) {
        let (error_type, _) = platform.invoke_by(&headers, b"{}").expect_err(&headers);
        assert_eq!(error_type, "pgseal.no_public_key", "{headers}");
    }
}

/// One that AWS's own runtime cannot read ended the process: exit 4, or 0 in silence where an event had been answered.
#[test]
fn headers_that_are_not_ours_change_nothing() {
    let platform = Platform::start([("", ""); 0]);
    let strange = [
        r#"Lambda-Runtime-Client-Context: {"custom":{"retries":3}}"#,
        r#"Lambda-Runtime-Client-Context: {"custom":{"x":{"y":1}}}"#,
        r#"Lambda-Runtime-Client-Context: {"client":"job"}"#,
        r#"Lambda-Runtime-Client-Context: {"custom":null}"#,
        "Lambda-Runtime-Client-Context: \u{e9}",
        "Lambda-Runtime-Client-Context:",
        r#"Lambda-Runtime-Cognito-Identity: {"identityId":7}"#,
        "Lambda-Runtime-Invoked-Function-Arn: \u{e9}",
        "Lambda-Runtime-Trace-Id: \u{e9}",
    ];
    // The first meets a process that has answered nothing yet.
    for header in strange {
        let outcome = platform.invoke_with(&format!("{header}\r\n"), b"{}", Duration::from_secs(60));
        let (error_type, _) = outcome.expect_err(header);
        assert_eq!(error_type, "pgseal.no_public_key", "{header}");
    }
}

#[test]
fn an_eventbridge_envelope_names_the_time() {
    let function = Function::new();
    let envelope = json!({
        "version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "detail-type": "Scheduled backup",
        "source": "acme.backups", "account": "123456789012", "time": "2026-11-24T02:00:00Z", "region": "eu-central-1",
        "resources": [], "detail": function.event(),
    });
    let receipt = function.complete(&envelope);
    assert_eq!(receipt["backups"][0]["stem"], "backups/app_20261124T020000Z");
}

#[test]
fn a_second_delivery_of_a_scheduled_event_finds_it_done() {
    let function = Function::new();
    let mut event = function.event();
    event["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    function.complete(&event);
    let before = function.bucket.keys();
    assert_eq!(function.invoke(&event)["status"], "already_complete");
    assert_eq!(function.bucket.keys(), before);
}

#[test]
fn one_process_answers_many_events_and_keeps_nothing_of_them() {
    let function = Function::new();
    let mut event = function.event();
    let mut runtimes = Vec::new();
    for minute in 0..6 {
        event["scheduled_time"] = json!(format!("2026-11-24T02:{minute:02}:00Z"));
        let receipt = function.complete(&event);
        assert_eq!(receipt["backups"][0]["rows"], 100);
        assert!(clients_of(&function.server).is_empty());
        // A failure in between is the failure of its own event only.
        let mut bad = event.clone();
        bad["database"] = json!("missing");
        function.fails(&bad, "pgseal.no_database");
        runtimes.extend(function.runtimes());
    }
    assert_eq!(runtimes.len(), 6, "{runtimes:?}");
    assert!(
        runtimes.iter().all(|id| *id == runtimes[0]),
        "the process was not kept: {runtimes:?}"
    );
}

#[test]
fn no_secret_stands_in_the_logs() {
    let function = Function::with(&[("AWS_LAMBDA_LOG_LEVEL", "TRACE"), ("AWS_LAMBDA_LOG_FORMAT", "JSON")]);
    function.complete(&function.event());
    let mut bad = function.event();
    bad["database"] = json!("missing");
    function.fails(&bad, "pgseal.no_database");
    // What is logged may come behind the answer.
    until("the failure is in the log", || function.process.log().contains("no_database"));
    let log = function.process.log();
    for secret in [SECRET_KEY, function.server.password(), "BEGIN PUBLIC KEY"] {
        assert!(!log.contains(secret), "{secret} stands in the log: {log}");
    }
}

/// Two events of one warm process could not be told apart, and a failure stood there twice.
#[test]
fn each_line_of_the_log_names_its_request_and_each_failure_stands_there_once() {
    let function = Function::with(&[("AWS_LAMBDA_LOG_LEVEL", "ERROR"), ("AWS_LAMBDA_LOG_FORMAT", "JSON")]);
    function.complete(&function.event());
    let mut bad = function.event();
    bad["database"] = json!("missing");
    function.fails(&bad, "pgseal.no_database");
    // Metrics are the last of an event.
    until("both events are in the log", || {
        function.process.log().matches("\"_aws\"").count() == 2
    });
    let log = function.process.log();
    let parsed = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines: Vec<Value> = parsed.filter(|line| line.get("timestamp").is_some()).collect();
    let requests: BTreeSet<&str> = lines.iter().map(|line| line["requestId"].as_str().expect("an id")).collect();
    assert_eq!(requests.len(), 2, "{log}");
    let count = |fits: &dyn Fn(&&Value) -> bool| lines.iter().filter(fits).count();
    assert_eq!(count(&|line| line["level"] == "ERROR"), 1, "{log}");
    assert_eq!(count(&|line| line["message"] == "receipt"), 2, "{log}");
    assert_eq!(count(&|line| line.get("_aws").is_some()), 2, "{log}");
}

/// Two megabytes at 16 KiB a second: two minutes, in a function that has less.
fn too_slow(function: &Function) -> Value {
    function.server.psql(
        "app",
        "create table wide as select repeat('x', 1000) as x from generate_series(1, 2000); analyze wide",
    );
    let mut event = function.event();
    event["rate_limit"] = json!("16k");
    event
}

fn nothing_left(function: &Function) {
    assert!(clients_of(&function.server).is_empty());
    assert_eq!(function.bucket.open_uploads(), []);
    let kept: Vec<_> = function.bucket.keys().into_iter().filter(|key| !key.contains(".key.")).collect();
    assert_eq!(kept, [""; 0]);
}

#[test]
fn a_backup_that_cannot_end_in_time_is_not_begun() {
    let function = Function::with(&[("AWS_LAMBDA_FUNCTION_TIMEOUT", "60")]);
    function.fails(&too_slow(&function), "pgseal.deadline_predicted");
    nothing_left(&function);
}

#[test]
fn the_deadline_stops_it_before_the_platform_does() {
    let function = Function::with(&[("AWS_LAMBDA_FUNCTION_TIMEOUT", "12"), ("PGSEAL_DEADLINE_CHECK", "off")]);
    function.fails(&too_slow(&function), "pgseal.deadline");
    nothing_left(&function);
}
