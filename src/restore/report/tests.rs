//! Reports as JSON and as pages.

use super::page::UNSIGNED;
use super::text::{counted, grouped, lasting, sized};
use super::*;
use crate::error::Code;
use crate::format::inventory::Extension;
use crate::restore::compare::TableComparison;
use crate::restore::filter::FilterOptions;
use time::macros::datetime;

fn report(error: Option<Error>, comparison: Option<Comparison>) -> DrillReport {
    let mut report = DrillReport {
        format: DrillReport::FORMAT,
        outcome: DrillOutcome::Failed,
        program: "pgseal 0.1.0".to_owned(),
        started_at: Timestamp(datetime!(2026-11-24 04:00 UTC)),
        finished_at: Timestamp(datetime!(2026-11-24 04:01:05 UTC)),
        duration_ms: 65_400,
        options: ReportedOptions::default(),
        backup: ReportedBackup {
            stem: "backups/app_20261124T020000Z".to_owned(),
            run: "3f9a12bc".to_owned(),
            database: "app".to_owned(),
            manifest_sha256: "ab".repeat(32),
            dumped_at: "2026-11-24T02:00:00Z".to_owned(),
            plain_bytes: 512_000_000,
            ..ReportedBackup::default()
        },
        restored: ReportedRestore::default(),
        confinement: None,
        phases: vec![DrillPhase {
            name: "restore".to_owned(),
            duration_ms: 2000,
            not_finished: false,
            bytes: Some(4 << 20),
        }],
        error,
        comparison,
        left_out: Vec::new(),
        not_restored: Vec::new(),
        warnings: Vec::new(),
        statistics: None,
        recovery: None,
        under_way: None,
        is_of_the_place: false,
    };
    report.outcome = report.judge();
    report
}

fn table(name: &str, expected: u64, found: Option<u64>) -> TableComparison {
    TableComparison {
        name: name.to_owned(),
        expected_rows: Some(expected),
        found_rows: found,
        dump_bytes: 100,
        disk_bytes: 8192,
        contents: crate::restore::compare::Contents::NotCompared,
        expected_digest: None,
        found_digest: None,
        equal: found == Some(expected),
    }
}

fn comparison(tables: Vec<TableComparison>, differences: &[&str]) -> Comparison {
    Comparison {
        tables,
        differences: differences.iter().map(ToString::to_string).collect(),
        ..Comparison::default()
    }
}

#[test]
fn only_a_compared_and_equal_restore_has_passed() {
    let error = || Error::new(Code::RestoreFailed, "psql:<stdin>:3: ERROR: no");
    let equal = || comparison(vec![table("public.t", 3, Some(3))], &[]);
    let different = || comparison(vec![table("public.t", 3, Some(2))], &["the table public.t has 2 rows instead of 3"]);
    for (error, comparison, outcome, verdict) in [
        (None, Some(equal()), "passed", "This backup restores"),
        (None, Some(different()), "failed", "Restored, but not the same"),
        (Some(error()), None, "failed", "This backup did not restore"),
        (Some(error()), Some(equal()), "failed", "Restored, and then the drill failed"),
        (None, None, "failed", "This backup did not restore"),
        (
            Some(Error::new(Code::Terminated, "stopped by SIGINT")),
            None,
            "not_finished",
            "This drill did not finish",
        ),
        (
            Some(Error::new(Code::WrongKey, "another key")),
            None,
            "not_finished",
            "This drill did not finish",
        ),
        (
            Some(Error::new(Code::S3Unavailable, "no answer")),
            None,
            "not_finished",
            "This drill did not finish",
        ),
        (
            Some(Error::new(Code::Terminated, "stopped by SIGINT")),
            Some(different()),
            "failed",
            "Restored, but not the same",
        ),
    ] {
        let report = report(error, comparison);
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["outcome"], outcome);
        let html = report.to_html();
        assert!(
            html.contains(verdict) && html.contains(&format!("<body class=\"{}\">", outcome.replace('_', "-"))),
            "{verdict}"
        );
        assert_eq!(
            html.contains("What is wrong"),
            outcome == "failed" && (json["error"].is_object() || verdict.contains("same"))
        );
    }
}

#[test]
fn the_page_loads_nothing_and_believes_nothing() {
    let evil = "</td><script>alert(1)</script><img src=x onerror='y'>\"&{{facts}}\u{202e}\u{7}";
    let mut report = report(
        Some(Error::new(Code::RestoreFailed, evil).advise(evil)),
        Some(Comparison {
            tables: vec![table(evil, 1, None)],
            differences: vec![evil.to_owned()],
            notes: vec![evil.to_owned()],
            extensions: vec![Extension {
                name: evil.to_owned(),
                version: evil.to_owned(),
                ..Extension::default()
            }],
            ..Comparison::default()
        }),
    );
    report.warnings.push(ReportText::ours(evil.to_owned()));
    report.phases[0].name = evil.to_owned();
    report.restored.without.push(evil.to_owned());
    let backup = &mut report.backup;
    for fact in [
        &mut backup.stem,
        &mut backup.run,
        &mut backup.database,
        &mut backup.dumped_at,
        &mut backup.server_version,
        &mut backup.key_fingerprint,
    ] {
        evil.clone_into(fact);
    }
    let html = report.to_html();
    assert!(!html.contains("<script") && !html.contains("<img") && !html.contains('\u{202e}') && !html.contains('\u{7}'));
    assert!(!html.contains("src=x onerror='") && !html.contains("http:") && !html.contains("https:") && !html.contains("url("));
    // What was put in is no template.
    assert_eq!(html.matches("{{facts}}").count(), html.matches("&lt;script&gt;").count());
}

