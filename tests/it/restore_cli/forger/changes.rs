//! The tables of the forger: what a field may be made, and what may stand in line 2.

use serde_json::{Value, json};

/// Fields that must be among those that are changed.
pub const FIELDS: &[&str] = &[
    "/format",
    "/program",
    "/run",
    "/database",
    "/scheduled_time",
    "/started_at",
    "/finished_at",
    "/server_version",
    "/pg_dump_version",
    "/compression",
    "/cipher",
    "/kdf",
    "/iterations",
    "/salts/dump",
    "/plain_bytes",
    "/objects",
    "/objects/0/key",
    "/recipients/0/fingerprint",
    "/recipients/0/object",
    "/tables",
    "/rows",
    "/source",
    "/selection",
    "/partial",
    "/card_sha256",
    "/signer/fingerprint",
    "/signer/public_key",
];

/// By name, `None` where the field goes.
pub type Values = &'static [(&'static str, fn() -> Option<Value>)];

pub const VALUES: Values = &[
    ("gone", || None),
    ("null", || Some(Value::Null)),
    ("empty", || Some(json!(""))),
    ("zero", || Some(json!(0))),
    ("below zero", || Some(json!(-1))),
    ("huge", || Some(json!(u64::MAX))),
    ("a list", || Some(json!([]))),
    ("an object", || Some(json!({}))),
    ("true", || Some(json!(true))),
    ("controls", || Some(json!("a\u{0}\u{1b}[2J\u{202e}"))),
    ("upwards", || Some(json!("../../etc/passwd"))),
];

/// JSON pointers of everything in a document, lists and objects included.
pub fn pointers(document: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, found: &mut Vec<String>) {
        let inner: Vec<(String, &Value)> = match value {
            Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
            Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
            _ => Vec::new(),
        };
        for (name, value) in inner {
            let pointer = format!("{at}/{name}");
            found.push(pointer.clone());
            walk(value, &pointer, found);
        }
    }
    let mut found = Vec::new();
    walk(document, "", &mut found);
    found
}

/// Another value at a pointer, or none.
pub fn set(document: &mut Value, pointer: &str, value: Option<Value>) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    match (document.pointer_mut(parent).expect("its parent"), value) {
        (Value::Object(fields), Some(value)) => drop(fields.insert(name.to_owned(), value)),
        (Value::Object(fields), None) => drop(fields.remove(name)),
        (Value::Array(items), value) => {
            let index: usize = name.parse().expect("an index");
            match value {
                Some(value) => items[index] = value,
                None => drop(items.remove(index)),
            }
        }
        _ => panic!("{pointer} is in nothing"),
    }
}

/// Of the same kind, but another one.
pub fn other(value: &Value) -> Option<Value> {
    Some(match value {
        Value::String(text) => {
            let mut text = text.clone();
            let last = text.pop().unwrap_or('0');
            text.push(if last == '1' { '2' } else { '1' });
            json!(text)
        }
        Value::Number(number) => json!(number.as_u64().unwrap_or_default() + 1),
        Value::Bool(set) => json!(!set),
        Value::Array(items) => json!(items.iter().skip(1).collect::<Vec<_>>()),
        _ => return None,
    })
}

/// What a forger has to make a second line of.
pub struct Proofs {
    /// By their own data key.
    pub mac: String,
    /// Their own signature of the line.
    pub own: Value,
    /// The genuine second line, of another first line.
    pub old: Value,
}

type Make = fn(&Proofs) -> String;

/// With its newline.
pub const PROOFS: &[(&str, Make)] = &[
    ("no line", |_| String::new()),
    ("no signature", |proofs| written(&proofs.mac, &[])),
    ("their signature", |proofs| written(&proofs.mac, std::slice::from_ref(&proofs.own))),
    ("their signature in the signer's name", |proofs| {
        let mut signature = proofs.own.clone();
        signature["fingerprint"] = proofs.old["signatures"][0]["fingerprint"].clone();
        written(&proofs.mac, &[signature])
    }),
    ("the signer's, of another line", |proofs| {
        written(&proofs.mac, &[proofs.old["signatures"][0].clone()])
    }),
    ("both", |proofs| {
        written(&proofs.mac, &[proofs.own.clone(), proofs.old["signatures"][0].clone()])
    }),
    ("both, the signer's first", |proofs| {
        written(&proofs.mac, &[proofs.old["signatures"][0].clone(), proofs.own.clone()])
    }),
    ("the genuine line", |proofs| format!("{}\n", proofs.old)),
    ("another algorithm", |proofs| {
        let mut signature = proofs.own.clone();
        signature["algorithm"] = json!("none");
        written(&proofs.mac, &[signature])
    }),
    ("no bytes of a signature", |proofs| {
        let mut signature = proofs.own.clone();
        signature["signature"] = json!("");
        written(&proofs.mac, &[signature])
    }),
    ("zeros for a signature", |proofs| {
        let mut signature = proofs.own.clone();
        signature["signature"] = json!("MAYCAQACAQA=");
        written(&proofs.mac, &[signature])
    }),
    ("another MAC", |_| written(&format!("hmac-sha256:{}", "0".repeat(64)), &[])),
    ("no MAC", |_| "{\"signatures\":[]}\n".to_owned()),
    ("a field more", |proofs| {
        format!("{{\"mac\":\"{}\",\"trusted\":true}}\n", proofs.mac)
    }),
    ("a line more", |proofs| format!("{}{}", written(&proofs.mac, &[]), proofs.old)),
];

/// As the writer spells it.
fn written(mac: &str, signatures: &[Value]) -> String {
    let signature = |value: &Value| {
        format!(
            "{{\"algorithm\":{},\"fingerprint\":{},\"signature\":{}}}",
            value["algorithm"], value["fingerprint"], value["signature"]
        )
    };
    let list: Vec<String> = signatures.iter().map(signature).collect();
    let list = if list.is_empty() {
        String::new()
    } else {
        format!(",\"signatures\":[{}]", list.join(","))
    };
    format!("{{\"mac\":\"{mac}\"{list}}}\n")
}
