//! Numbers, times and foreign texts as they stand in a page.

use crate::human::units;
pub(super) use crate::human::units::{lasting, sized};
use crate::observe::output::is_hidden;
use crate::restore::compare::TableComparison;
use std::fmt::Write;

/// For text and quoted attributes. Controls and the characters that turn the direction of text are shown as codes.
pub(in crate::restore) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(' '),
            c if is_hidden(c) => push(&mut safe, format_args!("\\u{{{:x}}}", c as u32)),
            c => safe.push(c),
        }
    }
    safe
}

pub(in crate::restore) fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(arguments);
}

/// `1 234 567`, with spaces that do not break: the page is read in more countries than one.
pub(super) fn grouped(number: u64) -> String {
    units::grouped(number).replace(',', "\u{202f}")
}

pub(super) fn counted(number: u64, noun: &str) -> String {
    units::counted(number, noun).replace(',', "\u{202f}")
}

/// `2026-11-24 02:00:00 UTC` from RFC 3339.
pub(in crate::restore) fn readable(time: &str) -> String {
    match time.strip_suffix('Z').and_then(|time| time.split_once('T')) {
        Some((day, clock)) => format!("{day} {} UTC", clock.split('.').next().unwrap_or(clock)),
        None => time.to_owned(),
    }
}

pub(super) fn postgres(version: &str) -> String {
    if version.is_empty() {
        String::new()
    } else {
        format!("PostgreSQL {version}")
    }
}

/// Puts each part in place of its `{{name}}`. What was put in is not searched again.
pub(in crate::restore) fn filled(template: &str, parts: &[(&str, String)]) -> String {
    let mut page = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, behind) = behind.split_once("}}").unwrap_or((behind, ""));
        let part = parts.iter().find(|(known, _)| *known == name);
        page.push_str(part.map_or("", |(_, text)| text));
        rest = behind;
    }
    page.push_str(rest);
    page
}

pub(super) fn table_row(table: &TableComparison, largest: u64) -> String {
    let number = |rows: Option<u64>| rows.map_or("–".to_owned(), grouped);
    let (class, result) = match (table.equal, table.expected_rows, table.found_rows) {
        (true, Some(_), _) => ("", "equal"),
        (true, None, _) => ("", "definition only"),
        (false, _, None) => (" class=\"bad\"", "missing"),
        (false, ..) => (" class=\"bad\"", "differs"),
    };
    let result = match (table.equal, table.expected_rows, table.found_rows) {
        (false, Some(expected), Some(found)) if expected != found => format!("{} expected", grouped(expected)),
        (false, Some(_), Some(_)) => "other values".to_owned(),
        _ => result.to_owned(),
    };
    let share = table.dump_bytes as f64 / largest as f64 * 100.0;
    let bar = if table.dump_bytes == 0 {
        String::new()
    } else {
        format!("<i style=\"width:{share:.2}%\"></i>")
    };
    format!(
        "<tr{class}><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"number extra\">{}</td><td class=\"number extra\">{}</td><td class=\"share extra\">{bar}</td><td class=\"number extra\">{}</td><td class=\"result\">{result}</td></tr>\n",
        escaped(&table.name),
        number(table.found_rows),
        number(table.expected_rows),
        sized(table.dump_bytes),
        sized(table.disk_bytes),
    )
}
