//! Buckets as the tests see them, on whichever server, and the embedded server for tests that need speed.
//!
//! ```ignore
//! let s3 = EmbeddedS3::start();               // in this process, gone when dropped
//! let bucket = s3.bucket();                   // or Ministack::shared().bucket()
//! Pgseal::backup(&event_with(bucket.name)).envs(bucket.env()).run().complete();
//! assert_eq!(bucket.keys().len(), 4);
//! ```

use super::aws::REGION;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use std::future::Future;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub const ACCESS_KEY: &str = "AKIATESTTESTTESTTEST";
/// Looked for in every output by the tests of secrets.
pub const SECRET_KEY: &str = "s3cr3t/s3cr3t+s3cr3t/s3cr3t+s3cr3t/s3cr3";

/// Of the tests themselves, who may overwrite and plant what a bucket's policy denies the program.
pub const OWNER_KEY: &str = "AKIAOWNEROWNEROWNERO";

/// Names and values for the environment of an AWS client.
#[derive(Clone)]
pub struct ClientEnv(Vec<(String, String)>);

impl ClientEnv {
    /// Static credentials, `REGION`, and S3 at this address.
    pub fn new(s3_endpoint: &str) -> Self {
        let mut env = Self(Vec::new());
        env.push("AWS_ACCESS_KEY_ID", ACCESS_KEY);
        env.push("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        env.push("AWS_REGION", REGION);
        env.push("AWS_ENDPOINT_URL_S3", s3_endpoint);
        env
    }

    pub fn push(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl IntoIterator for ClientEnv {
    type Item = (String, String);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// One bucket, with the verbs that tests need, blocking.
pub struct Bucket {
    pub name: String,
    env: ClientEnv,
    client: Client,
}

impl Bucket {
    /// Makes a bucket whose name no other test has.
    pub fn create(env: ClientEnv, region: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self::named(&format!("pgseal-test-{}-{count}", std::process::id()), env, region)
    }

    /// Makes a bucket of this name: only on a server that no other test has.
    pub fn named(name: &str, env: ClientEnv, region: &str) -> Self {
        let name = name.to_owned();
        let client = client(&env, region, OWNER_KEY);
        let place = CreateBucketConfiguration::builder()
            .location_constraint(BucketLocationConstraint::from(region))
            .build();
        let creation = client.create_bucket().bucket(&name).create_bucket_configuration(place);
        block_on(creation.send()).expect("the bucket is made");
        Self { name, env, client }
    }

    /// What pgseal needs in its environment to reach the server of this bucket.
    pub fn env(&self) -> ClientEnv {
        self.env.clone()
    }

    /// For what has no verb here, with `block_on`.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The same by the program's own credentials.
    pub fn client_of_program(&self) -> Client {
        client(&self.env, REGION, ACCESS_KEY)
    }

    /// Every key, sorted.
    pub fn keys(&self) -> Vec<String> {
        let pages = self.client.list_objects_v2().bucket(&self.name).into_paginator().send();
        let pages = block_on(pages.collect::<Result<Vec<_>, _>>()).expect("the bucket is listed");
        let objects = pages.into_iter().flat_map(|page| page.contents.unwrap_or_default());
        let mut keys: Vec<_> = objects.filter_map(|object| object.key).collect();
        keys.sort();
        keys
    }

    pub fn get(&self, key: &str) -> Vec<u8> {
        block_on(async {
            let object = self
                .client
                .get_object()
                .bucket(&self.name)
                .key(key)
                .send()
                .await
                .expect("the object is there");
            object.body.collect().await.expect("the object is read").into_bytes().into()
        })
    }

    pub fn put(&self, key: &str, content: impl Into<Vec<u8>>) {
        let body = aws_sdk_s3::primitives::ByteStream::from(content.into());
        block_on(self.client.put_object().bucket(&self.name).key(key).body(body).send()).expect("the object is put");
    }

    pub fn delete(&self, key: &str) {
        block_on(self.client.delete_object().bucket(&self.name).key(key).send()).expect("the object is deleted");
    }

    /// Key and upload id of every multipart upload that was neither completed nor aborted.
    pub fn open_uploads(&self) -> Vec<(String, String)> {
        let list = block_on(self.client.list_multipart_uploads().bucket(&self.name).send());
        let uploads = list.expect("the uploads are listed").uploads.unwrap_or_default();
        let pair = |upload: aws_sdk_s3::types::MultipartUpload| Some((upload.key?, upload.upload_id?));
        uploads.into_iter().filter_map(pair).collect()
    }

    /// Every object into one folder, under the last part of its key, as someone who restores by hand has them.
    pub fn download(&self, folder: &Path) {
        for key in self.keys() {
            let name = key.rsplit('/').next().unwrap_or(&key);
            std::fs::write(folder.join(name), self.get(&key)).expect("the file is written");
        }
    }
}

fn client(env: &ClientEnv, region: &str, access_key: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .credentials_provider(Credentials::new(access_key, SECRET_KEY, None, None, "tests"))
        .region(Region::new(region.to_owned()))
        .endpoint_url(env.get("AWS_ENDPOINT_URL_S3").expect("the endpoint is in the environment"))
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

/// The runtime that the tests' own clients and in-process servers live on.
pub fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime")
    })
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

/// The example's server (s3s-fs and our stricter layer) in this process, over a temporary folder.
pub struct EmbeddedS3 {
    endpoint: String,
    folder: tempfile::TempDir,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl EmbeddedS3 {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = strict::Strict::new(folder.path(), Some(OWNER_KEY)).expect("a store over the folder");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        let server = runtime().spawn(server::serve(listener, store, &[(ACCESS_KEY, SECRET_KEY), (OWNER_KEY, SECRET_KEY)]));
        Self { endpoint, folder, server }
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub fn env(&self) -> ClientEnv {
        ClientEnv::new(&self.endpoint)
    }

    pub fn bucket(&self) -> Bucket {
        Bucket::create(self.env(), REGION)
    }

    /// Removes a bucket and all that is in it, so that long runs do not fill the disk.
    pub fn forget(&self, bucket: &Bucket) {
        std::fs::remove_dir_all(self.file(bucket, "")).expect("the bucket's folder");
    }

    /// Where an object lies as a file: for tests that damage it behind the server's back.
    pub fn file(&self, bucket: &Bucket, key: &str) -> std::path::PathBuf {
        self.path(&bucket.name, key)
    }

    pub fn path(&self, bucket: &str, key: &str) -> std::path::PathBuf {
        self.folder.path().join(bucket).join(key)
    }
}

impl Drop for EmbeddedS3 {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[path = "../../../examples/s3_server/parts.rs"]
mod parts;
#[path = "../../../examples/s3_server/policy.rs"]
mod policy;
#[path = "../../../examples/s3_server/server.rs"]
mod server;
#[path = "../../../examples/s3_server/strict.rs"]
mod strict;
