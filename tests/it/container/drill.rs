//! A scheduled drill as an ECS task: the image with PostgreSQL's server, the drill's own key from Secrets Manager, and a
//! report in the bucket.

use super::{environment, sample};
use crate::support::aws::Ministack;
use crate::support::docker::{Container, image};
use crate::support::invariants::event;
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::postgres::Server;
use serde_json::{Value, json};
use std::process::Command;

fn openssl(arguments: &[&str], input: &str) -> String {
    use std::io::Write;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("openssl starts");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(input.as_bytes())
        .expect("openssl reads");
    String::from_utf8(child.wait_with_output().expect("openssl ends").stdout).expect("PEM")
}

#[test]
fn a_container_drills_with_a_key_from_secrets_manager() {
    let (server, aws) = (Server::start(), Ministack::shared());
    let bucket = aws.bucket();
    sample(&server);
    let private = openssl(&["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "");
    let mut order = event(&server, "app", &bucket);
    order["public_key"] = json!([order["public_key"], openssl(&["pkey", "-pubout"], &private)]);
    order["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    Pgseal::backup(&order)
        .envs(bucket.env())
        .envs(environment(&server))
        .run()
        .complete();

    let backup = format!("s3://{}/backups/app_20261124T020000Z", bucket.name);
    let (key, reports) = (aws.secret(&private), format!("s3://{}/drills", bucket.name));
    let drill = || {
        Container::new(&image("drill"))
            .on_host_network()
            .option("--tmpfs=/tmp:mode=1777")
            // Which Docker and ECS give by default: it drops to users of its own.
            .option("--cap-add=CHOWN")
            .option("--cap-add=SETUID")
            .option("--cap-add=SETGID")
            .option("--cap-add=DAC_OVERRIDE")
            .option("--cap-add=KILL")
            .aws(aws.env())
            .arguments(&["drill", &backup, "--key", &key, "--report", &reports])
            .run()
    };
    let said = drill();
    let report = said.receipt();
    assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{report}\n{}", said.stderr);
    assert_eq!(report["comparison"]["rows"], json!({"expected": 1000, "found": 1000}));
    let left: Vec<_> = bucket.keys().into_iter().filter(|key| key.starts_with("drills/")).collect();
    assert!(
        left.len() == 2 && left[0].ends_with(".html") && left[1].ends_with(".json"),
        "{left:?}"
    );
    assert_eq!(metric(&said), json!(1.0), "{}", said.stderr);

    // A damaged backup is exit 7, and an alarm.
    let dump = bucket
        .keys()
        .into_iter()
        .find(|key| key.ends_with(".sql.bz2.enc"))
        .expect("the dump");
    let mut bytes = bucket.get(&dump);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bucket.put(&dump, bytes);
    let said = drill();
    assert_eq!((said.code, &said.receipt()["outcome"]), (7, &json!("failed")), "{}", said.stderr);
    assert_eq!(metric(&said), json!(0.0), "{}", said.stderr);
}

/// As CloudWatch takes it from the log.
fn metric(said: &CommandOutput) -> Value {
    let lines = said.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_drills: Vec<Value> = lines.filter(|line| line.get("_aws").is_some()).collect();
    assert_eq!(of_drills.len(), 1, "{}", said.stderr);
    assert_eq!(
        (&of_drills[0]["Server"], &of_drills[0]["Database"]),
        (&json!("backups"), &json!("app"))
    );
    of_drills[0]["DrillPassed"].clone()
}
