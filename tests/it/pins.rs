//! Pins in the image: what a task's variables say cannot change them. The program finds the file at its own place, in a mount
//! namespace of the test's.

use crate::support::invariants::RECIPIENT;
use crate::support::pgseal::{CommandOutput, program};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

const HOST: &str = "orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com";
const OTHER: &str = "billing.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com";

/// Runs the program in a world whose /etc holds this file and nothing else.
fn with_pins(pins: &Value, environment: &[(&str, &str)], arguments: &[&str]) -> CommandOutput {
    const WORLD: &str = "mount -t tmpfs none /etc && mkdir /etc/pgseal && cat >/etc/pgseal/pins.json && exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "sh", "-c", WORLD, "sh", program()])
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(std::env::var_os("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file)))
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("unshare starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    pipe.write_all(pins.to_string().as_bytes()).expect("cat reads");
    drop(pipe);
    CommandOutput::from(child.wait_with_output().expect("it ends"))
}

fn check(pins: &Value, environment: &[(&str, &str)], event: &Value) -> CommandOutput {
    with_pins(pins, environment, &["check", "--offline", "--event", &event.to_string()])
}

/// A deployment that pins all that matters, and what its schedule sends.
fn deployment() -> Value {
    json!({
        "POSTGRES_DATABASE": "app",
        "POSTGRES_HOST": HOST,
        "POSTGRES_USER": "backup",
        "REGION": "eu-west-1",
        "S3_BUCKET": "acme-backups",
        "OPENSSL_PUBLIC_KEY": &*RECIPIENT,
        "AWS_ENDPOINT_URL*": null,
    })
}

#[test]
fn pins_in_the_image_rank_above_everything_that_a_task_is_started_with() {
    let pins = deployment();
    let stranger =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/events/accepted/minimal.json")).expect("the file is there");
    let stranger: Value = serde_json::from_str(&stranger).expect("JSON");
    let stranger = stranger["public_key"].as_str().expect("text");
    let plan = check(&pins, &[("RATE_LIMIT", "1M")], &json!({})).receipt();
    assert_eq!(
        (&plan["bucket"], &plan["user"], &plan["rate_limit_bytes_per_second"]),
        (&json!("acme-backups"), &json!("backup"), &json!(1_048_576)),
        "{plan}"
    );

    let (bucket, key) = (
        json!({"bucket": "mallory"}).to_string(),
        json!({"public_key": stranger}).to_string(),
    );
    let stranger_print = fingerprint(stranger);
    let refused = [
        (vec![("S3_BUCKET", "mallory")], json!({}), "bad_event", "S3_BUCKET"),
        (vec![], json!({"bucket": "mallory"}), "bad_event", "bucket"),
        (vec![], json!({"instance": "billing"}), "bad_event", "instance"),
        (vec![("PGSEAL_ALLOWED_HOSTS", "*")], json!({"host": OTHER}), "bad_event", "host"),
        (vec![("PGSEAL_EVENT_DEFAULTS", &*bucket)], json!({}), "bad_event", "bucket"),
        (
            vec![("AWS_ENDPOINT_URL_S3", "https://mallory")],
            json!({}),
            "bad_event",
            "AWS_ENDPOINT_URL_S3",
        ),
        (vec![("OPENSSL_PUBLIC_KEY", stranger)], json!({}), "bad_event", "OPENSSL_PUBLIC_KEY"),
        (vec![], json!({"public_key": stranger}), "key_not_allowed", "public_key"),
        (vec![("PGSEAL_EVENT_DEFAULTS", &*key)], json!({}), "key_not_allowed", "public_key"),
        // A list of fingerprints in the environment adds none to those of the image.
        (
            vec![("PGSEAL_ALLOWED_FINGERPRINTS", &*stranger_print)],
            json!({"public_key": stranger}),
            "key_not_allowed",
            "public_key",
        ),
    ];
    for (environment, event, code, field) in refused {
        let receipt = check(&pins, &environment, &event).failed(code, 2);
        assert_eq!(receipt["error"]["field"], field, "{environment:?} {event}: {receipt}");
    }
    // Without an event too, and when restoring.
    with_pins(&pins, &[("S3_BUCKET", "mallory")], &[]).failed("bad_event", 2);
    let said = with_pins(
        &json!({"S3_BUCKET_OWNER": "111122223333"}),
        &[("S3_BUCKET_OWNER", "444455556666")],
        &["list", "s3://acme/backups"],
    );
    assert!(said.code == 2 && said.stderr.contains("S3_BUCKET_OWNER"), "{}", said.stderr);
}

/// They stand for variables, and went round what the image pins and forbids.
#[test]
fn options_are_pinned_and_forbidden_as_the_variables_that_they_stand_for() {
    for (pins, option, variable) in [
        (json!({"S3_REGION": "eu-west-1"}), "--region", "S3_REGION"),
        (json!({"AWS_PROFILE": null}), "--profile", "AWS_PROFILE"),
    ] {
        let said = with_pins(&pins, &[], &["list", "s3://acme/backups", option, "us-east-1"]);
        assert!(said.code == 2 && said.stderr.contains(variable), "{}", said.stderr);
    }
}

/// Where the image pins a fingerprint, a key that the environment brings is no recipient by that alone.
#[test]
fn a_pinned_fingerprint_holds_against_a_key_in_the_environment() {
    let mut pins = deployment();
    let own = pins["OPENSSL_PUBLIC_KEY"].as_str().expect("text").to_owned();
    pins["PGSEAL_ALLOWED_FINGERPRINTS"] = json!(fingerprint(&own));
    pins.as_object_mut().expect("an object").remove("OPENSSL_PUBLIC_KEY");
    assert_eq!(check(&pins, &[("OPENSSL_PUBLIC_KEY", &own)], &json!({})).code, 0);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_, stranger) = crate::support::invariants::key_pair(folder.path());
    check(&pins, &[("OPENSSL_PUBLIC_KEY", &stranger)], &json!({})).failed("key_not_allowed", 2);
}

/// The second of two variables for one field is no way around the first's pin, nor the first around the second's.
/// A path in Parameter Store that the image pinned switched every check of recipients off.
#[test]
fn a_pinned_path_of_keys_needs_pinned_fingerprints() {
    let mut pins = deployment();
    pins["OPENSSL_PUBLIC_KEY"] = json!("ssm:/pgseal/recipients");
    let ours = fingerprint(&RECIPIENT);
    let own_key = json!({"public_key": &*RECIPIENT});
    for event in [json!({}), own_key.clone()] {
        for environment in [vec![], vec![("PGSEAL_ALLOWED_FINGERPRINTS", &*ours)]] {
            let said = check(&pins, &environment, &event).failed("bad_event", 2);
            assert!(
                said["error"]["message"]
                    .as_str()
                    .is_some_and(|told| told.contains("PGSEAL_ALLOWED_FINGERPRINTS")),
                "{said}"
            );
        }
    }
    pins["PGSEAL_ALLOWED_FINGERPRINTS"] = json!("ab".repeat(32));
    check(&pins, &[], &own_key).failed("key_not_allowed", 2);
    pins["PGSEAL_ALLOWED_FINGERPRINTS"] = json!(ours);
    assert_eq!(check(&pins, &[], &own_key).code, 0);
}

#[test]
fn two_variables_of_one_field_are_pinned_as_one() {
    let mut pins = deployment();
    pins["RATE_LMIT"] = json!("1M");
    let receipt = check(&pins, &[("RATE_LIMIT", "0")], &json!({})).failed("bad_event", 2);
    assert_eq!(receipt["error"]["field"], "RATE_LIMIT", "{receipt}");
    assert_eq!(
        check(&pins, &[("AWS_REGION", "us-east-1")], &json!({})).receipt()["region"],
        "eu-west-1"
    );
}

/// docs/THREATS.md shows a file to begin with: what it names can be pinned, and it is enough to be refused by.
#[test]
fn the_page_on_threats_shows_pins_that_hold() {
    let page = include_str!("../../docs/THREATS.md");
    let (_, block) = page.split_once("```json\n").expect("a block");
    let (block, _) = block.split_once("```").expect("its end");
    let mut pins: Value = serde_json::from_str(block).expect("JSON");
    pins["PGSEAL_ALLOWED_FINGERPRINTS"] = json!(fingerprint(&RECIPIENT));
    let environment = [
        ("POSTGRES_DATABASE", "app"),
        ("POSTGRES_USER", "backup"),
        ("REGION", "eu-west-1"),
        ("OPENSSL_PUBLIC_KEY", &*RECIPIENT),
    ];
    assert_eq!(check(&pins, &environment, &json!({})).code, 0);
    check(&pins, &environment, &json!({"prefix": "other"})).failed("bad_event", 2);
    let elsewhere = [&environment[..], &[("AWS_ENDPOINT_URL", "https://mallory")]].concat();
    check(&pins, &elsewhere, &json!({})).failed("bad_event", 2);
}

/// SHA-256 of the DER, as `openssl` has it.
fn fingerprint(public_key: &str) -> String {
    let body: String = public_key
        .replace("\\n", "\n")
        .lines()
        .filter(|line| !line.starts_with("--"))
        .collect();
    let script = "base64 -d | openssl dgst -sha256 -r | cut -c1-64";
    let mut shell = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh starts");
    shell.stdin.take().expect("a pipe").write_all(body.as_bytes()).expect("it reads");
    let output = shell.wait_with_output().expect("it ends");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}
