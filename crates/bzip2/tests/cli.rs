//! The program `pgseal-bzip2`, beside the real bzip2.
#![cfg(feature = "cli")]

use pgseal_bzip2::Level;
use pgseal_bzip2::encode::encode_all;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pgseal-bzip2");

/// A folder in which the program runs.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.path().join(name), bytes).unwrap();
    }

    fn get(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.path().join(name)).unwrap()
    }

    /// The names in it, hidden ones too.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.0.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(PROGRAM, arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs it, and expects this exit code and word on standard error.
    #[track_caller]
    fn ends(&self, arguments: &[&str], code: i32, word: &str) {
        let output = self.run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(word) && said.is_empty() == word.is_empty(), "{arguments:?}: {said}");
    }

    #[track_caller]
    fn works(&self, arguments: &[&str]) {
        self.ends(arguments, 0, "");
    }

    /// From standard input to standard output.
    fn through(&self, arguments: &[&str], input: &[u8]) -> Output {
        self.put("stdin", input);
        let mut command = self.command(PROGRAM, arguments);
        let output = command.stdin(File::open(self.0.path().join("stdin")).unwrap()).output();
        fs::remove_file(self.0.path().join("stdin")).unwrap();
        output.unwrap()
    }
}

fn text() -> Vec<u8> {
    (0..30_000u32)
        .flat_map(|id| format!("{id}\t{}\n", id.wrapping_mul(2_654_435_761)).into_bytes())
        .collect()
}

#[test]
fn a_file_becomes_its_compressed_one_and_back_with_mode_and_times() {
    let folder = Folder::new();
    folder.put("a", &text());
    let path = |name: &str| folder.0.path().join(name);
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::set_permissions(path("a"), Permissions::from_mode(0o640)).unwrap();
    File::options().write(true).open(path("a")).unwrap().set_modified(long_ago).unwrap();
    let is_as_before = |name: &str| {
        let metadata = fs::metadata(path(name)).unwrap();
        assert_eq!(
            (metadata.permissions().mode() & 0o7777, metadata.modified().unwrap()),
            (0o640, long_ago)
        );
    };

    folder.works(&["a"]);
    assert_eq!(folder.names(), ["a.bz2"]);
    is_as_before("a.bz2");
    assert!(folder.command("bzip2", &["-t", "a.bz2"]).status().unwrap().success());
    folder.works(&["-t", "a.bz2"]);
    folder.works(&["-d", "a.bz2"]);
    assert_eq!(folder.names(), ["a"]);
    is_as_before("a");
    assert!(folder.get("a") == text());

    assert!(folder.command("bzip2", &["-1", "a"]).status().unwrap().success());
    folder.works(&["-dk", "a.bz2"]);
    assert_eq!(folder.names(), ["a", "a.bz2"]);
    assert!(folder.get("a") == text());
}

#[test]
fn the_bytes_are_the_same_for_any_threads_and_from_any_source() {
    let folder = Folder::new();
    folder.put("a", &text());
    for level in 1..=9 {
        let expected = encode_all(Level::new(level).unwrap(), &text());
        let switch = format!("-{level}");
        for threads in ["-p1", "-p4"] {
            assert!(folder.run(&["-c", &switch, threads, "a"]).stdout == expected, "{switch} {threads}");
        }
        assert!(folder.through(&[&switch], &text()).stdout == expected);
        assert!(folder.through(&["-z", "--scalar", &switch, "-"], &text()).stdout == expected);
        assert!(folder.through(&["-d"], &expected).stdout == text());
        assert!(folder.through(&["-t"], &expected).stdout.is_empty());
    }
    assert_eq!(folder.names(), ["a"]);
    // Of no byte, and of two files one after the other.
    folder.put("empty", b"");
    let joined = folder.run(&["-c", "empty", "a"]).stdout;
    assert!(folder.through(&["-d"], &joined).stdout == text());
}

#[test]
fn an_existing_output_is_replaced_by_force_alone() {
    let folder = Folder::new();
    folder.put("a", &text());
    folder.put("a.bz2", b"precious");
    folder.ends(&["a"], 1, "already exists");
    assert_eq!(
        (folder.names(), folder.get("a.bz2")),
        (vec!["a".into(), "a.bz2".into()], b"precious".to_vec())
    );
    folder.works(&["-f", "a"]);
    assert!(folder.get("a.bz2") == encode_all(Level::MAX, &text()));
    assert_eq!(folder.names(), ["a.bz2"]);
    // A name that is taken by a link to nowhere is taken.
    symlink("nowhere", folder.0.path().join("a")).unwrap();
    folder.ends(&["-d", "a.bz2"], 1, "already exists");
    assert_eq!(folder.names(), ["a", "a.bz2"]);
}

#[test]
fn a_corrupt_file_ends_with_2_and_leaves_no_output() {
    let folder = Folder::new();
    let whole = encode_all(Level::new(1).unwrap(), &text());
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (name, bytes) in [
        ("cut.bz2", &whole[..whole.len() - 5]),
        ("flipped.bz2", &flipped),
        ("no.bz2", b"PK\x03\x04"),
        ("empty.bz2", b""),
    ] {
        folder.put(name, bytes);
        for arguments in [&["-d", name][..], &["-t", name], &["-dkf", name]] {
            folder.ends(arguments, 2, name);
            assert_eq!(folder.names(), [name]);
        }
        assert_eq!(folder.through(&["-d"], bytes).status.code(), Some(2));
        fs::remove_file(folder.0.path().join(name)).unwrap();
    }
}

