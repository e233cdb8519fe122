//! Private keys. Whatever opens as one must never pass for a public key, in an event or in the environment.

#![no_main]

use base64::{Engine, prelude::BASE64_STANDARD};
use libfuzzer_sys::fuzz_target;
use pgseal::envelope::private_key::PrivateKey;
use pgseal::envelope::recipient::{Recipient, is_private_key};
use pgseal::envelope::secret::DataKeyText;
use pgseal::envelope::signature::LocalSigner;
use pgseal::error::Code;
use zeroize::Zeroizing;

fuzz_target!(|data: &[u8]| {
    let passphrase = || Ok(Zeroizing::new(b"secret".to_vec()));
    let rsa = PrivateKey::parse(data, passphrase);
    let ec = LocalSigner::parse(data, passphrase);
    if rsa.is_ok() || ec.is_ok() {
        if let Ok(text) = std::str::from_utf8(data) {
            is_refused(text);
        }
        is_refused(&BASE64_STANDARD.encode(data));
    }
    if let Ok(key) = rsa {
        let secret = DataKeyText::generate().expect("random bytes");
        let wrapped = key.recipient().wrap(&secret.file()).expect("wrapped");
        let opened = key.unwrap_oaep(&wrapped).expect("a key opens what was wrapped for it");
        assert_eq!(*opened.file(), *secret.file());
        assert_eq!(key.fingerprint(), key.recipient().fingerprint);
    }
    if let Ok(signer) = ec {
        assert_eq!(signer.fingerprint().len(), 64);
    }
});

fn is_refused(text: &str) {
    assert!(is_private_key(text), "a private key passes for something else");
    match Recipient::parse(text) {
        Err(error) => assert_eq!(error.code, Code::PrivateKeyGiven),
        Ok(_) => panic!("a private key is taken for a public one"),
    }
}
