//! What a backup says of itself, in its receipt, its manifest and its inventory, against what stock tools, S3 and the server say.

use super::{DATABASE, file, hex, manifest, sha256};
use crate::support::postgres::Server;
use crate::support::restore::{block, run_alone};
use crate::support::s3::{Bucket, block_on};
use aws_sdk_s3::types::ChecksumMode;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

pub fn the_receipt_is_shaped_as_documented(backup: &Value) {
    let documented: Value = serde_json::from_str(&block("receipt")).expect("the README's receipt is JSON");
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    let example = &documented["backups"][0];
    assert_eq!(keys(example), keys(backup));
    assert_eq!(keys(&example["objects"][0]), keys(&backup["objects"][0]));
    let roles: Vec<&str> = objects(backup).iter().filter_map(|object| object["role"].as_str()).collect();
    assert_eq!(roles.iter().filter(|role| **role == "key").count(), 2, "{roles:?}");
    assert!(
        ["dump", "inventory", "manifest"].iter().all(|role| roles.contains(role)),
        "{roles:?}"
    );
}

pub fn objects(value: &Value) -> &Vec<Value> {
    value["objects"].as_array().expect("objects")
}

/// Size and SHA-256 of each object, of each part of the dump, and S3's own checksum of the dump put together from them.
pub fn the_manifest_tells_the_truth(folder: &Path, bucket: &Bucket, backup: &Value) {
    let manifest = manifest(folder);
    assert_eq!(manifest["format"], "pgseal/1");
    assert_eq!(manifest["run"], backup["run"]);
    assert_eq!(manifest["database"], DATABASE);
    let clear = String::from_utf8(file(folder, ".manifest.jsonl")).expect("UTF-8");
    assert!(
        !clear.contains("every_type") && !clear.contains("localhost"),
        "names of tables and hosts are data: {clear}"
    );

    let listed: BTreeMap<&str, &Value> = objects(&manifest)
        .iter()
        .map(|object| (object["key"].as_str().expect("a key"), object))
        .collect();
    let stored = bucket.keys();
    let sealed: Vec<&String> = stored.iter().filter(|key| key.ends_with(".enc")).collect();
    assert_eq!(sealed.len(), listed.len(), "{sealed:?}");
    for (key, object) in &listed {
        let bytes = bucket.get(key);
        assert_eq!(object["size"], bytes.len(), "{key}");
        assert_eq!(object["sha256"], hex(&sha256(&bytes)), "{key}");
    }

    let dump = objects(&manifest).iter().find(|object| object["role"] == "dump").expect("a dump");
    let key = dump["key"].as_str().expect("a key");
    let mut rest = bucket.get(key);
    let mut hashes = Vec::new();
    for (size, sha256_of_part) in parts(dump) {
        let after = rest.split_off(size);
        hashes.extend_from_slice(&sha256(&rest));
        assert_eq!(hex(&sha256(&rest)), sha256_of_part);
        rest = after;
    }
    assert!(rest.is_empty(), "{} bytes belong to no part", rest.len());
    let count = hashes.len() / 32;
    assert!(count >= 2, "the dump must have several parts for this to say anything");
    let request = bucket
        .client()
        .head_object()
        .bucket(&bucket.name)
        .key(key)
        .checksum_mode(ChecksumMode::Enabled)
        .send();
    let head = block_on(request).expect("the dump is there");
    let composite = format!("{}-{count}", BASE64_STANDARD.encode(sha256(&hashes)));
    assert_eq!(head.checksum_sha256(), Some(composite.as_str()));
}

/// Size and SHA-256 of each part of the dump.
fn parts(dump: &Value) -> Vec<(usize, String)> {
    let sizes = dump["part_sizes"].as_array().expect("part_sizes").iter();
    let hashes = dump["part_sha256"].as_array().expect("part_sha256").iter();
    let sizes = sizes.map(|size| size.as_u64().expect("a size") as usize);
    sizes.zip(hashes.map(|hash| hash.as_str().expect("hex").to_owned())).collect()
}

/// Every table's rows, counted by the server itself. Names are quoted as `pg_dump` quotes them.
fn counted(server: &Server, database: &str) -> BTreeMap<String, u64> {
    // JSON, since names here hold whatever a column separator could be.
    let sql = "select format('select json_build_array(%L, count(*)) from only %I.%I', format('%I.%I', nspname, relname), nspname, relname) \
               from pg_class c join pg_namespace n on n.oid = relnamespace \
               where relkind = 'r' and nspname not in ('pg_catalog', 'information_schema') \\gexec";
    let lines = server.psql(database, sql);
    lines
        .lines()
        .map(|line| serde_json::from_str::<(String, u64)>(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

pub fn the_inventory_counts_as_the_server_does(folder: &Path, server: &Server, backup: &Value) {
    run_alone("unwrap", folder).fine();
    let inventory: Value = serde_json::from_slice(&run_alone("inventory", folder).fine()).expect("the inventory is JSON");
    let expected = counted(server, DATABASE);
    let row = |table: &Value| {
        (
            table["name"].as_str().expect("a name").to_owned(),
            table["rows"].as_u64().expect("a number"),
        )
    };
    let found: BTreeMap<_, _> = inventory["tables"].as_array().expect("tables").iter().map(row).collect();
    assert_eq!(found, expected);
    assert_eq!(backup["tables"], expected.len());
    assert_eq!(backup["rows"], expected.values().sum::<u64>());

    // The plaintext's own length and hash, against what the stock tools make of the dump.
    let plain = Command::new("bash")
        .args(["-euo", "pipefail", "-c", block("restore-bzip2").lines().nth(1).expect("a line")])
        .current_dir(folder)
        .output()
        .expect("bash starts");
    assert!(plain.status.success(), "{}", String::from_utf8_lossy(&plain.stderr));
    assert_eq!(backup["dumped_bytes"], plain.stdout.len());
    assert_eq!(inventory["plain_bytes"], plain.stdout.len());
    assert_eq!(inventory["plain_sha256"], hex(&sha256(&plain.stdout)));
}
