//! Masked copies for staging, and how soon a restored database is of use.

use super::restore::into;
use super::{Fixture, text};
use crate::support::invariants::{event, key_pair};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::postgres::{Server, clients_path};
use crate::support::restore::dump;
use crate::support::s3::EmbeddedS3;
use serde_json::{Value, json};

/// Values of masked columns are all of them `…secret…`, or digits that nothing else has.
const TABLES: &str = "
    create table customers (id int primary key, email text unique, name varchar(40) not null, phone text, note text,
        shouted text generated always as (upper(email)) stored);
    insert into customers select g, case when g % 10 > 0 then 'c' || g || '@secret.example' end, 'Zoë Secretname' || g,
        '+49 (30) 55501' || 1000 + g, case when g % 2 > 0 then 'secret note ' || g end from generate_series(1, 200) g;
    create table orders (id int primary key, email text references customers (email), cents int);
    insert into orders select g, 'c' || (g % 9 + 1) || '@secret.example', g * 7 from generate_series(1, 500) g;
    create materialized view by_mail as select email, count(*) from orders group by 1;
    create index on customers (lower(email));
    create table visits (day int, who text) partition by range (day);
    create table visits_1 partition of visits for values from (0) to (10);
    create table visits_2 partition of visits for values from (10) to (20);
    insert into visits select g % 20, 'visitor secret ' || g from generate_series(1, 300) g;
    create table base (who text); create table derived (more int) inherits (base);
    insert into derived values ('not kept back', 1);
    analyze;";

const RULES: &str = r#"{
    "tables": {
        "public.customers": {"email": "hash", "name": {"constant": "Jane \\ Doe"}, "phone": "shape", "note": "null"},
        "public.orders": {"email": "hash"}
    },
    "partitioned": {"public.visits": {"who": {"hash": {"length": 12}}}}
}"#;

fn masked(fixture: &Fixture, rules: &str, more: &[&str]) -> CommandOutput {
    let file = fixture.folder.path().join("rules.json");
    std::fs::write(&file, rules).expect("written");
    let (fetched, key) = (fixture.fetched(), fixture.key());
    let arguments = [
        "restore",
        text(&fetched),
        "--key",
        &key,
        "--to",
        "dbname=copy",
        "--create",
        "--mask",
        text(&file),
    ];
    into(fixture, &[&arguments, more].concat())
}

#[test]
fn a_masked_copy_has_no_original_of_masked_columns_and_all_else() {
    let fixture = Fixture::with(TABLES, json!({}));
    let said = masked(&fixture, RULES, &[]);
    let report = said.receipt();
    assert_eq!(said.code, 0, "{report}{}", said.stderr);
    let server = &fixture.server;
    let ask = |sql: &str| (server.psql("app", sql), server.psql("copy", sql));

    // Not even in what was computed of them.
    let (source, copy) = (dump(server, "app"), dump(server, "copy"));
    let (source, copy) = (
        String::from_utf8_lossy(&source).to_lowercase(),
        String::from_utf8_lossy(&copy).to_lowercase(),
    );
    for word in ["secret", "@secret.example", "zoë", "55501", "visitor"] {
        assert!(source.contains(word) && !copy.contains(word), "{word}");
    }

    for table in [
        "plain",
        "(select id, cents from orders)",
        "(select day from visits)",
        "(select id from customers)",
    ] {
        let (source, copy) = ask(&format!(
            "select count(*), md5(string_agg(t::text, ',' order by t::text)) from {table} t"
        ));
        assert_eq!(source, copy, "{table}");
    }
    for same in [
        "select count(*) from orders join customers using (email)",
        "select array_agg(count order by count) from by_mail",
        "select count(*), count(email), count(distinct email), count(phone), count(shouted) from customers",
        "select count(*), count(distinct who) from visits",
        "select tableoid::regclass, count(*) from visits group by 1 order by 1",
        "select count(*) from customers where phone ~ '^\\+[0-9]{2} \\([0-9]{2}\\) [0-9]{9}$'",
        "select * from base",
    ] {
        let (source, copy) = ask(same);
        assert_eq!(source, copy, "{same}");
    }
    let changed = "select count(note), count(distinct name), min(name), bool_and(shouted = upper(email)) from customers";
    assert_eq!(ask(changed).1, "0|1|Jane \\ Doe|t");

    let masks = report["masked"].as_array().expect("tables");
    let names: Vec<&str> = masks.iter().map(|table| table["table"].as_str().expect("a name")).collect();
    assert_eq!(names, ["public.customers", "public.orders", "public.visits_1", "public.visits_2"]);
    assert_eq!(masks[0]["rows"], json!(200));
    assert_eq!(masks[0]["columns"][0], json!({"column": "email", "mask": "hash", "values": 180}));
    assert_eq!(report["statistics"]["from"], json!("analyze"), "{report}");
    assert_eq!(ask("select count(*) > 0 from pg_stats where tablename = 'customers'").1, "t");
}

