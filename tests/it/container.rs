//! The built images: what is in them, and backups from inside them, as ECS and Lambda run them.

use crate::support::aws::{Ministack, REGION, testbed};
use crate::support::docker::{self, Container, docker_prints, gateway, image, root};
use crate::support::invariants::{RECIPIENT, backup_stands, clients_of, event, nothing_left, sealed_into};
use crate::support::postgres::Server;
use crate::support::s3::{Bucket, EmbeddedS3};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

mod drill;

const BASE: &str = "debian:trixie-slim";
const MEGABYTE: u64 = 1_000_000;

fn inspect(image: &str, what: &str) -> String {
    docker_prints(&["image", "inspect", "--format", what, image])
}

fn size(image: &str) -> u64 {
    inspect(image, "{{ .Size }}").parse().expect("a number")
}

/// The image's clients are found without `PGSEAL_PG_BIN`, which names folders of the host.
fn environment(server: &Server) -> Vec<(String, String)> {
    server.env().into_iter().filter(|(name, _)| name != "PGSEAL_PG_BIN").collect()
}

fn sample(server: &Server) {
    server.create_app("create table t as select i, md5(i::text) from generate_series(1, 1000) i");
}

#[test]
fn the_images_add_at_most_60_megabytes_to_their_base() {
    // Without optimisation it is three times as large.
    let (program, most) = match docker::are_compiled() {
        true => (0, 60),
        false => (fs::metadata(testbed("containers/stand-in/pgseal")).map_or(0, |file| file.len()), 10),
    };
    for target in ["lambda", "ecs"] {
        let added = size(&image(target)) - size(BASE) - program;
        println!("{target} adds {} MB", added / MEGABYTE);
        assert!(added <= most * MEGABYTE, "{target} adds {added} bytes");
    }
}

