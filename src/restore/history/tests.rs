//! Histories of nights that are made by hand.

use super::contents::{NightContents, TableState, states};
use super::losses::DropLimit;
use super::nights::{ChosenNights, LeftOutNight};
use super::{History, HistoryOptions, told};
use crate::envelope::manifest::Timestamp;
use crate::envelope::private_key::PrivateKey;
use crate::error::{Code, Error, Result};
use crate::format::Sha256;
use crate::format::inventory::TableRows;
use crate::format::order::SelectionRecord;
use crate::restore::list::newest::example;
use crate::store::Location;
use std::collections::HashSet;
use std::sync::Arc;
use time::Duration;
use time::macros::datetime;

/// Of the whole database, on this day of November 2026.
pub(crate) fn night(day: u8, tables: &[(&str, u64)]) -> NightContents {
    let rows = |(name, rows): &(&str, u64)| TableRows {
        name: (*name).to_owned(),
        rows: *rows,
        bytes: rows * 10,
        ..TableRows::default()
    };
    let tables: Vec<TableRows> = tables.iter().map(rows).collect();
    NightContents {
        stem: format!("app_202611{day:02}T020000Z"),
        database: "app".to_owned(),
        scheduled_time: Timestamp(datetime!(2026-11-01 02:00 UTC) + Duration::days(i64::from(day) - 1)),
        source: "s1".to_owned(),
        selection: Some(SelectionRecord::default()),
        bytes: 4_000 + tables.iter().map(|table| table.bytes / 4).sum::<u64>(),
        plain_bytes: 10_000 + tables.iter().map(|table| table.bytes).sum::<u64>(),
        plain_sha256: Sha256::digest(&[day]),
        rows: tables.iter().map(|table| table.rows).sum(),
        server_version: "17.6".to_owned(),
        recipients: Some(Sha256::digest(b"a")),
        tables: states(tables),
    }
}

fn key() -> PrivateKey {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/keys/recipient-a.pem");
    PrivateKey::open(&path, None).unwrap()
}

fn history(nights: Vec<Result<NightContents>>, table: Option<&str>) -> Result<History> {
    let entry = |(place, night): (usize, &Result<NightContents>)| {
        let mut entry = example("app", "s1", 24);
        let known = night.as_ref().ok().cloned();
        let unread = || self::night(u8::try_from(place).unwrap() + 1, &[]);
        let NightContents { stem, scheduled_time, .. } = known.unwrap_or_else(unread);
        (entry.stem, entry.scheduled_time) = (stem, scheduled_time);
        entry
    };
    let chosen = ChosenNights {
        database: "app".to_owned(),
        source: "s1".to_owned(),
        entries: nights.iter().enumerate().map(entry).collect(),
        left_out: Vec::new(),
    };
    let key = key();
    let ask = HistoryOptions {
        key: &key,
        signer: None,
        table: table.map(str::to_owned),
        drop: DropLimit::default(),
    };
    told(&Location::parse("s3://acme-backups/backups").unwrap(), chosen, nights, &ask)
}

/// Fourteen nights: most orders are deleted before the ninth, a table is emptied, one is dropped and one is made.
pub(crate) fn fortnight() -> History {
    let nights = (1..=14_u64).map(|day| {
        let mut tables = vec![
            ("public.orders", if day < 9 { 100_000 + day * 900 } else { 8_000 + day * 900 }),
            ("public.customers", 20_000 + day * 37),
            ("public.\"Odd <b>Name\"", 17),
            ("public.log", if day < 11 { day * 31_000 } else { 0 }),
        ];
        if day < 6 {
            tables.push(("public.old_prices", 512));
        }
        if day > 10 {
            tables.push(("public.prices", 600 + day));
        }
        let mut night = night(u8::try_from(day).unwrap(), &tables);
        for table in &mut night.tables {
            let is_odd = table.name.contains("Odd");
            table.hint = Some([if is_odd { 1 } else { u8::try_from(day).unwrap() }; 16]);
        }
        match day {
            4 => Err(Error::new(Code::WrongKey, "this backup opens with another private key")),
            _ => Ok(night),
        }
    });
    let mut made = history(nights.collect(), None).unwrap();
    made.left_out.push(LeftOutNight {
        stem: "app_20261030T020000Z".to_owned(),
        reason: "it is incomplete".to_owned(),
    });
    made
}

/// The same, of one table.
pub(crate) fn of_orders() -> History {
    let nights = (1..=14_u64).map(|day| {
        Ok(night(
            u8::try_from(day).unwrap(),
            &[("public.orders", if day < 9 { 500 } else { 88 })],
        ))
    });
    history(nights.collect(), Some("orders")).unwrap()
}

