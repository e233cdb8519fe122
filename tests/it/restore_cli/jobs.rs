//! Over several connections: the same database as over one, all of it or nothing.

use super::restore::{into, with_login};
use super::{Fixture, text};
use crate::schemas::comparable::assert_equal;
use crate::support::pgseal::CommandOutput;
use crate::support::postgres::Server;
use crate::support::restore::dump_with;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::time::Duration;

/// Rows for many pieces; keys, indexes and foreign keys of every kind, and what is said of them; partitions, sequences, large
/// objects; a view that needs a key, and one whose rows are computed at the end.
const DATABASE: &str = "
    create function must(i int) returns bool language plpgsql immutable as
      $$ begin if i = 123456 and current_setting('pgseal.fails', true) = 'rows' then raise 'no such row'; end if; return true; end $$;
    create function half(i int) returns int language plpgsql immutable as
      $$ begin if current_setting('pgseal.fails', true) = 'index' then raise 'no such half'; end if; return i / 2; end $$;
    create table big (id int constraint big_key primary key, note text, at timestamptz not null default '2026-11-24', check (public.must(id)));
    insert into big select g, case g % 5 when 0 then null else repeat(chr(65 + g % 26), g % 130) || E'\\t\\n\\\\.' end from generate_series(1, 200000) g;
    create index big_note on big (note text_pattern_ops) where note is not null; comment on index big_note is 'said of it';
    create index big_half on big (public.half(id)); alter index big_half alter column 1 set statistics 10;
    create index big_fast on big (at) tablespace fast; create index big_slow on big (at);
    create unique index big_at on big (id, at); alter table big replica identity using index big_at; alter table big cluster on big_key;
    comment on constraint big_key on big is 'the key';
    create table small (id serial primary key, big_id int references big unique, self int references small, r int4range, exclude using gist (r with &&));
    insert into small (big_id, self, r) select g, greatest(g - 1, 1), int4range(g * 10, g * 10 + 5) from generate_series(1, 2000) g;
    create table measured (day date, big_id int references big, primary key (day, big_id)) partition by range (day);
    create table measured_1 partition of measured for values from ('2026-01-01') to ('2026-07-01');
    create table measured_2 partition of measured for values from ('2026-07-01') to ('2027-01-01');
    insert into measured select date '2026-01-01' + g % 365, g from generate_series(1, 20000) g; create index on measured (big_id);
    create table told (day date, big_id int, foreign key (day, big_id) references measured); insert into told select * from measured limit 500;
    create view grouped as select big.*, count(*) from big join small on big_id = big.id group by big.id;
    create materialized view sums as select count(*) n, sum(id) s from big; create unique index on sums (n);
    create function nothing() returns trigger language plpgsql as $$ begin return new; end $$;
    create trigger t before insert on big for each row execute function nothing(); create table empty (a int primary key);
    create policy p on small using (true); create rule r as on delete to small do instead nothing;
    select lo_from_bytea(4711, repeat('x', 200000)::bytea);
    grant select on all tables in schema public to dumper";

fn fixture() -> Fixture {
    let server = Server::start();
    // For a setting that changes between two indexes.
    server.psql("postgres", "alter database postgres set allow_in_place_tablespaces = on");
    server.psql("postgres", "create tablespace fast location ''");
    Fixture::on(server, DATABASE, json!({"user": "owner"}))
}

fn databases(fixture: &Fixture) -> String {
    let query = "select string_agg(datname, ' ' order by datname) from pg_database where datname like 'copy%'";
    fixture.server.psql("postgres", query)
}

