//! Drills of honest databases in which something depends on what an ordinary role cannot restore.

use super::Home;
use super::drills::{backup, drill};
use serde_json::json;

const PLANTED: &str = include_str!("../fixtures/dependents.sql");

#[test]
fn what_depends_on_something_not_restored_goes_with_it_and_the_drill_passes() {
    let home = Home::new(json!({}));
    home.server.psql("app", PLANTED);
    backup(&home, json!({}));
    let said = drill(&home, None, &[]);
    let report = said.receipt();
    assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{report:#}");
    let lost = report["not_restored"].as_array().expect("a list").iter();
    let lost: Vec<String> = lost
        .map(|lost| format!("{}: {}", lost["what"], lost["reason"]).replace(['"', '\\'], ""))
        .collect();
    for (what, reason) in [
        ("CAST (integer AS text", "superusers"),
        ("FUNCTION dep.internal_abs", "superusers"),
        ("CONSTRAINT checked of TABLE dep.t", "FUNCTION dep.internal_abs"),
        ("DEFAULT of b of TABLE dep.t", "FUNCTION dep.internal_abs"),
        ("VIEW dep.over_function", "FUNCTION dep.internal_abs"),
        ("VIEW dep.over_view", "VIEW dep.over_function"),
        ("INDEX in_function", "FUNCTION dep.internal_abs"),
        ("INDEX in_class", "OPERATOR CLASS dep.class"),
        ("SERVER without_wrapper", "FOREIGN DATA WRAPPER own"),
        ("FOREIGN TABLE dep.of_wrapper", "SERVER without_wrapper"),
        ("VIEW dep.over_foreign", "FOREIGN TABLE dep.of_wrapper"),
        ("ALTER TABLE", ""),
        ("TEXT SEARCH DICTIONARY dep.words", "TEXT SEARCH TEMPLATE dep.template"),
        ("the rows of MATERIALIZED VIEW dep.files", "superusers"),
        ("the rows of MATERIALIZED VIEW dep.others", "another server"),
        ("POLICY p ON dep.t", "FUNCTION dep.internal_abs"),
    ] {
        let is_there = |line: &&String| line.starts_with(what) || (what == "ALTER TABLE" && line.contains("ATTACH PARTITION"));
        let found = lost.iter().find(is_there);
        assert!(found.is_some_and(|line| line.contains(reason)), "{what}: {reason} in {lost:#?}");
    }
}

/// A body is text to a dump: that the function calls one that is not there comes out when the rows go in.
#[test]
fn a_failed_drill_tells_what_was_not_restored() {
    let home = Home::new(json!({}));
    home.server.psql(
        "app",
        "CREATE FUNCTION public.within(integer) RETURNS integer LANGUAGE internal IMMUTABLE AS 'int4abs';
        CREATE FUNCTION public.calls(n integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.within(n) > 0; END $$;
        CREATE TABLE public.checked (n integer CHECK (public.calls(n)));
        INSERT INTO public.checked VALUES (1);",
    );
    backup(&home, json!({}));
    let said = drill(&home, None, &[]);
    let report = said.receipt();
    assert_eq!((said.code, &report["outcome"]), (7, &json!("failed")), "{report:#}");
    assert_eq!(
        report["not_restored"][0]["what"],
        json!("FUNCTION public.within(integer)"),
        "{report:#}"
    );
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("it may need what was left out before: FUNCTION public.within(integer)"),
        "{message}"
    );
}
