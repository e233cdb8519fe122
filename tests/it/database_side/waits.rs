//! A black hole before, at and after each message that we send: of each login and each query. Alone it ends by the limits,
//! after a signal within seconds, before a deadline in time.

use super::{Fixture, Front, Manner};
use crate::support::front::Silence;
use crate::support::invariants::{no_login, no_secret, nothing_left};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::platform::Platform;
use crate::support::postgres::newest_debian;
use crate::support::wait::{PATIENCE, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::process::Child;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The promise is 10 s, of a machine that is not busy. A cancel that is not heard shows by the code too: the limits come to
/// `db_unreachable`.
const SOON: Duration = Duration::from_secs(60);

/// Each black hole that a run of this command can meet, as found by one run in the open.
fn black_holes(fixture: &Fixture, command: &str) -> Vec<Silence> {
    let front = Front::before(&fixture.server, Manner::Counts);
    let said = fixture.prepared(command, &fixture.event_through(front.port())).run();
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    let messages = front.messages();
    assert!(messages >= 10, "startup, two of SCRAM and the queries: {messages}");
    let both = |at| [false, true].map(|within_answer| Silence { at, within_answer });
    (1..=messages).flat_map(both).collect()
}

/// Works on all of them, a few at a time.
fn for_each<T: Copy + Send>(list: Vec<T>, work: impl Fn(T) + Sync) {
    let list = Mutex::new(list.into_iter());
    std::thread::scope(|scope| {
        let take = || {
            while let Some(item) = { list.lock().expect("the list").next() } {
                work(item);
            }
        };
        for _ in 0..6 {
            scope.spawn(take);
        }
    });
}

fn ended(mut child: Child, limit: Duration, what: &str) -> CommandOutput {
    let end = Instant::now() + limit;
    while child.try_wait().expect("our own child").is_none() {
        if Instant::now() > end {
            let _ = child.kill();
            panic!("it did not end within {limit:?}: {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    CommandOutput::from(child.wait_with_output().expect("pgseal ends"))
}

#[test]
fn a_server_that_falls_silent_at_any_message_is_db_unreachable() {
    let fixture = Fixture::new();
    for_each(black_holes(&fixture, "check"), |silence| {
        let front = Front::before(&fixture.server, Manner::Silent(silence));
        let run = fixture.prepared("check", &fixture.event_through(front.port()));
        let said = ended(run.env("PGSEAL_LOGIN_TIMEOUT", "1s").spawn(), PATIENCE, &format!("{silence:?}"));
        assert!(
            said.stdout.contains("\"db_unreachable\""),
            "{silence:?}: {}{}",
            said.stdout,
            said.stderr
        );
        assert_eq!(said.code, 3, "{silence:?}");
        no_secret(&said, &[fixture.server.password()]);
    });
    no_login(&fixture.server);
}

/// A session that an idle time-out or an administrator ended had failed the whole backup.
#[test]
fn a_connection_lost_once_at_any_message_costs_a_login() {
    let fixture = Fixture::new();
    let counted = Front::before(&fixture.server, Manner::Counts);
    fixture.prepared("check", &fixture.event_through(counted.port())).run();
    for_each((1..=counted.messages()).collect(), |at| {
        let front = Front::before(&fixture.server, Manner::Drops(at));
        let said = fixture.prepared("check", &fixture.event_through(front.port())).run();
        assert_eq!(said.code, 0, "{at}: {}{}", said.stdout, said.stderr);
    });
    no_login(&fixture.server);
}

#[test]
fn a_signal_is_heard_at_any_message() {
    let fixture = Fixture::new();
    for_each(black_holes(&fixture, "check"), |silence| {
        let front = Front::before(&fixture.server, Manner::Silent(silence));
        let child = fixture.prepared("check", &fixture.event_through(front.port())).spawn();
        front.wait_for_silence();
        kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
        let said = ended(child, SOON, &format!("{silence:?}"));
        assert!(
            said.stdout.contains("\"terminated\""),
            "{silence:?}: {}{}",
            said.stdout,
            said.stderr
        );
    });
}

/// The list for `"*"` and the dump's own login too; with a deadline, as on Lambda.
#[test]
fn a_deadline_is_heard_at_any_message_of_a_backup() {
    let fixture = Fixture::new();
    let mut event = fixture.event();
    event["database"] = json!("*");
    event["exclude_databases"] = json!(["postgres"]);
    let holes = [1, 2, 4, 5, 6, 8, 10, 14].map(|at| Silence {
        at,
        within_answer: at % 4 == 0,
    });
    for_each(holes.to_vec(), |silence| {
        let front = Front::before(&fixture.server, Manner::Silent(silence));
        let mut event = event.clone();
        event["port"] = json!(front.port());
        let platform = Platform::start(fixture.bucket.env().into_iter().chain(fixture.server.env()));
        let (kind, _) = platform.invoke(&event, Duration::from_secs(6)).expect_err("no backup");
        assert!(kind == "pgseal.deadline", "{silence:?}: {kind}");
    });
}

/// pg_dump has its own connection: its login has a limit of libpq's, and a signal ends it.
#[test]
fn a_signal_is_heard_while_pg_dump_logs_in() {
    let fixture = Fixture::new();
    let before = black_holes(&fixture, "check").len() / 2;
    for at in [before + 1, before + 3, before + 6] {
        let silence = Silence { at, within_answer: false };
        let front = Front::before(&fixture.server, Manner::Silent(silence));
        let child = fixture.prepared("backup", &fixture.event_through(front.port())).spawn();
        front.wait_for_silence();
        kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
        let said = ended(child, SOON, &format!("{silence:?}"));
        said.failed("terminated", 6);
        drop(front);
        nothing_left(&fixture.server, &fixture.bucket, &said, &[]);
    }
}

/// A pg_dump that does not even say its version.
#[test]
fn a_signal_is_heard_while_pg_dump_is_asked_for_its_version() {
    let fixture = Fixture::new();
    let folder = tempfile::TempDir::with_prefix("pgseal-mute-").expect("a temporary folder");
    let program = folder.path().join("pg_dump");
    let note = folder.path().join("asked");
    let script = format!("#!/bin/sh\necho > '{}'\nexec sleep 1000\n", note.display());
    std::fs::write(&program, script).expect("the script is written");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("it can be run");
    for command in ["check", "backup"] {
        let prepared = |limit: &str| -> Pgseal {
            let run = fixture
                .prepared(command, &fixture.event())
                .env("PGSEAL_PG_BIN", folder.path().as_os_str());
            run.env("PGSEAL_LOGIN_TIMEOUT", limit)
        };
        let child = prepared("15s").spawn();
        until("it is asked for its version", || note.exists());
        kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
        let said = ended(child, SOON, command);
        assert!(said.stdout.contains("\"terminated\""), "{}{}", said.stdout, said.stderr);
        std::fs::remove_file(&note).expect("the note");
        // And one that is mute is passed over: another is installed.
        let said = ended(prepared("5s").spawn(), PATIENCE, command);
        assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
        std::fs::remove_file(&note).expect("the note");
    }
}

/// The kernel's timers of connections to this port, by their kind (2: keepalive) and when they run out, in its ticks.
fn timers(port: u16) -> Vec<(u8, u64)> {
    let remote = format!(":{port:04X}");
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let fields = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let to_port = fields.filter(|fields| fields[2].ends_with(&remote) && fields[3] == "01");
    let timer = |fields: Vec<&str>| {
        let (kind, when) = fields[5].split_once(':').expect("a timer");
        (kind.parse().expect("a kind"), u64::from_str_radix(when, 16).expect("ticks"))
    };
    to_port.map(timer).collect()
}

/// A network that drops idle connections, or a server that is gone, is told in a minute and not in two hours.
#[test]
fn our_connection_and_pg_dumps_are_kept_alive() {
    // A hundred ticks are a second: <https://docs.kernel.org/networking/proc_net_tcp.html>.
    const THIRTY_SECONDS: u64 = 30 * 100;
    let fixture = Fixture::new();
    let waits = "select count(*) from pg_stat_activity where usename = 'dumper' and wait_event_type = 'Lock'";
    for (lock, whose) in [("pg_catalog.pg_extension", "pgseal"), ("public.plain", "pg_dump")] {
        let mut holder = fixture.server.session("app");
        holder.run(&format!("begin; lock table {lock} in access exclusive mode"));
        let mut event = fixture.event();
        event["prefix"] = json!(whose);
        let child = fixture.prepared("backup", &event).spawn();
        until("a query waits for the lock", || fixture.server.psql("postgres", waits) != "0");
        until(&format!("the timer of {whose} runs"), || {
            let timers = timers(fixture.server.port());
            timers.iter().any(|(kind, when)| *kind == 2 && *when <= THIRTY_SECONDS)
        });
        drop(holder);
        ended(child, PATIENCE, whose);
    }
}

/// It was told that the server is out of reach, which it is not.
#[test]
fn a_session_that_is_ended_each_time_is_told_so() {
    let fixture = Fixture::new();
    let front = Front::before(&fixture.server, Manner::EndsSessions);
    for command in ["check", "backup"] {
        let said = fixture.prepared(command, &fixture.event_through(front.port())).run();
        assert_eq!(said.code, 3, "{command}: {}{}", said.stdout, said.stderr);
        for told in ["db_busy", "exempt the backup user"] {
            assert!(said.stdout.contains(told), "{command}: {}", said.stdout);
        }
    }
}

/// A catalog that somebody holds was taken for a pattern that cannot be read: `bad_event`, which nobody tries again.
#[test]
fn a_pattern_is_not_to_blame_for_a_lock() {
    let fixture = Fixture::new();
    let mut holder = fixture.server.session("app");
    holder.run("begin; lock table pg_catalog.pg_extension in access exclusive mode");
    let mut event = fixture.event();
    event["tables"] = json!(["plain"]);
    for command in ["backup", "check"] {
        let said = fixture.prepared(command, &event).run();
        assert_eq!(said.code, 3, "{command}: {}{}", said.stdout, said.stderr);
    }
    drop(holder);
    event["tables"] = json!(["(plain"]);
    assert_eq!(fixture.prepared("check", &event).run().code, 2);
}

/// Another run's session by the same user waited for a lock: this run's dump, which only was slow, was ended for it.
#[test]
fn the_lock_that_another_run_waits_for_is_not_this_runs() {
    let fixture = Fixture::new();
    let ask = |query: &str| fixture.server.psql("postgres", query);
    fixture.server.psql("app", "create materialized view totals as select 1 as n");
    let mut holder = fixture.server.session("app");
    holder.run("begin; refresh materialized view totals");
    let mut event = fixture.event();
    event["lock_timeout"] = json!("10min");
    let other = fixture.prepared("backup", &event).spawn();
    let waits = "select count(*) from pg_stat_activity where usename = 'dumper' and wait_event_type = 'Lock'";
    until("another run waits for the lock", || ask(waits) != "0");

    let folder = tempfile::TempDir::with_prefix("pgseal-slow-").expect("a temporary folder");
    let (begun, go) = (folder.path().join("begun"), folder.path().join("go"));
    let real = newest_debian().join("pg_dump");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--version*) ;; *) : > '{}'; until [ -e '{}' ]; do sleep 0.1; done ;; esac\nexec '{}' \"$@\"\n",
        begun.display(),
        go.display(),
        real.display()
    );
    let program = folder.path().join("pg_dump");
    std::fs::write(&program, script).expect("the script is written");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("it can be run");
    event["lock_timeout"] = json!("1s");
    event["tables"] = json!(["plain"]);
    event["prefix"] = json!("backups/slow");
    let slow = fixture
        .prepared("backup", &event)
        .env("PGSEAL_PG_BIN", folder.path().as_os_str())
        .spawn();
    until("the slow pg_dump began", || begun.exists());
    let sessions = || -> u64 {
        let told = ask("select sessions from pg_stat_database where datname = 'app'");
        told.parse().expect("a number")
    };
    let before = sessions();
    until("it was looked for locks twice", || sessions() >= before + 2);
    std::fs::write(&go, "").expect("the sign");
    let said = ended(slow, PATIENCE, "the slow run");
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    kill_process(Pid::from_child(&other), Signal::TERM).expect("it runs");
    ended(other, SOON, "the other run");
}
