//! The servers of an account and region that a fleet's event means, sorted by their names.

use crate::aws::{self, RetryNotice, ServiceError};
use crate::error::{Code, Error, Result};
use crate::plan::{Discovery, Narrowing, RegionName};
use aws_sdk_rds::types::{DbCluster, DbInstance, Tag};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// An instance outside of clusters, or a cluster.
#[derive(Debug)]
pub(crate) struct DiscoveredServer {
    /// Its identifier; of a cluster that is called like an instance, with `.cluster` behind it, which no identifier holds.
    pub name: String,
    pub kind: ServerKind,
    pub state: ServerState,
}

/// Each kind has names of its own: an instance and a cluster of one name are two servers, also in plans made at different times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ServerKind {
    Instance,
    Cluster,
}

impl ServerKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Cluster => "cluster",
        }
    }

    /// The field of `discover` that names servers of this kind.
    const fn field(self) -> &'static str {
        match self {
            Self::Instance => "instances",
            Self::Cluster => "clusters",
        }
    }
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
    let mut instances = Found::new(ServerKind::Instance);
    let mut clusters = Found::new(ServerKind::Cluster);
    let mut pages = client.describe_db_instances().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| ServiceError::from_sdk(&error).into_error("rds:DescribeDBInstances", "*"))?;
        let page = page.db_instances.unwrap_or_default();
        page.iter()
            .for_each(|instance| instances.add(instance.db_instance_identifier(), of_instance(instance, asked)));
    }
    let mut pages = client.describe_db_clusters().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| ServiceError::from_sdk(&error).into_error("rds:DescribeDBClusters", "*"))?;
        let page = page.db_clusters.unwrap_or_default();
        page.iter()
            .for_each(|cluster| clusters.add(cluster.db_cluster_identifier(), of_cluster(cluster, asked)));
    }
    Ok(together(instances, clusters, asked))
}

