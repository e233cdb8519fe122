//! What stands on the command line: what it may be, and what of it is never said again.

use super::Fixture;
use serde_json::json;

/// A connection string in the place of a file was shown, with its password.
#[test]
fn a_login_in_any_argument_is_not_said_again() {
    let fixture = Fixture::new(json!({}));
    let backup = fixture.at_s3();
    for login in [
        "host=db password=hunter2",
        "postgresql://u:hunter2@db/app",
        "host=db password = 'hunter2 x'",
    ] {
        for arguments in [
            vec!["verify", &backup, "--key", login],
            vec!["verify", &backup, "--signer", login],
            vec!["restore", &backup, "--key", "no.pem", "--to", login],
            vec!["keygen", "--private", login, "--passphrase-file", login],
            vec!["drill", &backup, "--key", "no.pem", "--report", login],
            vec!["init", "--output", login, "--database", login, "--host", login],
            vec!["backup", "--event", login],
            vec!["explain", login],
            vec!["list", login],
        ] {
            let said = fixture.run(&arguments);
            assert_ne!(said.code, 0, "{arguments:?}");
            assert!(
                !format!("{}{}", said.stdout, said.stderr).contains("hunter2"),
                "{arguments:?}: {}{}",
                said.stdout,
                said.stderr
            );
        }
    }
}

#[test]
fn one_backup_is_listed_by_latest_too() {
    let fixture = Fixture::new(json!({}));
    let place = format!("s3://{}/backups/latest:app", fixture.bucket.name);
    let listed = fixture.run(&["list", &place]).receipt();
    assert_eq!(listed["backups"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed["backups"][0]["database"], "app");
}
