//! Which servers an event means.

use super::*;
use aws_sdk_rds::types::Endpoint;
use serde_json::json;

fn instance(name: &str) -> aws_sdk_rds::types::builders::DbInstanceBuilder {
    let endpoint = Endpoint::builder()
        .address(format!("{name}.x.eu-west-1.rds.amazonaws.com"))
        .port(5432)
        .build();
    DbInstance::builder()
        .db_instance_identifier(name)
        .engine("postgres")
        .db_instance_status("available")
        .endpoint(endpoint)
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

fn told(found: Option<ServerState>) -> String {
    match found {
        None => "not meant".to_owned(),
        Some(ServerState::Ready { host, port, .. }) => format!("{host}:{port}"),
        Some(ServerState::LeftOut(reason)) => format!("left out: {reason}"),
        Some(ServerState::Failed(error)) => error.code.name().to_owned(),
    }
}

fn asked(value: serde_json::Value) -> Discovery {
    Discovery::for_tests(value.as_object().unwrap())
}

fn look(instance: &DbInstance, value: serde_json::Value) -> String {
    told(of_instance(instance, &asked(value)))
}

#[test]
fn an_instance_is_meant_by_name_tag_and_engine() {
    let plain = instance("app").tag_list(tag("backup", "nightly")).build();
    let address = "app.x.eu-west-1.rds.amazonaws.com:5432";
    for meant in [
        json!({}),
        json!({"instances": ["app"]}),
        json!({"tags": {"backup": "nightly"}}),
        json!({"engine": "postgres"}),
        json!({"only": ["APP"]}),
        json!({"only": ["app"], "tags": {"backup": "nightly"}}),
    ] {
        assert_eq!(look(&plain, meant.clone()), address, "{meant}");
    }
    for other in [
        json!({"instances": ["shop"]}),
        json!({"clusters": ["app"]}),
        json!({"tags": {"backup": "weekly"}}),
        json!({"engine": "aurora-postgresql"}),
        json!({"only": ["shop"]}),
        json!({"only": ["shop"], "instances": ["app"]}),
        json!({"only": ["app"], "tags": {"backup": "weekly"}}),
        json!({"only": ["app"], "instances": ["shop"]}),
    ] {
        assert_eq!(look(&plain, other.clone()), "not meant", "{other}");
    }
    // One that is named and does not fit is never left out in silence.
    for (unfit, with_tags) in [
        (json!({"instances": ["app"], "engine": "aurora-postgresql"}), false),
        (json!({"instances": ["app"], "tags": {"backup": "weekly"}}), true),
    ] {
        let told = look(&plain, unfit.clone());
        assert_eq!(told.starts_with("left out: it"), with_tags, "{unfit}: {told}");
        assert_eq!(told == "instance_not_found", !with_tags, "{unfit}: {told}");
    }
    let member = instance("app-1").db_cluster_identifier("app").build();
    assert_eq!(look(&member, json!({})), "not meant");
    assert_eq!(look(&member, json!({"only": ["app-1"]})), "not meant");
    assert_eq!(look(&member, json!({"instances": ["app-1"]})), "instance_not_found");
    let mysql = instance("app").engine("mysql").build();
    assert_eq!(look(&mysql, json!({})), "not meant");
    assert_eq!(look(&mysql, json!({"only": ["app"]})), "not meant");
}

#[test]
fn what_is_left_out_says_why() {
    let replica = instance("copy").read_replica_source_db_instance_identifier("app").build();
    assert!(look(&replica, json!({})).starts_with("left out: it is a replica of app"));
    assert!(look(&replica, json!({"instances": ["copy"]})).contains("5432"));
    let skipped = instance("app").tag_list(tag("pgseal:skip", "true")).build();
    assert!(look(&skipped, json!({"instances": ["app"]})).starts_with("left out: its tag"));
    let stopped = instance("app").db_instance_status("stopped").build();
    assert_eq!(look(&stopped, json!({})), "instance_not_found");
}

#[test]
fn a_cluster_has_two_endpoints() {
    let cluster = DbCluster::builder()
        .db_cluster_identifier("orders")
        .engine("aurora-postgresql")
        .status("available")
        .endpoint("orders.cluster-x.eu-west-1.rds.amazonaws.com")
        .reader_endpoint("orders.cluster-ro-x.eu-west-1.rds.amazonaws.com")
        .port(5433)
        .build();
    let look = |value: serde_json::Value| told(of_cluster(&cluster, &asked(value)));
    assert_eq!(look(json!({})), "orders.cluster-x.eu-west-1.rds.amazonaws.com:5433");
    assert_eq!(
        look(json!({"reader": true})),
        "orders.cluster-ro-x.eu-west-1.rds.amazonaws.com:5433"
    );
    assert_eq!(look(json!({"instances": ["orders"]})), "not meant");
}

/// A cluster under `instances` was left out in silence.
#[test]
fn a_name_is_looked_for_among_its_own_kind() {
    let mut instances = Found::new(ServerKind::Instance);
    let mut clusters = Found::new(ServerKind::Cluster);
    instances.add(Some("orders"), None);
    clusters.add(Some("ledger"), None);
    let named = ["orders", "ledger", "nowhere"].map(str::to_owned);
    let told: Vec<(String, bool)> = instances
        .missing(&named, &clusters)
        .into_iter()
        .map(|server| match server.state {
            ServerState::Failed(error) => (server.name, error.hint().contains("`clusters`")),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [("ledger".to_owned(), true), ("nowhere".to_owned(), false)]);
}

/// The failure of a cluster that was gone passed for that of the instance of its name.
#[test]
fn an_instance_and_a_cluster_of_one_name_are_two_servers() {
    let both = asked(json!({"instances": ["orders"], "clusters": ["orders"]}));
    for (instance_is_there, cluster_is_there) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut instances = Found::new(ServerKind::Instance);
        let mut clusters = Found::new(ServerKind::Cluster);
        let there = || Some(ServerState::LeftOut("it is there".to_owned()));
        if instance_is_there {
            instances.add(Some("orders"), there());
        }
        if cluster_is_there {
            clusters.add(Some("orders"), there());
        }
        let found = together(instances, clusters, &both);
        let told: Vec<_> = found
            .iter()
            .map(|server| (server.name.as_str(), server.kind, matches!(server.state, ServerState::LeftOut(_))))
            .collect();
        assert_eq!(
            told,
            [
                ("orders", ServerKind::Instance, instance_is_there),
                ("orders.cluster", ServerKind::Cluster, cluster_is_there)
            ]
        );
    }
}
