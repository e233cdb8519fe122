//! From an RDS instance or Aurora cluster identifier to its endpoint.

use crate::aws::{RetryNotice, ServiceError};
use crate::error::{Code, Error, Result};
use aws_config::SdkConfig;

pub(crate) struct Endpoint {
    pub host: String,
    pub port: u16,
}

/// Looks for an instance of that name, then for a cluster (its writer endpoint).
pub(crate) async fn endpoint(config: &SdkConfig, id: &str) -> Result<Endpoint> {
    let config = aws_sdk_rds::config::Builder::from(config).interceptor(RetryNotice::new("RDS"));
    let client = aws_sdk_rds::Client::from_conf(config.build());
    let instances = client.describe_db_instances().db_instance_identifier(id).send().await;
    match instances {
        Ok(found) => {
            let endpoint = found.db_instances().first().and_then(|instance| instance.endpoint());
            if let Some((host, port)) = endpoint.and_then(|endpoint| Some((endpoint.address()?, endpoint.port()?))) {
                return to_endpoint(id, host, port);
            }
            if !found.db_instances().is_empty() {
                return Err(no_endpoint(id));
            }
        }
        Err(error) => {
            let failed = ServiceError::from_sdk(&error);
            if !failed.code.contains("NotFound") {
                return Err(failed.into_error("rds:DescribeDBInstances", id));
            }
        }
    }
    match client.describe_db_clusters().db_cluster_identifier(id).send().await {
        Ok(found) => {
            let cluster = found.db_clusters().first().ok_or_else(|| unknown(id))?;
            match (cluster.endpoint(), cluster.port()) {
                (Some(host), Some(port)) => to_endpoint(id, host, port),
                _ => Err(no_endpoint(id)),
            }
        }
        Err(error) => {
            let failed = ServiceError::from_sdk(&error);
            if failed.code.contains("NotFound") {
                Err(unknown(id))
            } else {
                Err(failed.into_error("rds:DescribeDBClusters", id))
            }
        }
    }
}

fn to_endpoint(id: &str, host: &str, port: i32) -> Result<Endpoint> {
    let port = u16::try_from(port).map_err(|_| no_endpoint(id))?;
    Ok(Endpoint {
        host: host.to_owned(),
        port,
    })
}

fn unknown(id: &str) -> Error {
    Error::new(
        Code::InstanceNotFound,
        format!("there is no RDS instance or Aurora cluster named {id} in this region and account"),
    )
}

fn no_endpoint(id: &str) -> Error {
    Error::new(
        Code::InstanceNotFound,
        format!("{id} has no endpoint now (it is being created, or stopped)"),
    )
}
