//! The servers of an account and region that a fleet's event means, sorted by their names.

#[cfg(test)]
mod tests;

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
