//! The tables of README.md and the pages of docs/, compared with what the program says of itself.

use super::{minimal, offline, root};
use crate::support::pgseal::Pgseal;
use crate::support::restore::{PAGES, readme, rows, table};
use pgseal::variables::{ALL, VariableKind};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The names in backticks of one cell.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The table of fields is the list of fields: none invented, none left out.
#[test]
fn the_table_of_fields_is_complete() {
    let documented: BTreeSet<String> = table("fields").iter().flat_map(|row| names(&row[0])).collect();
    let mut used = BTreeSet::from(["discover", "instance", "password_secret", "schemas"].map(str::to_owned));
    let text = fs::read_to_string(root().join("events/accepted/every-field.json")).expect("the file is there");
    used.extend(
        serde_json::from_str::<BTreeMap<String, Value>>(&text)
            .expect("an object")
            .into_keys(),
    );
    assert_eq!(documented, used);
    for field in &documented {
        // A value of no field's type: the field itself must be known, whatever is then said about its value.
        let event = json!({field.as_str(): {"of": ["no", "type"]}, "public_key": minimal()["public_key"]});
        let said = Pgseal::backup(&event).run();
        assert!(!said.stdout.contains("is not a known field"), "{field}: {}", said.stdout);
    }
}

/// Every variable that a person may set is documented, and no other.
#[test]
fn the_tables_of_variables_are_the_programs_own() {
    let fields = table("fields");
    let rows = fields.iter().map(|row| &row[1]);
    let settings = table_after("Some things are set by the environment alone");
    let documented: BTreeSet<String> = rows
        .chain(settings.iter().map(|row| &row[0]))
        .flat_map(|cell| names(cell))
        .collect();
    let known = |kind: &VariableKind| matches!(kind, VariableKind::Field(_) | VariableKind::Setting | VariableKind::Pin);
    let ours = ALL
        .iter()
        .filter(|(_, kind)| known(kind))
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(documented, ours);
}

fn table_after(sentence: &str) -> Vec<Vec<String>> {
    let readme = readme();
    let (_, after) = readme.split_once(sentence).expect("the sentence");
    let (_, after) = after.split_once("\n\n").expect("a table");
    rows(after).skip(2).collect()
}

/// Anyone who is woken finds every code that a log can name.
#[test]
fn the_runbook_has_every_code() {
    let documented: BTreeSet<String> = table("runbook").iter().flat_map(|row| names(&row[0])).collect();
    let ours = pgseal::error::Code::ALL.iter().map(|code| code.name().to_owned());
    assert_eq!(documented, ours.collect());
}

/// Names and units, as the program writes them.
#[test]
fn the_metrics_are_those_of_the_program() {
    let documented: Vec<(String, String)> = table("metrics")
        .into_iter()
        .map(|row| (names(&row[0]).remove(0), row[1].trim().to_owned()))
        .collect();
    let written = pgseal::metrics::METRICS
        .iter()
        .map(|(name, unit)| ((*name).to_owned(), (*unit).to_owned()));
    assert_eq!(documented, written.collect::<Vec<_>>());
}

/// A value that a field takes and one that it refuses, for each field that README.md gives a variable.
fn examples(field: &str) -> (String, &'static str) {
    let (good, bad) = match field {
        "database" => ("other", "two\nlines"),
        "host" => ("billing.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com", "mallory.example"),
        "instance" => ("billing-production", "*"),
        "port" => ("6432", "0"),
        "user" => ("somebody", "two\nlines"),
        "auth" => ("password", "kerberos"),
        "region" | "bucket_region" => ("us-gov-east-1", "Ireland"),
        "bucket" => ("other-backups", "Other-Backups"),
        "prefix" => ("other/prefix", "../other"),
        "public_key" => return (other_key(), "no key"),
        "rate_limit" => ("1.5G", "10MB"),
        "compression" => ("bzip2:3", "gzip"),
        "workers" => ("3", "0"),
        "format" => ("legacy", "pgseal/2"),
        "bucket_owner" => ("444455556666", "acme"),
        "lock_timeout" => ("7min", "60 parsecs"),
        "lock_guard" => ("end:30s", "kill:30s"),
        "retention" => ("yearly", "hourly"),
        "timezone" => ("Europe/Berlin", "Mars/Base"),
        other => panic!("no example for {other}, which README.md says has a variable"),
    };
    (good.to_owned(), bad)
}