#[test]
fn a_delete_before_the_ninth_night_names_the_eighth() {
    let made = fortnight();
    let table = |name: &str| made.tables.iter().find(|table| table.name == name).unwrap();
    assert_eq!(table("public.orders").last_good.stem, "app_20261108T020000Z");
    assert_eq!(table("public.log").last_good.stem, "app_20261110T020000Z");
    assert_eq!(table("public.customers").last_good.stem, "app_20261114T020000Z");
    let old = table("public.old_prices");
    assert_eq!((old.last_good.stem.as_str(), old.rows_now), ("app_20261105T020000Z", None));
    let loss = old.last_good.loss.as_ref().unwrap();
    assert_eq!((loss.stem.as_str(), loss.rows_after), ("app_20261106T020000Z", None));
    assert_eq!(table("public.prices").first_seen, "app_20261111T020000Z");
    let lost: Vec<&str> = made.lost().map(|table| table.name.as_str()).collect();
    assert_eq!(lost, ["public.log", "public.old_prices", "public.orders"]);
    let sixth = made.nights[5].facts.as_ref().unwrap();
    assert_eq!(sixth.vanished, ["public.old_prices"]);
    // The night that cannot be opened is passed over.
    let fifth = made.nights[4].facts.as_ref().unwrap();
    assert_eq!(fifth.compared_with.as_deref(), Some("app_20261103T020000Z"));
    assert!(made.nights[3].error.is_some() && made.status == "ok" && made.error.is_none());
    assert_eq!(made.nights[0].facts.as_ref().unwrap().compared_with, None);
    assert_eq!(made.notes.len(), 1, "hints are said to be hints");
}

#[test]
fn one_table_has_its_line_of_nights_and_its_last_good_one() {
    let made = of_orders();
    assert_eq!(made.last_good.as_ref().unwrap().stem, "app_20261108T020000Z");
    assert_eq!((made.table.as_deref(), made.tables.len()), (Some("public.orders"), 1));
    let json = serde_json::to_value(&made).unwrap();
    assert_eq!(json["nights"][8]["tables"][0]["rows"], 88);
    assert_eq!(json["nights"][8]["tables"][0]["change"], "changed");
    assert_eq!(json["last_good"]["loss"]["stem"], "app_20261109T020000Z");
    assert_eq!(
        history(vec![Ok(night(1, &[("public.a", 1)]))], Some("b")).unwrap_err().code,
        Code::BadUsage
    );
}

#[test]
fn parts_are_compared_with_parts_of_the_same_selection_alone() {
    let part = |day: u8, tables: &[(&str, u64)]| {
        let mut made = night(day, tables);
        made.selection = Some(SelectionRecord {
            tables: vec!["log".to_owned()],
            ..SelectionRecord::default()
        });
        Ok(made)
    };
    let nights = vec![
        Ok(night(1, &[("public.orders", 5)])),
        part(2, &[("public.log", 100)]),
        Ok(night(3, &[("public.orders", 6)])),
        part(4, &[("public.log", 10)]),
        // A part that happens to have a table of the whole.
        part(5, &[("public.log", 10), ("public.orders", 1)]),
    ];
    let made = history(nights, None).unwrap();
    let with: Vec<Option<&str>> = made
        .nights
        .iter()
        .map(|night| night.facts.as_ref().unwrap().compared_with.as_deref())
        .collect();
    assert_eq!(
        with,
        [
            None,
            None,
            Some("app_20261101T020000Z"),
            Some("app_20261102T020000Z"),
            Some("app_20261104T020000Z")
        ]
    );
    assert!(made.nights.iter().all(|night| night.facts.as_ref().unwrap().vanished.is_empty()));
    let good = |name: &str| {
        let table = made.tables.iter().find(|table| table.name == name).unwrap();
        (table.last_good.stem.clone(), table.partial)
    };
    assert_eq!(good("public.orders"), ("app_20261103T020000Z".to_owned(), false));
    assert_eq!(good("public.log"), ("app_20261102T020000Z".to_owned(), true));
}

#[test]
fn it_fails_only_where_no_night_can_be_read() {
    let bad = |code: Code| Err(Error::new(code, "no").advise("do so"));
    let made = history(vec![Ok(night(1, &[("public.a", 1)])), bad(Code::Tampered)], None).unwrap();
    assert_eq!((made.status, made.opened()), ("ok", 1));
    // A table that nobody can have found is not blamed on its name.
    let made = history(vec![bad(Code::Tampered), bad(Code::WrongKey)], Some("a")).unwrap();
    let error = made.error.as_ref().unwrap();
    assert_eq!((made.status, error.code, error.hint()), ("failed", Code::WrongKey, "do so"));
    let made = history(vec![bad(Code::S3Denied)], None).unwrap();
    assert_eq!(made.error.unwrap().code.exit(), 7);
}

#[test]
fn names_are_kept_once_and_earlier_spellings_are_the_same() {
    let rows = |name: &str| TableRows {
        name: name.to_owned(),
        ..TableRows::default()
    };
    let read = |name: &str| states(vec![rows("z"), rows(name)]);
    assert_eq!(read("public.\"order\"")[0].name, read("public.order")[0].name);
    let (mut known, mut one, mut other) = (HashSet::new(), night(1, &[("a", 1)]), night(2, &[("a", 1)]));
    one.share_names(&mut known);
    other.share_names(&mut known);
    assert!(Arc::ptr_eq(&one.tables[0].name, &other.tables[0].name));
}

/// What another writer put there is no hint.
#[test]
fn a_hint_that_is_none_is_not_compared() {
    let of = |hint: &str| {
        let table = TableRows {
            name: "a".to_owned(),
            change_hint: Some(hint.to_owned()),
            ..TableRows::default()
        };
        states(vec![table]).into_iter().map(|state: TableState| state.hint).next().unwrap()
    };
    assert_eq!(of(&"0a".repeat(16)), Some([10; 16]));
    assert_eq!((of("0a"), of(&"zz".repeat(16))), (None, None));
}
