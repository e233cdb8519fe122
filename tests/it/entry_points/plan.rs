//! `plan`: what an event means, database by database, each as an event that can be sent as it stands.

use super::Fixture;
use serde_json::json;

#[test]
fn each_database_becomes_an_event_of_its_own() {
    let fixture = Fixture::new();
    fixture.server.psql("postgres", "create database \"Größe; 1\"");
    let mut event = fixture.event();
    event["database"] = json!("*");
    event["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    let said = fixture.prepared(&["plan", "--event", &event.to_string()]).run();
    let fleet = said.receipt();
    assert_eq!((said.code, &fleet["status"]), (0, &json!("planned")), "{fleet}\n{}", said.stderr);
    assert_eq!(fixture.bucket.keys(), [""; 0]);
    let planned = fleet["items"].as_array().expect("a list of backups");
    let names: Vec<_> = planned.iter().filter_map(|backup| backup["database"].as_str()).collect();
    assert_eq!(names, ["Größe; 1", "app", "postgres"]);
    assert!(planned.iter().all(|backup| backup["estimate"]["dump_bytes"].is_u64()), "{fleet}");

    let app = &planned[1]["event"];
    let receipt = fixture.complete(&fixture.backup(app));
    assert_eq!(receipt["backups"][0]["rows"], 100);
    assert_eq!(fixture.backup(app).receipt()["status"], "already_complete");
}

/// A stored event with a time that `plan` fixed would make one backup, and find it in every night that follows.
#[test]
fn a_time_is_handed_on_only_where_the_event_has_one() {
    let fixture = Fixture::new();
    let plan = |event: &serde_json::Value| fixture.prepared(&["plan", "--event", &event.to_string()]).run().receipt();
    let mut event = fixture.event();
    let handed_on = plan(&event)["items"][0]["event"].clone();
    assert_eq!(
        (&handed_on["scheduled_time"], &handed_on["database"]),
        (&json!(null), &json!("app")),
        "{handed_on}"
    );
    event["scheduled_time"] = json!("2026-11-24T03:00:00+01:00");
    assert_eq!(plan(&event)["items"][0]["event"]["scheduled_time"], event["scheduled_time"]);
}

#[test]
fn an_event_may_ask_for_the_plan() {
    let fixture = Fixture::new();
    let mut event = fixture.event();
    event["action"] = json!("plan");
    let said = fixture.prepared(&[]).env("BACKUP_EVENT", event.to_string()).run();
    let fleet = said.receipt();
    assert_eq!((said.code, &fleet["items"][0]["event"]["action"]), (0, &json!("backup")), "{fleet}");
}

#[test]
fn a_database_that_is_not_there_is_said_and_the_others_are_planned() {
    let fixture = Fixture::new();
    let mut event = fixture.event();
    event["database"] = json!(["nowhere", "app"]);
    let said = fixture.prepared(&["plan", "--event", &event.to_string()]).run();
    let fleet = said.receipt();
    assert_eq!((said.code, &fleet["status"]), (3, &json!("failed")), "{fleet}");
    assert_eq!(fleet["items"][0]["error"]["code"], "no_database", "{fleet}");
    assert!(fleet["items"][1]["estimate"].is_object(), "{fleet}");
}
