//! The servers of an account and region that a fleet's event means, sorted by their names.

use crate::aws::{self, RetryNotice, ServiceError};
use crate::error::{Code, Error, Result};
use crate::plan::{Discovery, Narrowing, RegionName};
use aws_sdk_rds::types::{DbCluster, DbInstance, Tag};
use std::collections::BTreeSet;

/// An instance outside of clusters, or a cluster.
#[derive(Debug)]
pub(crate) struct DiscoveredServer {
    /// Its identifier.
    pub name: String,
    pub state: ServerState,
}

#[derive(Debug)]
pub(crate) enum ServerState {
    Ready {
        host: String,
        port: u16,
        narrowing: Narrowing,
    },
    /// On purpose: why.
    LeftOut(String),
    /// It is meant, and has no endpoint now.
    Failed(Error),
}

/// States of RDS in which a server answers nobody.
const SILENT: &[&str] = &["stopped", "stopping", "creating", "deleting", "failed"];

pub(crate) async fn servers(region: &RegionName, asked: &Discovery) -> Result<Vec<DiscoveredServer>> {
    let config = aws::config(region).await?;
    let config = aws_sdk_rds::config::Builder::from(&config).interceptor(RetryNotice::new("RDS"));
    let client = aws_sdk_rds::Client::from_conf(config.build());
    let (mut found, mut known) = (Vec::new(), BTreeSet::new());
    let mut pages = client.describe_db_instances().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| ServiceError::from_sdk(&error).into_error("rds:DescribeDBInstances", "*"))?;
        let instances = page.db_instances.unwrap_or_default();
        found.extend(instances.iter().filter_map(|instance| of_instance(instance, asked, &mut known)));
    }
    let mut pages = client.describe_db_clusters().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| ServiceError::from_sdk(&error).into_error("rds:DescribeDBClusters", "*"))?;
        let clusters = page.db_clusters.unwrap_or_default();
        found.extend(clusters.iter().filter_map(|cluster| of_cluster(cluster, asked, &mut known)));
    }
    for name in asked.instances.iter().chain(&asked.clusters).filter(|name| !known.contains(*name)) {
        let message = format!("there is no RDS instance or cluster of PostgreSQL named {name} in this region and account");
        found.push(DiscoveredServer {
            name: name.clone(),
            state: ServerState::Failed(Error::new(Code::InstanceNotFound, message)),
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn pairs(tags: Option<&[Tag]>) -> impl Iterator<Item = (&str, &str)> + Clone {
    tags.unwrap_or_default()
        .iter()
        .filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())))
}

/// An empty name is none.
fn named(identifier: Option<&str>) -> Option<&str> {
    identifier.filter(|name| !name.is_empty())
}

fn of_instance(instance: &DbInstance, asked: &Discovery, known: &mut BTreeSet<String>) -> Option<DiscoveredServer> {
    let name = instance.db_instance_identifier()?.to_owned();
    let is_asked_for = asked.engines.contains(&instance.engine()?) && named(instance.db_cluster_identifier()).is_none();
    let is_named = asked.instances.contains(&name);
    let tags = pairs(instance.tag_list.as_deref());
    if !is_asked_for || (asked.names_servers() && !is_named) || !asked.has_tags(tags.clone()) {
        // One that is named and has not these tags is there all the same.
        known.extend(is_asked_for.then_some(name));
        return None;
    }
    known.insert(name.clone());
    // Who tags a replica, or names it, means it; else its primary is backed up already.
    if let Some(primary) = named(instance.read_replica_source_db_instance_identifier())
        && !is_named
        && asked.tags.is_empty()
    {
        let reason = format!("it is a replica of {primary}: name it, or choose by tags, to have it backed up itself");
        return Some(left_out(name, reason));
    }
    let endpoint = instance
        .endpoint()
        .and_then(|endpoint| Some((endpoint.address()?, endpoint.port()?)));
    Some(server(name, instance.db_instance_status(), endpoint, Narrowing::from_tags(tags)))
}

fn of_cluster(cluster: &DbCluster, asked: &Discovery, known: &mut BTreeSet<String>) -> Option<DiscoveredServer> {
    let name = cluster.db_cluster_identifier()?.to_owned();
    let is_asked_for = asked.engines.contains(&cluster.engine()?);
    let tags = pairs(cluster.tag_list.as_deref());
    if !is_asked_for || (asked.names_servers() && !asked.clusters.contains(&name)) || !asked.has_tags(tags.clone()) {
        known.extend(is_asked_for.then_some(name));
        return None;
    }
    known.insert(name.clone());
    let host = if asked.reader {
        cluster.reader_endpoint()
    } else {
        cluster.endpoint()
    };
    let endpoint = host.and_then(|host| Some((host, cluster.port()?)));
    Some(server(name, cluster.status(), endpoint, Narrowing::from_tags(tags)))
}

fn left_out(name: String, reason: String) -> DiscoveredServer {
    DiscoveredServer {
        name,
        state: ServerState::LeftOut(reason),
    }
}

fn server(name: String, status: Option<&str>, endpoint: Option<(&str, i32)>, narrowing: Narrowing) -> DiscoveredServer {
    if narrowing.skip {
        return left_out(name, format!("its tag {} says so", crate::plan::SKIP_TAG));
    }
    let status = status.unwrap_or_default();
    let endpoint = endpoint.filter(|_| !SILENT.contains(&status));
    let ready = endpoint.and_then(|(host, port)| Some((host.to_owned(), u16::try_from(port).ok()?)));
    let state = match ready {
        Some((host, port)) => ServerState::Ready { host, port, narrowing },
        None => ServerState::Failed(Error::new(
            Code::InstanceNotFound,
            format!("{name} has no endpoint that answers now (its state is {status})"),
        )),
    };
    DiscoveredServer { name, state }
}

#[cfg(test)]
mod tests {
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

    fn told(found: Option<DiscoveredServer>) -> String {
        match found.map(|server| server.state) {
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
        told(of_instance(instance, &asked(value), &mut BTreeSet::new()))
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
        ] {
            assert_eq!(look(&plain, meant.clone()), address, "{meant}");
        }
        for other in [
            json!({"instances": ["shop"]}),
            json!({"clusters": ["app"]}),
            json!({"tags": {"backup": "weekly"}}),
            json!({"engine": "aurora-postgresql"}),
        ] {
            assert_eq!(look(&plain, other.clone()), "not meant", "{other}");
        }
        let member = instance("app-1").db_cluster_identifier("app").build();
        assert_eq!(look(&member, json!({})), "not meant");
        let mysql = instance("app").engine("mysql").build();
        assert_eq!(look(&mysql, json!({})), "not meant");
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
        let look = |value: serde_json::Value| told(of_cluster(&cluster, &asked(value), &mut BTreeSet::new()));
        assert_eq!(look(json!({})), "orders.cluster-x.eu-west-1.rds.amazonaws.com:5433");
        assert_eq!(
            look(json!({"reader": true})),
            "orders.cluster-ro-x.eu-west-1.rds.amazonaws.com:5433"
        );
        assert_eq!(look(json!({"instances": ["orders"]})), "not meant");
    }
}
