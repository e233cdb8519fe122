//! What a first-time user gets wrong, and what is said then: exit status, code, and words of message and advice.

use super::{Fixture, text};
use crate::support::pgseal::{CommandOutput, Pgseal};
use serde_json::{Value, json};

/// Exit status, code, a part of the message, a part of the advice.
type Told<'a> = (i32, &'a str, &'a str, &'a str);

/// The first failure in whatever shape the command's answer has.
fn error(said: &CommandOutput) -> Value {
    let answer = said.receipt();
    let lists = ["checks", "backups", "items"]
        .into_iter()
        .flat_map(|list| answer[list].as_array().into_iter().flatten());
    let of_lists = lists.map(|entry| &entry["error"]).find(|error| error.is_object());
    let error = answer["error"].as_object().map(|_| &answer["error"]).or(of_lists);
    error.unwrap_or_else(|| panic!("no error: {answer}")).clone()
}

fn compare(what: &str, said: &CommandOutput, told: Told<'_>, wrong: &mut Vec<String>) {
    let error = error(said);
    let (exit, code, message, hint) = told;
    let has = |field: &str, part: &str| error[field].as_str().is_some_and(|text| text.contains(part));
    let is_plain = !["unhandled", "Once(", "ErrorKind", "os error 2) (os"]
        .iter()
        .any(|debug| error.to_string().contains(debug));
    if said.code != exit || error["code"] != code || !has("message", message) || !has("hint", hint) || !is_plain {
        wrong.push(format!("{what}: exit {}, {error}", said.code));
    }
}

