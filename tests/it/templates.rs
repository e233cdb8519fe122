//! The templates of a deployment: clean for their own linters, and true to what the program and its README promise.

mod terraform;

use crate::support::aws::testbed;
use crate::support::docker::{linter, root};
use crate::support::invariants::RECIPIENT;
use crate::support::pgseal::Pgseal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

fn clean(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .env("AWS_DEFAULT_REGION", "eu-west-1")
        .env("SAM_CLI_TELEMETRY", "0")
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; run testbed/install.sh", program.display()));
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{} {arguments:?}:\n{said}", program.display());
    said
}

#[test]
fn the_dockerfile_is_clean_and_needs_no_frontend_from_elsewhere() {
    clean(&linter("hadolint"), &["Dockerfile"]);
    let text = fs::read_to_string(root().join("Dockerfile")).expect("the Dockerfile");
    assert!(
        !text.contains("# syntax="),
        "a syntax line is fetched from a registry at every build"
    );
}

#[test]
fn the_cloudformation_templates_are_clean() {
    clean(&linter("cfn-lint"), &["template.yaml", "deploy/vault.yaml", "deploy/fleet.yaml"]);
    clean(&testbed("venv-sam/bin/sam"), &["validate", "--lint"]);
    // CloudFormation itself takes no YAML aliases, though every linter does.
    for file in ["template.yaml", "deploy/vault.yaml", "deploy/fleet.yaml"] {
        let text = fs::read_to_string(root().join(file)).expect("the template");
        let anchors: Vec<_> = text.split_whitespace().filter(|word| word.starts_with('&')).collect();
        assert_eq!(anchors, [""; 0], "{file}");
    }
}

/// The policy for a bucket of one's own is the template's, statement for statement, but for those that know the stack's days
/// and mode.
#[test]
fn the_bucket_policy_is_the_templates_own() {
    const POLICY: &str = r#"
import json, yaml

class Loader(yaml.SafeLoader):
    pass

def tag(loader, suffix, node):
    if suffix == "GetAtt" and node.value == "BackupBucket.Arn":
        return "arn:aws:s3:::acme-backups"
    if isinstance(node, yaml.ScalarNode):
        return node.value.replace("${BackupBucket.Arn}", "arn:aws:s3:::acme-backups")
    construct = loader.construct_sequence if isinstance(node, yaml.SequenceNode) else loader.construct_mapping
    return construct(node, deep=True)

Loader.add_multi_constructor("!", tag)
with open("template.yaml") as file:
    policy = yaml.load(file, Loader)["Resources"]["BackupBucketPolicy"]["Properties"]["PolicyDocument"]
own = [item for item in policy["Statement"] if item["Sid"] in ("NoLockIsLongerThanTheLongest", "LocksHaveTheModeOfTheStack")]
assert len(own) == 2, own
policy["Statement"] = [item for item in policy["Statement"] if item not in own]
print(json.dumps(policy))
"#;
    let made: Value = serde_json::from_str(&clean(&linter("python"), &["-c", POLICY])).expect("JSON");
    let text = fs::read_to_string(root().join("deploy/bucket-policy.json")).expect("the policy");
    assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), made);
}

/// Runs a program of `tests/it/templates`, which asserts and says why; what each looks at stands at its beginning.
fn program(name: &str) {
    program_with(name, &[]);
}

fn program_with(name: &str, arguments: &[&str]) {
    let file = format!("tests/it/templates/{name}.py");
    let said = clean(&linter("python"), &[&[&*file], arguments].concat());
    assert!(said.contains("ok"), "{name} ended without a word: {said}");
}

#[test]
fn each_parameter_does_what_it_says_and_nothing_dangles() {
    program("conditions");
}

#[test]
fn no_private_key_passes_for_a_public_one() {
    program("keys");
}

/// A task that started and failed raised no alarm: it is an error of nothing that the alarms look at.
#[test]
fn a_task_that_fails_is_heard_of() {
    program("rule");
}

#[test]
fn a_backup_that_did_not_run_is_heard_of() {
    program("alarm");
}

#[test]
fn what_a_manifest_names_is_there_as_long_as_it_is() {
    program("retention");
}

#[test]
fn roles_and_buckets_allow_what_is_needed_and_no_more() {
    program("iam");
}

#[test]
fn a_fleet_has_one_definition_and_no_right_it_does_not_need() {
    program("fleet");
}

#[test]
fn alarms_and_dashboard_have_the_metrics_of_the_program() {
    let names: Vec<&str> = pgseal::metrics::METRICS.iter().map(|(name, _)| *name).collect();
    program_with("metrics", &names);
}

/// Anyone who is woken is told where to read.
#[test]
fn each_alarm_names_a_section_of_the_runbook() {
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let runbook = read("docs/RUNBOOK.md");
    let headings = runbook.lines().filter_map(|line| line.strip_prefix("## "));
    let sections: BTreeSet<String> = headings.map(|heading| heading.to_lowercase().replace(' ', "-")).collect();
    for (file, mark, alarms) in [
        ("template.yaml", "docs/RUNBOOK.md#", 6),
        ("deploy/fleet.yaml", "docs/RUNBOOK.md#", 3),
        ("deploy/terraform/alarms.tf", "${var.runbook}#", 5),
        ("deploy/terraform/modules/fleet/alarms.tf", "${var.runbook}#", 3),
    ] {
        let text = read(file);
        let named: Vec<&str> = text
            .split(mark)
            .skip(1)
            .map(|rest| rest.split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap_or_default())
            .collect();
        assert_eq!(named.len(), alarms, "{file}: {named:?}");
        let missing: Vec<_> = named.iter().filter(|section| !sections.contains(**section)).collect();
        assert!(missing.is_empty(), "{file}: {missing:?} in {sections:?}");
    }
}

