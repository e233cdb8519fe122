//! Runs the built binary as a user would and reads what it says.

use serde_json::Value;
use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// One run of `pgseal` to come: a cleared environment, so that nothing of the machine leaks into a test.
pub struct Pgseal {
    command: Command,
    stdin: Option<Vec<u8>>,
}

/// What one run said: exit code, the JSON of stdout, and the raw texts.
pub struct CommandOutput {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The program under test.
pub fn program() -> &'static str {
    env!("CARGO_BIN_EXE_pgseal")
}

/// The program with an environment that holds nothing but where programs are; and where it leaves its counters, if the
/// tests are run for coverage.
pub fn bare() -> Command {
    let mut command = Command::new(program());
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.envs(std::env::var_os("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file)));
    command
}

impl Pgseal {
    pub fn new(arguments: &[&str]) -> Self {
        let mut command = bare();
        command.args(arguments).env("AWS_EC2_METADATA_DISABLED", "true");
        Self { command, stdin: None }
    }

    /// `pgseal backup --event EVENT`.
    pub fn backup(event: &Value) -> Self {
        Self::new(&["backup", "--event", &event.to_string()])
    }

    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    pub fn envs<K: AsRef<str>, V: AsRef<str>>(mut self, pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        for (name, value) in pairs {
            self.command.env(name.as_ref(), value.as_ref());
        }
        self
    }

    pub fn current_dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Starts without waiting: for tests that act while it runs.
    pub fn spawn(mut self) -> Child {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command
            .stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = self.command.spawn().expect("pgseal starts");
        if let (Some(bytes), Some(mut pipe)) = (self.stdin, child.stdin.take()) {
            // It may refuse what is too long without reading to its end.
            match pipe.write_all(&bytes) {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("pgseal's standard input: {error}"),
                _ => {}
            }
        }
        child
    }

    pub fn run(self) -> CommandOutput {
        CommandOutput::from(self.spawn().wait_with_output().expect("pgseal ends"))
    }
}

impl From<Output> for CommandOutput {
    fn from(output: Output) -> Self {
        let said = Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        };
        super::canaries::hunt_known(&said);
        said
    }
}

impl CommandOutput {
    /// The receipt (or report): the whole of stdout is one JSON value.
    pub fn receipt(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is no receipt ({error}): {}\nstderr: {}", self.stdout, self.stderr))
    }

    /// The code of the first error: of the event, else of the first failed backup.
    pub fn error_code(&self) -> String {
        let receipt = self.receipt();
        let of = |value: &Value| value["error"]["code"].as_str().map(str::to_owned);
        let lists = ["backups", "items"].into_iter().filter_map(|list| receipt[list].as_array());
        let failed = lists.flatten().find_map(of);
        of(&receipt)
            .or(failed)
            .unwrap_or_else(|| panic!("no error in {receipt}\nstderr: {}", self.stderr))
    }

    /// Asserts success and gives the receipt.
    pub fn complete(&self) -> Value {
        assert_eq!(self.code, 0, "exit code; stdout: {}\nstderr: {}", self.stdout, self.stderr);
        let receipt = self.receipt();
        assert_eq!(receipt["status"], "complete", "{receipt}");
        receipt
    }

    /// Asserts the failure that was promised: its code and its exit code.
    pub fn failed(&self, code: &str, exit: i32) -> Value {
        assert_eq!(self.error_code(), code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        assert_eq!(self.code, exit, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.receipt()
    }
}
