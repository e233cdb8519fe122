//! A forger: somebody who may write to the bucket, and who has what is public, the recipients' public keys and all objects
//! that are there. Whatever they put there, nothing of it is taken for the signer's, and nothing is called proven that is not.

mod changes;
mod signers;

use super::sealed::{Hidden, NEWER, OLDER, Objects, Order, Reader, dump, is_found, key};
use bytes::Bytes;
use changes::{FIELDS, PROOFS, Proofs, VALUES, pointers};
use pgseal::envelope::manifest::Proof;
use pgseal::envelope::secret::DataKeyText;
use pgseal::envelope::signature::LocalSigner;
use pgseal::error::Code;
use pgseal::restore::verify::VerifyReport;
use serde_json::{Value, json};
use signers::{local_signer, named, signature, verifier};

const LATER: &str = "app_20261124T020000Z.manifest.2.jsonl";

/// Line 1 of a set.
fn line(objects: &Objects, manifest: &str) -> Value {
    let first = objects[manifest].split(|byte| *byte == b'\n').next().expect("a line");
    serde_json::from_slice(first).expect("JSON")
}

/// Both lines, proven by the order's data key.
fn sealed(order: &Order, line: &Value, signer: Option<&LocalSigner>) -> Bytes {
    let line = format!("{line}\n").into_bytes();
    let signatures = signer.map(|signer| signature(signer, &line)).into_iter().collect();
    let proof = Proof::new(&order.mac(&line), signatures).line().expect("JSON");
    Bytes::from([line, proof].concat())
}

/// What was written by the program itself, and signed.
struct Genuine {
    objects: Objects,
    stem: String,
    manifest: String,
    plain: Vec<u8>,
    signer: LocalSigner,
}

impl Genuine {
    fn new() -> Self {
        let (order, signer) = (Order::default(), local_signer("signer"));
        let mut made = order.seal(&dump(300));
        let mut line = line(&made.objects, &made.manifest);
        line["signer"] = named(&signer);
        made.objects.insert(made.manifest.clone(), sealed(&order, &line, Some(&signer)));
        Self {
            objects: made.objects,
            stem: made.stem,
            manifest: made.manifest,
            plain: made.plain,
            signer,
        }
    }
}

/// A whole set by the public key alone; its dump is not the genuine one.
struct Forger {
    order: Order,
    signer: LocalSigner,
    objects: Objects,
    stem: String,
    manifest: String,
    plain: Vec<u8>,
}

impl Forger {
    fn new() -> Self {
        let order = Order {
            secret: Hidden::Pgseal1(DataKeyText::generate().expect("random bytes")),
            ..Order::default()
        };
        let made = order.seal(&dump(200));
        // A run of their own: nothing that is there can be overwritten.
        let run = line(&made.objects, &made.manifest)["run"].as_str().expect("a run").to_owned();
        let own = |text: &str| text.replace(&run, "0badcafe");
        let first = own(&line(&made.objects, &made.manifest).to_string());
        let mut objects: Objects = made.objects.iter().map(|(name, body)| (own(name), body.clone())).collect();
        let first: Value = serde_json::from_str(&first).expect("JSON");
        objects.insert(made.manifest.clone(), sealed(&order, &first, None));
        Self {
            order,
            signer: local_signer("impostor"),
            objects,
            stem: made.stem,
            manifest: made.manifest,
            plain: made.plain,
        }
    }

    /// Their set with this first line, proven by their data key.
    fn with_line(&self, line: &Value, signer: Option<&LocalSigner>) -> Objects {
        let mut objects = self.objects.clone();
        objects.insert(self.manifest.clone(), sealed(&self.order, line, signer));
        objects
    }
}

fn pinned(genuine: &Genuine) -> Reader {
    let mut reader = Reader::new(key("recipient-a"));
    reader.signer = Some(verifier(&genuine.signer));
    reader
}

