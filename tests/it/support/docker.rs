//! The project's images and the private daemon that runs them (`testbed/containers.sh`).
//!
//! ```ignore
//! let image = docker::image("ecs");                      // built once, with what a user would type
//! let said = Container::new(&image).arguments(&["--version"]).run();
//! ```

use super::pgseal::CommandOutput;
use super::s3::ClientEnv;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A linter of `testbed/containers.sh install`.
pub fn linter(name: &str) -> PathBuf {
    super::aws::testbed("venv-lint/bin").join(name)
}

fn script(verb: &str) -> String {
    let output = Command::new(root().join("testbed/containers.sh"))
        .arg(verb)
        .env("TESTBED_PROGRAM", super::pgseal::program())
        .stdin(Stdio::null())
        .output()
        .expect("testbed/containers.sh starts");
    assert!(
        output.status.success(),
        "testbed/containers.sh {verb} failed; was `testbed/containers.sh install` run?\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("its output is UTF-8")
}

/// A value of `containers.sh env`; the daemon runs from here on.
fn setting(name: &str) -> &'static str {
    static SETTINGS: OnceLock<String> = OnceLock::new();
    let settings = SETTINGS.get_or_init(|| {
        script("start");
        script("env")
    });
    let value = settings.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name} in {settings}"))
}

/// `DOCKER_HOST` of the private daemon.
pub fn host() -> &'static str {
    setting("DOCKER_HOST")
}

/// The host's address on the bridge of containers.
pub fn gateway() -> &'static str {
    setting("GATEWAY")
}

/// Whether the images hold what a user's build compiles, and not the program of these tests.
pub fn are_compiled() -> bool {
    std::env::var("TESTBED_IMAGES").is_ok_and(|form| form == "compiled")
}

/// The name of the image of this target. All are built by the first call; without a change that takes a second.
pub fn image(target: &str) -> String {
    static IMAGES: OnceLock<String> = OnceLock::new();
    let images = IMAGES.get_or_init(|| script("image"));
    let name = images.lines().find(|line| line.ends_with(&format!(":{target}")));
    name.unwrap_or_else(|| panic!("no image {target} in {images}")).to_owned()
}

/// `sam local invoke` puts its emulator into an image whose name all invocations share, and removes what it finds there: one at a time.
pub fn sam_local() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Debian's client: another one earlier in `PATH` may be of another kind.
pub fn docker(arguments: &[&str]) -> Output {
    Command::new("/usr/bin/docker")
        .args(arguments)
        .env("DOCKER_HOST", host())
        .stdin(Stdio::null())
        .output()
        .expect("docker starts")
}

/// The same, for what must succeed; gives what it printed.
pub fn docker_prints(arguments: &[&str]) -> String {
    let output = docker(arguments);
    assert!(
        output.status.success(),
        "docker {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

/// One run to come, as locked up as a container can be: read-only root, no capabilities, and no network but the host's,
/// where asked for.
pub struct Container {
    image: String,
    options: Vec<String>,
    arguments: Vec<String>,
}

impl Container {
    pub fn new(image: &str) -> Self {
        let options = [
            "--rm",
            "--read-only",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            "--network=none",
        ];
        Self {
            image: image.to_owned(),
            options: options.map(str::to_owned).to_vec(),
            arguments: Vec::new(),
        }
    }

    /// On the host's network, where the servers of the tests listen on loopback.
    pub fn on_host_network(mut self) -> Self {
        self.options.retain(|option| option != "--network=none");
        self.option("--network=host")
    }

    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    pub fn env(self, name: &str, value: &str) -> Self {
        self.option(&format!("--env={name}={value}"))
    }

    pub fn envs(self, pairs: Vec<(String, String)>) -> Self {
        pairs.iter().fold(self, |container, (name, value)| container.env(name, value))
    }

    pub fn aws(self, env: ClientEnv) -> Self {
        self.env("AWS_EC2_METADATA_DISABLED", "true").envs(env.into_iter().collect())
    }

    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(ToString::to_string).collect();
        self
    }

    pub fn run(self) -> CommandOutput {
        let run = std::iter::once("run".to_owned());
        let all: Vec<String> = run.chain(self.options).chain([self.image]).chain(self.arguments).collect();
        CommandOutput::from(docker(&all.iter().map(String::as_str).collect::<Vec<_>>()))
    }
}