/// A field that the event does not have is taken from its variable: a good value comes to the same plan, a bad one to an error of this field.
#[test]
fn every_variable_stands_for_its_field() {
    let mut compared = 0;
    for row in table("fields") {
        let field = names(&row[0]).remove(0);
        for variable in names(&row[1]) {
            let (good, bad) = examples(&field);
            let without = without(&field);
            let mut with = without.clone();
            with[&field] = json!(good);
            assert_eq!(
                offline(&with, &[]),
                offline(&without, &[(&variable, &good)]),
                "{field} and {variable}"
            );

            let text = without.to_string();
            let said = Pgseal::new(&["check", "--offline", "--event", &text])
                .env("TESTBED_KEYS", "allowed")
                .env(&variable, bad)
                .run();
            assert_eq!(said.code, 2, "{variable}={bad}: {}", said.stdout);
            assert_eq!(
                said.receipt()["error"]["field"],
                field.as_str(),
                "{variable}={bad}: {}",
                said.stdout
            );
            compared += 1;
        }
    }
    assert!(compared >= 16, "only {compared} variables compared");
}

/// A whole event without this field, and with what a value of it needs.
fn without(field: &str) -> Value {
    let mut event = minimal();
    event["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    event["password_secret"] = json!("arn:aws:secretsmanager:eu-west-1:111122223333:secret:orders/backup-AbCdEf");
    let object = event.as_object_mut().expect("an object");
    object.remove(field);
    if field == "instance" {
        object.remove("host");
    }
    event
}

/// A second public key, as some accepted event has it.
fn other_key() -> String {
    let text = fs::read_to_string(root().join("events/accepted/recipients-several.json")).expect("the file is there");
    let event: Value = serde_json::from_str(&text).expect("JSON");
    event["public_key"][1].as_str().expect("a second key").to_owned()
}

/// What the program itself says of its codes: exit status and advice by name.
fn codes() -> BTreeMap<String, (u64, String)> {
    let said = Pgseal::new(&["codes"]).run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let entry = |code: &Value| {
        let hint = code["hint"].as_str().expect("a hint").to_owned();
        (
            code["code"].as_str().expect("a name").to_owned(),
            (code["exit"].as_u64().expect("a number"), hint),
        )
    };
    said.receipt().as_array().expect("a list").iter().map(entry).collect()
}

#[test]
fn the_page_of_errors_is_the_programs_own_table() {
    let page = fs::read_to_string(root().join("docs/ERRORS.md")).expect("docs/ERRORS.md");
    let mut documented = BTreeMap::new();
    for section in page.split("\n## ").skip(1) {
        let (_, after) = section.split_once("\n| code").expect("a table");
        for row in rows(&format!("| code{after}")).skip(2) {
            let [name, exit, happened, advice] = row.as_slice() else {
                panic!("{row:?}")
            };
            assert!(happened.len() > 20, "{name}: {happened}");
            documented.insert(name.trim_matches('`').to_owned(), (exit.parse().expect("a number"), advice.clone()));
        }
    }
    assert_eq!(documented, codes());
}

#[test]
fn the_table_of_exits_is_the_programs_own() {
    let mut documented: BTreeMap<String, u64> = BTreeMap::new();
    for row in table("exits") {
        let exit = row[0].parse().expect("a number");
        documented.extend(names(&row[2]).into_iter().map(|code| (code, exit)));
    }
    let of_program: BTreeMap<String, u64> = codes().into_iter().map(|(name, (exit, _))| (name, exit)).collect();
    assert_eq!(documented, of_program);
}

/// `make bench` writes the page; README.md shows its first table.
#[test]
fn the_table_of_speed_is_the_one_that_was_measured() {
    let page = fs::read_to_string(root().join("docs/bench/AIMS.md")).expect("the page");
    let (_, measured) = page.split_once("\n\n| figure |").expect("its table");
    let measured: Vec<_> = rows(&format!("| figure |{measured}")).skip(2).collect();
    assert!(measured.len() > 20);
    assert_eq!(table("speed"), measured);
}

#[test]
fn every_link_leads_somewhere() {
    for page in PAGES
        .iter()
        .chain(&["docs/FORMAT.md", "docs/ERRORS.md", "docs/THREATS.md", "docs/SCALE.md"])
        .map(|page| root().join(page))
    {
        let text = fs::read_to_string(&page).expect("the page");
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')').map(|(link, _)| link));
        for link in links.filter(|link| !link.starts_with("https://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                page.clone()
            } else {
                page.parent().expect("a folder").join(file)
            };
            let target = fs::read_to_string(&target).unwrap_or_else(|error| panic!("{}: {link}: {error}", page.display()));
            assert!(anchor.is_empty() || anchors(&target).contains(anchor), "{}: {link}", page.display());
        }
    }
}

/// The anchors that a forge makes of headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    headings
        .map(|heading| heading.chars().filter(kept).collect::<String>().replace(' ', "-"))
        .collect()
}

#[test]
fn the_licences_are_there() {
    for (file, words) in [
        ("LICENSE-MIT", "Permission is hereby granted"),
        ("LICENSE-APACHE", "Version 2.0, January 2004"),
    ] {
        assert!(fs::read_to_string(root().join(file)).expect("a licence").contains(words), "{file}");
    }
}
