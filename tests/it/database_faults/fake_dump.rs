//! What a pg_dump may do that the real one hardly can be made to: scripts in its place.

use super::{Fixture, ended, says, until};
use crate::support::invariants::{backup_stands, no_secret};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::postgres::{Server, debian_major};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;

/// A server older than Debian's clients, and a pg_dump of its very major: that one is chosen.
const MAJOR: u32 = 14;

const HEADER: &str = "echo '--'; echo '-- PostgreSQL database dump'; echo '--'";
const CLOSING: &str = "echo '--'; echo '-- PostgreSQL database dump complete'; echo '--'; echo";

struct Fake {
    fixture: Fixture,
    folder: TempDir,
}

impl Fake {
    /// A pg_dump that does what the script says. `$FOLDER` is a place for its notes, `$REAL` the real pg_dump.
    fn new(script: &str) -> Self {
        let fixture = Fixture::on(Server::builder().major(MAJOR));
        let folder = TempDir::with_prefix("pgseal-fake-").expect("a temporary folder");
        let program = folder.path().join("pg_dump");
        let real = format!("/usr/lib/postgresql/{}/bin/pg_dump", debian_major());
        let version = format!("[ \"$1\" = --version ] && {{ echo 'pg_dump (PostgreSQL) {MAJOR}.99'; exit 0; }}");
        let places = format!("PATH=/usr/bin:/bin FOLDER='{}' REAL={real}", folder.path().display());
        fs::write(&program, format!("#!/bin/bash\n{version}\n{places}\n{script}\n")).expect("the script is written");
        fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("the script can be run");
        Self { fixture, folder }
    }

    fn prepared(&self) -> Pgseal {
        let run = self.fixture.prepared(&self.fixture.event());
        run.env("PGSEAL_PG_BIN", self.folder.path().as_os_str())
    }

    fn run(&self) -> CommandOutput {
        self.prepared().run()
    }

    fn note(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The process whose id the script noted is gone, or a zombie that waits for the process that inherited it.
    fn is_gone(&self, note: &str) {
        let id = fs::read_to_string(self.note(note)).expect("the script's note");
        let state = fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
        let state = state.rsplit(") ").next().unwrap_or_default();
        assert!(
            state.is_empty() || state.starts_with(['Z', 'X']),
            "a process outlived the run: {state}"
        );
    }
}

#[test]
fn success_without_the_closing_line_is_dump_incomplete() {
    for script in [
        "exit 0",
        HEADER,
        &format!("{HEADER}; {{ {CLOSING}; }} | head -n 2"),
        &format!("{CLOSING}; echo more"),
    ] {
        let fake = Fake::new(script);
        fake.fixture.failed(&fake.run(), "dump_incomplete");
    }
}

/// The closing line is a line: rows, a string or a body that was cut short may hold it.
#[test]
fn a_closing_line_inside_rows_or_text_is_none() {
    for (begun, inside) in [
        ("COPY \"public\".\"t\" (\"a\") FROM stdin;\\n1", "the rows of a table"),
        ("COMMENT ON TABLE t IS $$", "a dollar-quoted string"),
        ("COMMENT ON TABLE t IS '\\''cut", "a string"),
    ] {
        let fake = Fake::new(&format!("{HEADER}; echo -e '{begun}'; {CLOSING}"));
        says(&fake.fixture.failed(&fake.run(), "dump_incomplete"), inside);
    }
}

#[test]
fn a_whole_dump_with_a_bad_exit_status_is_dump_failed() {
    let fake = Fake::new(&format!(
        "{HEADER}; {CLOSING}; echo 'pg_dump: error: the disk of dreams is full' >&2; exit 1"
    ));
    says(&fake.fixture.failed(&fake.run(), "dump_failed"), "the disk of dreams is full");
}

#[test]
fn a_dump_that_closes_its_output_and_hangs_is_ended() {
    let fake = Fake::new(&format!("{HEADER}; {CLOSING}; echo $$ >$FOLDER/id; exec sleep 600 >&- 2>&-"));
    let said = fake.prepared().env("PGSEAL_STALL_TIMEOUT", "2s").run();
    fake.is_gone("id");
    assert_eq!(said.code, 5, "never a success: {}", said.stdout);
    fake.fixture.failed(&said, &said.error_code());
}

#[test]
fn a_grandchild_that_holds_the_pipe_is_killed_with_the_group() {
    let fake = Fake::new(&format!("{HEADER}; sleep 600 & echo $! >$FOLDER/id; {CLOSING}; exit 1"));
    let said = fake.prepared().env("PGSEAL_STALL_TIMEOUT", "2s").run();
    fake.is_gone("id");
    assert_eq!(said.code, 5, "{}", said.stdout);
    fake.fixture.failed(&said, &said.error_code());
}

#[test]
fn silence_is_dump_stalled() {
    let fake = Fake::new(&format!("{HEADER}; echo $$ >$FOLDER/id; exec sleep 600"));
    let said = fake.prepared().env("PGSEAL_STALL_TIMEOUT", "1s").run();
    fake.is_gone("id");
    fake.fixture.failed(&said, "dump_stalled");
}

/// A cancel while the child says nothing is reported as the cancel, not as the signal that ended the child.
#[test]
fn a_cancel_during_silence_is_the_cancel() {
    let fake = Fake::new(&format!("{HEADER}; echo $$ >$FOLDER/id; exec sleep 600"));
    let child = fake.prepared().spawn();
    until("the dump is silent", || {
        fs::read_to_string(fake.note("id")).is_ok_and(|id| id.ends_with('\n'))
    });
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("pgseal is there");
    let said = ended(child);
    fake.is_gone("id");
    said.failed("terminated", 6);
    crate::support::invariants::nothing_left(&fake.fixture.server, &fake.fixture.bucket, &said, &[]);
}

#[test]
fn warnings_are_told_beside_the_success() {
    let fake = Fake::new("echo 'pg_dump: warning: there are circular foreign keys' >&2; exec $REAL \"$@\"");
    let said = fake.run();
    let receipt = said.complete();
    let warnings = receipt["backups"][0]["warnings"].to_string();
    assert!(warnings.contains("there are circular foreign keys"), "{receipt}");
    backup_stands(&fake.fixture.bucket, &receipt);
}

/// Whatever pg_dump says is shown, but not the password, in no shape that it is handed over in.
#[test]
fn a_password_in_its_last_words_is_not_passed_on() {
    let fake = Fake::new("echo 'pg_dump: error: I was given' >&2; cat \"$PGPASSFILE\" >&2; exit 1");
    let said = fake.run();
    says(&fake.fixture.failed(&said, "dump_failed"), "I was given");
    no_secret(&said, &[fake.fixture.server.password()]);
}

#[test]
fn endless_complaints_are_drained_and_cut() {
    let fake = Fake::new("yes 'pg_dump: error: again and again' | head -c 30000000 >&2; exit 1");
    let said = fake.run();
    fake.fixture.failed(&said, "dump_failed");
    assert!(said.stdout.len() < 20_000, "the receipt has {} bytes", said.stdout.len());
    assert!(said.stderr.len() < 200_000, "the log has {} bytes", said.stderr.len());
}