/// With the pinned signer nothing of it is taken, with the key or without, and not a byte comes out.
fn is_refused(reader: &Reader, objects: &Objects, stem: &str, what: &str) {
    let (released, done) = reader.decrypt(objects, stem);
    assert!(done.is_err() && released.is_empty(), "{what}: {} bytes came out", released.len());
    for looked in [reader.verify(objects, stem), reader.verify_without_key(objects, stem)] {
        match looked {
            Ok(report) => panic!("{what}: {report:?}"),
            Err(error) => assert!(is_found(&error) || error.code == Code::NoBackup, "{what}: {error:?}"),
        }
    }
}

/// Without one it may open. That is all that is said of it.
fn claims_no_more(looked: Result<VerifyReport, pgseal::error::Error>, forger: &Forger, what: &str) {
    match looked {
        Ok(report) => {
            assert!(!report.origin.pinned, "{what}: {report:?}");
            let signed_by = report.origin.signed_by.as_deref();
            assert!(signed_by.is_none_or(|by| by == forger.signer.fingerprint()), "{what}: {report:?}");
            let word = if report.opens { "verified" } else { "hashes_match" };
            assert_eq!(report.status, word, "{what}");
        }
        Err(error) => assert!(is_found(&error) || error.code == Code::NoBackup, "{what}: {error:?}"),
    }
}

/// Every field of line 1, with every value that it might have, gone or doubled; proven and signed by the forger.
#[test]
fn no_field_of_a_forged_first_line_makes_it_the_signers() {
    let (genuine, forger) = (Genuine::new(), Forger::new());
    let (pinned, open) = (pinned(&genuine), Reader::new(key("recipient-a")));
    let mut plain = line(&forger.objects, &forger.manifest);
    plain["signer"] = named(&forger.signer);
    let pointers = pointers(&plain);
    assert!(
        pointers.len() > 50 && FIELDS.iter().all(|field| pointers.iter().any(|pointer| pointer == field)),
        "{pointers:?}"
    );
    for pointer in &pointers {
        for (name, value) in VALUES {
            let mut line = plain.clone();
            changes::set(&mut line, pointer, value());
            let objects = forger.with_line(&line, Some(&forger.signer));
            let what = format!("{pointer}: {name}");
            is_refused(&pinned, &objects, &forger.stem, &what);
            claims_no_more(open.verify(&objects, &forger.stem), &forger, &what);
            claims_no_more(open.verify_without_key(&objects, &forger.stem), &forger, &what);
        }
    }
}

/// The genuine line with one field changed, and what a forger can put behind it.
#[test]
fn no_changed_field_of_a_genuine_first_line_goes_unseen() {
    let (genuine, forger) = (Genuine::new(), Forger::new());
    let (pinned, open) = (pinned(&genuine), Reader::new(key("recipient-a")));
    let first = line(&genuine.objects, &genuine.manifest);
    let old_proof = genuine.objects[&genuine.manifest]
        .split(|byte| *byte == b'\n')
        .nth(1)
        .expect("line 2");
    for pointer in pointers(&first) {
        let mut changed = first.clone();
        changes::set(&mut changed, &pointer, changes::other(first.pointer(&pointer).expect("the field")));
        let kept = [format!("{changed}\n").as_bytes(), old_proof, b"\n"].concat();
        for manifest in [Bytes::from(kept), sealed(&forger.order, &changed, Some(&forger.signer))] {
            let mut objects = genuine.objects.clone();
            objects.insert(genuine.manifest.clone(), manifest);
            is_refused(&pinned, &objects, &genuine.stem, &pointer);
            let opened = open.verify(&objects, &genuine.stem);
            assert!(opened.is_err_and(|error| is_found(&error)), "{pointer}");
        }
    }
}

#[test]
fn no_second_line_makes_a_forged_set_the_signers() {
    let (genuine, forger) = (Genuine::new(), Forger::new());
    let (pinned, open) = (pinned(&genuine), Reader::new(key("recipient-a")));
    let old: Value = serde_json::from_slice(
        genuine.objects[&genuine.manifest]
            .split(|byte| *byte == b'\n')
            .nth(1)
            .expect("line 2"),
    )
    .expect("JSON");
    for signer in [Value::Null, named(&genuine.signer), named(&forger.signer)] {
        let mut first = line(&forger.objects, &forger.manifest);
        if !signer.is_null() {
            first["signer"] = signer;
        }
        let text = format!("{first}\n");
        let proofs = Proofs {
            mac: Proof::new(&forger.order.mac(text.as_bytes()), Vec::new()).mac,
            own: serde_json::to_value(signature(&forger.signer, text.as_bytes())).expect("JSON"),
            old: old.clone(),
        };
        for (name, make) in PROOFS {
            let mut objects = forger.objects.clone();
            objects.insert(forger.manifest.clone(), Bytes::from(format!("{text}{}", make(&proofs))));
            is_refused(&pinned, &objects, &forger.stem, name);
            claims_no_more(open.verify(&objects, &forger.stem), &forger, name);
        }
    }
}

