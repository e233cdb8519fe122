//! Which servers and databases an event of a fleet means.

use super::{Fleet, nightly};
use crate::support::s3::EmbeddedS3;
use serde_json::{Value, json};

fn items(plan: &Value) -> &Vec<Value> {
    plan["items"].as_array().expect("items")
}

#[test]
fn a_plan_has_each_database_of_each_server_that_is_meant() {
    let (s3, fleet) = (EmbeddedS3::start(), Fleet::start(&["orders", "billing"]));
    let bucket = s3.bucket();
    fleet.servers[0].psql("postgres", "create database app");
    fleet.servers[0].psql("postgres", "create database scratch");
    fleet.register("other", fleet.servers[0].port(), &[("backup", "weekly")]);
    fleet.register("asleep", 1, &[("backup", "nightly")]);
    fleet.register("spared", fleet.servers[0].port(), &[("backup", "nightly"), ("pgseal:skip", "true")]);
    let narrowed = [
        ("backup", "nightly"),
        ("pgseal:databases", "app nowhere"),
        ("pgseal:exclude-databases", "nowhere"),
    ];
    fleet.register("narrowed", fleet.servers[0].port(), &narrowed);
    let mut event = nightly("plan");
    event["exclude_databases"] = json!(["scratch"]);
    let said = fleet.run(&bucket, &event).run();
    let plan = said.receipt();
    // What cannot be asked fails its own item, and not the plan.
    assert_eq!((said.code, &plan["status"]), (0, &json!("planned")), "{plan}\n{}", said.stderr);
    let told: Vec<String> = items(&plan)
        .iter()
        .map(|item| {
            let what = item["error"]["code"]
                .as_str()
                .or(item["status"].as_str())
                .or(item["route"].as_str());
            format!(
                "{} {} {}",
                item["group"].as_str().unwrap_or("?"),
                item["database"].as_str().unwrap_or("-"),
                what.unwrap_or("?")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "asleep - db_unreachable",
            // In this emulator all servers have one host: their backups would have one name, which is said before.
            "billing postgres stem_taken",
            "narrowed app lambda",
            // What a tag leaves out is told, too.
            "narrowed postgres skipped",
            "orders app lambda",
            "orders postgres stem_taken",
            "spared - skipped"
        ],
        "{plan}"
    );
    let is_order = |item: &&Value| item["group"] == "orders" && item["database"] == "app";
    let planned = items(&plan).iter().find(is_order).expect("it is planned");
    let order = &planned["event"];
    assert_eq!(
        order,
        &json!({
            "action": "backup", "database": "app", "scheduled_time": "2026-11-24T02:00:00Z",
            "host": "127.0.0.1", "port": fleet.servers[0].port()
        })
    );
    assert!(planned["estimate"]["dump_bytes"].is_u64(), "{plan}");
    // And each is an order of its own, which the deployment lets in.
    assert_eq!(fleet.run(&bucket, order).run().receipt()["status"], "complete");
    // The same once more: deterministic.
    let again = fleet.run(&bucket, &event).run().receipt();
    assert_eq!(items(&again).len(), items(&plan).len());
    assert!(
        items(&again)
            .iter()
            .zip(items(&plan))
            .all(|(one, other)| one["event"] == other["event"])
    );
}

#[test]
fn what_discovers_is_for_a_plan_alone_and_finds_something() {
    let (s3, fleet) = (EmbeddedS3::start(), Fleet::start(&["orders"]));
    let bucket = s3.bucket();
    for action in ["backup", "check"] {
        let said = fleet.run(&bucket, &nightly(action)).run();
        assert_eq!((said.code, said.error_code().as_str()), (2, "bad_event"), "{}", said.stdout);
    }
    let mut event = nightly("plan");
    event["host"] = json!("127.0.0.1");
    assert_eq!(fleet.run(&bucket, &event).run().error_code(), "bad_event");
    let mut event = nightly("plan");
    event["discover"] = json!({"tags": {"backup": "never"}});
    let said = fleet.run(&bucket, &event).run();
    assert_eq!(
        (said.code, said.error_code().as_str()),
        (3, "instance_not_found"),
        "{}",
        said.stdout
    );
    event["discover"] = json!({"instances": ["nowhere", "orders"]});
    let plan = fleet.run(&bucket, &event).run().receipt();
    assert_eq!(items(&plan)[0]["error"]["code"], "instance_not_found", "{plan}");
    assert_eq!(items(&plan)[1]["group"], "orders", "{plan}");
}

#[test]
fn a_plan_in_files_is_read_by_maps_and_summed_up() {
    let (s3, fleet) = (EmbeddedS3::start(), Fleet::start(&["orders"]));
    let (bucket, plans) = (s3.bucket(), s3.bucket());
    fleet.servers[0].psql("postgres", "create database app");
    fleet.register("asleep", 1, &[("backup", "nightly")]);
    let run = |event: &Value, tolerated: &str| {
        let place = format!("s3://{}/plans", plans.name);
        fleet
            .run(&bucket, event)
            .env("PGSEAL_PLAN_LOCATION", place)
            .env("PGSEAL_TOLERATED_FAILURES", tolerated)
            .run()
    };
    let summary = json!({"action": "summary", "scheduled_time": "2026-11-24T02:00:00Z"});
    assert_eq!(run(&summary, "0").error_code(), "no_backup");
    let plan = run(&nightly("plan"), "0").receipt();
    assert_eq!(
        (&plan["groups"], &plan["databases"], &plan["skipped"], &plan["items"]),
        (&json!(2), &json!(3), &json!(0), &Value::Null),
        "{plan}"
    );
    assert_eq!(plan["index"]["bucket"], plans.name.as_str());
    let lines = |key: &str| -> Vec<Value> {
        let text = String::from_utf8(plans.get(key)).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let index = lines(plan["index"]["key"].as_str().expect("a key"));
    let groups: Vec<_> = index.iter().filter_map(|line| line["group"].as_str()).collect();
    assert_eq!(groups, ["asleep", "orders"]);
    let items = lines(index[1]["key"].as_str().expect("a key"));
    assert_eq!((items.len(), &index[1]["items"]), (2, &json!(2)));
    assert_eq!(run(&items[0]["event"], "0").receipt()["status"], "complete");
    // One of three is there: the other could not be asked, the third was not run.
    let failed = run(&summary, "60");
    let told = failed.receipt();
    assert_eq!(
        (failed.code, &told["status"], &told["complete"], &told["failed"]),
        (7, &json!("failed"), &json!(1), &json!(2)),
        "{told}"
    );
    assert_eq!(told["failures"][0], json!({"group": "asleep", "code": "db_unreachable"}));
    assert!(failed.stderr.contains(r#""FleetFailed":2.0"#), "{}", failed.stderr);
    let tolerated = run(&summary, "67");
    assert_eq!((tolerated.code, &tolerated.receipt()["status"]), (0, &json!("complete")));

    // A plan that was cut off, as by a function's end: nobody worked by it.
    plans.put("plans/20261124T020000Z/deadbeef/orders.jsonl", b"{}");
    // What has a backup's name is not a backup of this order by that.
    bucket.put("backups/127.0.0.1/postgres_20261124T020000Z.manifest.jsonl", b"x");
    let taken = run(&summary, "0").receipt();
    assert_eq!(
        taken["failures"][1],
        json!({"group": "orders", "database": "postgres", "code": "stem_taken"}),
        "{taken}"
    );
    bucket.delete("backups/127.0.0.1/postgres_20261124T020000Z.manifest.jsonl");
    // Once the server answers, trying again for this time ends well.
    fleet.unregister("asleep");
    fleet.register(
        "asleep",
        fleet.servers[0].port(),
        &[("backup", "nightly"), ("pgseal:databases", "app")],
    );
    assert_eq!(run(&nightly("plan"), "0").receipt()["groups"], 2);
    assert_eq!(run(&items[1]["event"], "0").receipt()["status"], "complete");
    let again = run(&summary, "0");
    assert_eq!((again.code, &again.receipt()["databases"]), (0, &json!(3)), "{}", again.stdout);
}

/// An instance of this name stopped the plan of all servers: the index had its file's name.
#[test]
fn a_servers_name_is_no_file_of_the_plan_itself() {
    let (s3, fleet) = (EmbeddedS3::start(), Fleet::start(&["groups"]));
    let (bucket, plans) = (s3.bucket(), s3.bucket());
    fleet.register("skipped", 1, &[("backup", "nightly"), ("pgseal:skip", "yes")]);
    let place = format!("s3://{}/plans", plans.name);
    let said = fleet.run(&bucket, &nightly("plan")).env("PGSEAL_PLAN_LOCATION", &place).run();
    let plan = said.receipt();
    assert_eq!((&plan["groups"], &plan["skipped"]), (&json!(1), &json!(1)), "{plan}");
    // The answer has no items: what is left out is in the log.
    assert!(
        said.stderr.contains("skipped is skipped: its tag pgseal:skip says so"),
        "{}",
        said.stderr
    );
}

/// Tags can leave out, whatever the event names, and add nothing that `"*"` does not mean.
#[test]
fn tags_narrow_named_databases_and_all() {
    let (s3, fleet) = (EmbeddedS3::start(), Fleet::start(&["orders"]));
    let bucket = s3.bucket();
    for name in ["app", "scratch"] {
        fleet.servers[0].psql("postgres", &format!("create database {name}"));
    }
    let planned = |databases: Value, tags: &[(&str, &str)]| {
        fleet.unregister("orders");
        fleet.register("orders", fleet.servers[0].port(), &[&[("backup", "nightly")], tags].concat());
        let mut event = nightly("plan");
        event["database"] = databases;
        let plan = fleet.run(&bucket, &event).run().receipt();
        let told = |item: &Value| {
            let what = item["error"]["code"].as_str().or(item["status"].as_str()).unwrap_or("planned");
            format!("{} {what}", item["database"].as_str().unwrap_or("-"))
        };
        match plan["items"].as_array().filter(|items| !items.is_empty()) {
            Some(items) => items.iter().map(told).collect::<Vec<_>>(),
            None => vec![plan["error"]["code"].as_str().unwrap_or("?").to_owned()],
        }
    };
    let named = || json!(["app", "scratch"]);
    assert_eq!(
        planned(named(), &[("pgseal:exclude-databases", "scratch")]),
        ["app planned", "scratch skipped"]
    );
    assert_eq!(
        planned(named(), &[("pgseal:databases", "scratch postgres")]),
        ["app skipped", "scratch planned"]
    );
    assert_eq!(
        planned(json!("*"), &[("pgseal:exclude-databases", "scratch")]),
        ["app planned", "postgres planned", "scratch skipped"]
    );
    // What "*" does not mean stays out: it fails, so that a slip in a tag is heard.
    assert_eq!(
        planned(json!("*"), &[("pgseal:databases", "app template1")]),
        ["app planned", "postgres skipped", "scratch skipped", "template1 no_database"]
    );
    // Where the event itself excludes all of them, the server is an item that fails.
    let mut nothing = nightly("plan");
    nothing["exclude_databases"] = json!(["app", "postgres", "scratch"]);
    let plan = fleet.run(&bucket, &nothing).run().receipt();
    assert_eq!(items(&plan)[0]["error"]["code"], "no_database", "{plan}");
    // Nothing is left: that is said, for anyone who may tag could end all backups.
    let none = [("pgseal:databases", "app"), ("pgseal:exclude-databases", "app")];
    assert_eq!(planned(json!("*"), &none), ["instance_not_found"]);
}
