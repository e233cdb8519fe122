//! Fleets: what is found, planned, backed up by the state machine of deploy/fleet.asl.json, summed up and told.

mod discovery;
mod machine;
mod status;

use crate::support::aws::{Ministack, REGION};
use crate::support::invariants::RECIPIENT;
use crate::support::pgseal::Pgseal;
use crate::support::postgres::Server;
use crate::support::s3::{Bucket, block_on};
use aws_sdk_rds::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_rds::types::Tag;
use serde_json::{Value, json};

/// Servers that RDS knows, and a bucket. RDS is an emulator of its own: with a Docker daemon it would start servers itself.
struct Fleet {
    rds: Ministack,
    servers: Vec<Server>,
}

impl Fleet {
    /// Of so many instances `one`, `two`, …, all tagged `backup: nightly`.
    fn start(names: &[&str]) -> Self {
        Self::of(names.iter().map(|name| (*name, Server::start())).collect())
    }

    fn of(servers: Vec<(&str, Server)>) -> Self {
        let (names, servers): (Vec<&str>, Vec<Server>) = servers.into_iter().unzip();
        let fleet = Self {
            rds: Ministack::start(),
            servers,
        };
        for (name, server) in names.iter().zip(&fleet.servers) {
            // One password in the environment, as there is one role for tokens.
            let password = fleet.servers[0].password();
            server.psql("postgres", &format!("alter role dumper password '{password}'"));
            fleet.register(name, server.port(), &[("backup", "nightly")]);
        }
        fleet
    }

    fn client(&self) -> aws_sdk_rds::Client {
        let config = aws_sdk_rds::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
            .region(Region::new(REGION))
            .endpoint_url(self.rds.endpoint())
            .build();
        aws_sdk_rds::Client::from_conf(config)
    }

    fn register(&self, name: &str, port: u16, tags: &[(&str, &str)]) {
        let request = self
            .client()
            .create_db_instance()
            .db_instance_identifier(name)
            .db_instance_class("db.t4g.micro");
        let request = request
            .engine("postgres")
            .master_username("postgres")
            .master_user_password("not-used-here");
        let tags = tags
            .iter()
            .map(|(key, value)| Tag::builder().key(*key).value(*value).build())
            .collect();
        let made = block_on(request.allocated_storage(20).port(i32::from(port)).set_tags(Some(tags)).send());
        made.expect("an instance of the emulator");
    }

    fn unregister(&self, name: &str) {
        let request = self
            .client()
            .delete_db_instance()
            .db_instance_identifier(name)
            .skip_final_snapshot(true);
        block_on(request.send()).expect("removed from the emulator");
    }

    /// What the fleet's function and task have in their environment, beside credentials.
    fn environment(&self, bucket: &Bucket) -> Vec<(String, String)> {
        let own = [
            ("POSTGRES_USER", "dumper"),
            ("POSTGRES_AUTH", "password"),
            ("PGSEAL_ALLOWED_HOSTS", "127.0.0.1"),
            (
                "PGSEAL_EVENT_FIELDS",
                "action,scheduled_time,database,instance,host,port,discover,exclude_databases",
            ),
            ("REGION", REGION),
            ("S3_BUCKET", &bucket.name),
            ("S3_PREFIX", "backups/{host}"),
            ("OPENSSL_PUBLIC_KEY", &RECIPIENT),
            ("RATE_LIMIT", "0"),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let of_server = self.servers[0].env().into_iter().filter(|(name, _)| name != "PGSEAL_ALLOWED_HOSTS");
        let rds = [("AWS_ENDPOINT_URL_RDS".to_owned(), self.rds.endpoint())];
        of_server.chain(bucket.env()).chain(own).chain(rds).collect()
    }

    fn run(&self, bucket: &Bucket, event: &Value) -> Pgseal {
        Pgseal::new(&[])
            .envs(self.environment(bucket))
            .env("BACKUP_EVENT", event.to_string())
    }
}

fn nightly(action: &str) -> Value {
    json!({
        "action": action,
        "discover": {"tags": {"backup": "nightly"}},
        "database": "*",
        "scheduled_time": "2026-11-24T02:00:00Z",
    })
}
