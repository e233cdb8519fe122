//! `events/` is the list of tests: whatever lies in `accepted` is taken as it stands, whatever lies in `refused` is refused with the
//! code and the field that its file promises. Nothing here has a network, a database or a bucket: a refusal comes before any of them.

use crate::support::pgseal::{CommandOutput, Pgseal};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every file of one directory under `events/`, by its name without the ending, sorted.
fn files(directory: &str) -> BTreeMap<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("events").join(directory);
    let read = |path: PathBuf| {
        let name = path.file_stem().expect("a file name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a readable file");
        (
            name,
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        )
    };
    fs::read_dir(folder)
        .expect("events/ is there")
        .map(|entry| read(entry.expect("an entry").path()))
        .collect()
}

fn accepted(name: &str) -> Value {
    files("accepted")
        .remove(name)
        .unwrap_or_else(|| panic!("events/accepted/{name}.json is missing"))
}

/// What the event comes to, resolved without any network.
fn offline(event: &Value) -> CommandOutput {
    run(&["check", "--offline"], &event.to_string(), &BTreeMap::new())
}

/// Runs a command on an event that lies in a file, as its text would arrive.
fn run(command: &[&str], text: &str, environment: &BTreeMap<String, String>) -> CommandOutput {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("event.json");
    fs::write(&file, text).expect("the event is written");
    let mut arguments = command.to_vec();
    arguments.extend(["--event", file.to_str().expect("a path in UTF-8")]);
    // The files hold keys of the repository, which are refused outside tests.
    Pgseal::new(&arguments).env("TESTBED_KEYS", "allowed").envs(environment).run()
}

/// The refusal of an event whose text is made by a test: too large to lie in a file of its own.
fn refusal(event: &Value) -> (CommandOutput, Value) {
    let said = run(&["backup"], &event.to_string(), &BTreeMap::new());
    let error = said.receipt()["error"].clone();
    (said, error)
}

#[test]
fn every_accepted_event_resolves() {
    let events = files("accepted");
    assert!(events.len() >= 25, "only {} files in events/accepted", events.len());
    let mut wrong = Vec::new();
    for (name, event) in &events {
        let said = offline(event);
        if said.code != 0 || serde_json::from_str::<Value>(&said.stdout).is_err() {
            wrong.push(format!("{name}: exit {}\n  {}  {}", said.code, said.stdout, said.stderr));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} refused:\n{}",
        wrong.len(),
        events.len(),
        wrong.join("\n")
    );
}

/// What stands in an event is taken as it stands: names literally, rates to the byte, keys in whatever form they came.
#[test]
fn accepted_events_come_to_what_they_say() {
    for (name, event) in files("accepted") {
        let plan = offline(&event).receipt();
        let event = if event["detail"].is_object() {
            event["detail"].clone()
        } else {
            event
        };
        let named = match &event["database"] {
            Value::String(all) if all == "*" => json!("*"),
            Value::String(one) => json!([one]),
            list => list.clone(),
        };
        assert_eq!(plan["databases"], named, "{name}");
    }
    let fingerprint = &offline(&accepted("key-pkcs1")).receipt()["recipients"];
    for form in ["certificate", "der-base64", "escaped-newlines", "crlf"].map(|form| format!("key-{form}")) {
        assert_eq!(offline(&accepted(&form)).receipt()["recipients"], *fingerprint, "{form}");
    }
    let stated: [(&str, &str, Value); 18] = [
        ("recipients-one-key-four-ways", "/recipients", fingerprint.clone()),
        ("envelope-eventbridge", "/scheduled_time", json!("2026-11-24T02:00:00Z")),
        ("scheduled-time-with-offset", "/scheduled_time", json!("2026-11-24T02:00:00.25Z")),
        ("scheduler-input", "/stems/1", json!("backups/billing_20261124T020000Z")),
        ("minimal", "/rate_limit_bytes_per_second", json!(10 << 20)),
        ("rate-limit-none", "/rate_limit_bytes_per_second", Value::Null),
        ("rate-limit-kibibytes", "/rate_limit_bytes_per_second", json!(512 << 10)),
        ("rate-limit-decimals", "/rate_limit_bytes_per_second", json!(3 << 19)),
        ("rate-limit-comma", "/rate_limit_bytes_per_second", json!(3 << 19)),
        // pv counts four decimals and reads over the rest.
        (
            "rate-limit-long-decimals",
            "/rate_limit_bytes_per_second",
            json!((1_u64 << 20) + (2345 << 20) / 10_000),
        ),
        ("rate-limit-spaced", "/rate_limit_bytes_per_second", json!(10 << 20)),
        ("rate-limit-terabytes", "/rate_limit_bytes_per_second", json!(1_u64 << 40)),
        ("rate-limit-times", "/rate_limit_bytes_per_second", json!(10 << 20)),
        ("rate-limit-times", "/rate_limit_times/0/bytes_per_second", json!(50 << 20)),
        ("retention-gfs", "/retention", json!("daily")),
        ("format-legacy", "/format", json!("legacy")),
        ("workers", "/workers", json!(4)),
        ("prefix-nested", "/prefix", json!("team a/größe=1/it's $HOME/nightly")),
    ];
    for (name, pointer, value) in stated {
        assert_eq!(offline(&accepted(name)).receipt().pointer(pointer), Some(&value), "{name}");
    }
}

