//! The page of a history: one file of HTML that needs nothing but itself.

use super::change::TableChange;
use super::losses::TableHistory;
use super::nights::shortened;
use super::sparkline::sparkline;
use super::{History, Night};
use crate::human::units::{counted, grouped, minute, sized};
use crate::restore::report::text::{escaped, filled, push};
use std::collections::HashMap;

const TEMPLATE: &str = include_str!("../history.html");
/// Tables that the page tells, the most changed first: more than a person reads.
const MOST_TABLES: usize = 500;
/// Of one night.
const HIGHLIGHTS: usize = 4;

impl History {
    pub(crate) fn to_html(&self) -> String {
        let lost = self.lost().count() as u64;
        let nights = counted(self.nights.len() as u64, "night");
        let share = self.drop.replace('%', "\u{a0}%");
        let (class, verdict) = match (&self.error, lost) {
            (Some(_), _) => ("failed", "No night can be read".to_owned()),
            (None, 0) => ("passed", format!("No table vanished or lost more than {share} of its rows")),
            (None, _) => (
                "failed",
                format!(
                    "{} vanished or lost more than {share} of its rows in a night",
                    counted(lost, "table")
                ),
            ),
        };
        let verdict = if lost > 1 {
            verdict.replace(" its rows", " their rows")
        } else {
            verdict
        };
        let when = |night: Option<&Night>| night.map(|night| minute(night.scheduled_time.0)).unwrap_or_default();
        let parts = [
            ("class", class.to_owned()),
            ("verdict", verdict),
            ("database", escaped(&self.database)),
            ("location", escaped(&self.location)),
            ("source", escaped(shortened(&self.source))),
            ("nights", nights),
            ("first", when(self.nights.first())),
            ("last", when(self.nights.last())),
            ("whole", self.whole()),
            ("losses", self.losses()),
            ("tables", self.table_rows()),
            ("more", self.more()),
            ("night_rows", self.night_rows()),
            ("remarks", self.remarks()),
        ];
        filled(TEMPLATE, &parts)
    }

    /// Of nights of the whole database, or of all if there is none.
    fn whole(&self) -> String {
        let facts = || self.nights.iter().filter_map(|night| night.facts.as_ref());
        let has_whole = facts().any(|facts| !facts.partial);
        let of = |value: fn(&super::NightFacts) -> u64| -> Vec<Option<u64>> {
            let nights = self.nights.iter().map(|night| night.facts.as_ref());
            let shown = nights.filter(|facts| !facts.is_some_and(|facts| facts.partial && has_whole));
            shown.map(|facts| facts.map(value)).collect()
        };
        let mut cards = String::new();
        type Shown = fn(u64) -> String;
        let all = [
            ("Rows", of(|facts| facts.rows), grouped as Shown),
            ("SQL", of(|facts| facts.plain_bytes), sized as Shown),
            ("Stored", of(|facts| facts.bytes), sized as Shown),
        ];
        for (name, values, shown) in all {
            let (first, last) = (values.iter().flatten().next(), values.iter().flatten().next_back());
            let (Some(first), Some(last)) = (first, last) else { continue };
            let label = format!("{name}: from {} to {}", shown(*first), shown(*last));
            push(
                &mut cards,
                format_args!(
                    "<div class=\"card\"><span>{name}</span><strong>{}</strong>{}<small>{} in the first night</small></div>\n",
                    shown(*last),
                    sparkline(&values, None, &label),
                    shown(*first)
                ),
            );
        }
        cards
    }

    fn losses(&self) -> String {
        let mut rows = String::new();
        for table in self.lost() {
            let good = &table.last_good;
            let Some(loss) = &good.loss else { continue };
            push(
                &mut rows,
                format_args!(
                    "<tr class=\"failed\"><th scope=\"row\">{}</th><td data-name=\"What\">{}</td>\
                     <td data-name=\"Last good\"><div><strong>{}</strong><br><code>{}</code></div></td></tr>\n",
                    escaped(&table.name),
                    escaped(&loss.in_words()),
                    minute(good.scheduled_time.0),
                    escaped(&good.stem)
                ),
            );
        }
        if rows.is_empty() {
            return rows;
        }
        format!(
            "<section>\n<h2>Vanished or lost rows</h2>\n<table>\n<thead><tr><th>Table</th><th>What happened</th>\
             <th>Last good night (UTC)</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</section>"
        )
    }

