use super::*;
use std::os::unix::process::ExitStatusExt;

fn client(version: &str) -> Client {
    let (major, _) = self::version(version).unwrap();
    Client {
        folder: PathBuf::from("/nowhere"),
        major,
        version: version.to_owned(),
    }
}

fn chosen(installed: &[&str], pg_dump: &str) -> Result<String> {
    choose(installed.iter().map(|version| client(version)).collect(), pg_dump).map(|client| client.version)
}

#[test]
fn the_smallest_that_is_not_older_and_knows_restrict() {
    for (installed, pg_dump, psql) in [
        (&["18.0", "15.1", "17.5", "16.10"][..], "15.14", "16.10"),
        (&["18.0", "15.1", "17.5", "16.10"], "15.13", "16.10"),
        (&["18.0", "15.1", "17.5", "16.10"], "18beta2", "18.0"),
        (&["17.5", "15.1"], "17.6", "17.5"),
        // An older one may tell an unverified server the password itself.
        (&["17.5", "15.14"], "9.6.24", "17.5"),
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
