//! Every screen and every help text as they are, at two widths. To take new ones as right, remove the files and run the tests twice:
//! look at the difference before it is committed.

use crate::check::{Check, CheckReport, CheckStatus};
use crate::cli::Cli;
use crate::envelope::manifest::Timestamp;
use crate::error::{Code, Error};
use crate::human::{Answer, Page, Screen};
use crate::receipt::tests::summary;
use crate::receipt::{Receipt, ReceiptEntry};
use crate::restore::analyze::StatisticsSummary;
use crate::restore::clean::{CleanReport, CleanedLeftover};
use crate::restore::list::{BackupEntry, LeftoverEntry, LegacyEntry, Listing};
use crate::restore::mask::{MaskedColumn, MaskedTable};
use crate::restore::provenance::Origin;
use crate::restore::rewrap::RewrapSummary;
use crate::restore::summary::RestoreSummary;
use crate::restore::{diff, history};
use clap::CommandFactory;
use serde_json::json;
use std::path::Path;
use time::macros::datetime;

const KEY: &str = "45d2ebf9c13a70e2b0f5d1a5c0b54c1f2a7d3c9e8b6f401122334455667788aa";

/// Held against the file of this name.
fn is(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    let Ok(kept) = std::fs::read_to_string(&path) else {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        panic!("{name} was not there; it is written: look at it, and run again");
    };
    assert!(kept == text, "{name} differs from what there is now:\n{text}");
}

fn receipt() -> Receipt {
    let stem = || "backups/shop_20261124T020000Z".to_owned();
    let denied = Error::new(Code::DbAuth, "user \"backup\" was refused at the server's login");
    Receipt::new(
        vec![
            ReceiptEntry::complete("shop", stem(), summary()),
            ReceiptEntry::already_complete("billing", stem(), summary()),
            ReceiptEntry::failed("stock", None, denied),
            ReceiptEntry::skipped("old", "it takes no connections (datallowconn is off)"),
        ],
        Vec::new(),
    )
}

fn check() -> CheckReport {
    let ok = |name, database: Option<&str>, detail| Check {
        name,
        status: CheckStatus::Ok,
        database: database.map(str::to_owned),
        detail: Some(detail),
        error: None,
    };
    let mut report = CheckReport::empty(None);
    report.record("bucket", None, Err(Error::new(Code::S3NoBucket, "there is no bucket acme-backup")));
    report.checks.insert(
        0,
        ok(
            "event",
            None,
            json!({"databases": ["shop"], "user": "backup", "bucket": "acme-backup", "prefix": "backups", "compression": "bzip2",
                   "rate_limit_bytes_per_second": 10_485_760, "warnings": ["scheduled_time is 3 days ago"]}),
        ),
    );
    report.checks.push(ok("recipients", None, json!([KEY])));
    report.checks.push(ok(
        "database",
        Some("shop"),
        json!({"server_version": "17.6", "tables": 41, "database_bytes": 512_000_000_u64, "replica": false}),
    ));
    report.checks.push(Check {
        status: CheckStatus::Warning,
        detail: Some(json!({"database": "shop", "warning": "locked exclusively now: public.orders"})),
        ..ok("locks", None, json!({}))
    });
    report
}

fn listing() -> Listing {
    let entry = |stem: &str, database: &str| BackupEntry {
        folder: String::new(),
        stem: stem.to_owned(),
        database: database.to_owned(),
        scheduled_time: Timestamp(datetime!(2026-11-24 02:00 UTC)),
        finished_at: Timestamp(datetime!(2026-11-24 02:01 UTC)),
        run: "3f9a12bc".to_owned(),
        runs: Vec::new(),
        format: "pgseal/1".to_owned(),
        bytes: 4_400_512,
        plain_bytes: 25_400_000,
        tables: 5,
        rows: 67_501,
        server_version: "17.6".to_owned(),
        generation: 1,
        recipients: vec![KEY.to_owned()],
        origin: Origin::default(),
        future: false,
        source: "unknown".to_owned(),
        partial: false,
        warnings: Vec::new(),
        missing: Vec::new(),
        wrong_size: Vec::new(),
        in_doubt: false,
    };
    let mut broken = entry("billing_20261124T020000Z", "billing");
    broken.partial = true;
    broken.missing.push("billing_20261124T020000Z.3f9a12bc.sql.bz2.enc".to_owned());
    Listing {
        location: "s3://acme-backups/backups".to_owned(),
        backups: vec![entry("shop_20261124T020000Z", "shop"), broken],
        unauthenticated: vec![LegacyEntry {
            folder: String::new(),
            stem: "shop_2020-01-01T02:00:00Z".to_owned(),
            objects: Vec::new(),
            bytes: 3_000_000,
        }],
        unreadable: Vec::new(),
        leftovers: vec![LeftoverEntry {
            folder: String::new(),
            stem: "shop_20261123T020000Z".to_owned(),
            objects: vec!["a".to_owned(), "b".to_owned()],
            bytes: 1024,
            error: None,
        }],
        hidden: 0,
        reports: Vec::new(),
        folders: Vec::new(),
        error: Some(Error::new(
            Code::NoBackup,
            "the newest complete backup of shop is 30 h 00 min old: more than 26 h 00 min",
        )),
    }
}

