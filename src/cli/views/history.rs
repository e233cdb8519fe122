//! What became of a database's tables, night by night.

use super::failed;
use crate::format::ToJson;
use crate::human::units::{counted, grouped, minute, sized};
use crate::human::{Answer, Column, Mark, Screen, Table};
use crate::rds::preflight::some_of;
use crate::restore::history::change::{ChangeBasis, NightTable, TableChange};
use crate::restore::history::highlights::gained;
use crate::restore::history::losses::TableHistory;
use crate::restore::history::nights::shortened;
use crate::restore::history::{History, Night, NightFacts};
use std::collections::BTreeMap;

/// Tables that are told below the nights.
const MOST_LOSSES: usize = 20;
/// Of each night.
const HIGHLIGHTS: usize = 1;

const NIGHTS: [Column; 7] = [
    Column::text("NIGHT (UTC)", 0),
    Column::number("ROWS", 0),
    Column::number("SQL", 3),
    Column::number("TABLES", 5),
    Column::text("NOTE", 2),
    Column::text("CHANGED MOST", 1),
    Column::text("BACKUP", 4),
];

const ONE_TABLE: [Column; 6] = [
    Column::text("NIGHT (UTC)", 0),
    Column::number("ROWS", 0),
    Column::number("SIZE", 2),
    Column::text("CHANGE", 1),
    Column::text("NOTE", 3),
    Column::text("BACKUP", 4),
];

impl Answer for History {
    fn json(&self) -> String {
        self.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        let of = self.table.as_ref().map(|table| format!(", table {table}")).unwrap_or_default();
        screen.heading(format!(
            "{} (source {}){of}: {}",
            self.database,
            shortened(&self.source),
            counted(self.nights.len() as u64, "night")
        ));
        if self.opened() > 0 {
            screen.blank();
            match &self.table {
                Some(_) => screen.table(&self.line_of_table()),
                None => screen.table(&self.line_of_nights()),
            }
            screen.blank();
        }
        for night in &self.nights {
            if let (Some(error), None) = (&night.error, &self.error) {
                failed(screen, &night.stem, error);
            }
        }
        let mut stems_of: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
        for left in &self.left_out {
            stems_of.entry(&left.reason).or_default().push(&left.stem);
        }
        for (reason, stems) in stems_of {
            screen.mark(Mark::Warning, format!("left out: {}: {reason}", some_of(stems)));
        }
        match (&self.error, &self.last_good) {
            (Some(error), _) => failed(screen, "", error),
            (None, Some(good)) => {
                let mark = if good.loss.is_some() { Mark::Warning } else { Mark::Good };
                screen.mark(
                    mark,
                    format!("last good night: {}, {}: {}", minute(good.scheduled_time.0), good.stem, good.why),
                );
            }
            (None, None) => self.draw_losses(screen),
        }
        if !self.notes.is_empty() && self.table.is_some() {
            screen.line("Without other counts, `same` and `changed` are told by a hint, which is no proof.");
        }
    }
}

impl History {
    fn line_of_nights(&self) -> Table {
        let mut table = Table::new(&NIGHTS);
        for night in &self.nights {
            let facts = night.facts.as_ref();
            let cell = |text: fn(&NightFacts) -> String| facts.map_or_else(|| "-".to_owned(), text);
            table.row([
                minute(night.scheduled_time.0),
                cell(|facts| grouped(facts.rows)),
                cell(|facts| sized(facts.plain_bytes)),
                cell(|facts| grouped(facts.tables.len() as u64)),
                note(night),
                facts.map(|facts| facts.highlights(HIGHLIGHTS)).unwrap_or_default(),
                night.stem.clone(),
            ]);
        }
        table
    }

    /// Nights that cannot tell of it are left out: those of another part of the database.
    fn line_of_table(&self) -> Table {
        let mut table = Table::new(&ONE_TABLE);
        let good = self.last_good.as_ref().map(|good| &good.stem);
        let of_good = self.nights.iter().find(|night| Some(&night.stem) == good);
        let selection = of_good.and_then(|night| night.facts.as_ref()?.selection.as_ref());
        let mut is_known = false;
        for night in &self.nights {
            let state = night.facts.as_ref().and_then(|facts| facts.tables.first());
            let has_vanished = night.facts.as_ref().is_some_and(|facts| !facts.vanished.is_empty());
            is_known |= state.is_some();
            let is_of_another_part = |facts: &NightFacts| facts.selection.as_ref() != selection;
            let says_nothing = night.facts.as_ref().is_some_and(|facts| !is_known || is_of_another_part(facts));
            if state.is_none() && !has_vanished && says_nothing {
                continue;
            }
            let cell = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            table.row([
                minute(night.scheduled_time.0),
                cell(state.map(|state| grouped(state.rows))),
                cell(state.map(|state| sized(state.bytes))),
                match (state, has_vanished) {
                    (Some(state), _) => change(state),
                    (None, true) => "vanished".to_owned(),
                    (None, false) => String::new(),
                },
                note(night),
                night.stem.clone(),
            ]);
        }
        table
    }

    fn draw_losses(&self, screen: &mut Screen) {
        let share = self.drop.replace('%', "\u{a0}%");
        let lost: Vec<&TableHistory> = self.lost().collect();
        for table in lost.iter().take(MOST_LOSSES) {
            let good = &table.last_good;
            let what = good.loss.as_ref().map(|loss| loss.in_words()).unwrap_or_default();
            screen.mark(Mark::Warning, format!("{} {what}", table.name));
            screen.advice(format!("last good night: {}, {}", minute(good.scheduled_time.0), good.stem));
        }
        match lost.len().saturating_sub(MOST_LOSSES) as u64 {
            0 if lost.is_empty() => screen.mark(
                Mark::Good,
                format!("no table vanished or lost more than {share} of its rows from one night to the next"),
            ),
            0 => {}
            more => screen.line(format!("and {} (--json has all)", counted(more, "other table"))),
        }
    }
}

fn note(night: &Night) -> String {
    match &night.facts {
        None => "UNREADABLE".to_owned(),
        Some(facts) if facts.partial => "partial".to_owned(),
        Some(_) => String::new(),
    }
}

fn change(table: &NightTable) -> String {
    let word = match (table.change, table.by) {
        (None, _) => "",
        (Some(TableChange::Appeared), _) => "appeared",
        (Some(TableChange::Changed), _) if table.gained() != 0 => return gained(table),
        (Some(TableChange::Changed), Some(ChangeBasis::Hint)) => "changed (hint)",
        (Some(TableChange::Changed), _) => "changed",
        (Some(TableChange::Same), Some(ChangeBasis::Hint)) => "same (hint)",
        (Some(TableChange::Same), _) => "same",
        (Some(TableChange::Unknown), _) => "as many rows and bytes",
        (Some(TableChange::Vanished), _) => "vanished",
    };
    word.to_owned()
}
