//! Which psql is chosen, and what its words mean.

use super::*;
use std::os::unix::process::ExitStatusExt;

fn client(version: &str) -> ClientTools {
    let (major, _) = self::version(version).unwrap();
    ClientTools {
        folder: PathBuf::from("/nowhere"),
        major,
        version: version.to_owned(),
    }
}

fn chosen(installed: &[&str], pg_dump: &str) -> Result<String> {
    chosen_for(installed, pg_dump, false)
}

fn chosen_for(installed: &[&str], pg_dump: &str, keeps_passwords: bool) -> Result<String> {
    choose(installed.iter().map(|version| client(version)).collect(), pg_dump, keeps_passwords).map(|client| client.version)
}

/// `restore --to` took psql 15, which tells an unverified server the password itself, though 18 was there.
#[test]
fn for_a_server_of_others_one_that_keeps_passwords_goes_first() {
    let installed = ["18.4", "15.14", "16.2"];
    assert_eq!(chosen_for(&installed, "15.18", true).unwrap(), "18.4");
    assert_eq!(chosen_for(&installed, "15.18", false).unwrap(), "15.14");
    assert_eq!(chosen_for(&["15.14"], "15.18", true).unwrap(), "15.14");
}

#[test]
fn the_smallest_that_is_not_older_and_knows_restrict() {
    for (installed, pg_dump, psql) in [
        (&["18.0", "15.1", "17.5", "16.10"][..], "15.14", "16.10"),
        (&["18.0", "15.1", "17.5", "16.10"], "15.13", "16.10"),
        (&["18.0", "15.1", "17.5", "16.10"], "18beta2", "18.0"),
        (&["17.5", "15.1"], "17.6", "17.5"),
        (&["17.5", "15.1"], "9.6.24", "15.1"),
        (&["15.1", "15.14"], "9.6.24", "15.14"),
    ] {
        assert_eq!(chosen(installed, pg_dump).unwrap(), psql, "{pg_dump}");
    }
    for (installed, pg_dump, words) in [
        (&["15.14", "16.10"][..], "17.6", &["pg_dump 17.6", "psql is 16.10"][..]),
        (&[], "17.6", &["no psql"]),
    ] {
        let error = chosen(installed, pg_dump).unwrap_err();
        assert_eq!(error.code, Code::RestoreFailed);
        assert!(words.iter().all(|word| error.message.contains(word)), "{error}");
    }
}

#[test]
fn the_first_error_is_told_with_its_detail() {
    let status = std::process::ExitStatus::from_raw(3 << 8);
    for (said, told) in [
        (
            "psql:<stdin>:3: NOTICE:  hello\npsql:<stdin>:9: ERROR:  duplicate key\nDETAIL:  Key (a)=(1) exists.\nCONTEXT:  COPY t, line 2\npsql:<stdin>:10: ERROR:  late\n",
            "psql:<stdin>:9: ERROR: duplicate key · DETAIL: Key (a)=(1) exists. · CONTEXT: COPY t, line 2",
        ),
        (
            "psql:<stdin>:1: ERROR:  syntax error at or near \"x\"\nLINE 1: x;\n        ^\n",
            "psql:<stdin>:1: ERROR: syntax error at or near \"x\"",
        ),
        (
            "psql: error: connection to server at \"h\", port 1 failed: refused\n\tIs it running?\n",
            "psql: error: connection to server at \"h\", port 1 failed: refused · Is it running?",
        ),
        (
            "psql:<stdin>:3: HINWEIS:  a\npsql:<stdin>:4: FEHLER:  b\n",
            "psql:<stdin>:4: FEHLER: b",
        ),
        ("", "psql ended with exit status 3: it said nothing"),
    ] {
        assert_eq!(failure(said, status).message, told);
    }
}
