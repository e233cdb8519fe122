//! README.md's commands for `docker` and `sam`, run as they stand in a checkout. `testbed/bin/docker` gives their builds what a machine
//! without PGDG and behind a CA of its own needs, and nothing else is changed. What needs an account of AWS is compared with the tools'
//! own help and code.

use super::{key_pair, root};
use crate::support::aws::{REGION, testbed};
use crate::support::docker::{self, docker, docker_prints};
use crate::support::pgseal::CommandOutput;
use crate::support::restore::block;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// A whole checkout, without what was built in it, in a folder where a reader's own files may lie about.
fn checkout() -> tempfile::TempDir {
    // The layers, once for all tests: without them each build here would be a cold one.
    docker::image("ecs");
    let folder = tempfile::tempdir().expect("a temporary folder");
    const COPY: &str = "tar -c --exclude=./.git --exclude=target . | tar -x -C \"$0\"";
    let copied = Command::new("bash")
        .args(["-euo", "pipefail", "-c", COPY])
        .arg(folder.path())
        .current_dir(root())
        .status();
    assert!(copied.expect("bash starts").success());
    folder
}

/// A reader's shell: the tools in the path, a region and credentials, as after `aws configure`.
fn shell(folder: &Path, script: &str) -> CommandOutput {
    let tools = [root().join("testbed/bin"), testbed("venv-sam/bin")].map(|path| path.display().to_string());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(folder)
        .env_clear()
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", tools.join(":")))
        .env("HOME", folder)
        .env("TESTBED_CACHE", testbed(""))
        .env("DOCKER_HOST", docker::host())
        .env("SAM_CLI_TELEMETRY", "0")
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        .env("AWS_SESSION_TOKEN", "none")
        .stdin(Stdio::null())
        .output()
        .expect("bash starts");
    CommandOutput::from(output)
}

fn fine(folder: &Path, script: &str) -> CommandOutput {
    let said = shell(folder, script);
    assert_eq!(said.code, 0, "{script}\n{}{}", said.stdout, said.stderr);
    said
}

/// Each way to build the image, then the template's function in it, with nothing of AWS to be reached.
#[test]
fn the_function_is_built_and_tried_as_documented() {
    let folder = checkout();
    let sam = block("sam");
    let (deploy, before): (Vec<&str>, Vec<&str>) = sam.lines().partition(|line| line.starts_with("sam deploy"));
    assert_eq!((deploy.len(), before.len()), (1, 2), "{sam}");
    for build in [before.join("\n"), block("build")] {
        docker(&["image", "rm", "pgseal:latest"]);
        fine(folder.path(), &build);
        let user = docker_prints(&["image", "inspect", "--format", "{{ .Os }} {{ .Config.User }}", "pgseal:latest"]);
        assert_eq!(user, "linux", "Lambda's image has no user of its own");
    }

    key_pair(folder.path());
    let said = {
        let _one = docker::sam_local();
        fine(folder.path(), &block("sam-local"))
    };
    // The answer is all that it prints on standard output; its message is the receipt. Containers here have no way out to AWS.
    let json = |text: &str| -> Value { serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}{}", said.stderr)) };
    let answer = json(&said.stdout);
    assert_eq!(answer["errorType"], "pgseal.s3_unavailable", "{answer}");
    let receipt = json(answer["errorMessage"].as_str().expect("text"));
    assert_eq!(receipt["backups"][0]["database"], "app", "{receipt}");
}

/// `sam deploy` pushes what a template names as text, and no value of a parameter: its own code is asked, with a registry that listens.
#[test]
fn sam_deploy_pushes_the_image_that_was_built() {
    const EXPORT: &str = r#"
import os
from samcli.lib.package.artifact_exporter import Template

class Registry:
    def get(self, destination):
        return self

    def upload(self, image, function):
        print(function, image)
        return "111122223333.dkr.ecr.eu-west-1.amazonaws.com/pgseal:1"

Template("template.yaml", os.getcwd(), Registry(), None).export()
"#;
    let said = python(&["-c", EXPORT]);
    assert_eq!(
        (said.stdout.as_str(), said.code),
        ("BackupFunction pgseal:latest\n", 0),
        "{}",
        said.stderr
    );

    let sam = block("sam");
    let deploy = sam.lines().find(|line| line.starts_with("sam deploy")).expect("sam deploy");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let help = fine(folder.path(), "sam deploy --help").stdout;
    for switch in deploy.split_whitespace().filter(|word| word.starts_with("--")) {
        assert!(help.contains(switch), "sam deploy knows no {switch}");
    }
}

/// The image of ECS is built, started by its variables alone, and says by receipt and exit code that nothing of AWS can be reached.
#[test]
fn the_task_is_built_and_run_as_documented() {
    let folder = checkout();
    key_pair(folder.path());
    let said = shell(folder.path(), &block("docker-run"));
    let receipt = said.failed("s3_unavailable", 4);
    assert_eq!(receipt["backups"][0]["database"], "app", "{receipt}");
}

/// The JSON for `aws ecs run-task --overrides` is what AWS's own model of that call takes.
#[test]
fn the_overrides_are_what_run_task_takes() {
    const VALIDATE: &str = r#"
import json, sys
from botocore.session import Session
from botocore.validate import ParamValidator

call = Session().get_service_model("ecs").operation_model("RunTask").input_shape
given = {"taskDefinition": "pgseal", "overrides": json.loads(sys.argv[1])}
print(ParamValidator().validate(given, call).generate_report(), end="")
"#;
    let said = python(&["-c", VALIDATE, &block("overrides")]);
    assert_eq!((said.stdout.as_str(), said.code), ("", 0), "{}", said.stderr);
}

/// Of SAM's environment, where its packages are, botocore with the models of AWS's calls among them.
fn python(arguments: &[&str]) -> CommandOutput {
    let mut command = Command::new(testbed("venv-sam/bin/python"));
    CommandOutput::from(command.args(arguments).current_dir(root()).output().expect("python starts"))
}
