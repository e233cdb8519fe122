//! What asks at a terminal: answers that cannot be right are asked for again, and anyone who leaves has nothing half done.

use crate::support::invariants::RECIPIENT;
use crate::support::pgseal::program;
use serde_json::Value;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A run in a terminal of its own, made by `script`.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    seen: String,
}

impl Terminal {
    fn start(arguments: &str, folder: &Path) -> Self {
        let command = format!("exec {} {arguments}", program());
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .current_dir(folder)
            .env_clear()
            .envs([
                ("PATH", "/usr/local/bin:/usr/bin:/bin"),
                ("TERM", "xterm"),
                ("AWS_EC2_METADATA_DISABLED", "true"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script, of util-linux");
        let (keys, screen) = (child.stdin.take().expect("keys"), child.stdout.take().expect("a screen"));
        Self {
            child,
            keys,
            screen,
            seen: String::new(),
        }
    }

    /// Waits for a text, and types this behind it.
    fn answer(&mut self, question: &str, typed: &str) {
        let mut buffer = [0; 4096];
        while !self.seen.contains(question) {
            let count = self.screen.read(&mut buffer).expect("the screen");
            assert!(count > 0, "it ended without {question:?}:\n{}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        let end = self.seen.find(question).expect("it is there") + question.len();
        self.seen.drain(..end);
        self.keys.write_all(typed.as_bytes()).expect("typed");
    }

    /// Its exit status, and the rest of the screen.
    fn end(mut self) -> (Option<i32>, String) {
        drop(self.keys);
        let mut rest = Vec::new();
        self.screen.read_to_end(&mut rest).expect("the screen");
        let status = self.child.wait().expect("it ends");
        (status.code(), self.seen + &String::from_utf8_lossy(&rest))
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder");
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A typing error was found after all questions, and all of them had to be answered again.
#[test]
fn init_asks_again_for_an_answer_that_cannot_be_right() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("public.pem"), &*RECIPIENT).expect("written");
    let mut terminal = Terminal::start("init --no-check", folder.path());
    terminal.answer("Database (* for all): ", "\n");
    terminal.answer("An answer is needed.", "app\n");
    // A host on no list was refused behind all other questions.
    terminal.answer("Endpoint of the server: ", "db.internal\n");
    terminal.answer("PGSEAL_ALLOWED_HOSTS", "orders.rds.amazonaws.com\n");
    terminal.answer("AWS region of the server: ", "Frankfurt\n");
    terminal.answer("AWS region of the server: ", "eu-central-1\n");
    terminal.answer("User for backups [backup]: ", "\n");
    terminal.answer("Bucket for the backups: ", "Acme Backups\n");
    terminal.answer("Bucket for the backups: ", "acme-backups\n");
    terminal.answer("File of the public key (`pgseal keygen` makes one): ", "nowhere.pem\n");
    terminal.answer("File of the public key (`pgseal keygen` makes one): ", "\u{4}");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(2), "{screen}");
    assert!(!screen.contains("field of the event"), "{screen}");
    assert_eq!(names(folder.path()), ["public.pem"]);

    let mut terminal = Terminal::start(
        "init --no-check --host orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com --user backup --bucket acme-backups --public-key public.pem",
        folder.path(),
    );
    terminal.answer("Database (* for all): ", "app\n");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    let event = std::fs::read_to_string(folder.path().join("event.json")).expect("the event");
    let event: Value = serde_json::from_str(&event).expect("JSON");
    assert_eq!((&event["database"], &event["region"]), (&"app".into(), &"eu-west-1".into()));

    // What is there already need not be typed.
    std::fs::rename(folder.path().join("public.pem"), folder.path().join("public_key.pem")).expect("renamed");
    let mut terminal = Terminal::start(
        "init --no-check --host orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com --bucket acme-backups --output second.json",
        folder.path(),
    );
    terminal.answer("Database (* for all): ", "app\n");
    terminal.answer("User for backups [backup]: ", "\n");
    terminal.answer("[public_key.pem]: ", "\n");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    let event = std::fs::read_to_string(folder.path().join("second.json")).expect("the event");
    assert!(
        event.contains("BEGIN PUBLIC KEY") && event.contains(r#""user": "backup""#),
        "{event}"
    );
}

/// Ctrl-C did nothing until the line was ended.
#[test]
fn init_ends_at_once_and_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    for (key, exit) in [("\u{3}", 6), ("\u{4}", 2)] {
        let mut terminal = Terminal::start("init", folder.path());
        terminal.answer("Database (* for all): ", "app\n");
        terminal.answer("Endpoint of the server: ", key);
        let (code, screen) = terminal.end();
        assert_eq!(code, Some(exit), "{key:?}: {screen}");
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

/// One slip of the finger ended it, and the next try needed all of it again.
#[test]
fn keygen_asks_again_where_two_passphrases_differ() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut terminal = Terminal::start("keygen", folder.path());
    terminal.answer("Passphrase of private_key.pem: ", "one\n");
    terminal.answer("Passphrase of private_key.pem, again: ", "other\n");
    terminal.answer("The two differ.", "");
    terminal.answer("Passphrase of private_key.pem: ", "\n");
    terminal.answer("It is empty.", "");
    terminal.answer("Passphrase of private_key.pem: ", "right\n");
    terminal.answer("Passphrase of private_key.pem, again: ", "right\n");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    assert_eq!(names(folder.path()), ["private_key.pem", "public_key.pem"]);
}

/// The colours of its own error were shown as escape codes, and the next prompt stood behind its last word.
#[test]
fn an_error_at_a_terminal_has_its_colours_and_its_line_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let (exit, screen) = Terminal::start("verify ./nowhere", folder.path()).end();
    assert_eq!(exit, Some(2), "{screen}");
    assert!(screen.contains("\u{1b}[31m") && !screen.contains("u001b"), "{screen:?}");
    assert!(screen.ends_with('\n'), "{screen:?}");
}
