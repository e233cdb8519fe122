//! README.md and docs/ promise nothing that is not so: every command in them is run, as far as real parts run here, and every table is
//! compared with the program. The commands that restore are run on real backups in `restore_cli`.

mod images;
mod quickstart;
mod tables;

use crate::support::invariants::RECIPIENT;
use crate::support::pgseal::Pgseal;
use crate::support::postgres::Server;
use crate::support::restore::{block, blocks, readme, run_alone};
use crate::support::s3::EmbeddedS3;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Each marked block, and where it is tested.
const HERE: &[&str] = &[
    "make",
    "quickstart",
    "quickstart-back",
    "cron",
    "keys",
    "one-line",
    "role",
    "role-before-14",
    "role-large-objects",
    "policy",
    "reader-policy",
    "sam",
    "build",
    "sam-local",
    "docker-run",
    "overrides",
    "event",
    "shell",
    "fetch",
    "upload",
];
/// In `restore_cli/readme.rs`.
const OF_RESTORES: &[&str] = &["commands", "drill", "rewrap", "signer", "signed", "signature"];
const ON_THE_ROAD: &[&str] = &[
    "receipt",
    "unwrap",
    "check",
    "restore-roles",
    "restore-database",
    "restore-bzip2",
    "restore-zstd",
    "restore-none",
    "one-table",
    "inventory",
    "restore-globals",
    "restore-legacy",
];