/// The manifests that a forger may put beside a genuine one.
fn revisions(genuine: &Genuine, forger: &Forger) -> Vec<(&'static str, Vec<u8>)> {
    let later = |change: &dyn Fn(&mut Value)| {
        let mut line = line(&forger.objects, &forger.manifest);
        line["generation"] = json!(2);
        change(&mut line);
        line
    };
    let own = |line: &Value| sealed(&forger.order, line, None).to_vec();
    let signed = |line: &Value| sealed(&forger.order, line, Some(&forger.signer)).to_vec();
    let same_dump = |line: &mut Value| {
        let genuine = self::line(&genuine.objects, &genuine.manifest);
        let key = line["objects"]
            .as_array()
            .expect("objects")
            .iter()
            .find(|object| object["role"] == "key")
            .cloned();
        let mut objects: Vec<Value> = genuine["objects"].as_array().expect("objects").clone();
        objects.retain(|object| object["role"] != "key");
        objects.extend(key);
        line["objects"] = json!(objects);
        line["run"] = genuine["run"].clone();
    };
    let mut missing_key = later(&same_dump);
    missing_key["objects"][0]["key"] = json!("backups/app_20261124T020000Z.00000000.key.0000000000000000.enc");
    let mut bad_signer = later(&same_dump);
    bad_signer["signer"] = json!({"fingerprint": genuine.signer.fingerprint(), "public_key": "AAAA"});
    let mut nul = later(&|_| {});
    nul["objects"][0]["key"] = json!("backups/app_20261124T020000Z.\u{0}\u{1b}[2J");
    vec![
        ("unsigned, another dump", own(&later(&|_| {}))),
        (
            "signed by the forger",
            signed(&later(&|line| line["signer"] = named(&forger.signer))),
        ),
        (
            "said to be signed by the signer",
            signed(&later(&|line| line["signer"] = named(&genuine.signer))),
        ),
        ("the same dump, another data key", own(&later(&same_dump))),
        ("a key object that is not there", own(&missing_key)),
        ("a signer whose key is none", signed(&bad_signer)),
        ("control characters in a name", own(&nul)),
        ("not for this key", own(&later(&|line| line["recipients"] = json!([])))),
        ("one byte", b"x".to_vec()),
        ("nothing", Vec::new()),
        ("the genuine one again", genuine.objects[&genuine.manifest].to_vec()),
        ("no end", vec![b'{'; 100_000]),
    ]
}

/// None of them stands in the way of the genuine one where the signer is pinned, and none ever comes out in its place.
#[test]
fn a_forged_revision_never_replaces_or_blocks_what_the_signer_signed() {
    let (genuine, forger) = (Genuine::new(), Forger::new());
    let (pinned, open) = (pinned(&genuine), Reader::new(key("recipient-a")));
    for (what, manifest) in revisions(&genuine, &forger) {
        let mut objects = forger.objects.clone();
        objects.extend(genuine.objects.clone());
        objects.insert(LATER.to_owned(), Bytes::from(manifest));
        let (released, done) = pinned.decrypt(&objects, &genuine.stem);
        done.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert!(released == genuine.plain, "{what}: another dump came out");
        let report = pinned
            .verify(&objects, &genuine.stem)
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert!(report.origin.pinned && report.opens, "{what}: {report:?}");
        assert!(report.strangers.iter().any(|name| name == LATER), "{what}: {:?}", report.strangers);
        assert!(
            report.warnings.iter().any(|warning| warning.contains(LATER)),
            "{what}: {:?}",
            report.warnings
        );
        let report = pinned
            .verify_without_key(&objects, &genuine.stem)
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert!(report.origin.pinned && report.status == "hashes_match", "{what}: {report:?}");

        // Without one the genuine dump comes out, or none; and a verification says that something is wrong.
        let (released, done) = open.decrypt(&objects, &genuine.stem);
        match done {
            Ok(()) => assert!(
                released == genuine.plain && released != forger.plain,
                "{what}: another dump came out"
            ),
            Err(error) => assert!(released.is_empty() && error.code == Code::Tampered, "{what}: {error:?}"),
        }
        let looked = open.verify(&objects, &genuine.stem);
        assert!(looked.is_err_and(|error| error.code == Code::Tampered), "{what}");
    }
}

