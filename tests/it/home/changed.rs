//! Whatever was changed is found, and nothing of a changed part comes out.

use super::{Home, text};
use serde_json::json;

/// Exit 7, the code, and not a byte on standard output.
fn found(home: &Home, arguments: &[&str], code: &str) -> String {
    let said = Home::offline(&[&["decrypt", text(&home.fetched()), "--key", &home.key()], arguments].concat());
    assert_eq!((said.code, said.stdout.len()), (7, 0), "{}", said.stderr);
    assert!(said.stderr.contains(code), "{code}: {}", said.stderr);
    said.stderr
}

#[test]
fn a_flipped_bit_of_any_object() {
    let home = Home::new(json!({}));
    for role in ["dump", "key", "inventory", "manifest"] {
        let path = home.fetched().join(home.name_of(role));
        let good = std::fs::read(&path).expect("the object");
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).expect("written");
            found(&home, &[], "tampered");
        }
        std::fs::write(&path, &good[..good.len() - 1]).expect("written");
        found(&home, &[], "tampered");
        std::fs::write(&path, [good.as_slice(), b"x"].concat()).expect("written");
        found(&home, &[], "tampered");
        std::fs::write(&path, &good).expect("written");
    }
    assert_eq!(Home::offline(&["verify", text(&home.fetched()), "--key", &home.key()]).code, 0);
}

#[test]
fn a_set_under_another_name() {
    let home = Home::new(json!({"scheduled_time": "2026-11-24T02:00:00Z"}));
    for entry in std::fs::read_dir(home.fetched()).expect("the folder") {
        let path = entry.expect("an entry").path();
        let renamed = text(&path).replace("20261124T020000Z", "20261125T020000Z");
        std::fs::rename(&path, renamed).expect("renamed");
    }
    found(&home, &[], "tampered");
}

#[test]
fn an_unsigned_set_where_a_signer_is_pinned() {
    let home = Home::new(json!({}));
    let signer = home.folder.path().join("signer.pem");
    let private = home.folder.path().join("signer-private.pem");
    super::openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", text(&private)]);
    super::openssl(&["pkey", "-in", text(&private), "-pubout", "-out", text(&signer)]);
    found(&home, &["--signer", text(&signer)], "not signed");
}