    /// Losses first, then what changed most often.
    fn table_rows(&self) -> String {
        let mut changes: HashMap<&str, u64> = HashMap::new();
        let tables = self.nights.iter().filter_map(|night| Some(&night.facts.as_ref()?.tables)).flatten();
        for table in tables.filter(|table| table.change == Some(TableChange::Changed)) {
            *changes.entry(&table.name).or_default() += 1;
        }
        let changed = |table: &TableHistory| changes.get(table.name.as_str()).copied().unwrap_or(0);
        let mut sorted: Vec<&TableHistory> = self.tables.iter().collect();
        sorted.sort_by_key(|table| (table.last_good.loss.is_none(), std::cmp::Reverse(changed(table))));
        let mut rows = String::new();
        for table in sorted.into_iter().take(MOST_TABLES) {
            let loss = table.last_good.loss.as_ref();
            let place = loss.and_then(|loss| self.place(table, &loss.stem));
            let class = if loss.is_some() { "failed" } else { "passed" };
            let seen = || table.rows.iter().flatten();
            let range = (seen().next().copied().unwrap_or(0), seen().next_back().copied().unwrap_or(0));
            let label = format!("rows: from {} to {}", grouped(range.0), grouped(range.1));
            let cell = |text: Option<String>| text.unwrap_or_else(|| "gone".to_owned());
            push(
                &mut rows,
                format_args!(
                    "<tr class=\"{class}\"><th scope=\"row\">{}{}</th><td data-name=\"Rows\">{}</td>\
                     <td data-name=\"Now\" class=\"number\">{}</td><td data-name=\"Size\" class=\"number\">{}</td>\
                     <td data-name=\"Changed\" class=\"number\">{}</td><td data-name=\"Last good\">{}</td></tr>\n",
                    escaped(&table.name),
                    if table.partial {
                        " <small>(of a partial backup)</small>"
                    } else {
                        ""
                    },
                    sparkline(&table.rows, place, &label),
                    cell(table.rows_now.map(grouped)),
                    cell(table.bytes_now.map(sized)),
                    match changed(table) {
                        0 => "-".to_owned(),
                        1 => "1 night".to_owned(),
                        count => format!("{count} nights"),
                    },
                    minute(table.last_good.scheduled_time.0),
                ),
            );
        }
        rows
    }

    /// Where a night stands among those of the table's selection.
    fn place(&self, table: &TableHistory, stem: &str) -> Option<usize> {
        let of = |stem: &str| {
            let night = self.nights.iter().find(|night| night.stem == stem)?;
            night.facts.as_ref()?.selection.as_ref()
        };
        let selection = of(stem);
        let opened = self.nights.iter().filter(|night| night.facts.is_some());
        let mut same = opened.filter(|night| of(&night.stem) == selection);
        same.position(|night| night.stem == stem).filter(|place| *place < table.rows.len())
    }

    fn more(&self) -> String {
        match self.tables.len().saturating_sub(MOST_TABLES) as u64 {
            0 => String::new(),
            more => format!("<p>{} changed less, and are in the JSON alone.</p>", counted(more, "other table")),
        }
    }

