//! The phases of pg_dump: a script in its place, since the real one hardly can be made to.

use super::{Cause, Point, Promise, WHOLE, fails};

const HEADER: &str = "echo '--'; echo '-- PostgreSQL database dump'; echo '--'";
const CLOSING: &str = "echo '--'; echo '-- PostgreSQL database dump complete'; echo '--'; echo";
/// More than a part, so that an upload is open.
const MUCH: &str = "head -c 9000000 /dev/zero | tr '\\0' x; echo";

pub fn points() -> Vec<Point> {
    let dumps = |name: &str, script: String, promise| Point::new(format!("pg_dump {name}"), Cause::Dump(script), promise);
    let mut points = vec![
        dumps("ends without a byte", "exit 0".into(), fails("dump_incomplete")),
        dumps("ends behind its header", HEADER.into(), fails("dump_incomplete")),
        dumps(
            "ends in its closing line",
            format!("{HEADER}; {{ {CLOSING}; }} | head -n 2"),
            fails("dump_incomplete"),
        ),
        dumps(
            "says more behind its closing line",
            format!("{CLOSING}; echo more"),
            fails("dump_incomplete"),
        ),
        dumps(
            "ends in the middle of a part, well",
            format!("{HEADER}; {MUCH}"),
            fails("dump_incomplete"),
        ),
        dumps("fails before a byte", "exit 1".into(), fails("dump_failed")),
        dumps(
            "fails in the middle of a part",
            format!("{HEADER}; {MUCH}; exit 1"),
            fails("dump_failed"),
        ),
        dumps(
            "fails behind its closing line",
            format!("{HEADER}; {CLOSING}; exit 1"),
            fails("dump_failed"),
        ),
        dumps("is killed before a byte", "kill -KILL $$".into(), fails("dump_failed")),
        dumps(
            "is killed in the middle of a part",
            format!("{HEADER}; {MUCH}; kill -KILL $$"),
            fails("dump_failed"),
        ),
        dumps(
            "is killed behind its closing line",
            format!("{HEADER}; {CLOSING}; kill -KILL $$"),
            fails("dump_failed"),
        ),
        dumps("is silent at once", "exec sleep 600".into(), fails("dump_stalled")),
        dumps(
            "is silent in the middle of a part",
            format!("{HEADER}; {MUCH}; exec sleep 600"),
            fails("dump_stalled"),
        ),
        dumps(
            "closes its output and stays",
            format!("{HEADER}; {CLOSING}; exec sleep 600 >&- 2>&-"),
            fails("dump_failed"),
        ),
        dumps(
            "leaves a grandchild on the pipe and fails",
            format!("{HEADER}; sleep 600 & {CLOSING}; exit 1"),
            fails("dump_failed"),
        ),
        dumps(
            "leaves a grandchild on stderr",
            format!("{HEADER}; {CLOSING}; sleep 600 >&- & exit 1"),
            fails("dump_failed"),
        ),
        dumps(
            "floods stderr",
            "yes 'pg_dump: error: again' | head -c 3000000 >&2; exit 1".into(),
            fails("dump_failed"),
        ),
        dumps(
            "shows its password",
            "cat \"$PGPASSFILE\" >&2; env >&2; exit 1".into(),
            fails("dump_failed"),
        ),
        dumps(
            "warns",
            "echo 'pg_dump: warning: odd' >&2; exec $REAL \"$@\"".into(),
            Promise::Complete { warned: "odd" },
        ),
        dumps("is slow to start", "sleep 1; exec $REAL \"$@\"".into(), WHOLE),
    ];
    let told = [
        ("FATAL:  the database system is starting up", "db_busy"),
        ("FATAL:  sorry, too many clients already", "db_busy"),
        ("FATAL:  PAM authentication failed for user \"dumper\"", "db_auth"),
        (
            "FATAL:  no pg_hba.conf entry for host \"10.0.0.1\", user \"dumper\", database \"app\", no encryption",
            "db_tls",
        ),
        ("SSL error: certificate verify failed", "db_tls"),
        (
            "could not translate host name \"db.example.com\" to address: Name or service not known",
            "db_unreachable",
        ),
        ("Connection refused", "db_unreachable"),
    ];
    for (words, code) in told {
        let script = format!("echo 'pg_dump: error: connection to server failed: {words}' >&2; exit 1");
        points.push(dumps(&format!("says {words}"), script, fails(code)));
    }
    let query = [
        ("ERROR:  canceling statement due to lock timeout", "db_lock_timeout"),
        ("ERROR:  permission denied for table wide", "db_privilege"),
        (
            "ERROR:  query would be affected by row-level security policy for table \"wide\"",
            "db_privilege",
        ),
        ("ERROR:  canceling statement due to conflict with recovery", "replica_conflict"),
        ("FATAL:  terminating connection due to administrator command", "dump_failed"),
    ];
    for (words, code) in query {
        let script = format!("{HEADER}; echo 'pg_dump: error: query failed: {words}' >&2; exit 1");
        points.push(dumps(&format!("says {words}"), script, fails(code)));
    }
    points.push(dumps(
        "aborts for its server's age",
        "echo 'pg_dump: error: aborting because of server version mismatch' >&2; exit 1".into(),
        fails("version_mismatch"),
    ));
    points
}
