//! The planner's statistics, which pg_dump 18 can dump: a restored database then needs no ANALYZE.

use crate::support::invariants::{event, key_pair};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::postgres::{Server, clients_path};
use crate::support::s3::EmbeddedS3;
use serde_json::json;

const ROWS: &str = "select reltuples::int from pg_class where oid = 'counted'::regclass";

#[test]
fn statistics_come_back_where_the_server_takes_them() {
    let server = Server::builder().major(18).start();
    server.create_app("create table counted as select generate_series(1, 1000) as n; analyze counted;");
    let s3 = EmbeddedS3::start();
    let (bucket, folder) = (s3.bucket(), tempfile::tempdir().expect("a folder"));
    let (private, public) = key_pair(folder.path());
    let mut event = event(&server, "app", &bucket);
    (event["public_key"], event["statistics"]) = (json!(public), json!(true));
    let receipt = Pgseal::backup(&event).envs(bucket.env()).envs(server.env()).run().complete();
    assert_eq!(receipt["backups"][0]["warnings"], json!([]), "{receipt}");

    let place = format!("s3://{}/backups/latest", bucket.name);
    let restore = |target: &Server| -> CommandOutput {
        let to = target.conninfo("copy");
        let key = private.to_str().expect("UTF-8");
        let arguments = [
            "restore",
            &place,
            "--key",
            key,
            "--to",
            &to,
            "--create",
            "--no-owner",
            "--no-privileges",
        ];
        let psql = target.psql_command("postgres");
        let set = psql
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value?.to_str()?.to_owned())));
        let run = Pgseal::new(&arguments).envs(set).env("PGSEAL_PG_BIN", clients_path());
        run.envs(bucket.env()).run()
    };
    let said = restore(&server);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    // Nobody analyzed it here: the number is that of the dump.
    assert_eq!(server.psql("copy", ROWS), "1000");

    let older = Server::builder().major(17).start();
    let said = restore(&older);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("statistics"), "{}", said.stdout);
    assert_eq!(older.psql("copy", "select count(*) from counted"), "1000");
}

#[test]
fn an_older_pg_dump_has_no_statistics_and_that_is_told() {
    let server = Server::start();
    server.create_app("create table counted as select generate_series(1, 1000) as n");
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let mut event = event(&server, "app", &bucket);
    event["statistics"] = json!(true);
    let run = Pgseal::backup(&event).envs(bucket.env()).envs(server.env());
    let receipt = run.env("PGSEAL_PG_BIN", server.bin()).run().complete();
    assert!(receipt.to_string().contains("`statistics` are not in this dump"), "{receipt}");
}
