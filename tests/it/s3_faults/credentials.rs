//! Credentials that a role hands out for a while: a long upload outlives them.

use super::Fixture;
use crate::support::fault_proxy::{FaultProxy, Operation};
use crate::support::invariants::{backup_stands, event};
use crate::support::pgseal::Pgseal;
use crate::support::s3::{ACCESS_KEY, SECRET_KEY};
use serde_json::json;
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

/// The endpoint of an ECS task's role: each answer has another session token, and is good for five seconds, which is
/// too near for a client to keep it.
fn role() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for (number, socket) in listener.incoming().map_while(Result::ok).enumerate() {
            let head = BufReader::new(&socket).lines().map_while(Result::ok);
            head.take_while(|line| !line.is_empty()).for_each(drop);
            let expires = OffsetDateTime::now_utc() + Duration::seconds(5);
            let body = json!({
                "AccessKeyId": ACCESS_KEY,
                "SecretAccessKey": SECRET_KEY,
                "Token": format!("session-{number}"),
                "Expiration": expires.format(&Rfc3339).expect("a time"),
            });
            let body = body.to_string();
            let length = body.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            // A client that is gone asks no more.
            let _ = (&socket).write_all(answer.as_bytes());
        }
    });
    format!("http://{address}/role")
}

#[test]
fn credentials_that_expire_in_mid_upload_are_refreshed() {
    let fixture = Fixture::new();
    let bucket = fixture.s3.bucket();
    let proxy = FaultProxy::before(&bucket, []);
    let mut event = event(&fixture.server, "app", &bucket);
    event["compression"] = json!("none");
    let is_fixed = |name: &str| ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].contains(&name);
    let without_keys = proxy.env().into_iter().filter(|(name, _)| !is_fixed(name));
    let run = Pgseal::backup(&event).envs(without_keys).envs(fixture.server.env());
    let said = run.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", role()).run();
    backup_stands(&bucket, &said.complete());
    let parts = proxy.seen().into_iter().filter(|seen| seen.operation == Operation::UploadPart);
    let tokens: HashSet<_> = parts
        .filter_map(|seen| seen.header("x-amz-security-token").map(str::to_owned))
        .collect();
    assert!(tokens.len() > 1, "all parts went out with {tokens:?}");
}
