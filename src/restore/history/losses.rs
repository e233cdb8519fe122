//! Where a table lost rows, and the last night before that.

use super::contents::NightContents;
use crate::envelope::manifest::Timestamp;
use crate::human::units::{counted, grouped, minute};
use serde::Serialize;
use std::sync::Arc;

/// How much of its rows a table may lose from one night to the next: in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DropLimit(u32);

impl Default for DropLimit {
    fn default() -> Self {
        Self(1_000)
    }
}

impl DropLimit {
    /// `10%`, `0.5%`: at most two places.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "a share from 0% to 100% is needed, with at most two decimal places: 10% or 0.5%".to_owned();
        let number = text.strip_suffix('%').ok_or_else(wrong)?;
        let (whole, places) = number
            .split_once('.')
            .map_or((number, None), |(whole, places)| (whole, Some(places)));
        let is_digits = |text: &str, longest: usize| (1..=longest).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole, 3) || !places.is_none_or(|places| is_digits(places, 2)) {
            return Err(wrong());
        }
        let hundredths = format!("{whole}{:0<2}", places.unwrap_or_default());
        match hundredths.parse() {
            Ok(hundredths @ 0..=10_000) => Ok(Self(hundredths)),
            _ => Err(wrong()),
        }
    }

    fn is_passed(self, before: u64, after: u64) -> bool {
        let lost = u128::from(before.saturating_sub(after));
        lost * 10_000 > u128::from(before) * u128::from(self.0)
    }
}

impl std::fmt::Display for DropLimit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, places) = (self.0 / 100, self.0 % 100);
        match places {
            0 => write!(formatter, "{whole}\u{a0}%"),
            places => write!(formatter, "{whole}.{}\u{a0}%", format!("{places:02}").trim_end_matches('0')),
        }
    }
}

/// The newest night in which a table vanished or lost more than it may.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RowLoss {
    pub stem: String,
    pub scheduled_time: Timestamp,
    pub rows_before: u64,
    /// `None`: the table is gone.
    pub rows_after: Option<u64>,
}