/// In `entry_points/records.rs`.
const OF_LOGS: &[&str] = &["query failures", "query receipts", "query warnings", "query run"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn json_block(name: &str) -> Value {
    serde_json::from_str(&block(name)).unwrap_or_else(|error| panic!("README block {name}: {error}"))
}

fn minimal() -> Value {
    let text = fs::read_to_string(root().join("events/accepted/minimal.json")).expect("the file is there");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn every_command_in_the_readme_is_tested_and_every_test_has_its_command() {
    let unmarked = blocks()
        .into_iter()
        .filter(|block| !block.language.is_empty() && block.name.is_none());
    let unmarked: Vec<String> = unmarked.map(|block| block.text).collect();
    assert!(unmarked.is_empty(), "blocks without a test: {unmarked:#?}");
    let marked: BTreeSet<String> = blocks().into_iter().filter_map(|block| block.name).collect();
    let tested: BTreeSet<String> = [HERE, ON_THE_ROAD, OF_RESTORES, OF_LOGS]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect();
    assert_eq!(marked, tested);
}

#[test]
fn the_shell_accepts_every_block() {
    for block in blocks().iter().filter(|block| block.language == "sh") {
        let mut shell = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("bash starts");
        shell
            .stdin
            .take()
            .expect("a pipe")
            .write_all(block.text.as_bytes())
            .expect("bash reads");
        assert!(shell.wait().expect("bash ends").success(), "{}", block.text);
    }
}

#[test]
fn make_knows_its_targets() {
    for line in block("make").lines() {
        let target = line
            .strip_prefix("make ")
            .and_then(|rest| rest.split_whitespace().next())
            .expect("make TARGET");
        let output = Command::new("make")
            .args(["-n", target])
            .current_dir(root())
            .output()
            .expect("make starts");
        assert!(
            output.status.success(),
            "make {target}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Runs the README's commands for a key pair in this folder.
fn key_pair(folder: &Path) {
    for line in block("keys").lines() {
        // Without a terminal openssl asks standard input for the pass phrase: once to read, twice to write.
        let mut shell = Command::new("setsid");
        shell
            .args(["--wait", "bash", "-c", line])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = shell.spawn().expect("setsid starts");
        child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(b"a pass phrase\na pass phrase\n")
            .expect("openssl reads");
        let output = child.wait_with_output().expect("openssl ends");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_key_pair_is_made_and_accepted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    key_pair(folder.path());
    let private = fs::read_to_string(folder.path().join("private_key.pem")).expect("a private key");
    assert!(private.contains("ENCRYPTED"), "the private key is not protected");

    let public = fs::read_to_string(folder.path().join("public_key.pem")).expect("a public key");
    let one_line = String::from_utf8(run_alone("one-line", folder.path()).fine()).expect("text");
    assert!(!one_line.contains('\n') && one_line.contains("\\n"), "{one_line}");
    let fingerprint = |key: &str| {
        let mut event = minimal();
        event["public_key"] = json!(key);
        offline(&event, &[])["recipients"].clone()
    };
    assert_eq!(fingerprint(&public), fingerprint(&one_line));
}

/// The plan that an event comes to, with nothing in the environment but these variables.
fn offline(event: &Value, environment: &[(&str, &str)]) -> Value {
    let said = Pgseal::new(&["check", "--offline", "--event", &event.to_string()])
        .env("TESTBED_KEYS", "allowed")
        .envs(environment.iter().copied())
        .run();
    assert_eq!(said.code, 0, "{event} with {environment:?}: {}{}", said.stdout, said.stderr);
    said.receipt()
}

/// The user that the README makes may do the whole backup, large objects included, and nothing else is needed.
#[test]
fn the_role_suffices_for_a_backup() {
    let server = Server::start();
    server.psql("postgres", "create role rds_iam; create database app");
    let data = "create table t as select generate_series(1, 9) as n; create sequence s; select lo_from_bytea(70001, '\\x00ff')";
    server.psql("app", data);
    server.psql("app", &block("role"));
    server.psql("app", &block("role-large-objects"));
    back_up_as_the_readmes_role(&server);
}

#[test]
fn the_role_of_older_servers_suffices_too() {
    let server = Server::start();
    server.psql("postgres", "create role rds_iam; create database app; create role backup login");
    server.psql("app", "create table t as select generate_series(1, 9) as n; create sequence s");
    server.psql("app", &block("role-before-14"));
    back_up_as_the_readmes_role(&server);
}

fn back_up_as_the_readmes_role(server: &Server) {
    // IAM itself is tested in login.rs; here the same role comes in by password.
    server.psql("app", &format!("alter role backup password '{}'", server.password()));
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let mut event = server.event_as("app", "backup");
    event["bucket"] = json!(bucket.name);
    event["public_key"] = json!(&*RECIPIENT);
    let receipt = Pgseal::backup(&event).envs(server.env()).envs(bucket.env()).run().complete();
    assert_eq!(receipt["backups"][0]["rows"], 9, "{receipt}");
}

/// IAM's grammar, the least that IAM itself checks, and no wildcard where a name is known.
#[test]
fn the_policies_are_valid_and_narrow() {
    for (block, services) in [("policy", &["rds-db", "s3", "logs"][..]), ("reader-policy", &["s3", "kms"])] {
        is_valid_and_narrow(&json_block(block), services);
    }
    // Who reads writes nothing.
    let reader = json_block("reader-policy").to_string();
    assert!(
        ![":Put", ":Delete", ":Abort", ":Encrypt", ":ReEncrypt", ":Generate", ":Bypass"]
            .iter()
            .any(|verb| reader.contains(verb))
    );
    assert!(reader.contains("s3:GetObjectVersion"));
}

fn is_valid_and_narrow(policy: &Value, services: &[&str]) {
    assert_eq!(policy["Version"], "2012-10-17");
    let statements = policy["Statement"].as_array().expect("statements");
    let mut names = BTreeSet::new();
    for statement in statements {
        let keys: BTreeSet<&str> = statement.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(keys, BTreeSet::from(["Sid", "Effect", "Action", "Resource"]), "{statement}");
        let sid = statement["Sid"].as_str().expect("text");
        assert!(names.insert(sid) && sid.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{sid}");
        assert_eq!(statement["Effect"], "Allow");
        for action in texts(&statement["Action"]) {
            let (service, verb) = action.split_once(':').expect("service:Verb");
            assert!(services.contains(&service) && !verb.contains('*'), "{action}");
        }
        for resource in texts(&statement["Resource"]) {
            let parts: Vec<&str> = resource.splitn(6, ':').collect();
            assert!(matches!(parts[..], ["arn", "aws", _, _, _, name] if name != "*"), "{resource}");
        }
    }
}

/// One text or a list of texts, as IAM takes either.
fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    list.iter().map(|item| item.as_str().expect("text").to_owned()).collect()
}

/// The files that the text names are there. The commands themselves: `images.rs`.
#[test]
fn the_files_are_there_under_their_names() {
    for file in [
        "template.yaml",
        "deploy/ecs-task-definition.json",
        "deploy/bucket-policy.json",
        "deploy/terraform",
    ] {
        assert!(readme().contains(&format!("`{file}`")) && root().join(file).exists(), "{file}");
    }
    assert!(
        block("fetch").contains("app_20261124T020000Z."),
        "the folder must get one backup only"
    );
    // What the bucket's policy demands of every upload.
    let policy = fs::read_to_string(root().join("deploy/bucket-policy.json")).expect("the policy");
    assert!(policy.contains("s3:if-none-match") && block("upload").contains("--if-none-match '*'"));
}

#[test]
fn the_variables_of_docker_run_are_a_whole_order() {
    let environment = docker_variables(&RECIPIENT);
    assert!(environment.len() >= 6, "{environment:?}");
    let said = Pgseal::new(&["check", "--offline"]).envs(&environment).run();
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
}

/// The values of `-e NAME=value` in the block `docker-run`, with a key where the block reads one from a file.
fn docker_variables(public_key: &str) -> BTreeMap<String, String> {
    let block = block("docker-run");
    let arguments = block
        .lines()
        .filter_map(|line| line.trim().trim_end_matches(" \\").strip_prefix("-e "));
    let pairs = arguments.filter_map(|argument| argument.split_once('='));
    let value = |value: &str| {
        if value.contains("public_key.pem") {
            public_key.to_owned()
        } else {
            value.to_owned()
        }
    };
    pairs.map(|(name, text)| (name.to_owned(), value(text))).collect()
}

/// The override's event, over the variables of the task definition, is a whole order too.
#[test]
fn the_overrides_fit_the_task_definition() {
    let overridden = json_block("overrides")["containerOverrides"][0].clone();
    let text = fs::read_to_string(root().join("deploy/ecs-task-definition.json")).expect("the task definition");
    let definition: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(overridden["name"], definition["containerDefinitions"][0]["name"]);
    let variable = &overridden["environment"][0];
    assert_eq!(variable["name"], "BACKUP_EVENT");
    let event: Value = serde_json::from_str(variable["value"].as_str().expect("text")).expect("an event");
    let environment = docker_variables(&RECIPIENT);
    let pairs: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    offline(&event, &pairs);
}

#[test]
fn the_commands_of_pgseal_are_there() {
    let help = Pgseal::new(&["--help"]).run();
    assert_eq!(help.code, 0, "{}", help.stderr);
    // The reader's own key in the placeholder's stead.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut event = json_block("event");
    let placeholder = event["public_key"].as_str().expect("text").to_owned();
    assert!(placeholder.contains("(your key)"), "{placeholder}");
    event["public_key"] = json!(&*RECIPIENT);
    fs::write(folder.path().join("event.json"), event.to_string()).expect("the event is written");
    for line in block("shell").lines() {
        let command = line.split('#').next().expect("a part").trim();
        let (verb, rest) = command
            .strip_prefix("pgseal ")
            .and_then(|rest| rest.split_once(' '))
            .expect("pgseal VERB …");
        assert!(help.stdout.contains(&format!("  {verb} ")), "{verb} is not in: {}", help.stdout);
        // The same arguments, without a network. What the line leaves to the environment is set as for a task.
        let script = format!("exec \"$PGSEAL\" check --offline {rest}");
        let output = Command::new("bash")
            .args(["-c", &script])
            .current_dir(folder.path())
            .envs(docker_variables(&RECIPIENT))
            .env("PGSEAL", env!("CARGO_BIN_EXE_pgseal"))
            .output()
            .expect("bash starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{command}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
