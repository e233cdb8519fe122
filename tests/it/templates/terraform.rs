//! The Terraform module: by Terraform itself with a stand-in for the provider, and by what can be seen without Terraform.

use crate::support::aws::testbed;
use crate::support::docker::{linter, root};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// What `whole.py` ends with where there is no Terraform, which no package registry has.
const NO_TERRAFORM: i32 = 75;

fn schema() -> PathBuf {
    testbed("terraform/made/schema.json")
}

/// Runs a program beside this file. Its end must be 0; where it needs Terraform and there is none, the test says so aloud.
fn program(name: &str, arguments: &[&str]) {
    let file = root().join("tests/it/templates/terraform").join(name);
    let output = Command::new(testbed("terraform/made/venv/bin/python"))
        .arg(&file)
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("Python starts");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if said.contains("there is no terraform") {
        eprintln!("templates: {name} {arguments:?} was NOT run, or not all of it: {said}");
    }
    let ends = [Some(0), Some(NO_TERRAFORM)];
    assert!(ends.contains(&output.status.code()), "{name} {arguments:?}:\n{said}");
}

#[test]
fn each_argument_is_one_that_the_provider_has() {
    let schema = schema();
    program("floor.py", &[schema.to_str().expect("a path of text")]);
}

#[test]
fn the_tables_of_the_readmes_are_those_of_the_files() {
    program("readme.py", &[]);
}

#[test]
fn terraform_finds_the_modules_formatted_and_valid() {
    program("whole.py", &["fmt"]);
    program("whole.py", &["validate"]);
}

/// Whether all is run, by `make terraform`: each run of a module's test takes Terraform a second or two.
fn is_whole() -> bool {
    std::env::var("TESTBED_TERRAFORM").is_ok_and(|form| form == "all")
}

/// But for those of what is refused, which are most of them.
#[test]
fn the_modules_own_tests_pass() {
    if is_whole() {
        return program("whole.py", &["test"]);
    }
    let files = ["alarms", "made", "plans", "rights", "tasks"].map(|name| format!("-filter=tests/{name}.tftest.hcl"));
    let own: Vec<&str> = ["test", "deploy", "."]
        .into_iter()
        .chain(files.iter().map(String::as_str))
        .collect();
    program("whole.py", &own);
    for module in ["modules/bucket", "modules/vault"] {
        program("whole.py", &["test", "deploy", module]);
    }
    program("whole.py", &["test", "deploy", "modules/fleet", "-filter=tests/fleet.tftest.hcl"]);
}

/// A check that cannot fail says nothing: each is given a module with a fault in it.
#[test]
fn a_planted_fault_is_found() {
    let schema = schema();
    let kinds: &[&str] = if is_whole() { &["fast", "slow"] } else { &["few"] };
    for kind in kinds {
        program("faults.py", &[schema.to_str().expect("a path of text"), kind]);
    }
}

/// Every file of the modules and of the example; what the tests plan with is no deployment.
#[test]
fn the_security_scan_finds_nothing_in_the_modules() {
    let scan = |folder: &str| -> (bool, Value) {
        let output = Command::new(linter("checkov"))
            .args([
                "--skip-download",
                "--compact",
                "--quiet",
                "--output",
                "json",
                "--framework",
                "terraform",
            ])
            .args(["--skip-path", "tests/", "--directory", folder])
            .current_dir(root())
            .output()
            .expect("checkov starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), serde_json::from_str(&said).expect("a report"))
    };
    let (is_clean, report) = scan("deploy/terraform");
    assert!(is_clean && report["summary"]["parsing_errors"] == 0, "{report}");
    assert!(report["summary"]["passed"].as_u64() > Some(80), "{report}");

    let folder = tempfile::tempdir().expect("a temporary folder");
    let open =
        "resource \"aws_s3_bucket_public_access_block\" \"this\" {\n  bucket            = \"acme\"\n  block_public_acls = false\n}\n";
    std::fs::write(folder.path().join("main.tf"), open).expect("a file");
    let (is_clean, _) = scan(folder.path().to_str().expect("a path of text"));
    assert!(!is_clean, "the scan does not see an open bucket");
}
