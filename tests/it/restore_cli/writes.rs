//! What rewrap writes and signs.

use super::recipients::pair;
use super::{Fixture, openssl, text};
use crate::support::fault_proxy::{Canned, Fault, FaultProxy, Operation, Rule};
use crate::support::pgseal::Pgseal;
use serde_json::json;

/// Anyone's page with an ETag was taken for S3's answer, and the new recipient had nothing.
#[test]
fn a_page_in_place_of_s3_is_no_rewrap() {
    let fixture = Fixture::new(json!({}));
    let (_, new) = pair(&fixture, "new");
    let page = || Canned::new(200, "<html><body>Please log in</body></html>").header("ETag", "\"abc\"");
    let (place, key) = (fixture.at_s3(), fixture.key());
    let rewrap = |rule: Rule| {
        let proxy = FaultProxy::before(&fixture.bucket, [rule]);
        let run = Pgseal::new(&["rewrap", &place, "--key", &key, "--recipient", text(&new)]);
        run.envs(proxy.env()).run()
    };
    for role in [".key.", ".manifest."] {
        let said = rewrap(Rule::on(Operation::PutObject).key(role).then(Fault::Answer(page())));
        assert!(
            said.code == 4 && said.stderr.contains("s3_unavailable"),
            "{role}: {}{}",
            said.stdout,
            said.stderr
        );
        let keys = fixture.bucket.keys();
        let manifests = keys.iter().filter(|key| key.contains(".manifest.")).count();
        assert_eq!(manifests, 1, "{role}: {keys:?}");
    }
    // What was stored is found, whatever was answered.
    let said = rewrap(Rule::on(Operation::PutObject).key(".manifest.").then(Fault::ReplaceAnswer(page())));
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    let said = fixture.run(&["verify", &place, "--key", &key]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
}

/// It was no signature, in silence.
#[test]
fn a_signing_passphrase_without_its_key_is_refused() {
    let fixture = Fixture::new(json!({}));
    let (_, new) = pair(&fixture, "new");
    let order = fixture.order.to_string();
    let (place, key) = (fixture.at_s3(), fixture.key());
    for arguments in [
        &["backup", "--event", &order][..],
        &["check", "--event", &order],
        &["rewrap", &place, "--key", &key, "--recipient", text(&new)],
    ] {
        let run = Pgseal::new(arguments).env("PGSEAL_SIGNING_PASSPHRASE_FILE", "/run/passphrase");
        let said = run.envs(fixture.bucket.env()).envs(fixture.server.env()).run();
        let told = format!("{}{}", said.stdout, said.stderr);
        assert!(
            said.code == 2 && told.contains("PGSEAL_SIGNING_PASSPHRASE_FILE"),
            "{}: {told}",
            said.code
        );
    }
}

/// The advice was to do without the signature.
#[test]
fn a_signing_key_that_cannot_be_opened_names_its_passphrase_file() {
    let fixture = Fixture::new(json!({}));
    let signer = fixture.folder.path().join("signer.key");
    let curve = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    openssl(&[&curve[..], &["-aes256", "-pass", "pass:signing", "-out", text(&signer)]].concat());
    let empty = fixture.folder.path().join("empty");
    std::fs::write(&empty, "\n").expect("written");
    for (key, passphrase) in [(text(&signer), Some(text(&empty))), ("/nowhere/signer.key", None)] {
        let mut run = Pgseal::backup(&fixture.order).env("PGSEAL_SIGNING_KEY", key);
        if let Some(file) = passphrase {
            run = run.env("PGSEAL_SIGNING_PASSPHRASE_FILE", file);
        }
        let receipt = run
            .envs(fixture.bucket.env())
            .envs(fixture.server.env())
            .run()
            .failed("bad_event", 2);
        let told = receipt.to_string();
        assert!(
            told.contains("set PGSEAL_SIGNING_PASSPHRASE_FILE") && !told.contains("unset"),
            "{told}"
        );
    }
}
