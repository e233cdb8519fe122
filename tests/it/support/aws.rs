//! ministack: S3, RDS, ECS, Secrets Manager and more in one process of ours, on a free port of 127.0.0.1.
//!
//! ```ignore
//! let aws = Ministack::shared();              // one for the whole test process: buckets keep tests apart
//! let bucket = aws.bucket();                  // a new one, as in support::s3
//! Pgseal::backup(&event).envs(aws.env()).run().complete();
//! bucket.keys();
//! ```

use super::ports::Reserved;
use super::s3::{Bucket, ClientEnv, block_on};
use super::wait::until;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread::JoinHandle;

/// The region of every bucket and database here, unless a test is about regions.
pub const REGION: &str = "eu-central-1";

pub struct Ministack {
    port: Reserved,
    host: String,
    _folder: tempfile::TempDir,
    _process: Kept,
}

impl Ministack {
    /// The instance that tests share. It dies with the test process, however that ends.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Ministack> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A new secret's ARN.
    pub fn secret(&self, text: &str) -> String {
        use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
            .region(Region::new(REGION))
            .endpoint_url(self.endpoint())
            .build();
        let client = aws_sdk_secretsmanager::Client::from_conf(config);
        let folder = tempfile::TempDir::with_prefix("pgseal-secret-").expect("a unique name");
        let name = folder.path().file_name().expect("a name").to_string_lossy().into_owned();
        let created = block_on(client.create_secret().name(name).secret_string(text).send()).expect("the secret is made");
        created.arn.expect("its ARN")
    }

    /// The ARN of a new key in KMS that signs, and its public half in DER.
    pub fn signing_key(&self) -> (String, Vec<u8>) {
        use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
        use aws_sdk_kms::types::{KeySpec, KeyUsageType};
        let config = aws_sdk_kms::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
            .region(Region::new(REGION))
            .endpoint_url(self.endpoint())
            .build();
        let client = aws_sdk_kms::Client::from_conf(config);
        let request = client
            .create_key()
            .key_usage(KeyUsageType::SignVerify)
            .key_spec(KeySpec::EccNistP256);
        let made = block_on(request.send()).expect("the key is made").key_metadata.expect("its facts");
        let arn = made.arn.expect("its ARN");
        let public = block_on(client.get_public_key().key_id(&arn).send()).expect("its public half");
        (arn, public.public_key.expect("DER").into_inner())
    }

    pub fn start() -> Self {
        Self::start_with("127.0.0.1", &[])
    }

    /// On another address (the bridge's, where a container must reach it) or with settings of its own,
    /// such as `DOCKER_HOST` and `LAMBDA_EXECUTOR=docker`.
    pub fn start_with(host: &str, settings: &[(&str, &str)]) -> Self {
        let program = testbed("venv-ministack/bin/ministack");
        let port = Reserved::new(); // it cannot be 0
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(&program);
        command
            .env("BIND_HOST", host)
            .env("GATEWAY_PORT", port.port().to_string())
            .env("MINISTACK_HOST", host)
            .env("MINISTACK_REGION", REGION)
            .env("S3_DATA_DIR", folder.path().join("s3"))
            .env("STATE_DIR", folder.path().join("state"))
            .env("TMPDIR", folder.path())
            .env("SFTP_ENABLED", "0") // these two would want a fixed port each
            .env("IOT_MTLS_ENABLED", "0")
            .envs(settings.iter().copied())
            .current_dir(folder.path());
        let process = Kept::spawn(command, &folder.path().join("log"));
        process.wait_for(|| http(host, port.port(), "GET", "/_ministack/health", b"").is_ok_and(|answer| answer.status == 200));
        Self {
            port,
            host: host.to_owned(),
            _folder: folder,
            _process: process,
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}:{}", self.host, self.port.port())
    }

    /// What pgseal, or any other AWS client, needs in its environment to talk to this and nothing else.
    pub fn env(&self) -> ClientEnv {
        let mut env = ClientEnv::new(&self.endpoint());
        env.push("AWS_ENDPOINT_URL", &self.endpoint());
        env
    }

    /// A new bucket in `REGION` with a name that no other test has.
    pub fn bucket(&self) -> Bucket {
        Bucket::create(self.env(), REGION)
    }
}

/// A part that `testbed/aws.sh install` puts into the cache.
pub fn testbed(part: &str) -> PathBuf {
    let cache = std::env::var_os("TESTBED_CACHE")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/pgseal"));
    let path = cache.join(part);
    assert!(path.exists(), "{} is missing: run testbed/aws.sh install", path.display());
    path
}

/// A server process that is killed with its whole group on Drop, and by the kernel if the tests die first.
pub struct Kept {
    group: rustix::process::Pid,
    log: PathBuf,
    keeper: Option<JoinHandle<()>>,
}

impl Kept {
    /// Output goes to the file `log`; the environment is the command's own, and nothing of the tests'. The parent-death signal comes when the starting *thread* ends, and a test's
    /// thread ends with its test: so a thread of its own starts the child and waits for it.
    pub fn spawn(command: Command, log: &Path) -> Self {
        let mut kept = Command::new("setpriv");
        kept.args(["--pdeathsig", "KILL", "--"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => kept.env(name, value),
                None => kept.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            kept.current_dir(folder);
        }
        let output = std::fs::File::create(log).expect("a log file");
        kept.stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output);
        std::os::unix::process::CommandExt::process_group(&mut kept, 0);

        let (sender, receiver) = mpsc::channel();
        let keeper = std::thread::spawn(move || {
            let mut child = kept.spawn().expect("setpriv (of util-linux) starts the server");
            sender.send(child.id()).expect("the starter waits for this");
            let _ = child.wait();
        });
        let id = receiver.recv().expect("the keeper started the child");
        let group = rustix::process::Pid::from_raw(id.try_into().expect("a process id")).expect("not zero");
        Self {
            group,
            log: log.to_owned(),
            keeper: Some(keeper),
        }
    }

    /// Polls until `ready`, as long as the process runs.
    pub fn wait_for(&self, ready: impl Fn() -> bool) {
        until("a server gets ready", || {
            let ended = self.keeper.as_ref().is_none_or(JoinHandle::is_finished);
            assert!(!ended, "a server ended before it was ready: {}", self.log());
            ready()
        });
    }

    pub fn id(&self) -> u32 {
        self.group.as_raw_nonzero().get().unsigned_abs()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process_group(self.group, rustix::process::Signal::KILL);
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// One plain request. HTTP/1.0 on purpose: the answer then ends where the connection does.
pub fn http(host: &str, port: u16, method: &str, path: &str, body: &[u8]) -> std::io::Result<Answer> {
    let mut socket = TcpStream::connect((host, port))?;
    let length = body.len();
    write!(
        socket,
        "{method} {path} HTTP/1.0\r\nHost: {host}:{port}\r\nContent-Length: {length}\r\n\r\n"
    )?;
    socket.write_all(body)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    let malformed = || std::io::Error::other("no HTTP answer");
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(malformed)?;
    let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    Ok(Answer {
        status: status.ok_or_else(malformed)?,
        body: answer.split_off(head + 4),
    })
}
