//! How people are logged in to AWS on the machine where they restore: profiles with a process or a single sign-on, by name.

use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::s3::{ACCESS_KEY, Bucket, EmbeddedS3, SECRET_KEY};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A home with this as `~/.aws/config`.
fn home(config: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(home.path().join(".aws")).expect("a folder");
    std::fs::write(home.path().join(".aws/config"), config).expect("the configuration");
    home
}

fn list(bucket: &Bucket, home: &Path, profile: &str, more: &[(&str, &str)]) -> CommandOutput {
    let endpoint = bucket.env().get("AWS_ENDPOINT_URL_S3").expect("an endpoint").to_owned();
    let place = format!("s3://{}/backups", bucket.name);
    Pgseal::new(&["list", &place, "--profile", profile])
        .env("HOME", home)
        .env("AWS_ENDPOINT_URL_S3", endpoint)
        .envs(more.iter().copied())
        .run()
}

fn is_empty_list(said: &CommandOutput) {
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert_eq!(said.receipt()["backups"], json!([]), "{}", said.stdout);
}

#[test]
fn a_profile_whose_credentials_come_from_a_process() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let home = home("");
    let script = home.path().join("login");
    let answer = json!({"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY});
    std::fs::write(&script, format!("#!/bin/sh\necho '{answer}'\n")).expect("the script");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("may be run");
    let config = format!("[profile work]\nregion = us-east-1\ncredential_process = {}\n", script.display());
    std::fs::write(home.path().join(".aws/config"), config).expect("the configuration");
    is_empty_list(&list(&bucket, home.path(), "work", &[]));
    // By the variable as well.
    is_empty_list(&list(&bucket, home.path(), "work", &[("AWS_PROFILE", "other")]));
}

/// What `aws sso login` leaves, and the portal that changes it for credentials.
#[test]
fn a_profile_of_a_single_sign_on() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let home = home(
        "[profile work]\nregion = us-east-1\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = reader\n\
         [sso-session s]\nsso_region = us-east-1\nsso_start_url = https://example.awsapps.com/start\n",
    );
    let cache = home.path().join(".aws/sso/cache");
    std::fs::create_dir_all(&cache).expect("a folder");
    // The SHA-1 of the session's name.
    let token = json!({"accessToken": "an-access-token", "expiresAt": "2099-01-01T00:00:00Z", "region": "us-east-1",
                       "startUrl": "https://example.awsapps.com/start"});
    let file = cache.join("a0f1490a20d0211c997b44bc357e1972deab8ae3.json");
    std::fs::write(file, token.to_string()).expect("the token");
    let portal = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", portal.local_addr().expect("its address"));
    let answering = std::thread::spawn(move || {
        let (connection, _) = portal.accept().expect("a connection");
        let mut lines = BufReader::new(connection.try_clone().expect("a handle")).lines();
        let head: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        let expires = 4_070_908_800_000_u64;
        let body = json!({"roleCredentials": {"accessKeyId": ACCESS_KEY, "secretAccessKey": SECRET_KEY, "sessionToken": "t",
                                              "expiration": expires}})
        .to_string();
        let length = body.len();
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        (&connection).write_all(answer.as_bytes()).expect("the answer");
        head
    });
    let said = list(&bucket, home.path(), "work", &[("AWS_ENDPOINT_URL_SSO", &address)]);
    is_empty_list(&said);
    let head = answering.join().expect("the portal was asked").join("\n");
    assert!(
        head.contains("account_id=123456789012") && head.contains("role_name=reader"),
        "{head}"
    );
    assert!(head.to_lowercase().contains("an-access-token"), "{head}");
    assert!(!said.stdout.contains("an-access-token") && !said.stderr.contains("an-access-token"));
}

#[test]
fn a_profile_that_is_not_there_is_named() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let home = home("[profile work]\nregion = us-east-1\n");
    let said = list(&bucket, home.path(), "wrok", &[("AWS_REGION", "us-east-1")]);
    said.failed("aws_failed", 4);
    assert!(said.stderr.contains("there is no profile wrok in ~/.aws/config"), "{}", said.stderr);
    // It went unseen if keys were in variables, too.
    let keys = [
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_REGION", "us-east-1"),
    ];
    list(&bucket, home.path(), "wrok", &keys).failed("aws_failed", 4);
}