/// In the order of their names, of which each stands once.
fn together(instances: Found, mut clusters: Found, asked: &Discovery) -> Vec<DiscoveredServer> {
    // Of an event for one server nothing else is missed.
    let expected = |named: &[String]| if asked.only.is_empty() { named.to_vec() } else { Vec::new() };
    let not_instances = instances.missing(&expected(&asked.instances), &clusters);
    let not_clusters = clusters.missing(&expected(&asked.clusters), &instances);
    clusters.servers.extend(not_clusters);
    for cluster in &mut clusters.servers {
        if instances.known.contains(&cluster.name) || asked.instances.contains(&cluster.name) {
            cluster.name.push_str(".cluster");
        }
    }
    let mut found = instances.servers;
    found.extend(not_instances.into_iter().chain(clusters.servers));
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Of one kind.
struct Found {
    kind: ServerKind,
    servers: Vec<DiscoveredServer>,
    /// All that are there, meant or not.
    known: BTreeSet<String>,
}

impl Found {
    const fn new(kind: ServerKind) -> Self {
        Self {
            kind,
            servers: Vec::new(),
            known: BTreeSet::new(),
        }
    }

    fn add(&mut self, name: Option<&str>, state: Option<ServerState>) {
        let Some(name) = name else { return };
        self.known.insert(name.to_owned());
        self.servers.extend(state.map(|state| self.server(name, state)));
    }

    fn server(&self, name: &str, state: ServerState) -> DiscoveredServer {
        DiscoveredServer {
            name: name.to_owned(),
            kind: self.kind,
            state,
        }
    }

    /// What is named, and is not there.
    fn missing(&self, named: &[String], others: &Self) -> Vec<DiscoveredServer> {
        let kind = self.kind.name();
        let missing = named.iter().filter(|name| !self.known.contains(*name));
        let failed = missing.map(|name| {
            let error = Error::new(
                Code::InstanceNotFound,
                format!("there is no RDS {kind} named {name} in this region and account"),
            );
            let error = match others.known.contains(name) {
                true => error.advise(format!(
                    "One of this name is there under the other kind: name it in `{}`.",
                    others.kind.field()
                )),
                false => error,
            };
            self.server(name, ServerState::Failed(error))
        });
        failed.collect()
    }
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

/// Why it is not meant, though it is named: with tags, which choose among those that are named, it is left out, else it fails.
fn named_in_vain(name: &str, reason: String, asked: &Discovery) -> ServerState {
    match asked.tags.is_empty() {
        false => ServerState::LeftOut(reason),
        true => ServerState::Failed(Error::new(Code::InstanceNotFound, format!("{name} is named, and {reason}"))),
    }
}

fn of_instance(instance: &DbInstance, asked: &Discovery) -> Option<ServerState> {
    let name = instance.db_instance_identifier()?;
    if !asked.is_among(name) {
        return None;
    }
    let engine = instance.engine().unwrap_or_default();
    let is_named = asked.instances.iter().any(|named| named == name);
    let tags = pairs(instance.tag_list.as_deref());
    let unfit = match named(instance.db_cluster_identifier()) {
        Some(cluster) => Some(format!("it is a member of the cluster {cluster}: that is the server")),
        None => unfit(engine, tags.clone(), asked),
    };
    if let Some(reason) = unfit {
        return is_named.then(|| named_in_vain(name, reason, asked));
    }
    if asked.names_servers() && !is_named {
        return None;
    }
    // Who tags a replica, or names it, means it; else its primary is backed up already.
    if let Some(primary) = named(instance.read_replica_source_db_instance_identifier())
        && !is_named
        && asked.tags.is_empty()
    {
        return Some(ServerState::LeftOut(replica_of(primary)));
    }
    let endpoint = instance
        .endpoint()
        .and_then(|endpoint| Some((endpoint.address()?, endpoint.port()?)));
    Some(state(name, instance.db_instance_status(), endpoint, Narrowing::from_tags(tags)))
}

fn replica_of(primary: &str) -> String {
    format!("it is a replica of {primary}: name it, or choose by tags, to have it backed up itself")
}

fn of_cluster(cluster: &DbCluster, asked: &Discovery) -> Option<ServerState> {
    let name = cluster.db_cluster_identifier()?;
    if !asked.is_among(name) {
        return None;
    }
    let is_named = asked.clusters.iter().any(|named| named == name);
    let tags = pairs(cluster.tag_list.as_deref());
    if let Some(reason) = unfit(cluster.engine().unwrap_or_default(), tags.clone(), asked) {
        return is_named.then(|| named_in_vain(name, reason, asked));
    }
    if asked.names_servers() && !is_named {
        return None;
    }
    if let Some(primary) = named(cluster.replication_source_identifier())
        && !is_named
        && asked.tags.is_empty()
    {
        return Some(ServerState::LeftOut(replica_of(primary)));
    }
    let host = if asked.reader {
        cluster.reader_endpoint()
    } else {
        cluster.endpoint()
    };
    let endpoint = host.and_then(|host| Some((host, cluster.port()?)));
    Some(state(name, cluster.status(), endpoint, Narrowing::from_tags(tags)))
}

/// Why engine or tags are others than those that are meant.
fn unfit<'a>(engine: &str, tags: impl Iterator<Item = (&'a str, &'a str)> + Clone, asked: &Discovery) -> Option<String> {
    if !asked.engines.contains(&engine) {
        Some(format!("its engine is {engine}, not {}", asked.engines.join(" or ")))
    } else if !asked.has_tags(tags) {
        Some("it lacks a tag of `discover`".to_owned())
    } else {
        None
    }
}

fn state(name: &str, status: Option<&str>, endpoint: Option<(&str, i32)>, narrowing: Narrowing) -> ServerState {
    if narrowing.skip {
        return ServerState::LeftOut(format!("its tag {} says so", crate::plan::SKIP_TAG));
    }
    let status = status.unwrap_or_default();
    let endpoint = endpoint.filter(|_| !SILENT.contains(&status));
    let ready = endpoint.and_then(|(host, port)| Some((host.to_owned(), u16::try_from(port).ok()?)));
    match ready {
        Some((host, port)) => ServerState::Ready { host, port, narrowing },
        None => ServerState::Failed(Error::new(
            Code::InstanceNotFound,
            format!("{name} has no endpoint that answers now (its state is {status})"),
        )),
    }
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
}