#[test]
fn the_images_say_what_they_are() {
    for target in ["lambda", "ecs"] {
        let name = image(target);
        let label = |label: &str| {
            inspect(
                &name,
                &format!("{{{{ index .Config.Labels \"org.opencontainers.image.{label}\" }}}}"),
            )
        };
        assert_eq!(label("title"), "pgseal");
        assert_eq!(label("licenses"), env!("CARGO_PKG_LICENSE"));
        assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
        assert_eq!(inspect(&name, "{{ json .Config.Entrypoint }}"), r#"["/usr/local/bin/pgseal"]"#);
        assert_eq!(
            Container::new(&name).arguments(&["--version"]).run().stdout.trim(),
            concat!("pgseal ", env!("CARGO_PKG_VERSION"))
        );
    }
    assert_eq!(inspect(&image("ecs"), "{{ .Config.User }}"), "10001:10001");
    assert_eq!(
        inspect(&image("lambda"), "{{ .Config.User }}"),
        "",
        "sam local adds its emulator as root"
    );
}

/// What is in it, by its own word and by its bill of materials.
#[test]
fn the_images_say_what_they_are_made_of() {
    for target in ["lambda", "ecs", "drill"] {
        let name = image(target);
        let read = ["/usr/share/pgseal/sbom.cdx.json"];
        let said = Container::new(&name).option("--entrypoint=cat").arguments(&read).run();
        let document: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{target}: {error}: {}", said.stderr));
        let components = document["components"].as_array().expect("a list");
        let names: Vec<_> = components.iter().filter_map(|component| component["name"].as_str()).collect();
        for part in ["aws-sdk-s3", "libc6", "libpq5", "ca-certificates"] {
            assert!(names.contains(&part), "{target}: no {part}");
        }
        let said = Container::new(&name).arguments(&["--version", "-v"]).run();
        let majors: Vec<_> = said
            .stdout
            .lines()
            .filter_map(|line| line.strip_prefix("pg_dump: ")?.split('.').next())
            .collect();
        assert!(
            !majors.is_empty() && said.stdout.contains("\ntarget: "),
            "{target}: {}",
            said.stdout
        );
        for major in majors {
            assert!(
                names.contains(&&*format!("postgresql-client-{major}")),
                "{target}: {major} in {names:?}"
            );
        }
    }
}

#[test]
fn every_client_tool_runs_with_the_libraries_that_came_along() {
    let script = "for tool in /usr/lib/postgresql/*/bin/*; do \"$tool\" --version || exit; done";
    let said = Container::new(&image("ecs"))
        .option("--entrypoint=sh")
        .arguments(&["-c", script])
        .run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    for tool in ["pg_dump", "pg_dumpall", "pg_restore", "psql"] {
        assert!(
            said.stdout.lines().any(|line| line.starts_with(&format!("{tool} (PostgreSQL) "))),
            "{}",
            said.stdout
        );
    }
    let missing = "ldd /usr/lib/postgresql/*/bin/* /usr/local/bin/pgseal | grep -F 'not found'";
    let said = Container::new(&image("ecs"))
        .option("--entrypoint=sh")
        .arguments(&["-c", missing])
        .run();
    assert_eq!(said.stdout, "");
}

#[test]
fn roots_trusted_for_the_build_stay_out_of_the_image() {
    const MARK: &str = "# roots of the build alone";
    let name = image("ecs");
    let given = fs::read_to_string(testbed("containers/build-roots.pem")).expect("what the build was given");
    assert!(given.starts_with(MARK));
    let read = ["/etc/ssl/certs/ca-certificates.crt"];
    let said = Container::new(&name).option("--entrypoint=cat").arguments(&read).run();
    assert!(
        said.stdout.contains("BEGIN CERTIFICATE"),
        "the image has no public roots: {}",
        said.stderr
    );
    assert!(!said.stdout.contains(MARK), "the secret stayed in the image");
}

#[test]
fn a_locked_up_container_backs_up_and_says_so_by_its_exit() {
    let (server, s3) = (Server::start(), EmbeddedS3::start());
    let bucket = s3.bucket();
    sample(&server);
    let task = |event: &Value| {
        Container::new(&image("ecs"))
            .on_host_network()
            .aws(bucket.env())
            .envs(environment(&server))
            .env("BACKUP_EVENT", &event.to_string())
            .run()
    };
    let good = event(&server, "app", &bucket);
    let receipt = task(&good).complete();
    assert_eq!(receipt["backups"][0]["rows"], 1000);
    backup_stands(&bucket, &receipt);

    let envelope = json!({
        "version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "detail-type": "Scheduled backup", "source": "acme.backups",
        "account": "123456789012", "time": "2026-11-24T02:00:00Z", "region": REGION, "resources": [], "detail": good,
    });
    assert_eq!(task(&envelope).complete()["backups"][0]["stem"], "backups/app_20261124T020000Z");

    let mut bad = good;
    bad["databse"] = json!("app");
    task(&bad).failed("bad_event", 2);
}

#[test]
fn as_process_1_it_ends_on_docker_stop_and_leaves_nothing() {
    let (server, s3) = (Server::start(), EmbeddedS3::start());
    let bucket = s3.bucket();
    sample(&server);
    server.psql(
        "app",
        "create table wide as select repeat(md5(i::text), 40) x from generate_series(1, 20000) i",
    );
    let mut slow = event(&server, "app", &bucket);
    slow["rate_limit"] = json!("64k");
    let name = format!("pgseal-stop-{}", std::process::id());
    let (target, running) = (image("ecs"), name.clone());
    let (env, pairs) = (bucket.env(), environment(&server));
    let run = std::thread::spawn(move || {
        let container = Container::new(&target).on_host_network().option(&format!("--name={running}"));
        container.aws(env).envs(pairs).env("BACKUP_EVENT", &slow.to_string()).run()
    });
    let bound = Instant::now() + Duration::from_secs(60);
    while clients_of(&server).is_empty() && !run.is_finished() {
        assert!(Instant::now() < bound, "no dump was begun");
        std::thread::sleep(Duration::from_millis(20));
    }
    docker_prints(&["stop", "--time", "60", &name]);
    let said = run.join().expect("the run ends");
    said.failed("terminated", 6);
    nothing_left(&server, &bucket, &said, &[]);
}

// --- ECS -------------------------------------------------------------------------------------------------------------

/// One call of ECS's API: JSON over HTTP/1.0, whose answer ends where the connection does.
fn ecs(aws: &Ministack, action: &str, body: &Value) -> Value {
    let (host, body) = (aws.endpoint().trim_start_matches("http://").to_owned(), body.to_string());
    let mut socket = TcpStream::connect(&host).expect("ministack answers");
    let target = format!("AmazonEC2ContainerServiceV20141113.{action}");
    let length = body.len();
    write!(
        socket,
        "POST / HTTP/1.0\r\nHost: {host}\r\nX-Amz-Target: {target}\r\nContent-Type: application/x-amz-json-1.1\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .expect("the request is taken");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let (head, json) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains(" 200 "), "{action}: {answer}");
    serde_json::from_str(json).expect("JSON")
}

/// Runs the task with this event as its override and gives the container's exit code.
fn run_task(aws: &Ministack, event: &Value) -> Value {
    let overrides = json!({"containerOverrides": [
        {"name": "pgseal", "environment": [{"name": "BACKUP_EVENT", "value": event.to_string()}]}
    ]});
    let started = ecs(
        aws,
        "RunTask",
        &json!({"cluster": "backups", "taskDefinition": "pgseal", "overrides": overrides}),
    );
    let task = json!({"cluster": "backups", "tasks": [started["tasks"][0]["taskArn"]]});
    let bound = Instant::now() + Duration::from_secs(120);
    loop {
        let seen = ecs(aws, "DescribeTasks", &task)["tasks"][0].clone();
        if seen["lastStatus"] == "STOPPED" {
            // ministack keeps what has ended for `docker logs`.
            let id = task["tasks"][0].as_str().and_then(|arn| arn.rsplit('/').next()).expect("an ARN");
            docker_prints(&["rm", "--force", &format!("ministack-ecs-{}-pgseal", &id[..8])]);
            return seen["containers"][0]["exitCode"].clone();
        }
        assert!(Instant::now() < bound, "the task did not stop: {seen}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The task definition of `deploy/` as a user registers it, but for the image, the network of this machine, and the
/// static credentials and password that stand in for a role.
#[test]
fn an_ecs_task_runs_the_event_of_its_override_and_exits_as_promised() {
    let name = image("ecs");
    let aws = Ministack::start_with("127.0.0.1", &[("DOCKER_HOST", docker::host())]);
    let (server, bucket) = (Server::start(), aws.bucket());
    sample(&server);
    let text = fs::read_to_string(root().join("deploy/ecs-task-definition.json")).expect("the task definition");
    let mut definition: Value = serde_json::from_str(&text).expect("JSON");
    definition["networkMode"] = json!("host");
    definition["requiresCompatibilities"] = json!(["EC2"]);
    let container = &mut definition["containerDefinitions"][0];
    container["image"] = json!(name);
    let variables = container["environment"].as_array_mut().expect("a list");
    variables.retain(|pair| pair["name"] != "OPENSSL_PUBLIC_KEY");
    let more = environment(&server).into_iter().chain(bucket.env());
    variables.extend(more.map(|(name, value)| json!({"name": name, "value": value})));
    ecs(&aws, "CreateCluster", &json!({"clusterName": "backups"}));
    ecs(&aws, "RegisterTaskDefinition", &definition);

    let mut good = event(&server, "app", &bucket);
    good["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    good["region"] = json!(REGION);
    assert_eq!(run_task(&aws, &good), 0);
    assert!(
        bucket
            .keys()
            .contains(&"backups/localhost/app_20261124T020000Z.manifest.jsonl".to_owned()),
        "{:?}",
        bucket.keys()
    );
    good["compression"] = json!("none of these");
    assert_eq!(run_task(&aws, &good), 2);
}

// --- Lambda ----------------------------------------------------------------------------------------------------------

/// `template.yaml` with the tests' image and more variables for its function: `sam` passes only those that a template names.
fn template_with(pairs: &[(String, String)]) -> String {
    const IMAGE: &str = " pgseal:latest\n";
    const PLACE: &str = "        Variables:\n";
    let text = fs::read_to_string(root().join("template.yaml")).expect("the template");
    let lines: String = pairs
        .iter()
        .map(|(name, value)| format!("          {name}: {}\n", json!(value)))
        .collect();
    assert_eq!((text.matches(PLACE).count(), text.matches(IMAGE).count()), (1, 1));
    // Its own values of these give way; and what CloudFormation leaves out, `sam` would pass as an empty variable.
    let is_given = |line: &str| pairs.iter().any(|(name, _)| line.starts_with(&format!("          {name}: ")));
    let is_left_out = |line: &str| line.starts_with("          PGSEAL_") && line.contains("AWS::NoValue");
    let text: String = text
        .split_inclusive('\n')
        .filter(|line| !is_given(line) && !is_left_out(line))
        .collect();
    text.replace(PLACE, &format!("{PLACE}{lines}"))
        .replace(IMAGE, &format!(" {}\n", image("lambda")))
}

/// What `sam local invoke` prints for this event, with the servers at the bridge's gateway. Its exit code says nothing.
fn sam_invoke(server: &Server, bucket: &Bucket, event: &Value) -> Value {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut pairs = environment(server);
    pairs.retain(|(name, _)| name != "PGSEAL_ALLOWED_HOSTS");
    pairs.push(("PGSEAL_ALLOWED_HOSTS".to_owned(), gateway().to_owned()));
    // The template's function takes next to nothing from an event.
    let fields: Vec<&str> = event.as_object().expect("an event").keys().map(String::as_str).collect();
    pairs.push(("PGSEAL_EVENT_FIELDS".to_owned(), fields.join(",")));
    let s3 = bucket.env().get("AWS_ENDPOINT_URL_S3").expect("an address").to_owned();
    pairs.push(("AWS_ENDPOINT_URL_S3".to_owned(), s3));
    fs::write(folder.path().join("template.yaml"), template_with(&pairs)).expect("the template is written");
    fs::write(folder.path().join("event.json"), event.to_string()).expect("the event is written");
    let recipient: String = RECIPIENT.lines().filter(|line| !line.starts_with("--")).collect();

    let mut command = Command::new(testbed("venv-sam/bin/sam"));
    command
        .args(["local", "invoke", "BackupFunction", "--event", "event.json", "--skip-pull-image"])
        .args(["--region", REGION, "--parameter-overrides"])
        .arg(format!("PublicKey={recipient}"))
        .args(["DatabaseHost=unused.example", "DatabaseName=unused", "DatabaseResourceId=db-UNUSED"])
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder.path())
        .env("DOCKER_HOST", docker::host())
        .env("SAM_CLI_TELEMETRY", "0")
        .envs(bucket.env().into_iter().filter(|(name, _)| !name.contains("ENDPOINT")))
        .current_dir(folder.path());
    let _one = docker::sam_local();
    let output = command.output().expect("sam starts");
    let text = format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    let answer = text
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str::<Value>(line).ok().filter(is_answer));
    answer.unwrap_or_else(|| panic!("no answer in: {text}"))
}

/// Log lines are JSON too; the answer is the one with a receipt's or an error's fields.
fn is_answer(value: &Value) -> bool {
    value.get("backups").is_some() || value.get("errorType").is_some()
}

#[test]
fn sam_local_invokes_the_function_of_the_template() {
    let aws = Ministack::start_with(gateway(), &[]);
    let (server, bucket) = (Server::builder().listen(gateway()).start(), aws.bucket());
    sample(&server);
    let mut order = server.event("app");
    order["host"] = json!(gateway());
    let mut order = sealed_into(order, &bucket);
    let receipt = sam_invoke(&server, &bucket, &order);
    assert_eq!(receipt["status"], "complete", "{receipt}");
    backup_stands(&bucket, &receipt);
    order["rate_limit"] = json!("fast");
    assert_eq!(sam_invoke(&server, &bucket, &order)["errorType"], "pgseal.bad_event");
}