fn settled(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn mistakes_in_an_event() {
    let fixture = Fixture::new(json!({}));
    let rows: Vec<(Value, Told<'_>)> = vec![
        (
            json!({"databse": "x"}),
            (2, "bad_event", "`databse` is not a known field; did you mean `database`?", ""),
        ),
        (
            json!({"note": "x"}),
            (2, "bad_event", "`note` is not a known field", "docs/REFERENCE.md"),
        ),
        (json!({"port": 70000}), (2, "bad_event", "`port`", "")),
        (json!({"database": []}), (2, "bad_event", "`database`", "")),
        (json!({"workers": 0}), (2, "bad_event", "`workers`", "")),
        (json!({"compression": "gzip"}), (2, "bad_event", "`compression`", "")),
        (json!({"storage_class": "glacier"}), (2, "bad_event", "`storage_class`", "")),
        (json!({"lock_timeout": "1 minute"}), (2, "bad_event", "such as 60s", "")),
        (
            json!({"lock_timeout": 60}),
            (2, "bad_event", "`lock_timeout` must be text in double quotes", ""),
        ),
        (json!({"globals": "yes"}), (2, "bad_event", "`globals`", "")),
        (json!({"action": "backups"}), (2, "bad_event", "backup, check, plan or summary", "")),
        (json!({"scheduled_time": "tomorrow"}), (2, "bad_event", "`scheduled_time`", "")),
        (
            json!({"scheduled_time": "2099-01-01T00:00:00Z"}),
            (2, "bad_event", "`scheduled_time`", ""),
        ),
        (json!({"rate_limit": "10MB"}), (2, "bad_event", "such as 10M", "")),
        (
            json!({"tags": {"a": 1}}),
            (2, "bad_event", "`tags` must each have a text as its value", ""),
        ),
        (json!({"bucket": "s3://b"}), (2, "bad_event", "`bucket`", "")),
        (json!({"bucket": "NU_backups"}), (2, "bad_event", "3 to 63 of a-z", "")),
        (json!({"prefix": "/backups"}), (2, "bad_name", "`prefix`", "")),
        (
            json!({"public_key": "public_key.pem"}),
            (2, "bad_public_key", "looks like the name of a file", "$(cat public_key.pem)"),
        ),
        (
            json!({"public_key": "ssh-rsa AAAA me@here"}),
            (2, "bad_public_key", "is a key for SSH", "ssh-keygen -e"),
        ),
        (
            json!({"public_key": "age1qqqq"}),
            (2, "bad_public_key", "is a key of age", "pgseal keygen"),
        ),
        (
            json!({"host": "db.example.com"}),
            (2, "host_not_allowed", "PGSEAL_ALLOWED_HOSTS", "exact name"),
        ),
        (
            json!({"host": "localhost:5432"}),
            (2, "host_not_allowed", "no URL, no port", "`port`"),
        ),
        (
            json!({"host": "postgres://localhost"}),
            (2, "host_not_allowed", "no URL, no port", "`host`"),
        ),
        (json!({"database": "nope"}), (3, "no_database", "does not exist", "")),
        (
            json!({"database": "app,billing"}),
            (3, "no_database", "app,billing", r#"["a", "b"]"#),
        ),
        (json!({"user": "nobody"}), (3, "db_auth", "nobody", "PGPASSWORD")),
        (
            json!({"auth": "iam", "region": "us-east-1"}),
            (3, "db_tls", "TLS", "never downgraded"),
        ),
        (json!({"bucket": "no-such-bucket"}), (4, "s3_no_bucket", "no-such-bucket", "")),
        (json!({"tables": ["nosuchtable"]}), (2, "bad_event", "nosuchtable", "")),
    ];
    let mut wrong = Vec::new();
    for (patch, told) in rows {
        let mut event = fixture.order.clone();
        for (field, value) in patch.as_object().into_iter().flatten() {
            event[field] = value.clone();
        }
        let run = Pgseal::new(&["check", "--event", &event.to_string()])
            .envs(fixture.bucket.env())
            .envs(fixture.server.env());
        let said = run.run();
        assert!(
            said.receipt()["checks"].is_array(),
            "{patch}: check answers as check: {}",
            said.stdout
        );
        compare(&patch.to_string(), &said, told, &mut wrong);
    }
    settled(&wrong);
}

#[test]
fn mistakes_around_an_event() {
    let fixture = Fixture::new(json!({}));
    let bucket = &fixture.bucket.name;
    let no_key = format!("s3://{bucket}/no-such-event.json");
    let rows: Vec<(Vec<&str>, Told<'_>)> = vec![
        (
            vec!["check", "--event", "missing.json"],
            (2, "bad_usage", "--event: the file missing.json cannot be read", "standard input"),
        ),
        (
            vec!["check", "--event", "~/event.json"],
            (2, "bad_usage", "~/event.json", "the name of a file"),
        ),
        (vec!["check", "--event", "/"], (2, "bad_usage", "the file / cannot be read", "")),
        (
            vec!["check", "--event", "s3://bucket"],
            (2, "bad_usage", "no key", "s3://bucket/key"),
        ),
        (
            vec!["check", "--event", &no_key],
            (2, "bad_usage", "there is no object", "Correct the key"),
        ),
        (
            vec!["check", "--event", "{\"database\": \"x\",}"],
            (2, "bad_event", "not JSON (line 1", "no comma after the last field"),
        ),
        (
            vec!["check", "--event", "{\"database\": \"x\""],
            (2, "bad_event", "not JSON (line 1", ""),
        ),
        (vec!["check", "--event", "{}"], (2, "no_public_key", "`public_key` is missing", "")),
        (
            vec!["check", "event.json"],
            (2, "bad_usage", "unexpected argument", "pgseal check --event event.json"),
        ),
        (
            vec!["backup", "-e", "event.json"],
            (2, "bad_usage", "unexpected argument", "--event EVENT"),
        ),
        (
            vec!["--event", "event.json"],
            (2, "bad_usage", "unexpected argument", "pgseal backup --event EVENT"),
        ),
        (vec!["chekc"], (2, "bad_usage", "unrecognized subcommand", "'check'")),
        (vec!["explain", "s3_denid"], (2, "bad_usage", "`s3_denied`", "pgseal codes")),
        (vec!["explain", "7"], (2, "bad_usage", "7 is an exit status", "wrong_key")),
        (
            vec!["--region", "eu", "codes"],
            (2, "bad_usage", "'--region <REGION>'", "pgseal help codes"),
        ),
        (
            vec!["backup", "--event", "{database:", "app}"],
            (2, "bad_usage", "unexpected argument", "single quotes"),
        ),
    ];
    let mut wrong = Vec::new();
    for (arguments, told) in rows {
        let said = Pgseal::new(&arguments).envs(fixture.bucket.env()).envs(fixture.server.env()).run();
        compare(&arguments.join(" "), &said, told, &mut wrong);
    }
    settled(&wrong);
}

#[test]
fn mistakes_about_a_place() {
    let fixture = Fixture::new(json!({}));
    let (bucket, key) = (&fixture.bucket.name, fixture.key());
    let cut = format!("s3://{bucket}/backups/app_20");
    let mistyped = format!("s3://{bucket}/backups/latest:appp");
    let encrypted = text(&fixture.folder.path().join("encrypted.pem")).to_owned();
    super::openssl(&["pkey", "-in", &key, "-aes256", "-passout", "pass:x", "-out", &encrypted]);
    let no_region: &[&str] = &["AWS_REGION", "AWS_DEFAULT_REGION"];
    let no_login: &[&str] = &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let rows: Vec<(Vec<&str>, &[&str], Told<'_>)> = vec![
        (
            vec!["list", "nowhere"],
            &[],
            (2, "bad_usage", "nowhere cannot be read", "begins with s3://"),
        ),
        (vec!["list", "s3:/backups"], &[], (2, "bad_usage", "written s3://bucket/prefix", "")),
        (
            vec!["list", "host=db password=hunter2"],
            &[],
            (2, "bad_usage", "looks like a connection string", ""),
        ),
        (
            vec!["list", "--profile", "nobody", &cut],
            no_login,
            (4, "aws_failed", "there is no profile nobody", ""),
        ),
        (
            vec!["verify", &mistyped],
            &[],
            (7, "no_backup", "no complete backup of the database appp", "latest:app?"),
        ),
        (
            vec!["restore", &mistyped, "--key", &encrypted, "--to", "dbname=x"],
            &[],
            // Before anybody is asked for a passphrase.
            (7, "no_backup", "appp", "Did you mean"),
        ),
        (
            vec!["list", "arn:aws:s3:::backups"],
            &[],
            (2, "bad_usage", "written s3://bucket/prefix", ""),
        ),
        (
            vec!["list", "https://s3.amazonaws.com/b"],
            &[],
            (2, "bad_usage", "s3://bucket/prefix", ""),
        ),
        (vec!["list", "s3://"], &[], (2, "bad_usage", "names no bucket", "")),
        (
            vec!["list", "s3://no-such-bucket/backups"],
            &[],
            (4, "s3_no_bucket", "no-such-bucket", "Correct the bucket's name"),
        ),
        (
            vec!["list", "s3://some-bucket/backups"],
            no_region,
            (2, "bad_usage", "region", "--region"),
        ),
        (
            vec!["list", "s3://some-bucket/backups"],
            no_login,
            (4, "aws_failed", "no AWS credentials were found", "aws sso login"),
        ),
        (
            vec!["verify", &cut],
            &[],
            (7, "no_backup", "there is no backup in", "Did you mean app_20"),
        ),
        (
            vec!["verify", "s3://no-such-bucket/b/latest"],
            &[],
            (4, "s3_no_bucket", "no-such-bucket", "Correct the bucket's name"),
        ),
        (
            vec!["restore", &cut, "--key", &key, "--to", "dbname=x"],
            &[],
            (7, "no_backup", "there is no backup in", "Did you mean"),
        ),
    ];
    let mut wrong = Vec::new();
    for (arguments, without, told) in rows {
        let kept = fixture.bucket.env();
        let mut run = Pgseal::new(&arguments);
        for (name, value) in kept {
            if !without.contains(&name.as_str()) {
                run = run.env(&name, value);
            }
        }
        let said = run.env("AWS_EC2_METADATA_DISABLED", "true").run();
        compare(&format!("{} without {without:?}", arguments.join(" ")), &said, told, &mut wrong);
    }
    settled(&wrong);
}

#[test]
fn mistakes_with_keys_and_files() {
    let fixture = Fixture::new(json!({}));
    let (backup, key) = (fixture.at_s3(), fixture.key());
    let public = fixture.folder.path().join("public.pem");
    super::openssl(&["pkey", "-in", &key, "-pubout", "-out", text(&public)]);
    let junk = fixture.folder.path().join("junk.pem");
    std::fs::write(&junk, "hello").expect("a file");
    let (public, junk) = (text(&public), text(&junk));
    let rows: Vec<(Vec<&str>, Told<'_>)> = vec![
        (
            vec!["verify", &backup, "--key", "nokey.pem"],
            (2, "bad_usage", "the key file nokey.pem cannot be read", "private key"),
        ),
        (
            vec!["verify", &backup, "--key", "~/key.pem"],
            (2, "bad_usage", "~/key.pem cannot be read", ""),
        ),
        (vec!["verify", &backup, "--key", junk], (2, "bad_usage", "junk.pem", "")),
        (vec!["verify", &backup, "--key", public], (2, "bad_usage", "public", "")),
        (
            vec!["verify", &backup, "--signer", "nosigner.pem"],
            (2, "bad_usage", "--signer: nosigner.pem cannot be read", "Correct the file's name"),
        ),
        (
            vec!["verify", &backup, "--signer", &key],
            (2, "bad_public_key", "private key", "public half"),
        ),
        (vec!["verify", &backup, "--signer", public], (2, "bad_public_key", "RSA key", "EC")),
        (
            vec!["rewrap", &backup, "--key", &key, "--recipient", "no.pem"],
            (2, "bad_usage", "--recipient: no.pem cannot be read", "Correct the file's name"),
        ),
        (
            vec!["rewrap", &backup, "--key", &key, "--recipient", &key],
            (2, "private_key_given", "--recipient", "public half"),
        ),
        (
            vec![
                "init",
                "--database",
                "a",
                "--host",
                "orders.abc.us-east-1.rds.amazonaws.com",
                "--user",
                "u",
                "--bucket",
                "bbb",
                "--database-region",
                "us-east-1",
                "--public-key",
                "no.pem",
            ],
            (2, "bad_usage", "--public-key: no.pem cannot be read", "Correct the file's name"),
        ),
    ];
    let mut wrong = Vec::new();
    for (arguments, told) in rows {
        let said = fixture.run(&arguments);
        compare(&arguments.join(" "), &said, told, &mut wrong);
    }
    settled(&wrong);
    // No document amid a dump: these say it on stderr alone.
    for (output, words) in [("/nowhere/app.sql", "in a folder that exists"), (junk, "--force")] {
        let said = fixture.run(&["decrypt", &backup, "--key", &key, "-o", output]);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{}", said.stderr);
        assert!(said.stderr.contains("bad_usage") && said.stderr.contains(words), "{}", said.stderr);
    }
}

#[test]
fn mistakes_about_a_target() {
    let fixture = Fixture::new(json!({}));
    let (backup, key) = (fixture.at_s3(), fixture.key());
    let nowhere = fixture.server.conninfo("app").replace(&fixture.server.port().to_string(), "1");
    let rows: Vec<(&str, Told<'_>)> = vec![
        ("dbname=nodb", (7, "restore_failed", "\"nodb\" does not exist", "--create")),
        (
            "dbname=app",
            (7, "restore_failed", "the target is not empty", "another one in --to"),
        ),
        (&nowhere, (7, "restore_failed", "connection to server", "")),
    ];
    let mut wrong = Vec::new();
    for (to, told) in rows {
        let said = super::restore::into(&fixture, &["restore", &backup, "--key", &key, "--to", to]);
        compare(to, &said, told, &mut wrong);
    }
    settled(&wrong);
}
