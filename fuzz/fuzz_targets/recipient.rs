//! Public keys and certificates as people paste them: what is taken can wrap a secret, and is the same key in every form.

#![no_main]

use base64::{Engine, prelude::BASE64_STANDARD};
use libfuzzer_sys::fuzz_target;
use pgseal::envelope::recipient::{Recipient, is_private_key};
use pgseal::envelope::signature::Verifier;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        look(text);
    }
    // The same bytes as DER: what a PEM holds is reached without its base64 being guessed.
    let der = BASE64_STANDARD.encode(data);
    look(&der);
    // Bare base64 may hold a whole PEM; a PEM's may not. And a PEM must have the label of a key.
    if !data.windows(5).any(|window| window == b"-----") {
        let as_der = Recipient::parse(&der).ok();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
        assert_eq!(as_der, Recipient::parse(&pem).ok());
        assert_eq!(as_der, Recipient::parse(&pem.replace('\n', "\\n")).ok());
    }

    if let Ok(verifier) = Verifier::parse(data) {
        assert_eq!(verifier.fingerprint.len(), 64);
        assert!(verifier.verify(b"{}\n", data).is_err(), "a key is no signature");
    }
});

fn look(text: &str) {
    let Ok(recipient) = Recipient::parse(text) else { return };
    assert!(!is_private_key(text));
    assert!((2048..=8192).contains(&recipient.bits));
    assert_eq!(recipient.fingerprint.len(), 64);
    let wrapped = recipient.wrap(&[b'a'; 65]).expect("what is taken can wrap a secret");
    assert_eq!(wrapped.len(), recipient.bits.div_ceil(8));
    let old = recipient.wrap_pkcs1(&[b'a'; 175]).expect("and a legacy one");
    assert_eq!(old.len(), wrapped.len());
}
