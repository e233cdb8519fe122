//! `make demo`, with the programs that the tests run anyway and little data.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder of the built programs; the example is built here if it is not there or not up to date.
fn programs() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_pgseal")).parent().expect("a folder").to_owned();
    let target = folder.parent().expect("the target folder");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--example", "s3_server", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.expect("cargo starts").success(), "the example was not built");
    folder
}

/// Runs the demo in a temporary folder, and asserts that nothing of it stays there.
fn demo(programs: &Path) -> (Output, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(folder.path(), open).expect("the server's user may pass");
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/demo/run.sh"))
        .env("TESTBED_DEMO_BIN", programs)
        .env("TESTBED_DEMO_ORDERS", "2000")
        .env("TESTBED_DEMO_RATE", "0")
        .env("TMPDIR", folder.path())
        .output()
        .expect("the demo starts");
    let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("the folder").count(),
        0,
        "the demo left something: {text}"
    );
    (output, text)
}

#[test]
fn the_demo_ends_with_an_equal_database() {
    let (output, text) = demo(&programs());
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("the same to the byte") && text.contains("\"status\":\"complete\"") && text.contains("Done:"),
        "{text}"
    );
}

#[test]
fn a_backup_that_fails_fails_the_demo() {
    let programs = programs();
    let broken = tempfile::tempdir().expect("a temporary folder");
    std::os::unix::fs::symlink("/bin/false", broken.path().join("pgseal")).expect("a link");
    std::os::unix::fs::symlink(programs.join("examples"), broken.path().join("examples")).expect("a link");
    let (output, text) = demo(broken.path());
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("the backup failed") && !text.contains("Done:"), "{text}");
}