impl RowLoss {
    /// What happened, behind the table's name.
    pub(crate) fn in_words(&self) -> String {
        let time = minute(self.scheduled_time.0);
        match self.rows_after {
            None => format!("vanished, with {}, in the night of {time} UTC", counted(self.rows_before, "row")),
            Some(0) => format!("was emptied of {} in the night of {time} UTC", counted(self.rows_before, "row")),
            Some(after) => format!(
                "lost {} of {} in the night of {time} UTC",
                grouped(self.rows_before.saturating_sub(after)),
                counted(self.rows_before, "row")
            ),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct LastGood {
    pub stem: String,
    pub scheduled_time: Timestamp,
    pub rows: u64,
    pub why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<RowLoss>,
}

/// A table over all nights of one selection.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TableHistory {
    pub name: String,
    /// Stems.
    pub first_seen: String,
    pub last_seen: String,
    /// In the newest night; `None` if it is not in it.
    pub rows_now: Option<u64>,
    pub bytes_now: Option<u64>,
    pub last_good: LastGood,
    /// These nights are of a part of the database.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Its rows in each night of its selection, the oldest first.
    #[serde(skip)]
    pub rows: Vec<Option<u64>>,
}

/// The nights of one selection, the oldest first. `None` for a table that is in none of them.
pub(super) fn table_history(name: &Arc<str>, nights: &[&NightContents], limit: DropLimit) -> Option<TableHistory> {
    let states: Vec<_> = nights.iter().map(|night| night.table(name)).collect();
    let rows: Vec<Option<u64>> = states.iter().map(|state| Some(state.as_ref()?.rows)).collect();
    let first = rows.iter().position(Option::is_some)?;
    let last = rows.iter().rposition(Option::is_some)?;
    let is_loss = |place: &usize| match (rows[*place - 1], rows[*place]) {
        (Some(before), Some(after)) => limit.is_passed(before, after),
        (before, after) => before.is_some() && after.is_none(),
    };
    let (good, loss) = match (1..rows.len()).rev().find(is_loss) {
        Some(place) => (place - 1, Some(place)),
        None => (last, None),
    };
    let loss = loss.map(|place| RowLoss {
        stem: nights[place].stem.clone(),
        scheduled_time: nights[place].scheduled_time,
        rows_before: rows[good].unwrap_or(0),
        rows_after: rows[place],
    });
    let why = match &loss {
        Some(loss) => format!("the night before it {}", loss.in_words().replace('\u{a0}', " ")),
        None => format!("the newest night: it did not vanish, and never lost more than {limit} of its rows").replace('\u{a0}', " "),
    };
    let now = states.last().copied().flatten();
    Some(TableHistory {
        name: name.to_string(),
        first_seen: nights[first].stem.clone(),
        last_seen: nights[last].stem.clone(),
        rows_now: now.map(|state| state.rows),
        bytes_now: now.map(|state| state.bytes),
        last_good: LastGood {
            stem: nights[good].stem.clone(),
            scheduled_time: nights[good].scheduled_time,
            rows: rows[good].unwrap_or(0),
            why,
            loss,
        },
        partial: nights[good].is_partial(),
        rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::history::tests::night;

    /// The last good night of a table with so many rows in each night, -1 where it is not there; and the night of the loss.
    fn good(rows: &[i64], limit: &str) -> (String, Option<String>) {
        let nights: Vec<NightContents> = rows
            .iter()
            .enumerate()
            .map(|(place, rows)| {
                let tables: Vec<(&str, u64)> = u64::try_from(*rows).map(|rows| ("public.t", rows)).into_iter().collect();
                night(u8::try_from(place).unwrap() + 1, &tables)
            })
            .collect();
        let nights: Vec<&NightContents> = nights.iter().collect();
        let table = table_history(&"public.t".into(), &nights, DropLimit::parse(limit).unwrap()).unwrap();
        let short = |stem: &str| stem.trim_start_matches("app_202611").trim_end_matches("T020000Z").to_owned();
        (short(&table.last_good.stem), table.last_good.loss.map(|loss| short(&loss.stem)))
    }

    #[test]
    fn the_last_good_night_is_the_one_before_the_newest_loss() {
        let of = |rows: &[i64]| good(rows, "10%");
        let is = |good: &str, loss: Option<&str>| (good.to_owned(), loss.map(str::to_owned));
        assert_eq!(of(&[100, 100, 100]), is("03", None));
        assert_eq!(of(&[100, 100, 40, 40]), is("02", Some("03")));
        // Ten percent are not more than ten percent.
        assert_eq!(of(&[100, 90, 90]), is("03", None));
        assert_eq!(of(&[100, 89, 89]), is("01", Some("02")));
        // The newest of several.
        assert_eq!(of(&[100, 10, 100, 20, 20]), is("03", Some("04")));
        assert_eq!(of(&[100, 100, -1, -1]), is("02", Some("03")));
        // It came back, and what it was is still in the night before.
        assert_eq!(of(&[100, -1, 3, 3]), is("01", Some("02")));
        assert_eq!(of(&[-1, 5, 5]), is("03", None));
        assert_eq!(of(&[5, 0, 0]), is("01", Some("02")));
        assert_eq!(of(&[0, 0]), is("02", None));
        assert_eq!(of(&[0, -1]), is("01", Some("02")));
        assert_eq!(of(&[7]), is("01", None));
    }

    #[test]
    fn the_limit_is_the_askers() {
        assert_eq!(good(&[1000, 999], "0%").0, "01");
        assert_eq!(good(&[1000, 999], "0.1%").0, "02");
        assert_eq!(good(&[1000, 998], "0.1%").0, "01");
        assert_eq!(good(&[1000, 0], "100%").0, "02");
        assert_eq!(good(&[1000, -1], "100%").0, "01");
    }

    #[test]
    fn a_share_is_read_strictly() {
        for (text, hundredths) in [
            ("0%", 0),
            ("10%", 1_000),
            ("0.5%", 50),
            ("12.34%", 1_234),
            ("100%", 10_000),
            ("100.00%", 10_000),
        ] {
            assert_eq!(DropLimit::parse(text), Ok(DropLimit(hundredths)), "{text}");
        }
        for text in [
            "", "%", "10", "10 %", "-1%", "+1%", "100.01%", "101%", "1e1%", "1.234%", "1.%", ".5%", "10%%", "0010%", "١%",
        ] {
            assert!(DropLimit::parse(text).is_err(), "{text}");
        }
        let shown = [DropLimit(1_000), DropLimit(50), DropLimit(1_234)].map(|limit| limit.to_string().replace('\u{a0}', " "));
        assert_eq!(shown, ["10 %", "0.5 %", "12.34 %"]);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        assert!(DropLimit::default().is_passed(u64::MAX, 0));
        assert!(!DropLimit::default().is_passed(u64::MAX, u64::MAX));
    }
}