#[test]
fn rules_that_cannot_be_applied_restore_nothing() {
    let fixture = Fixture::with(TABLES, json!({}));
    let copies = "select count(*) from pg_database where datname = 'copy'";
    let table = |table: &str, rule: &str| format!(r#"{{"tables": {{"public.{table}": {{{rule}}}}}}}"#);
    for (rules, code, told) in [
        ("[]".to_owned(), "bad_usage", "the rules must be an object"),
        (
            table("customer", r#""email": "null""#),
            "bad_usage",
            "public.customer has no rows in this backup",
        ),
        (
            table("customers", r#""mail": "null""#),
            "bad_usage",
            "public.customers has no column mail",
        ),
        (
            table("customers", r#""name": "null""#),
            "bad_usage",
            "public.customers.name is NOT NULL",
        ),
        (
            table("customers", r#""shouted": "null""#),
            "bad_usage",
            "public.customers.shouted is computed",
        ),
        (
            table("base", r#""who": "null""#),
            "bad_usage",
            "public.derived inherits who from public.base",
        ),
        (
            table("visits", r#""who": "null""#),
            "bad_usage",
            "public.visits has no rows in this backup",
        ),
        (table("plain", r#""id": "hash""#), "restore_failed", "public.plain.id"),
        (
            table("customers", r#""email": "hash""#),
            "restore_failed",
            "the masks may be the cause",
        ),
    ] {
        let said = masked(&fixture, &rules, &["--single-transaction"]);
        let exit = if code == "bad_usage" { 2 } else { 7 };
        said.failed(code, exit);
        assert!(said.stderr.contains(told), "{rules}: {}", said.stderr);
        assert_eq!(fixture.server.psql("postgres", copies), "0", "{rules}");
    }
    let said = masked(&fixture, &table("derived", r#""who": "null""#), &["--globals"]);
    said.failed("bad_usage", 2);
    let drill = into(
        &fixture,
        &["drill", text(&fixture.fetched()), "--key", &fixture.key(), "--mask", "x"],
    );
    drill.failed("bad_usage", 2);
}

#[test]
fn a_restored_database_is_analyzed_unless_it_is_not_wanted() {
    // Its index can be made, and not be analyzed in the first stage.
    let odd = "create function f(i int) returns int immutable language plpgsql as
            'begin if current_setting(''default_statistics_target'') = ''1'' then raise ''no''; end if; return i; end';
        create table odd as select generate_series(1, 10) i; create index on odd (f(i));
        create table parts (i int) partition by range (i); create table part partition of parts default;
        insert into parts select generate_series(1, 50)";
    let fixture = Fixture::with(odd, json!({}));
    let (fetched, key) = (fixture.fetched(), fixture.key());
    let restore = |to: &str, more: &[&str]| {
        let arguments = ["restore", text(&fetched), "--key", &key, "--to", to, "--create"];
        let said = into(&fixture, &[&arguments, more].concat());
        assert_eq!(said.code, 0, "{}", said.stderr);
        said.receipt()
    };
    let report = restore("dbname=copy", &[]);
    assert_eq!(report["statistics"]["tables"], json!(2), "{report}");
    assert!(
        report["warnings"].to_string().contains("ANALYZE failed for 1 of 3 tables"),
        "{report}"
    );
    let analyzed = "select string_agg(distinct tablename, ',' order by tablename) from pg_stats where schemaname = 'public'";
    assert_eq!(fixture.server.psql("copy", analyzed), "odd,odd_f_idx,part,parts,plain");

    let report = restore("dbname=bare", &["--no-analyze"]);
    assert_eq!((&report["statistics"], &report["masked"]), (&Value::Null, &Value::Null), "{report}");

    let reports = fixture.folder.path().join("reports");
    let said = into(&fixture, &["drill", text(&fetched), "--key", &key, "--report", text(&reports)]);
    let report = said.receipt();
    assert_eq!(said.code, 0, "{report}{}", said.stderr);
    let names: Vec<&str> = report["phases"]
        .as_array()
        .expect("phases")
        .iter()
        .filter_map(|phase| phase["name"].as_str())
        .collect();
    let analyze = names.iter().position(|name| *name == "make the planner's statistics");
    let compare = names.iter().position(|name| *name == "count and compare");
    assert!(analyze.is_some() && analyze < compare, "{names:?}");
    let times = &report["recovery"];
    assert!(
        times["useful_ms"].as_u64() >= times["restored_ms"].as_u64() && times["restored_ms"].is_u64(),
        "{report}"
    );
    assert_eq!(report["statistics"]["from"], json!("analyze"));
    let mut files = std::fs::read_dir(&reports)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let page = files
        .find(|path| path.extension().is_some_and(|end| end == "html"))
        .expect("a page");
    let page = std::fs::read_to_string(page).expect("a page");
    assert!(page.contains("restored in") && page.contains("useful in"), "{page}");
}

/// The most common values of a column stand in them, of an index and a materialized view too.
#[test]
fn no_original_comes_with_the_planners_statistics() {
    let server = Server::builder().major(18).start();
    server.create_app(
        "create table told as select 'secret ' || g % 5 as who from generate_series(1, 500) g; create index on told (upper(who));
         create table other as select 'plain ' || g % 5 as who from generate_series(1, 500) g; analyze",
    );
    let s3 = EmbeddedS3::start();
    let (bucket, folder) = (s3.bucket(), tempfile::tempdir().expect("a folder"));
    let (private, public) = key_pair(folder.path());
    let mut order = event(&server, "app", &bucket);
    (order["public_key"], order["statistics"]) = (json!(public), json!(true));
    Pgseal::backup(&order).envs(bucket.env()).envs(server.env()).run().complete();
    let rules = folder.path().join("rules.json");
    std::fs::write(&rules, r#"{"tables": {"public.told": {"who": "hash"}}}"#).expect("written");
    let values = "select count(*) from pg_stats where schemaname = 'public' and most_common_vals::text ilike '%secret%'";
    assert_eq!(server.psql("app", values), "2");
    let (place, to) = (format!("s3://{}/backups/latest", bucket.name), server.conninfo("copy"));
    let arguments = [
        "restore",
        &place,
        "--key",
        text(&private),
        "--to",
        &to,
        "--create",
        "--no-owner",
        "--no-privileges",
    ];
    let psql = server.psql_command("postgres");
    let set = psql
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value?.to_str()?.to_owned())));
    let run = Pgseal::new(&[&arguments[..], &["--no-analyze", "--mask", text(&rules)]].concat()).envs(set);
    let said = run.env("PGSEAL_PG_BIN", clients_path()).envs(bucket.env()).run();
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("they hold values of the source"), "{}", said.stdout);
    assert_eq!(
        server.psql("copy", "select count(*) from pg_stats where schemaname = 'public'"),
        "0"
    );
    assert_eq!(
        server.psql(
            "copy",
            "select count(distinct who), count(*) from told where who not like '%secret%'"
        ),
        "5|500"
    );
}