#[test]
fn garbage_behind_the_last_stream_is_ignored_as_by_bzip2() {
    let folder = Folder::new();
    let file = [encode_all(Level::MAX, b"one "), encode_all(Level::MAX, b"two"), b"garbage".to_vec()].concat();
    folder.put("a.bz2", &file);
    let bzip2 = folder.command("bzip2", &["-dc", "a.bz2"]).output().unwrap();
    let ours = folder.run(&["-dc", "a.bz2"]);
    assert_eq!((ours.status.code(), &ours.stdout), (bzip2.status.code(), &bzip2.stdout));
    assert_eq!(ours.stdout, b"one two");
    folder.ends(&["-t", "a.bz2"], 0, "ignored");
    folder.ends(&["-tq", "a.bz2"], 0, "");
}

#[test]
fn names_change_as_by_bzip2() {
    let folder = Folder::new();
    let packed = encode_all(Level::MAX, b"text");
    for (from, to, said) in [
        ("a.tbz2", "a.tar", ""),
        ("a.tbz", "a.tar", ""),
        ("a.bz", "a", ""),
        ("a.dump", "a.dump.out", "it becomes"),
        (".bz2", ".bz2.out", "it becomes"),
    ] {
        folder.put(from, &packed);
        folder.ends(&["-d", from], 0, said);
        assert_eq!((folder.names(), folder.get(to)), (vec![to.to_owned()], b"text".to_vec()));
        fs::remove_file(folder.0.path().join(to)).unwrap();
    }
    folder.put("a.bz2", &packed);
    folder.ends(&["a.bz2"], 1, "suffix");
    folder.works(&["-d", &folder.0.path().join("a.bz2").display().to_string()]);
    assert_eq!(folder.names(), ["a"]);
    let longest = "n".repeat(251);
    fs::rename(folder.0.path().join("a"), folder.0.path().join(&longest)).unwrap();
    folder.works(&[&longest]);
    assert_eq!(folder.names(), [format!("{longest}.bz2")]);
}

#[test]
fn what_is_not_a_file_of_its_own_is_refused_without_force() {
    let folder = Folder::new();
    folder.put("a", b"text");
    let path = |name: &str| folder.0.path().join(name);
    fs::hard_link(path("a"), path("linked")).unwrap();
    symlink("a", path("symbolic")).unwrap();
    fs::create_dir(path("folder")).unwrap();
    folder.ends(&["a"], 1, "1 other links");
    folder.ends(&["symbolic"], 1, "not a regular file");
    folder.ends(&["folder"], 1, "not a regular file");
    folder.ends(&["-f", "folder"], 1, "is a directory");
    folder.ends(&["-c", "folder"], 1, "is a directory");
    assert_eq!(folder.names(), ["a", "folder", "linked", "symbolic"]);
    folder.works(&["-f", "symbolic", "linked"]);
    assert_eq!(folder.names(), ["a", "folder", "linked.bz2", "symbolic.bz2"]);
}

#[test]
fn the_worst_of_several_files_is_the_exit_code_and_the_others_are_done() {
    let folder = Folder::new();
    folder.put("corrupt.bz2", b"BZh9 none");
    folder.put("good.bz2", &encode_all(Level::MAX, b"text"));
    folder.ends(&["-d", "missing.bz2", "corrupt.bz2", "good.bz2"], 2, "missing.bz2: cannot be read");
    assert_eq!(folder.names(), ["corrupt.bz2", "good"]);
    folder.ends(&["-d", "missing.bz2"], 1, "cannot be read");
    folder.ends(&["--no-such-option"], 1, "--help");
    for (switch, word) in [("-h", "--threads"), ("--help", "--threads"), ("-V", env!("CARGO_PKG_VERSION"))] {
        let output = folder.run(&[switch]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains(word), "{said}");
    }
}

#[test]
fn an_output_that_takes_no_more_is_said() {
    let folder = Folder::new();
    folder.put("a", &text());
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = folder.command(PROGRAM, &["-c", "a"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot be written"));
    assert_eq!(folder.names(), ["a"]);
}

/// The program with an input that does not end, of which it took so much that its output has been begun.
fn begun(folder: &Folder, mut command: Command) -> (Child, File) {
    assert!(folder.command("mkfifo", &["a"]).status().unwrap().success());
    let child = command.current_dir(folder.0.path()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = OpenOptions::new().write(true).open(folder.0.path().join("a")).unwrap();
    // More than a pipe holds.
    input.write_all(&vec![b'x'; 2 << 20]).unwrap();
    assert_eq!(folder.names().len(), 2, "an unfinished output");
    assert!(!folder.names().contains(&"a.bz2".to_owned()));
    (child, input)
}

fn signal(name: &str, child: &Child) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn a_signal_leaves_no_output() {
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let folder = Folder::new();
        let mut command = Command::new("env");
        // Whatever started the tests: not ignored.
        command.args(["--default-signal", PROGRAM, "-fk", "a"]);
        let (mut child, _input) = begun(&folder, command);
        signal(name, &child);
        assert_eq!(child.wait().unwrap().signal(), Some(number));
        assert_eq!(folder.names(), ["a"]);
    }
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let folder = Folder::new();
    let mut command = Command::new("env");
    command.args(["--ignore-signal=HUP", PROGRAM, "-fk", "a"]);
    let (mut child, input) = begun(&folder, command);
    signal("HUP", &child);
    drop(input);
    assert!(child.wait().unwrap().success());
    let packed = folder.get("a.bz2");
    assert!(packed == encode_all(Level::MAX, &vec![b'x'; 2 << 20]));
}