    /// The newest first.
    fn night_rows(&self) -> String {
        let mut rows = String::new();
        for night in self.nights.iter().rev() {
            let (class, cells) = match (&night.facts, &night.error) {
                (Some(facts), _) => (
                    "passed",
                    format!(
                        "<td data-name=\"Rows\" class=\"number\">{}</td><td data-name=\"SQL\" class=\"number\">{}</td>\
                         <td data-name=\"Changes\">{}</td>",
                        grouped(facts.rows),
                        sized(facts.plain_bytes),
                        match (facts.highlights(HIGHLIGHTS), &facts.compared_with) {
                            (_, None) => "nothing to compare with".to_owned(),
                            (said, _) if said.is_empty() => "-".to_owned(),
                            (said, _) => escaped(&said),
                        }
                    ),
                ),
                (None, error) => (
                    "failed",
                    format!(
                        "<td data-name=\"Rows\" class=\"number\">-</td><td data-name=\"SQL\" class=\"number\">-</td>\
                         <td data-name=\"Changes\">cannot be read: {}</td>",
                        escaped(error.as_ref().map_or("", |error| &error.message))
                    ),
                ),
            };
            let partial = night.facts.as_ref().is_some_and(|facts| facts.partial);
            push(
                &mut rows,
                format_args!(
                    "<tr class=\"{class}\"><th scope=\"row\" class=\"night\">{}{}</th>{cells}<td data-name=\"Backup\"><code>{}</code></td></tr>\n",
                    minute(night.scheduled_time.0),
                    if partial { " <small>(partial)</small>" } else { "" },
                    escaped(&night.stem)
                ),
            );
        }
        rows
    }

    fn remarks(&self) -> String {
        let mut said = String::from(
            "<p>Only manifests and inventories were read, not the dumps: a drill proves a backup. Lines begin at zero; \
             a dot marks the loss behind the last good night.</p>\n",
        );
        if !self.notes.is_empty() {
            said.push_str("<p>Where as many rows and bytes are there, a change is told by change_hint: it is a hint and no proof.</p>\n");
        }
        for left in &self.left_out {
            push(
                &mut said,
                format_args!("<p>Left out: <code>{}</code>: {}</p>\n", escaped(&left.stem), escaped(&left.reason)),
            );
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use crate::restore::history::tests::{fortnight, of_orders};

    #[test]
    fn the_page_says_what_was_lost_and_when_it_was_last_there() {
        let page = fortnight().to_html();
        assert!(
            page.contains("3 tables vanished or lost more than 10\u{a0}% of their rows in a night"),
            "{page}"
        );
        assert!(
            page.contains("lost 91,100 of 107,200 rows in the night of 2026-11-09 02:00 UTC"),
            "{page}"
        );
        assert!(
            page.contains("<strong>2026-11-08 02:00</strong><br><code>app_20261108T020000Z</code>"),
            "{page}"
        );
        assert!(
            page.contains("cannot be read: this backup opens with another private key"),
            "{page}"
        );
        // Rows, SQL and stored bytes, and each of six tables.
        assert_eq!((page.matches("<svg").count(), page.matches("<circle").count()), (9, 3));
        assert!(page.contains("<code>app_20261030T020000Z</code>: it is incomplete"), "{page}");
    }

    /// Names are the database's, and the page may be opened anywhere.
    #[test]
    fn nothing_of_a_name_is_markup_and_nothing_is_fetched() {
        let mut made = fortnight();
        let hostile = "</title><script>alert(1)</script>\u{202e}{{nights}}";
        made.database = hostile.to_owned();
        made.location = hostile.to_owned();
        made.source = hostile.to_owned();
        made.tables[0].name = hostile.to_owned();
        made.left_out[0].reason = hostile.to_owned();
        made.nights[0].stem = hostile.to_owned();
        made.nights[5].facts.as_mut().unwrap().vanished[0] = hostile.to_owned();
        let page = made.to_html();
        assert!(
            !page.contains("<script") && !page.contains('\u{202e}') && !page.contains("<b>Name"),
            "{page}"
        );
        assert!(
            !page.contains("http:") && !page.contains("https:") && !page.contains("src=") && !page.contains("href"),
            "{page}"
        );
        assert!(page.contains("{{nights}}"), "what was put in is not searched again");
        assert_eq!(page.matches("</title>").count(), 1);
    }

    #[test]
    fn a_history_of_one_table_has_a_page_too() {
        let page = of_orders().to_html();
        assert!(
            page.contains("1 table vanished or lost more than 10\u{a0}% of its rows in a night"),
            "{page}"
        );
    }
}
