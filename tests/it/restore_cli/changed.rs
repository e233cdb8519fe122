//! Whatever was changed is found, and nothing of a changed part comes out.

use super::sealed::{self, Order, Reader};
use super::{Fixture, text};
use pgseal::error::Code;
use serde_json::json;

/// Exit 7, the code, and not a byte on standard output.
fn found(fixture: &Fixture, arguments: &[&str], code: &str) -> String {
    let said = Fixture::offline(&[&["decrypt", text(&fixture.fetched()), "--key", &fixture.key()], arguments].concat());
    assert_eq!((said.code, said.stdout.len()), (7, 0), "{}", said.stderr);
    assert!(said.stderr.contains(code), "{code}: {}", said.stderr);
    said.stderr
}

#[test]
fn a_flipped_bit_of_any_object() {
    let fixture = Fixture::new(json!({}));
    for role in ["dump", "key", "inventory", "manifest"] {
        let path = fixture.fetched().join(fixture.name_of(role));
        let good = std::fs::read(&path).expect("the object");
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).expect("written");
            found(&fixture, &[], "tampered");
        }
        std::fs::write(&path, &good[..good.len() - 1]).expect("written");
        found(&fixture, &[], "tampered");
        std::fs::write(&path, [good.as_slice(), b"x"].concat()).expect("written");
        found(&fixture, &[], "tampered");
        std::fs::write(&path, &good).expect("written");
    }
    assert_eq!(
        Fixture::offline(&["verify", text(&fixture.fetched()), "--key", &fixture.key()]).code,
        0
    );
}

#[test]
fn a_set_under_another_name() {
    let fixture = Fixture::new(json!({"scheduled_time": "2026-11-24T02:00:00Z"}));
    for entry in std::fs::read_dir(fixture.fetched()).expect("the folder") {
        let path = entry.expect("an entry").path();
        let renamed = text(&path).replace("20261124T020000Z", "20261125T020000Z");
        std::fs::rename(&path, renamed).expect("renamed");
    }
    found(&fixture, &[], "tampered");
}

/// Without a key nothing of a manifest is proven: room for a part of this size was once asked for, and the program died.
#[test]
fn a_part_larger_than_any() {
    const HUGE: u64 = 300 << 30;
    let fixture = Fixture::new(json!({}));
    let path = fixture.fetched().join(fixture.name_of("manifest"));
    let manifest = std::fs::read_to_string(&path).expect("the manifest");
    let (line, proof) = manifest.split_once('\n').expect("two lines");
    let mut line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let objects = line["objects"].as_array_mut().expect("objects");
    let dump = objects.iter_mut().find(|object| object["role"] == "dump").expect("a dump");
    dump["size"] = json!(HUGE);
    dump["part_sizes"] = json!([HUGE]);
    std::fs::write(&path, format!("{line}\n{proof}")).expect("written");
    let sparse = std::fs::File::options()
        .write(true)
        .open(fixture.fetched().join(fixture.name_of("dump")));
    sparse.and_then(|file| file.set_len(HUGE)).expect("a file with a hole");
    let said = Fixture::offline(&["verify", text(&fixture.fetched()), "--deep"]);
    assert_eq!(said.code, 7, "{}", said.stderr);
    assert!(
        said.stderr.contains("a part is larger than S3 takes"),
        "{}{}",
        said.stdout,
        said.stderr
    );
}

#[test]
fn an_unsigned_set_where_a_signer_is_pinned() {
    let fixture = Fixture::new(json!({}));
    let signer = fixture.folder.path().join("signer.pem");
    let private = fixture.folder.path().join("signer-private.pem");
    super::openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", text(&private)]);
    super::openssl(&["pkey", "-in", text(&private), "-pubout", "-out", text(&signer)]);
    found(&fixture, &["--signer", text(&signer)], "not signed");
}

/// The inventory knows how long the roles are: a bomb ends at the first byte too many. Earlier releases sealed no length.
#[test]
fn globals_of_another_length_than_was_sealed() {
    let roles = b"CREATE ROLE \"r\";\n".to_vec();
    let length = roles.len() as u64;
    for (promised, holds) in [
        (Some(length), true),
        (None, true),
        (Some(length - 1), false),
        (Some(length + 1), false),
    ] {
        let order = Order {
            globals: Some((roles.clone(), promised)),
            ..Order::default()
        };
        let made = order.seal(&sealed::dump(3));
        let outcome = Reader::new(sealed::key("recipient-a")).verify(&made.objects, &made.stem);
        match outcome {
            Ok(_) => assert!(holds, "{promised:?}"),
            Err(error) => assert!(!holds && error.code == Code::Tampered, "{promised:?}: {error}"),
        }
    }
}
