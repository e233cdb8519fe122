//! Signers that were made up for it.

use base64::{Engine, prelude::BASE64_STANDARD};
use pgseal::envelope::manifest::Signature;
use pgseal::envelope::signature::{ALGORITHM, LocalSigner, Verifier};
use serde_json::{Value, json};
use std::path::Path;

pub fn local_signer(name: &str) -> LocalSigner {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/keys/{name}.key"));
    let file = std::fs::read(path).expect("a key");
    LocalSigner::parse(&file, || panic!("it has no passphrase")).expect("a signer's key")
}

pub fn verifier(signer: &LocalSigner) -> Verifier {
    Verifier::parse(signer.public_key()).expect("a verifier")
}

pub fn named(signer: &LocalSigner) -> Value {
    json!({"fingerprint": signer.fingerprint(), "public_key": BASE64_STANDARD.encode(signer.public_key())})
}

pub fn signature(signer: &LocalSigner, line: &[u8]) -> Signature {
    Signature {
        algorithm: ALGORITHM.to_owned(),
        fingerprint: signer.fingerprint().to_owned(),
        signature: BASE64_STANDARD.encode(signer.sign(line).expect("signed")),
    }
}