fn restored() -> RestoreSummary {
    RestoreSummary {
        comparison: None,
        status: "restored",
        stem: "shop_20261124T020000Z".to_owned(),
        run: None,
        opens: true,
        origin: Origin {
            signed_by: Some(KEY.to_owned()),
            pinned: true,
            ..Origin::default()
        },
        source: "unknown".to_owned(),
        partial: false,
        to: "dbname=shop host=/run/postgresql".to_owned(),
        tables: 5,
        rows: 67_501,
        bytes: 25_400_000,
        psql_version: "18.1".to_owned(),
        duration_ms: 4_900,
        left_out: Vec::new(),
        masked: vec![MaskedTable {
            table: "public.customers".to_owned(),
            rows: 1_200,
            columns: vec![MaskedColumn {
                column: "email".to_owned(),
                mask: "hash",
                values: 1_180,
            }],
        }],
        statistics: Some(StatisticsSummary {
            from: "analyze",
            tables: 5,
            failed: 0,
            duration_ms: 400,
        }),
        warnings: vec!["collations of the source's system are lacking here: de_DE.utf8".to_owned()],
    }
}

fn rewrapped() -> RewrapSummary {
    RewrapSummary {
        status: "rewrapped",
        stem: "shop_20261124T020000Z".to_owned(),
        generation: 2,
        manifest: "shop_20261124T020000Z.manifest.2.jsonl".to_owned(),
        recipients: vec![KEY.to_owned()],
        written: vec!["shop_20261124T020000Z.3f9a12bc.key.45d2ebf9c13a70e2.enc".to_owned()],
        partial: false,
        origin: Origin::default(),
        warnings: Vec::new(),
    }
}

fn cleaned() -> CleanReport {
    let leftover = |stem: &str| CleanedLeftover {
        stem: stem.to_owned(),
        objects: vec!["a".to_owned()],
        bytes: 512,
    };
    CleanReport {
        status: "would_delete",
        location: "s3://acme-backups/backups".to_owned(),
        leftovers: vec![leftover("shop_20261101T020000Z")],
        kept: vec![leftover("shop_20261124T020000Z")],
        error: None,
    }
}

#[test]
fn every_screen_is_as_it_was() {
    let screens: [(&str, Box<dyn Answer>); 9] = [
        ("backup", Box::new(receipt())),
        ("check", Box::new(check())),
        ("list", Box::new(listing())),
        ("restore", Box::new(restored())),
        ("rewrap", Box::new(rewrapped())),
        ("clean", Box::new(cleaned())),
        ("history", Box::new(history::tests::fortnight())),
        ("history of one table", Box::new(history::tests::of_orders())),
        ("diff", Box::new(diff::tests::example())),
    ];
    for width in [80, 120] {
        let mut all = String::new();
        for (name, answer) in &screens {
            let mut screen = Screen::new(Page::plain(width));
            answer.draw(&mut screen);
            all.push_str(&format!("== {name}\n{}\n\n", screen.finish().as_str()));
        }
        is(&format!("screens-{width}.txt"), &all);
    }
}

#[test]
fn every_help_is_as_it_was() {
    for width in [80, 120] {
        let mut command = Cli::command().term_width(width);
        command.build();
        let mut all = format!("== pgseal\n{}\n", command.render_long_help());
        for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
            all.push_str(&format!("\n== {}\n{}\n", sub.get_name().to_owned(), sub.render_help()));
        }
        let all: String = all.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        is(&format!("help-{width}.txt"), &all);
    }
}