#[test]
fn every_parameter_is_documented() {
    program("parameters");
}

/// Each set of parameters: the program takes the variables that the function gets, and its role allows what the program asks for.
#[test]
fn the_program_takes_the_variables_and_needs_the_rights_of_the_template() {
    let said = clean(&linter("python"), &["tests/it/templates/environment.py"]);
    let cases: Value = serde_json::from_str(&said).expect("JSON");
    for case in cases.as_array().expect("a list") {
        let variables = case["environment"].as_object().expect("variables");
        let pairs = variables.iter().map(|(name, value)| (name, value.as_str().expect("text")));
        let said = Pgseal::new(&["policy", "--json", "--event", "{}"])
            .env("TESTBED_KEYS", "allowed")
            .envs(pairs)
            .env("OPENSSL_PUBLIC_KEY", RECIPIENT.to_string())
            .run();
        assert_eq!(said.code, 0, "{}: {}{}", case["given"], said.stdout, said.stderr);
        let policy = said.receipt();
        let statements = policy["writer"]["Statement"].as_array().expect("statements");
        let needed: BTreeSet<String> = statements.iter().flat_map(|statement| texts(&statement["Action"])).collect();
        let allowed: BTreeSet<String> = texts(&case["actions"]).into_iter().collect();
        assert_eq!(allowed, needed, "{}", case["given"]);
    }
}

/// One text or a list of texts, as IAM takes either.
fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    list.iter().map(|item| item.as_str().expect("text").to_owned()).collect()
}

#[test]
fn a_stack_can_be_made_twice_and_in_many_ways() {
    program("deploy");
}

#[test]
fn the_cron_job_is_valid_and_names_backups_by_their_time() {
    program("cronjob");
    clean(&linter("kubernetes-validate"), &["--strict", "--quiet", "deploy/cronjob.yaml"]);
}

#[test]
fn the_security_scan_finds_nothing() {
    let said = clean(
        &linter("checkov"),
        &[
            "--skip-download",
            "--compact",
            "--quiet",
            "--output",
            "json",
            "--file",
            "template.yaml",
            "deploy/vault.yaml",
            "deploy/fleet.yaml",
            "deploy/cronjob.yaml",
            "Dockerfile",
            "deploy/terraform/main.tf",
            "deploy/terraform/roles.tf",
        ],
    );
    let json = said.find(['[', '{']).map(|start| &said[start..]).expect("a report");
    let reports: Value = serde_json::Deserializer::from_str(json)
        .into_iter()
        .next()
        .expect("a report")
        .expect("JSON");
    let mut kinds = BTreeSet::new();
    for report in reports.as_array().expect("one report a kind") {
        kinds.insert(report["check_type"].as_str().expect("a kind"));
        assert!(report["summary"]["passed"].as_u64() > Some(5), "{report}");
        assert_eq!(report["summary"]["parsing_errors"], 0, "{report}");
    }
    assert_eq!(kinds, BTreeSet::from(["cloudformation", "dockerfile", "kubernetes", "terraform"]));
}

/// `terraform validate` would need the provider; so: it parses, and names nothing that is not declared, nor the reverse.
#[test]
fn the_terraform_module_is_whole() {
    const LOOK: &str = r#"
import glob, hcl2, re
texts = [open(name).read() for name in sorted(glob.glob("deploy/terraform/*.tf"))]
parsed, everything = [hcl2.loads(text) for text in texts], "\n".join(texts)

def names(mapping):
    return {key.strip('"') for key in mapping if not key.startswith("__")}

def blocks(kind):
    return [item for part in parsed for item in part.get(kind, [])]

def typed(kind):
    return {(sort, name) for item in blocks(kind) for key in item if not key.startswith("__")
            for sort in [key.strip('"')] for name in names(item[key])}

variables = {name for item in blocks("variable") for name in names(item)}
used = set(re.findall(r"\bvar\.(\w+)", everything))
assert variables and used == variables, used ^ variables
for prefix, kind in [(r"(?<!data\.)", "resource"), (r"data\.", "data")]:
    mentioned = set(re.findall(prefix + r"\b(aws_\w+)\.(\w+)", everything))
    assert mentioned and mentioned <= typed(kind), mentioned - typed(kind)
"#;
    clean(&linter("python"), &["-c", LOOK]);
}

#[test]
fn the_task_definition_has_the_old_variables_and_no_rights_it_does_not_need() {
    let text = fs::read_to_string(root().join("deploy/ecs-task-definition.json")).expect("the task definition");
    let definition: Value = serde_json::from_str(&text).expect("JSON");
    let container = &definition["containerDefinitions"][0];
    assert_eq!(container["readonlyRootFilesystem"], true);
    assert_eq!(container["user"], "10001:10001");
    assert_eq!(container["stopTimeout"], 120);
    assert_eq!(container["linuxParameters"]["capabilities"]["drop"][0], "ALL");
    let environment = container["environment"].as_array().expect("a list");
    let names: BTreeSet<&str> = environment.iter().filter_map(|pair| pair["name"].as_str()).collect();
    let old = [
        "POSTGRES_DATABASE",
        "POSTGRES_HOST",
        "POSTGRES_PORT",
        "POSTGRES_USER",
        "S3_BUCKET",
        "S3_PREFIX",
        "OPENSSL_PUBLIC_KEY",
        "RATE_LIMIT",
        "REGION",
    ];
    assert_eq!(names, BTreeSet::from(old));
    let secret = |pair: &Value| {
        pair["name"]
            .as_str()
            .is_some_and(|name| name.contains("SECRET") || name.contains("PASSWORD"))
    };
    assert!(!environment.iter().any(secret), "a task definition is no place for secrets");
}
