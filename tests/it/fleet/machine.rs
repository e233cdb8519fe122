//! The state machine of deploy/fleet.asl.json, run by an emulator of Step Functions: the real function on one route, the real
//! image in a container on the other.

use super::Fleet;
use crate::support::aws::{Ministack, REGION};
use crate::support::docker::{self, image, linter, root};
use crate::support::pgseal::program;
use crate::support::postgres::Server;
use serde_json::{Value, json};
use std::process::Command;

/// What the emulator does not do, and what stands in its place, is said at the beginning of tests/it/fleet/machine.py.
#[test]
fn a_fleet_is_backed_up_whatever_becomes_of_one_of_it() {
    let aws = Ministack::start_with("127.0.0.1", &[("DOCKER_HOST", docker::host())]);
    let fleet = Fleet::start(&["orders", "billing"]);
    let (orders, billing) = (&fleet.servers[0], &fleet.servers[1]);
    for database in ["app", "locked", "large"] {
        orders.psql("postgres", &format!("create database {database}"));
    }
    orders.psql("locked", "create table held (id int)");
    // At the rate of this test more than the function has time for.
    orders.psql(
        "large",
        "create table t as select i, repeat(md5(i::text), 8) as text from generate_series(1, 12000) i",
    );
    // The emulator gives all of them one address, and so one folder: names are of one server each.
    billing.psql("postgres", "create database ledger");
    fleet.register("asleep", 1, &[("backup", "nightly")]);
    let (bucket, plans) = (aws.bucket(), aws.bucket());
    let mut held = orders.session("locked");
    held.run("begin; lock table held in access exclusive mode");
    let mut variables = fleet.environment(&bucket);
    variables.retain(|(name, _)| name != "RATE_LIMIT");
    variables.extend([
        ("RATE_LIMIT".to_owned(), "128k".to_owned()),
        ("LOCK_TIMEOUT".to_owned(), "1s".to_owned()),
    ]);
    let order = json!({
        "endpoint": aws.endpoint(), "region": REGION, "bucket": bucket.name, "plans": plans.name,
        "program": program(), "image": image("ecs"), "docker": docker::host(), "variables": variables,
    });
    run("machine", &order);
}

/// `make test-large` has two hundred of them, of which one percent may fail.
#[test]
fn many_small_databases_are_backed_up_and_one_that_fails_is_named() {
    let count = std::env::var("TESTBED_FLEET_DATABASES").map_or(8, |text| text.parse::<usize>().expect("a number"));
    let aws = Ministack::start();
    // The emulator knows no limit of a map: all of them come at once.
    let fleet = Fleet::of(vec![("orders", Server::builder().setting("max_connections", "1000").start())]);
    let server = &fleet.servers[0];
    for number in 1..=count {
        server.psql("postgres", &format!("create database db{number:03}"));
    }
    server.psql("postgres", "create database locked");
    server.psql("locked", "create table held (id int)");
    let mut held = server.session("locked");
    held.run("begin; lock table held in access exclusive mode");
    let (bucket, plans) = (aws.bucket(), aws.bucket());
    let mut variables = fleet.environment(&bucket);
    variables.push(("LOCK_TIMEOUT".to_owned(), "1s".to_owned()));
    let order = json!({
        "endpoint": aws.endpoint(), "region": REGION, "bucket": bucket.name, "plans": plans.name,
        "program": program(), "variables": variables, "databases": count,
    });
    run("many", &order);
}

fn run(name: &str, order: &Value) {
    let said = Command::new(linter("python"))
        .arg(format!("tests/it/fleet/{name}.py"))
        .arg(order.to_string())
        .current_dir(root())
        .output()
        .expect("python starts");
    let text = [String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr)].concat();
    assert!(said.status.success() && text.contains(&format!("{name}: ok")), "{text}");
    println!("{text}");
}
