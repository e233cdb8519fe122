//! What psql's words mean.

use super::failure::failure;
use std::os::unix::process::ExitStatusExt;

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
        assert_eq!(failure(&said.into(), status).message, told);
    }
}
