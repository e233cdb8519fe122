//! The vectors in `tests/vectors`, one fault a file: each comes to what its header says, by the built program.

use super::text;
use crate::support::pgseal::Pgseal;
use base64::{Engine, prelude::BASE64_STANDARD};
use pgseal::format::{hex, sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const THREADS: usize = 2;
/// Fewer would mean that some were lost.
const AT_LEAST: usize = 200;
/// What is in nearly all of them.
const PLAIN: &[u8] = include_bytes!("../../vectors/plain.sql");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn private(name: &str) -> PathBuf {
    folder().join(format!("keys/{name}.pem"))
}

struct Vector {
    header: BTreeMap<String, String>,
    objects: Vec<(String, Vec<u8>)>,
}

impl Vector {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("a vector");
        let (header, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let header = header.lines().map(|line| {
            let (name, value) = line.split_once(": ").expect("name: value");
            (name.to_owned(), value.to_owned())
        });
        let objects = body.split("@ ").skip(1).map(|object| {
            let (name, lines) = object.split_once('\n').expect("a name");
            let bytes = BASE64_STANDARD.decode(lines.replace('\n', "")).expect("base64");
            (name.to_owned(), bytes)
        });
        Self {
            header: header.collect(),
            objects: objects.collect(),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.header.get(name).map(String::as_str)
    }

    fn expect(&self) -> &str {
        self.get("expect").expect("an outcome")
    }

    /// Runs a command on the objects as files.
    fn run(&self, command: &str) -> Output {
        let place = tempfile::tempdir().expect("a temporary folder");
        for (name, body) in &self.objects {
            std::fs::write(place.path().join(name), body).expect("written");
        }
        let backup = place.path().join(self.get("backup").expect("a stem"));
        let (key, signer) = (private(self.get("key").expect("a key")), self.get("signer").map(private));
        let mut arguments = vec![command, text(&backup), "--key", text(&key)];
        if command == "decrypt" {
            arguments.push("--unauthenticated");
        }
        if let Some(signer) = &signer {
            arguments.extend(["--signer", text(signer)]);
        }
        Pgseal::new(&arguments).spawn().wait_with_output().expect("pgseal ends")
    }

    fn verify(&self) -> Result<(), String> {
        let output = self.run("verify");
        let expected = self.get("verify").unwrap_or(self.expect());
        outcome("verify", &output, expected)?;
        let verified = String::from_utf8_lossy(&output.stdout).contains("\"status\":\"verified\"");
        if verified == (expected == "ok") {
            Ok(())
        } else {
            Err(format!("verified: {verified}"))
        }
    }

    /// What comes out: all of the plaintext where it opens, else no more than lies before the fault.
    fn decrypt(&self) -> Result<(), String> {
        let output = self.run("decrypt");
        let expected = self.get("decrypt").unwrap_or(self.expect());
        outcome("decrypt", &output, expected)?;
        let released = self.get("released").map_or(0, |count| count.parse::<usize>().expect("a number"));
        let right = match (expected, self.get("plain-sha256")) {
            ("ok" | "unauthenticated", hash) => Some(hex(&sha256(&output.stdout)).as_str()) == hash,
            _ => output.stdout.len() <= released && PLAIN.starts_with(&output.stdout),
        };
        if right {
            Ok(())
        } else {
            Err(format!("decrypt let {} bytes go that are not the right ones", output.stdout.len()))
        }
    }
}

fn outcome(command: &str, output: &Output, expected: &str) -> Result<(), String> {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let said = |code: &str| match command {
        "verify" => format!("{stdout}{stderr}").contains(&format!("\"code\":\"{code}\"")) || stderr.contains(code),
        _ => stderr.contains(code),
    };
    let right = match expected {
        "ok" => output.status.code() == Some(0) && !stderr.contains("unauthenticated"),
        "unauthenticated" => output.status.code() == Some(0) && stderr.contains("unauthenticated"),
        code => output.status.code() == Some(7) && said(code),
    };
    if right {
        return Ok(());
    }
    Err(format!("{command}: expected {expected}; {}: {stdout}{stderr}", output.status))
}

#[test]
fn each_comes_to_what_its_header_says() {
    let files = std::fs::read_dir(folder())
        .expect("the vectors")
        .flatten()
        .map(|entry| entry.path());
    let mut vectors: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|it| it == "vector")).collect();
    vectors.sort();
    assert!(vectors.len() >= AT_LEAST, "{} vectors", vectors.len());
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(path) = vectors.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let vector = Vector::read(path);
                    for outcome in [vector.verify(), vector.decrypt()] {
                        if let Err(reason) = outcome {
                            let name = path.file_stem().unwrap_or_default().to_string_lossy();
                            wrong.lock().expect("no panic").push(format!("{name}: {reason}"));
                        }
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), vectors.len(), wrong.join("\n"));
}

/// They are made from the format's description by another program; it makes these very files.
#[test]
fn they_are_as_generated() {
    let mut python = Command::new("python3");
    let output = python
        .arg(folder().join("generate.py"))
        .arg("--check")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output();
    let output = output.expect("python3 starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
