//! An event's bytes to a plan, under three environments. A plan that comes out keeps its promises, and no message repeats a
//! value of the event or of the environment.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pgseal::error::Error;
use pgseal::event::Event;
use pgseal::plan::{Action, Databases, Plan, RuntimeLimits};
use pgseal::variables::Env;
use serde_json::Value;
use std::sync::LazyLock;
use time::macros::datetime;

const PUBLIC_KEY: &str = include_str!("../corpus/recipient/spki.pem");
/// Of a login, from the environment.
const PASSWORD: &str = "correct horse battery staple";
/// What seeds and dictionary have as a value.
const SECRET: &str = "hunter2";

static ENVIRONMENTS: LazyLock<[Env; 3]> = LazyLock::new(|| {
    let bare: [(&str, &str); 0] = [];
    let keys = [
        ("OPENSSL_PUBLIC_KEY", PUBLIC_KEY),
        ("PGSEAL_ALLOWED_HOSTS", "*.example.com,db,10.0.0.1"),
    ];
    let full = [
        ("POSTGRES_DATABASE", "app"),
        ("POSTGRES_HOST", "app.abc.eu-central-1.rds.amazonaws.com"),
        ("POSTGRES_USER", "backup"),
        ("POSTGRES_AUTH", "password"),
        ("PGPASSWORD", PASSWORD),
        ("REGION", "eu-central-1"),
        ("S3_BUCKET", "acme"),
        ("OPENSSL_PUBLIC_KEY", PUBLIC_KEY),
    ];
    [bare.into_iter().collect(), keys.into_iter().collect(), full.into_iter().collect()]
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let event = match Event::parse(text) {
        Ok(event) => event,
        Err(error) => return says_no_value(text, &error),
    };
    let place = RuntimeLimits {
        now: datetime!(2026-11-24 02:00 UTC),
        cpus: 2,
        memory: Some(1 << 30),
    };
    for env in ENVIRONMENTS.iter() {
        match Plan::resolve(&event, env, place) {
            Ok(plan) => keeps_its_promises(&event, env, place, &plan),
            Err(error) => says_no_value(text, &error),
        }
    }
});

fn keeps_its_promises(event: &Event, env: &Env, place: RuntimeLimits, plan: &Plan) {
    assert!((1..=16).contains(&plan.recipients.len()));
    assert!((1..=256).contains(&plan.workers));
    if let Some(key) = env.get("OPENSSL_PUBLIC_KEY") {
        let allowed = pgseal::envelope::recipient::Recipient::parse(key).expect("a key");
        assert_eq!(
            plan.recipients,
            [allowed],
            "an event chose a recipient that the environment does not name"
        );
    }
    assert!(!format!("{plan:?}").contains(PASSWORD));
    let Databases::Named(names) = &plan.databases else { return };
    assert!(!names.is_empty());
    for (n, name) in names.iter().enumerate() {
        assert!(!names[..n].contains(name), "a database twice");
        let Some(stem) = plan.known_stem(name) else { continue };
        assert!(plan.destination.prefix.names_host() || stem.to_string().starts_with(plan.destination.prefix.as_str()));
        assert!(stem.object("3f9a12bc", "key.0123456789abcdef.enc").len() <= 1024);
    }
    // What `pgseal plan` prints for one database means the same.
    let narrowed = event.for_database(names[0].as_str()).to_string();
    if narrowed.len() > pgseal::event::MAX_BYTES {
        return;
    }
    let again = Event::parse(&narrowed).and_then(|event| Plan::resolve(&event, env, place));
    let again = again.unwrap_or_else(|error| panic!("a narrowed event is refused: {error}"));
    assert_eq!(
        (again.action, &again.databases),
        (Action::Backup, &Databases::Named(vec![names[0].clone()]))
    );
    let name = |plan: &Plan| plan.known_stem(&names[0]).map(|stem| stem.to_string());
    assert_eq!(name(&again), name(plan));
    assert_eq!(again.destination, plan.destination);
    assert_eq!(again.recipients, plan.recipients);
}

/// Names of fields may be repeated; values never.
fn says_no_value(text: &str, error: &Error) {
    let said = format!("{error} {}", error.hint());
    if !said.contains(SECRET) {
        return;
    }
    let in_a_name = match serde_json::from_str::<Value>(text) {
        Ok(value) => named(&value, SECRET),
        Err(_) => said.contains("is given twice"),
    };
    assert!(in_a_name, "a message repeats a value: {said}");
}

fn named(value: &Value, name: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| named(item, name)),
        Value::Object(fields) => fields
            .iter()
            .any(|(key, value)| key.replace(char::is_control, "").contains(name) || named(value, name)),
        _ => false,
    }
}
