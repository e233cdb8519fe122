//! What must hold after every run that failed, whatever the fault; and after one that did not.

use super::canaries::{hunt, hunt_known};
use super::pgseal::CommandOutput;
use super::postgres::Server;
use super::s3::Bucket;
use super::wait::until;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// A recipient for tests that open nothing: made anew for each run of the tests, since the program refuses every key that lies
/// in the repository; its private half is thrown away.
pub static RECIPIENT: FreshKey = FreshKey(LazyLock::new(|| {
    let run = |arguments: &[&str], input: &[u8]| {
        let mut openssl = Command::new("openssl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl starts");
        openssl.stdin.take().expect("a pipe").write_all(input).expect("openssl reads");
        openssl.wait_with_output().expect("openssl ends").stdout
    };
    let private = run(&["genrsa", "2048"], b"");
    String::from_utf8(run(&["pkey", "-pubout"], &private)).expect("PEM")
}));

/// A key pair in this folder, for tests that open what they sealed: the private key's file, and the public key. All tests of a
/// run share it, since each new one takes half a second of a processor.
pub fn key_pair(folder: &Path) -> (PathBuf, String) {
    static PAIR: LazyLock<[String; 2]> = LazyLock::new(|| {
        let openssl = |arguments: &[&str], file: &Path| {
            let mut command = Command::new("openssl");
            let output = command.args(arguments).arg(file).output().expect("openssl starts");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("PEM")
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("private_key.pem");
        openssl(
            &["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"],
            &file,
        );
        let public = openssl(&["pkey", "-pubout", "-in"], &file);
        [std::fs::read_to_string(&file).expect("the key"), public]
    });
    let [private, public] = &*PAIR;
    let file = folder.join("private_key.pem");
    std::fs::write(&file, private).expect("the key is written");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its permissions");
    (file, public.clone())
}

pub struct FreshKey(LazyLock<String>);

impl std::ops::Deref for FreshKey {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for FreshKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

/// The event of a backup of `database` on this server by `dumper` into this bucket, as fast as it goes.
pub fn event(server: &Server, database: &str, bucket: &Bucket) -> Value {
    sealed_into(server.event(database), bucket)
}

/// Adds bucket, recipient and no rate limit to the database's part of an event.
pub fn sealed_into(mut event: Value, bucket: &Bucket) -> Value {
    event["bucket"] = json!(bucket.name);
    event["public_key"] = json!(RECIPIENT);
    event["rate_limit"] = json!("0");
    event
}

/// After a failed run: no backup, no trace of its data, no process, no login, no secret said.
pub fn nothing_left(server: &Server, bucket: &Bucket, said: &CommandOutput, secrets: &[&str]) {
    let alive = clients_of(server);
    assert!(alive.is_empty(), "a child outlived the run: {alive:?}");
    no_secret(said, &[secrets, &[server.password()]].concat());
    let data: Vec<_> = bucket.keys().into_iter().filter(|key| holds_data(key)).collect();
    assert!(data.is_empty(), "a failed run left {data:?}");
    assert_eq!(bucket.open_uploads(), [], "an upload was left open");
    no_login(server);
}

fn holds_data(key: &str) -> bool {
    key.ends_with(".manifest.jsonl") || key.contains(".sql.") || key.contains(".inventory.")
}

/// Neither stream holds a secret of this test, nor any piece of an IAM token.
pub fn no_secret(said: &CommandOutput, secrets: &[&str]) {
    hunt(said, secrets);
    hunt_known(said);
}

/// After a success: everything that the receipt names stands in the bucket, size and all, and nothing else is open.
pub fn backup_stands(bucket: &Bucket, receipt: &Value) {
    let backups = receipt["backups"].as_array().expect("a list of backups");
    assert!(!backups.is_empty(), "{receipt}");
    for backup in backups.iter().filter(|backup| backup["status"] != "skipped") {
        let objects = backup["objects"].as_array().expect("a list of objects");
        let roles: Vec<_> = objects.iter().filter_map(|object| object["role"].as_str()).collect();
        for role in ["dump", "key", "inventory", "manifest"] {
            assert!(roles.contains(&role), "no {role} among {roles:?}");
        }
        for object in objects {
            let key = object["key"].as_str().expect("a key");
            assert_eq!(bucket.get(key).len() as u64, object["size"], "the size of {key}");
        }
    }
    assert_eq!(bucket.open_uploads(), [], "an upload was left open");
}

/// Client programs of PostgreSQL that are alive and were told this server's port, as `PID NAME`.
pub fn clients_of(server: &Server) -> Vec<String> {
    clients_told(&[&server.port().to_string()])
}

/// The same of one database of it: for runs side by side.
pub fn client_of_database(server: &Server, database: &str) -> Vec<String> {
    clients_told(&[&server.port().to_string(), &format!("{database}\0")])
}

fn clients_told(words: &[&str]) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        let told = ["cmdline", "environ"].map(|file| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default());
        let told = String::from_utf8_lossy(&told.concat()).into_owned();
        let is_one = name.starts_with("pg_dump") && words.iter().all(|word| told.contains(word));
        is_one.then(|| format!("{pid} {}", name.trim_end()))
    });
    processes.collect()
}

/// Nobody but the tests' own superuser is logged in. The server needs a moment to see that a client is gone.
pub fn no_login(server: &Server) {
    const LOGINS: &str = "select count(*) from pg_stat_activity
        where backend_type = 'client backend' and usename <> 'postgres'";
    until("the last login of the run is gone", || server.psql("postgres", LOGINS) == "0");
}

/// The child pg_dump, whichever thread of the parent started it.
pub fn child_of(parent: u32) -> Option<u32> {
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).ok()?.flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<String> = lists
        .flat_map(|list| list.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let name = |child: &str| std::fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
    children
        .iter()
        .find(|child| name(child).trim() == "pg_dump")
        .and_then(|child| child.parse().ok())
}
