//! A drill's report, of texts that somebody else chose: names of tables, words of servers, a manifest's fields. Whatever they
//! are, the page has the same tags as with harmless ones, nothing hidden, and the JSON says the texts as they are.
//!
//! Input: one byte that chooses, then texts, each up to a NUL.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pgseal::envelope::manifest::Timestamp;
use pgseal::error::{Code, Error};
use pgseal::observe::output::is_hidden;
use pgseal::restore::compare::{Comparison, Contents, TableComparison};
use pgseal::restore::provenance::Origin;
use pgseal::restore::report::{DrillOutcome, DrillPhase, DrillReport, ReportedBackup, ReportedRestore};
use pgseal_fuzz::Input;
use time::macros::datetime;

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let mut input = Input::new(text.as_bytes());
    // Never empty: an empty fact has no line.
    let mut foreign = || format!("x{}", std::str::from_utf8(input.until(0)).expect("NUL is a character of its own"));
    let texts: [String; 8] = [(); 8].map(|()| foreign());
    let page = report(*choice, &texts).to_html();
    let harmless = report(*choice, &[(); 8].map(|()| "x".to_owned())).to_html();
    for sign in ['<', '>', '"', '\''] {
        assert_eq!(page.matches(sign).count(), harmless.matches(sign).count(), "{sign}");
    }
    assert!(!page.chars().any(|c| is_hidden(c) && c != '\n' && c != '\t'));

    let json = report(*choice, &texts).to_json();
    assert!(!json.chars().any(|c| is_hidden(c) && c != '\n' && c != '\t'));
    let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (&read["backup"]["database"], &read["backup"]["stem"]),
        (&texts[0].as_str().into(), &texts[1].as_str().into())
    );
    assert_eq!(read["restored"]["without"][0], texts[2].as_str());
});

fn report(choice: u8, texts: &[String; 8]) -> DrillReport {
    let [database, stem, left, table, difference, words, signer, version] = texts.clone();
    let error = (choice & 1 != 0).then(|| Error::new(Code::RestoreFailed, words));
    let comparison = (choice & 2 != 0).then(|| Comparison {
        tables: vec![TableComparison {
            name: table,
            expected_rows: Some(3),
            found_rows: (choice & 4 != 0).then_some(3),
            dump_bytes: 100,
            disk_bytes: 8192,
            contents: if choice & 4 != 0 { Contents::Equal } else { Contents::NotCompared },
            expected_digest: Some(left.clone()),
            found_digest: None,
            equal: choice & 4 != 0,
        }],
        differences: if choice & 4 != 0 { Vec::new() } else { vec![difference.clone()] },
        notes: vec![difference],
        ..Comparison::default()
    });
    let mut report = DrillReport {
        format: DrillReport::FORMAT,
        outcome: DrillOutcome::Failed,
        program: "pgseal".to_owned(),
        started_at: Timestamp(datetime!(2026-11-24 04:00 UTC)),
        finished_at: Timestamp(datetime!(2026-11-24 04:01 UTC)),
        duration_ms: 60_000,
        options: Default::default(),
        backup: ReportedBackup {
            stem,
            database: database.clone(),
            server_version: version.clone(),
            dumped_at: version.clone(),
            origin: Origin {
                signed_by: (choice & 8 != 0).then_some(signer.clone()),
                pinned: choice & 16 != 0,
                written_to: Some(signer),
                moved: false,
            },
            ..ReportedBackup::default()
        },
        restored: ReportedRestore {
            server_version: version,
            without: vec![left],
            ..ReportedRestore::default()
        },
        phases: vec![DrillPhase {
            name: database,
            duration_ms: 2000,
            not_finished: choice & 32 != 0,
            bytes: None,
        }],
        error,
        comparison,
        confinement: None,
        left_out: Vec::new(),
        not_restored: Vec::new(),
        // Of a type that no text from elsewhere can be.
        warnings: Vec::new(),
        under_way: None,
        is_of_the_place: choice & 64 != 0,
        statistics: None,
        recovery: None,
    };
    report.outcome = report.judge();
    report
}