/// What it said of its dump was asked before its proof: anyone who may write to the bucket could block every restore by a line.
#[test]
fn an_unproven_manifest_of_another_dump_does_not_block_a_proven_one_without_a_signer() {
    let genuine = Order::default().seal(&dump(300));
    let (forger, open) = (Forger::new(), Reader::new(key("recipient-a")));
    let mut first = line(&forger.objects, &forger.manifest);
    first["generation"] = json!(2);
    let unproven = |line: &Value| {
        let line = format!("{line}\n").into_bytes();
        let proof = Proof::new(&[0; 32], Vec::new()).line().expect("JSON");
        Bytes::from([line, proof].concat())
    };
    let mut for_nobody = first.clone();
    for_nobody["recipients"] = json!([]);
    let mut for_others = first.clone();
    for_others["recipients"][0]["fingerprint"] = json!("0".repeat(64));
    for (what, manifest, blocks) in [
        ("a MAC that does not fit", unproven(&first), false),
        ("for nobody", sealed(&forger.order, &for_nobody, None), false),
        // Either may be the genuine one.
        (
            "for another key, which may prove it",
            sealed(&forger.order, &for_others, None),
            true,
        ),
        ("proven by the forger's data key", sealed(&forger.order, &first, None), true),
    ] {
        let mut objects = forger.objects.clone();
        objects.extend(genuine.objects.clone());
        objects.insert(LATER.to_owned(), manifest);
        let (released, done) = open.decrypt(&objects, &genuine.stem);
        match done {
            Ok(()) => assert!(!blocks && released == genuine.plain, "{what}"),
            Err(error) => assert!(blocks && released.is_empty() && error.code == Code::Tampered, "{what}: {error:?}"),
        }
        // A verification says that something is wrong, and names it.
        let error = open.verify(&objects, &genuine.stem).expect_err(what);
        assert!(error.code == Code::Tampered && error.message.contains(LATER), "{what}: {error:?}");
    }
}

/// Genuine objects under other names, and those of two genuine backups mixed.
#[test]
fn genuine_objects_in_another_place_are_refused() {
    let genuine = Genuine::new();
    let pinned = pinned(&genuine);
    let older = Order {
        time: OLDER,
        ..Order::default()
    }
    .seal(&dump(100));
    assert!(genuine.stem.contains(&NEWER.year().to_string()));
    let renamed = |from: &str, to: &str| -> Objects {
        let pairs = genuine.objects.iter().map(|(name, body)| (name.replace(from, to), body.clone()));
        pairs.collect()
    };
    for (from, to) in [
        ("20261124", "20261125"),
        ("app_", "other_"),
        (".manifest.jsonl", ".manifest.2.jsonl"),
    ] {
        let stem = genuine.stem.replace(from, to);
        is_refused(&pinned, &renamed(from, to), &stem, &format!("{from} → {to}"));
    }
    for name in genuine.objects.keys() {
        let role = |name: &str| name.split('.').skip(2).collect::<Vec<_>>().join(".");
        let twin = older.objects.iter().find(|(other, _)| role(other) == role(name));
        let Some((_, body)) = twin.filter(|(_, body)| **body != genuine.objects[name]) else {
            continue;
        };
        let mut objects = genuine.objects.clone();
        objects.insert(name.clone(), body.clone());
        let looked = pinned.verify(&objects, &genuine.stem);
        assert!(looked.is_err_and(|error| is_found(&error)), "{name}");
    }
}