#[test]
fn numbers_are_for_people() {
    assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
    assert_eq!((grouped(0), grouped(999)), ("0".to_owned(), "999".to_owned()));
    assert_eq!(
        (sized(0), sized(1023), sized(1536)),
        ("0\u{a0}B".to_owned(), "1023\u{a0}B".to_owned(), "1.5\u{a0}KiB".to_owned())
    );
    assert_eq!(sized((1 << 20) - 1), "1.0\u{a0}MiB");
    assert_eq!((lasting(7), lasting(1500)), ("7\u{a0}ms".to_owned(), "1.5\u{a0}s".to_owned()));
    assert_eq!(
        (lasting(65_400), lasting(3_660_000)),
        ("1\u{a0}min\u{a0}05\u{a0}s".to_owned(), "1\u{a0}h\u{a0}01\u{a0}min".to_owned())
    );
    assert_eq!(
        (counted(1, "index"), counted(2, "index"), counted(0, "row")),
        ("1 index".into(), "2 indexes".into(), "0 rows".into())
    );
}

/// A forger's key stood there as "Signed by", though nobody had pinned it.
#[test]
fn only_a_pinned_signer_is_called_one() {
    let page = |signed_by: Option<&str>, pinned: bool| {
        let mut report = report(None, Some(comparison(Vec::new(), &[])));
        report.backup.origin = Origin {
            signed_by: signed_by.map(str::to_owned),
            pinned,
            ..Origin::default()
        };
        (report.to_html(), report.to_json())
    };
    for (signed_by, pinned, words) in [
        (Some("f1"), true, "Signed by the pinned signer</dt><dd>f1"),
        (Some("f1"), false, "Signed by, not pinned</dt><dd>f1"),
        (None, false, UNSIGNED),
    ] {
        let (html, json) = page(signed_by, pinned);
        assert!(html.contains(words), "{words}");
        assert_eq!(html.contains("the pinned signer"), pinned);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["backup"]["pinned"], pinned);
        assert_eq!(json["backup"]["signed_by"].as_str(), signed_by);
    }
}

/// A drill that passed only with an option looked like one that passed without.
#[test]
fn a_report_tells_with_which_options_it_was_run() {
    let mut report = report(None, Some(comparison(vec![table("public.t", 3, Some(3))], &[])));
    let facts = |report: &DrillReport| {
        let html = report.to_html();
        let rows = html.split("<dt>").skip(1).filter_map(|row| row.split_once("</dt><dd>"));
        rows.filter_map(|(name, rest)| Some((name.to_owned(), rest.split_once("</dd>")?.0.to_owned())))
            .collect::<Vec<_>>()
    };
    let fact = |report: &DrillReport, name: &str| {
        let all = facts(report);
        all.iter()
            .find(|(fact, _)| fact == name)
            .map(|(_, value)| value.clone())
            .expect("the fact")
    };
    assert_eq!(
        (fact(&report, "Options"), fact(&report, "Left out")),
        ("none".into(), "nothing".into())
    );
    let names: Vec<String> = facts(&report).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names.len(),
        names.iter().collect::<std::collections::BTreeSet<_>>().len(),
        "{names:?}"
    );
    let filter = FilterOptions {
        no_comments: true,
        exclude_extensions: [b"hstore".to_vec()].into(),
        search_path: Some("public, pg_catalog".to_owned()),
        ..FilterOptions::default()
    };
    report.options = ReportedOptions::new(&filter, false);
    report.restored.without = vec!["owners".to_owned()];
    report.left_out = ["extensions", "owners"]
        .map(|what| LeftOut {
            what,
            count: 2,
            names: Vec::new(),
        })
        .into();
    report.not_restored = vec![NotRestored {
        what: "EVENT TRIGGER audit".to_owned(),
        reason: "for superusers".into(),
    }];
    let words = fact(&report, "Options");
    assert_eq!(
        words,
        "--no-comments --exclude-extension hstore --search-path &#39;public, pg_catalog&#39;"
    );
    assert_eq!(fact(&report, "Left out"), "owners, extensions, 1 object");
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["options"]["search_path"], "public, pg_catalog");
    assert_eq!(json["options"]["exclude_extensions"][0], "hstore");
    assert_eq!(
        (&json["options"]["no_comments"], &json["options"]["no_owner"]),
        (&true.into(), &false.into())
    );
}

#[test]
fn recovery_is_timed_up_to_the_rows_and_up_to_the_statistics() {
    let mut report = report(None, Some(comparison(vec![table("public.t", 3, Some(3))], &[])));
    assert_eq!(report.recovery_times(), None);
    let phase = |name: &str, duration_ms, not_finished| DrillPhase {
        name: name.to_owned(),
        duration_ms,
        not_finished,
        bytes: None,
    };
    report.phases = vec![
        phase(OPEN, 1, false),
        phase(START_SERVER, 20, false),
        phase(RESTORE_ROLES, 300, false),
    ];
    report.phases.push(phase(RESTORE_DUMP, 4000, true));
    assert_eq!(report.recovery_times(), None);
    report.phases.pop();
    report.phases.extend([
        phase(RESTORE_DUMP, 4000, false),
        phase(ANALYZE, 50_000, false),
        phase(COMPARE, 7, false),
    ]);
    let times = |useful_ms| {
        Some(RecoveryTimes {
            restored_ms: 4301,
            useful_ms,
        })
    };
    assert_eq!(report.recovery_times(), times(None));
    report.statistics = Some(StatisticsSummary::of_backup());
    assert_eq!(report.recovery_times(), times(Some(54_301)));
    report.recovery = times(Some(54_301));
    let (html, json) = (report.to_html(), report.to_json());
    assert!(
        html.contains("restored in") && html.contains("useful in") && json.contains("\"useful_ms\": 54301"),
        "{json}"
    );
}
