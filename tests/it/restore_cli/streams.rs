//! Where plaintext goes: a stdout that takes nothing, a closed stream, a file that is not finished or not ours.

use super::{Fixture, text};
use crate::support::fault_proxy::{Fault, FaultProxy, Operation, Rule};
use crate::support::pgseal::{Pgseal, bare, program};
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program, started by a shell with its streams so.
fn by_a_shell(streams: &str, arguments: &[&str]) -> Output {
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("exec \"$@\" {streams}"), "bash", program()]);
    shell
        .args(arguments)
        .env_clear()
        .envs(bare().get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.stdin(Stdio::null()).output().expect("it ends")
}

#[test]
fn what_decrypt_cannot_write_to_stdout_is_an_error_that_names_it() {
    let fixture = Fixture::new(json!({"globals": true}));
    let (fetched, key) = (fixture.fetched(), fixture.key());
    for (what, words) in [("dump", "the dump"), ("inventory", "the inventory"), ("globals", "the roles")] {
        let arguments = ["decrypt", text(&fetched), "--key", &key, "--what", what];
        let (reader, closed) = std::io::pipe().expect("a pipe");
        drop(reader);
        let full = OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let read_only = File::open("/dev/null").expect("/dev/null");
        let given: [(&str, Stdio); 3] = [
            ("full", full.into()),
            ("a closed pipe", closed.into()),
            ("read only", read_only.into()),
        ];
        let given = given.map(|(name, stdout)| (name, bare().args(arguments).stdout(stdout).output().expect("it ends")));
        for (name, output) in given.into_iter().chain([("closed", by_a_shell(">&-", &arguments))]) {
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(74), "{what}, {name}: {said}");
            assert!(
                said.contains(&format!("{words} cannot be written to stdout")),
                "{what}, {name}: {said}"
            );
        }
        assert_eq!(by_a_shell(">/dev/null", &arguments).status.code(), Some(0), "{what}");
        let unheard = by_a_shell("2>&-", &arguments);
        assert!(
            unheard.status.code() == Some(0) && !unheard.stdout.is_empty(),
            "{what}: {unheard:?}"
        );
    }
    // An answer is lost on such a stream, too.
    let read_only = File::open("/dev/null").expect("/dev/null");
    let output = bare().args(["list", text(&fetched)]).stdout(read_only).output().expect("it ends");
    assert_eq!(output.status.code(), Some(74), "{output:?}");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// It once left `.app.sql.partial`, for which the next run refused to begin.
#[test]
fn decrypt_that_is_killed_leaves_nothing_and_stands_in_nobodys_way() {
    let fixture = Fixture::new(json!({}));
    let folder = tempfile::tempdir().expect("a folder");
    let (place, key, output) = (fixture.at_s3(), fixture.key(), folder.path().join("app.sql"));
    let decrypt = || Pgseal::new(&["decrypt", &place, "--key", &key, "-o", text(&output)]);
    let proxy = FaultProxy::before(
        &fixture.bucket,
        [Rule::on(Operation::GetObject).key(".sql.bz2.enc").then(Fault::Silence)],
    );
    let mut child = decrypt().envs(proxy.env()).spawn();
    proxy.wait_for_silence();
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert_eq!(names(folder.path()), [""; 0]);

    let said = decrypt().envs(fixture.bucket.env()).run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(names(folder.path()), ["app.sql"]);
}

#[test]
fn a_file_that_appears_while_decrypt_runs_is_not_replaced() {
    let fixture = Fixture::new(json!({}));
    let folder = tempfile::tempdir().expect("a folder");
    let (place, key) = (fixture.at_s3(), fixture.key());
    let decrypt = |proxy: &FaultProxy, name: &str| {
        let output = folder.path().join(name);
        let run = Pgseal::new(&["decrypt", &place, "--key", &key, "-o", text(&output)]);
        run.envs(proxy.env()).run()
    };
    let open = FaultProxy::before(&fixture.bucket, []);
    assert_eq!(decrypt(&open, "app.sql").code, 0);
    // The last of its calls is for the dump.
    let (mut left, theirs) = (open.seen().len(), folder.path().join("theirs.sql"));
    let named = theirs.clone();
    let meanwhile = FaultProxy::with(&fixture.bucket, move |_| {
        left -= 1;
        if left == 0 {
            std::fs::write(&named, "theirs").expect("written");
        }
        None
    });
    let said = decrypt(&meanwhile, "theirs.sql");
    assert!(said.code == 2 && said.stderr.contains("nothing is overwritten"), "{}", said.stderr);
    assert_eq!(std::fs::read_to_string(&theirs).expect("the file"), "theirs");
    assert_eq!(names(folder.path()).len(), 2);
}
