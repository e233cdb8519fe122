//! The page of a fleet: one file of HTML that needs nothing but itself.

use super::{DatabaseStatus, FleetStatus};
use crate::human::units::{counted, grouped, lasting, sized};
use crate::restore::report::text::{escaped, filled, push, readable};

const TEMPLATE: &str = include_str!("../fleet.html");

impl FleetStatus {
    pub(crate) fn to_html(&self) -> String {
        let missing = self.databases.iter().filter(|status| !status.missing.is_empty()).count();
        let all = self.databases.len() as u64;
        let (class, verdict) = match (all, missing) {
            (0, _) => ("failed", "There is no backup".to_owned()),
            (_, 0) => ("passed", "Nothing is missing".to_owned()),
            (_, 1) => ("failed", format!("1 of {} has a problem", counted(all, "database"))),
            (_, count) => ("failed", format!("{count} of {} have a problem", counted(all, "database"))),
        };
        let bytes: u64 = self.databases.iter().filter_map(|status| Some(status.newest.as_ref()?.bytes)).sum();
        let parts = [
            ("class", class.to_owned()),
            ("verdict", verdict),
            ("location", escaped(&self.location)),
            ("checked", escaped(&readable(&self.checked_at))),
            ("age", lasting(self.max_age_seconds.max(0) as u64 * 1000)),
            ("databases", counted(all, "database")),
            ("bytes", sized(bytes)),
            ("rows", self.rows()),
        ];
        filled(TEMPLATE, &parts)
    }

    /// What is missing first.
    fn rows(&self) -> String {
        let mut sorted: Vec<&DatabaseStatus> = self.databases.iter().collect();
        sorted.sort_by_key(|status| status.missing.is_empty());
        let mut rows = String::new();
        for status in sorted {
            let class = if status.missing.is_empty() { "passed" } else { "failed" };
            let server = self.server(status);
            let newest = status.newest.as_ref();
            let cell = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            let drill = status.drill.as_ref().map(|drill| {
                let outcome = drill.outcome.replace('_', " ");
                format!("{}, {}", escaped(&outcome), escaped(&readable(&drill.finished_at)))
            });
            let missing = match status.missing.is_empty() {
                true => "none".to_owned(),
                false => escaped(&status.missing.join("; ")),
            };
            push(
                &mut rows,
                format_args!(
                    "<tr class=\"{class}\"><th scope=\"row\">{}</th><td data-name=\"Server\">{}</td>\
                     <td data-name=\"Newest\">{}</td><td data-name=\"Age\" class=\"number\">{}</td>\
                     <td data-name=\"Size\" class=\"number\">{}</td><td data-name=\"Rows\" class=\"number\">{}</td>\
                     <td data-name=\"Drill\">{}</td><td data-name=\"Problem\">{missing}</td></tr>\n",
                    escaped(&status.database),
                    if server.is_empty() { "-".to_owned() } else { escaped(&server) },
                    cell(newest.map(|newest| escaped(&readable(&newest.scheduled_time)))),
                    cell(newest.map(|newest| lasting(newest.age_seconds.max(0) as u64 * 1000))),
                    cell(newest.map(|newest| sized(newest.bytes))),
                    cell(newest.map(|newest| grouped(newest.rows))),
                    cell(drill),
                ),
            );
        }
        rows
    }
}
