//! A manifest as it is found. What is taken is spelled as a writer spells it, agrees with itself, is believed for the right
//! secret alone, and makes a recovery instructions.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pgseal::envelope::manifest::{Manifest, Proof, UnverifiedManifest, base_name};
use pgseal::envelope::recovery_instructions::recovery_instructions;
use pgseal::envelope::secret::DataKeyText;
use pgseal::format::Sha256;
use pgseal::format::backup_format::Format;
use pgseal::format::database_properties::DatabaseProperties;
use pgseal::format::inventory::Inventory;
use pgseal::format::names::Prefix;
use pgseal::format::object_names::manifest_revision;
use serde_json::Value;
use std::sync::LazyLock;

static SECRETS: LazyLock<[DataKeyText; 2]> = LazyLock::new(|| [(); 2].map(|()| DataKeyText::generate().expect("random bytes")));

fuzz_target!(|data: &[u8]| {
    let _ = Inventory::parse(data);
    let first = data.iter().position(|byte| *byte == b'\n').map_or(data.len(), |at| at + 1);
    let Some(name) = name_of(&data[..first]) else {
        // Whatever its name is, it is none.
        assert!(UnverifiedManifest::parse("app_20261124T020000Z.manifest.jsonl", data).is_err());
        return;
    };
    if let Ok(found) = UnverifiedManifest::parse(&name, data) {
        agrees(&name, &found, data);
    }
    // The same first line under a proof that fits.
    let mac = SECRETS[0].manifest_mac(&data[..first]);
    let proof = Proof::new(&mac, Vec::new()).line().expect("JSON");
    let whole = [&data[..first], &proof].concat();
    let Ok(found) = UnverifiedManifest::parse(&name, &whole) else {
        return;
    };
    agrees(&name, &found, &whole);
    assert!(found.prove(&SECRETS[0]).is_ok());
    assert!(found.prove(&SECRETS[1]).is_err());
    changed(&name, &whole, mac[0], mac[1]);
});

/// The name that its content gives it.
fn name_of(line: &[u8]) -> Option<String> {
    let manifest: Manifest = serde_json::from_slice(line).ok()?;
    let stem = manifest.stem(&Prefix::new("").ok()?).ok()?;
    Some(match manifest.generation {
        1 => stem.manifest(),
        later => stem.manifest_revision(later),
    })
}

fn agrees(name: &str, found: &UnverifiedManifest, bytes: &[u8]) {
    let manifest = found.unproven();
    assert_eq!([found.line(), &found.proof.line().expect("JSON")].concat(), bytes);
    assert_eq!(found.sha256().expect("a hash"), Sha256::digest(bytes));
    let stem = manifest.stem(&Prefix::new("").expect("no prefix")).expect("a stem");
    let stem = stem.to_string();
    assert_eq!(
        manifest_revision(name),
        Some((stem.as_str(), manifest.generation)),
        "it is looked for under this name"
    );
    assert!(UnverifiedManifest::parse(&format!("x{name}"), bytes).is_err());
    if manifest.format == Format::Pgseal1 {
        assert!(
            manifest
                .objects
                .iter()
                .all(|object| base_name(&object.key).starts_with(&format!("{stem}.")))
        );
    }
    // Written anew, its first line means the same. Salts are texts; a number among them, which no reader takes, may change.
    if manifest.salts.values().all(Value::is_string) {
        let line = manifest.line().expect("JSON");
        let again: Manifest = serde_json::from_slice(&line).expect("what is written is read");
        assert_eq!(again.line().expect("JSON"), line);
    }
    recovery_instructions(manifest, name, Some("s3://acme/backups"), None, &DatabaseProperties::default()).expect("recovery instructions");
}

/// One other byte, and it is no longer believed.
fn changed(name: &str, whole: &[u8], place: u8, change: u8) {
    let at = usize::from(place) * whole.len() / 256;
    let mut whole = whole.to_vec();
    whole[at] ^= change.max(1);
    if let Ok(found) = UnverifiedManifest::parse(name, &whole) {
        assert!(found.prove(&SECRETS[0]).is_err(), "byte {at} can be changed");
    }
}
