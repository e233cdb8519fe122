//! What the program is made of and runs: its own word, and its bill of materials.

use crate::support::docker::root;
use crate::support::pgseal::Pgseal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn the_version_says_on_request_what_was_built_and_which_clients_it_runs() {
    let plain = format!("pgseal {}\n", env!("CARGO_PKG_VERSION"));
    for switch in ["--version", "-V"] {
        let said = Pgseal::new(&[switch]).run();
        assert_eq!((said.code, &*said.stdout), (0, &*plain), "{}", said.stderr);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (program, version) in [("pg_dump", "91.7"), ("psql", "92.8")] {
        let file = folder.path().join(program);
        fs::write(&file, format!("#!/bin/sh\necho '{program} (PostgreSQL) {version} (Debian)'\n")).expect("a script");
        fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("its mode");
    }
    let said = Pgseal::new(&["--version", "-v"]).env("PGSEAL_PG_BIN", folder.path()).run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let place = folder.path().display();
    for line in [
        plain.trim_end(),
        &format!("target: {}-unknown-linux-gnu", std::env::consts::ARCH),
        &format!("pg_dump: 91.7 in {place}"),
        &format!("psql: 92.8 in {place}"),
    ] {
        assert!(said.stdout.lines().any(|told| told == line), "{line}: {}", said.stdout);
    }
    assert!(said.stdout.contains("\ncommit: "), "{}", said.stdout);
    assert_eq!(Pgseal::new(&["-v"]).run().code, 2, "alone it means nothing");
}

fn sbom(arguments: &[&str], input: Option<&Path>) -> String {
    let mut script = Command::new(root().join("scripts/sbom.sh"));
    script.args(arguments).current_dir(root());
    let input = input.map(|file| fs::File::open(file).expect("a file"));
    let output = script.stdin(input.map_or_else(Stdio::null, Stdio::from)).output();
    let output = output.expect("the script starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// As the Dockerfile makes it: the crates of Cargo.lock that are linked, with their sums, and the packages that are installed.
#[test]
fn the_bill_of_materials_names_each_crate_and_each_package_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (crates, packages) = (folder.path().join("crates"), folder.path().join("packages"));
    fs::write(&crates, sbom(&["crates"], None)).expect("a file");
    fs::write(&packages, sbom(&["packages", "bash", "libc6"], None)).expect("a file");
    let made = || sbom(&["document", crates.to_str().expect("UTF-8"), "-"], Some(&packages));
    let document: Value = serde_json::from_str(&made()).expect("JSON");
    assert_eq!(
        document.to_string(),
        serde_json::from_str::<Value>(&made()).expect("JSON").to_string()
    );
    assert_eq!(
        (&document["bomFormat"], &document["specVersion"]),
        (&"CycloneDX".into(), &"1.5".into())
    );
    assert_eq!(document["metadata"]["component"]["version"], env!("CARGO_PKG_VERSION"));
    let components = document["components"].as_array().expect("a list");
    let by_url: BTreeMap<&str, &Value> = components
        .iter()
        .map(|component| (component["purl"].as_str().expect("a purl"), component))
        .collect();
    assert_eq!(by_url.len(), components.len());

    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let mut crates = 0;
    for (url, component) in by_url.iter().filter(|(url, _)| url.starts_with("pkg:cargo/")) {
        let text = |name: &str| component[name].as_str().expect("text");
        let sum = component["hashes"][0]["content"].as_str();
        let (name, version) = (text("name"), text("version"));
        let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        let entry = lock.split("\n[[package]]\n").find(|package| package.starts_with(&entry));
        let entry = entry.unwrap_or_else(|| panic!("{url} is not in Cargo.lock"));
        match sum {
            Some(sum) => assert!(entry.contains(sum) && sum.len() == 64, "{url}"),
            // Of this repository, not of a registry.
            None => assert!(name == "pgseal-bzip2" && !entry.contains("checksum"), "{url} has no sum"),
        }
        assert!(
            !component["licenses"][0]["expression"].as_str().expect("a licence").is_empty(),
            "{url}"
        );
        crates += 1;
    }
    assert!(crates > 100, "{crates}");
    let has = |beginning: &str| by_url.keys().any(|url| url.starts_with(beginning));
    for linked in ["aws-sdk-s3@", "pgseal-bzip2@", "rustls@", "tokio-postgres@"] {
        assert!(has(&format!("pkg:cargo/{linked}")), "{linked}");
    }
    // Of tests alone.
    assert!(!has("pkg:cargo/proptest@"));
    // Of the codec's own program alone.
    assert!(!has("pkg:cargo/lexopt@"));
    let packages: Vec<_> = by_url.keys().filter(|url| url.starts_with("pkg:deb/")).collect();
    assert_eq!(packages.len(), 2, "{packages:?}");
    assert!(
        packages.iter().all(|url| url.contains("?arch=") && url.contains("&distro=debian-")),
        "{packages:?}"
    );
}
