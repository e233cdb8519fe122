//! Events, names, hosts and keys that are refused before anything is started.

use super::{Cause, Point, Promise, fails};
use serde_json::{Value, json};

pub fn points() -> Vec<Point> {
    let text = |name: &str, text: String| Point::new(format!("an event {name}"), Cause::Text(text), fails("bad_event"));
    let field = |name: &str, fields: Value, code| Point::new(format!("an event with {name}"), Cause::Event(fields), fails(code));
    let mut points = vec![
        text("that is empty", String::new()),
        text("that is malformed", "{\"database\": ".into()),
        text("that is a list", "[]".into()),
        text("that is nested deep", format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
        text("that is huge", format!("{{\"database\": \"{}\"}}", "x".repeat(300 << 10))),
        text("with a field twice", "{\"database\": \"a\", \"database\": \"b\"}".into()),
        field("an unknown field", json!({"databse": "app"}), "bad_event"),
        field("a number for a name", json!({"database": 7}), "bad_event"),
        field("an empty name", json!({"database": ""}), "bad_event"),
        field("an unknown action", json!({"action": "restore"}), "bad_event"),
        field("a rate that is none", json!({"rate_limit": "fast"}), "bad_event"),
        field("a compression that is none", json!({"compression": "rar"}), "bad_event"),
        field("a prefix that climbs", json!({"prefix": "../x"}), "bad_name"),
        field("a prefix from the root", json!({"prefix": "/x"}), "bad_name"),
        field("a prefix with nothing inside", json!({"prefix": "a//b"}), "bad_name"),
        field("a NUL in a name", json!({"database": "a\u{0}b"}), "bad_name"),
        field("a control character in a name", json!({"database": "a\nb"}), "bad_name"),
        field("a bidi character in a name", json!({"database": "a\u{202e}b"}), "bad_name"),
        field("a name of 10,000 characters", json!({"database": "x".repeat(10_000)}), "bad_name"),
        field("no public key", json!({"public_key": ""}), "no_public_key"),
        field("no public keys", json!({"public_key": []}), "no_public_key"),
        field("a key that is none", json!({"public_key": "ssh-rsa AAAA"}), "bad_public_key"),
    ];
    for host in [
        "169.254.169.254",
        "localhost.example.com",
        "/var/run/postgresql",
        "a,b",
        "10.0.0.1",
        "user@host",
    ] {
        points.push(field(&format!("the host {host}"), json!({"host": host}), "host_not_allowed"));
    }
    let private = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/keys/recipient-a.pem"));
    let private = private.expect("a private key");
    points.push(field("a private key", json!({"public_key": private}), "private_key_given"));
    let pinned = vec![("PGSEAL_ALLOWED_FINGERPRINTS", "0".repeat(64))];
    points.push(Point::new(
        "an event with a key that is not pinned",
        Cause::Variables(pinned),
        fails("key_not_allowed"),
    ));
    let small = vec![("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "64".to_owned())];
    points.push(Point::new(
        "a function of 64 MiB",
        Cause::Variables(small),
        fails("not_enough_memory"),
    ));
    let endpoint = |name: &'static str, value: &str| (name, value.to_owned());
    for (variables, says) in [
        (vec![endpoint("AWS_ENDPOINT_URL_S3", "minio:9000")], "AWS_ENDPOINT_URL_S3"),
        (vec![endpoint("AWS_ENDPOINT_URL_KMS", "")], "AWS_ENDPOINT_URL_KMS"),
        (vec![endpoint("AWS_USE_FIPS_ENDPOINT", "true")], "AWS_USE_FIPS_ENDPOINT"),
    ] {
        points.push(Point::new(
            format!("an endpoint that cannot be used: {says}"),
            Cause::Variables(variables),
            Promise::Fails { code: "bad_event", says },
        ));
    }
    points
}
