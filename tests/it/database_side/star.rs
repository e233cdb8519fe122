//! `"*"`: all databases, and none left out in silence.

use super::Fixture;
use crate::support::invariants::backup_stands;
use serde_json::{Value, json};

/// A server with one database of each kind.
fn zoo() -> Fixture {
    let fixture = Fixture::new();
    let sql = |text: &str| fixture.server.psql("postgres", text);
    sql("create database hr");
    sql("revoke connect on database hr from public");
    sql("create database lim0 connection limit 0");
    sql("create database closed with allow_connections false");
    sql("create database half_dropped");
    sql("update pg_database set datconnlimit = -2 where datname = 'half_dropped'");
    sql("create database template_service is_template true");
    sql("create database rdsadmin");
    sql("create database \"Größe & 'Co'\"");
    sql("create database odd_home encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0");
    let strange = "set client_encoding = 'SQL_ASCII'; update pg_database set datname = E'caf\\351'::text::name where datname = 'odd'";
    sql("create database odd");
    fixture.server.psql("odd_home", strange);
    fixture
}

fn entries<'a>(answer: &'a Value, list: &str) -> Vec<&'a Value> {
    answer[list].as_array().expect("a list").iter().collect()
}

#[test]
fn a_star_leaves_nothing_out_in_silence() {
    let fixture = zoo();
    let mut event = fixture.event();
    event["database"] = json!("*");
    event["exclude_databases"] = json!(["postgres", "odd_home", "gone_long_ago"]);
    let said = fixture.prepared("backup", &event).run();
    let receipt = said.receipt();
    let told: Vec<String> = entries(&receipt, "backups")
        .into_iter()
        .map(|entry| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            format!(
                "{} {} {}",
                text(&entry["database"]),
                text(&entry["status"]),
                text(&entry["error"]["code"])
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "Größe & 'Co' complete ",
            "app complete ",
            "caf\\xe9 failed bad_name",
            "closed skipped ",
            "half_dropped skipped ",
            "hr failed db_privilege",
            "lim0 failed db_privilege",
            "template_service complete ",
        ],
        "{receipt}"
    );
    assert_eq!((&receipt["status"], said.code), (&json!("failed"), 2));
    assert!(receipt["warnings"].to_string().contains("gone_long_ago"), "{receipt}");
    let reasons = entries(&receipt, "backups")
        .into_iter()
        .filter(|entry| entry["status"] == "skipped");
    assert!(
        reasons.clone().count() == 2 && reasons.into_iter().all(|entry| entry["reason"].is_string()),
        "{receipt}"
    );

    // `check` and `plan` show the same; the plan of what can be planned is made.
    let report = fixture.prepared("check", &event).run();
    assert_eq!(report.code, 2, "{}", report.stdout);
    let plan = fixture.prepared("plan", &event).run();
    assert_eq!(
        (plan.code, &plan.receipt()["status"]),
        (0, &json!("planned")),
        "{}{}",
        plan.stdout,
        plan.stderr
    );
    for name in ["caf\\\\xe9", "closed", "half_dropped", "hr", "lim0", "template_service"] {
        assert!(
            report.stdout.contains(name) && plan.stdout.contains(name),
            "{name}: {}{}",
            report.stdout,
            plan.stdout
        );
    }
    assert_eq!(entries(&plan.receipt(), "items").len(), 8);

    // Left out on purpose, by the names that were shown: what is skipped changes nothing.
    event["exclude_databases"] = json!(["postgres", "odd_home", "caf\\xe9", "hr", "lim0"]);
    event["prefix"] = json!("backups/chosen");
    let said = fixture.prepared("backup", &event).run();
    let receipt = said.complete();
    assert_eq!(entries(&receipt, "backups").len(), 5, "{receipt}");
    assert_eq!(fixture.prepared("backup", &event).run().code, 0);
}

#[test]
fn a_star_works_where_postgres_and_template1_are_closed() {
    let fixture = Fixture::new();
    let sql = |text: &str| fixture.server.psql("app", text);
    sql("create database dumper");
    let mut event = fixture.event();
    event["database"] = json!("*");
    event["exclude_databases"] = json!(["postgres"]);
    for closed in ["postgres", "template1"] {
        sql(&format!("revoke connect on database {closed} from public"));
        event["prefix"] = json!(closed);
        let receipt = fixture.prepared("backup", &event).run().complete();
        assert_eq!(entries(&receipt, "backups").len(), 2, "{receipt}");
        backup_stands(&fixture.bucket, &receipt);
    }
    // Where nothing is open to ask, the hint says what would help.
    sql("revoke connect on database dumper from public");
    let said = fixture.prepared("backup", &event).run();
    let receipt = said.failed("db_privilege", 3);
    assert!(receipt["error"]["hint"].to_string().contains("GRANT CONNECT"), "{receipt}");
}

/// `create database lim0 connection limit 0` was enough to have no plan at all.
#[test]
fn a_plan_of_all_is_made_though_one_of_them_cannot_be_looked_at() {
    let fixture = Fixture::new();
    let sql = |text: &str| fixture.server.psql("postgres", text);
    sql("create database crowded connection limit 1");
    sql("create database objects");
    fixture.server.psql("objects", "select lo_create(4711)");
    let mut holder = fixture.server.session("crowded");
    holder.run("select 1");
    let mut event = fixture.event();
    event["database"] = json!("*");
    let plan = fixture.prepared("plan", &event).run();
    assert_eq!((plan.code, &plan.receipt()["status"]), (0, &json!("planned")), "{}", plan.stdout);
    for (name, code) in [("crowded", "db_busy"), ("objects", "db_privilege")] {
        let receipt = plan.receipt();
        let entry = entries(&receipt, "items").into_iter().find(|entry| entry["database"] == name);
        let entry = entry.unwrap_or_else(|| panic!("no {name}: {receipt}"));
        assert_eq!(
            (&entry["error"]["code"], &entry["event"]["database"]),
            (&json!(code), &json!(name)),
            "{entry}"
        );
    }
    // Named, it is what was asked for.
    event["database"] = json!(["crowded", "app"]);
    fixture.prepared("plan", &event).run().failed("db_busy", 3);
}