#[test]
fn the_same_comes_back_over_one_connection_over_two_and_over_eight() {
    let fixture = fixture();
    let original = dump_with(&fixture.server, "app", &[]);
    for jobs in ["1", "2", "8"] {
        let (place, key, name) = (fixture.at_s3(), fixture.key(), format!("copy{jobs}"));
        let to = format!("dbname={name}");
        let said = into(
            &fixture,
            &[
                "restore",
                &place,
                "--key",
                &key,
                "--to",
                &to,
                "--create",
                "--compare",
                "--jobs",
                jobs,
            ],
        );
        let report = said.receipt();
        assert_eq!((said.code, &report["status"]), (0, &json!("restored")), "{report}{}", said.stderr);
        let to = report["to"].as_str().expect("a target");
        assert!(to == name || to.starts_with(&format!("{name} ")), "{report}");
        assert_equal(&original, &dump_with(&fixture.server, &name, &[]));
    }
    assert_eq!(databases(&fixture), "copy1 copy2 copy8");
    // Into one that is there, and one table alone.
    fixture.server.psql("postgres", "create database copy0");
    let (place, key) = (fixture.at_s3(), fixture.key());
    let said = into(&fixture, &["restore", &place, "--key", &key, "--to", "dbname=copy0", "-j", "3"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_equal(&original, &dump_with(&fixture.server, "copy0", &[]));
    let one = [
        "restore",
        &place,
        "--key",
        &key,
        "--to",
        "dbname=copy9",
        "--create",
        "-j",
        "2",
        "--table",
        "small",
    ];
    let said = into(&fixture, &one);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(fixture.server.psql("copy9", "select count(*) from small"), "2000");
    let drilled = fixture.run(&[
        "drill",
        &place,
        "--key",
        &key,
        "--report",
        text(fixture.folder.path()),
        "--jobs",
        "2",
    ]);
    assert_eq!(drilled.code, 0, "{}\n{}", drilled.stderr, drilled.stdout);
}

/// Each with the table or statement, and the row by its number in the table.
#[test]
fn what_fails_is_named_and_nothing_is_left() {
    let fixture = fixture();
    let (place, key) = (fixture.at_s3(), fixture.key());
    let restore = ["restore", &place, "--key", &key, "--to", "dbname=copy", "--create", "--jobs", "2"];
    let with = |fault: &str| {
        with_login(&fixture, &restore)
            .env("PGOPTIONS", format!("-c pgseal.fails={fault}"))
            .run()
    };
    for (fault, told) in [
        (
            "rows",
            &["no such row", "COPY big, line 123456", "while rows went into public.big"][..],
        ),
        ("index", &["no such half", "the statement: CREATE INDEX big_half ON public.big"]),
    ] {
        let said = with(fault);
        said.failed("restore_failed", 7);
        for words in told.iter().chain(&["nothing of it was kept, nor the database that --create made"]) {
            assert!(said.stderr.contains(words), "{fault}: {words}: {}", said.stderr);
        }
        assert_eq!(databases(&fixture), "", "{fault}");
    }
    // Of a database that somebody else made, a part may be there.
    fixture.server.psql("postgres", "create database copy");
    let said = into(
        &fixture,
        &[
            "restore",
            &place,
            "--key",
            &key,
            "--to",
            "dbname=copy options='-c pgseal.fails=index'",
            "-j",
            "2",
        ],
    );
    said.failed("restore_failed", 7);
    assert!(
        said.stderr.contains("the database copy may hold a part of the backup now"),
        "{}",
        said.stderr
    );
    // And what was damaged has no name.
    let dump = fixture.fetched().join(fixture.name_of("dump"));
    let mut bytes = std::fs::read(&dump).expect("the dump");
    *bytes.last_mut().expect("a byte") ^= 1;
    std::fs::write(&dump, bytes).expect("written");
    fixture.server.psql("postgres", "drop database copy");
    let fetched = fixture.fetched();
    let said = into(
        &fixture,
        &[
            "restore",
            text(&fetched),
            "--key",
            &key,
            "--to",
            "dbname=copy",
            "--create",
            "-j",
            "2",
        ],
    );
    assert_eq!((said.code, databases(&fixture).as_str()), (7, ""), "{}", said.stderr);
}

#[test]
fn a_transaction_has_one_connection() {
    let arguments = [
        "restore",
        "/nowhere",
        "--key",
        "k",
        "--to",
        "dbname=x",
        "--single-transaction",
        "-j",
        "2",
    ];
    let said = Fixture::offline(&arguments);
    said.failed("bad_usage", 2);
    assert!(
        said.stderr.contains("--jobs") && said.stderr.contains("--create"),
        "{}",
        said.stderr
    );
}

/// The short form of `make kill-trials`: any of its psql ends at any moment. Then the restore is an error, and nothing is left; or
/// that psql had done its work.
#[test]
fn any_of_its_sessions_killed_at_any_moment_leaves_all_or_nothing() {
    let trials: u64 = std::env::var("TESTBED_RESTORE_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(4);
    let fixture = fixture();
    let (place, key) = (fixture.at_s3(), fixture.key());
    let restore = [
        "restore",
        &place,
        "--key",
        &key,
        "--to",
        "dbname=copy",
        "--create",
        "--jobs",
        "2",
        "--no-analyze",
    ];
    let mut failed = 0;
    for trial in 0..trials {
        let child = with_login(&fixture, &restore).spawn();
        // A moment, and one of those that run then.
        std::thread::sleep(Duration::from_millis(300 + trial * 7919 % 4000));
        let sessions = children(child.id());
        let chosen = sessions.get(trial as usize % sessions.len().max(1)).copied();
        if let Some(pid) = chosen.and_then(Pid::from_raw) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
        let said = CommandOutput::from(child.wait_with_output().expect("pgseal ends"));
        let left = databases(&fixture);
        match said.code {
            0 => {
                assert_eq!(left, "copy", "{}", said.stderr);
                fixture.server.psql("postgres", "drop database copy");
            }
            _ => {
                failed += 1;
                // Of a session that ended while it made the database, nobody knows whether it did.
                assert!(
                    left.is_empty() || said.stderr.contains("copy_restoring was made is not known"),
                    "trial {trial}: {left}: {}",
                    said.stderr
                );
                fixture.server.psql("postgres", "drop database if exists copy_restoring");
            }
        }
    }
    assert!(failed > 0, "no session was met in {trials} trials");
}

/// The processes that this one has started.
fn children(pid: u32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of_task = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    of_task
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>())
        .collect()
}