#[test]
fn every_refused_event_is_refused_as_promised() {
    let events = files("refused");
    assert!(events.len() >= 70, "only {} files in events/refused", events.len());
    let wrong: Vec<String> = events
        .iter()
        .filter_map(|(name, file)| refused(file).err().map(|why| format!("{name}: {why}")))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} not as promised:\n{}",
        wrong.len(),
        events.len(),
        wrong.join("\n")
    );
}

/// One file of `events/refused` against the program.
fn refused(file: &Value) -> Result<(), String> {
    let text = file["event_text"].as_str().map_or_else(|| file["event"].to_string(), str::to_owned);
    let environment: BTreeMap<String, String> = match &file["env"] {
        Value::Null => BTreeMap::new(),
        pairs => serde_json::from_value(pairs.clone()).map_err(|error| format!("env: {error}"))?,
    };
    let said = run(&["backup"], &text, &environment);
    if said.code != 2 {
        return Err(format!("exit {}, not 2: {}", said.code, said.stdout));
    }
    let receipt: Value = serde_json::from_str(&said.stdout).map_err(|error| format!("receipt: {error}: {}", said.stdout))?;
    if receipt["status"] != "failed" || receipt["backups"] != json!([]) {
        return Err(format!("not a refusal before any backup: {receipt}"));
    }
    let (error, expect) = (&receipt["error"], &file["expect"]);
    for part in ["code", "field"] {
        if expect.get(part).is_some_and(|promised| *promised != error[part]) {
            return Err(format!(
                "{part} is {}, promised {}: {}",
                error[part], expect[part], error["message"]
            ));
        }
    }
    if ["message", "hint"]
        .iter()
        .any(|part| error[part].as_str().is_none_or(str::is_empty))
    {
        return Err(format!("says nothing useful: {error}"));
    }
    if let Some(nearest) = expect["nearest"].as_str()
        && !format!("{} {}", error["message"], error["hint"]).contains(nearest)
    {
        return Err(format!("does not name the nearest field {nearest}: {error}"));
    }
    match echoed(file, &text, &environment, &said) {
        Some(value) => Err(format!("echoes a value of the event: {value:?}")),
        None => Ok(()),
    }
}

/// The first value of the event or of its environment that stands in what was said. Short ones are skipped, being words of any
/// sentence (`app`, `10MB`); a long one, which a key is, is looked for in pieces, so that a cut or wrapped copy is found too.
fn echoed(file: &Value, text: &str, environment: &BTreeMap<String, String>, said: &CommandOutput) -> Option<String> {
    const WORD: usize = 8;
    const PIECE: usize = 24;
    /// Values that are words of the contract, and so of any hint.
    const VOCABULARY: &[&str] = &["password"];
    let mut values: Vec<String> = environment.values().cloned().collect();
    match &file["event_text"] {
        Value::Null => leaves(&file["event"], &mut values),
        _ => leaves(&serde_json::from_str(text).unwrap_or(Value::Null), &mut values),
    }
    let output = format!("{}{}", said.stdout, said.stderr);
    let pieces = values
        .iter()
        .flat_map(|value| value.lines())
        .filter(|line| !line.starts_with("-----"));
    pieces
        .flat_map(|line| line.as_bytes().chunks(PIECE).map(String::from_utf8_lossy))
        .find(|piece| piece.len() >= WORD && !VOCABULARY.contains(&piece.as_ref()) && output.contains(piece.as_ref()))
        .map(|piece| piece.into_owned())
}

/// Every string in a JSON value. Names of fields are not values: an unknown one must be named.
fn leaves(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, into)),
        Value::Object(fields) => fields.values().for_each(|field| leaves(field, into)),
        _ => {}
    }
}

#[test]
fn an_event_may_have_256_kib_and_not_a_byte_more() {
    const LIMIT: usize = 256 * 1024;
    let event = accepted("minimal").to_string();
    let padded = |size: usize| event.clone() + &" ".repeat(size - event.len());
    let said = run(&["check", "--offline"], &padded(LIMIT), &BTreeMap::new());
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    run(&["backup"], &padded(LIMIT + 1), &BTreeMap::new()).failed("bad_event", 2);
}

#[test]
fn a_public_key_over_16_kib_of_text_is_refused() {
    let mut event = accepted("minimal");
    let key = event["public_key"].as_str().expect("a key").to_owned();
    event["public_key"] = json!(key + &"\n".repeat(16 * 1024));
    let (said, error) = refusal(&event);
    said.failed("bad_public_key", 2);
    assert_eq!(error["field"], "public_key");
}

#[test]
fn the_refusal_of_a_private_key_says_that_it_leaked() {
    let event = files("refused").remove("private-key-pkcs8").expect("the file is there")["event"].clone();
    let (_, error) = refusal(&event);
    let sentence = format!("{} {}", error["message"], error["hint"]).to_lowercase();
    assert!(sentence.contains("leaked"), "{sentence}");
}

#[test]
fn the_refusal_of_a_small_key_says_which_command_makes_a_right_one() {
    let event = files("refused").remove("key-1024-bit").expect("the file is there")["event"].clone();
    let (_, error) = refusal(&event);
    let sentence = format!("{} {}", error["message"], error["hint"]);
    assert!(sentence.contains("openssl gen"), "{sentence}");
}

#[test]
fn a_host_outside_the_list_is_told_the_variable() {
    let event = files("refused").remove("host-other-domain").expect("the file is there")["event"].clone();
    let (_, error) = refusal(&event);
    let sentence = format!("{} {}", error["message"], error["hint"]);
    assert!(sentence.contains("PGSEAL_ALLOWED_HOSTS"), "{sentence}");
}
