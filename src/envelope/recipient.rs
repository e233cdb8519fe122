//! RSA public keys, as people paste them: who may open a backup.

mod prime_test;

pub use super::key_text::is_private_key;
use super::key_text::{KeyContainer, items, public_blobs, shape};
use super::modulus::{self, ModulusFault};
use crate::error::{Code, Error, Result};
use crate::format::{hex, sha256};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use prime_test::PrimeTest;
use std::sync::Arc;
use x509_cert::der::asn1::{AnyRef, BitString, UintRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

/// A recipient's key may be this long as text.
const MAX_TEXT: usize = 16 * 1024;
/// What is in use, as they stand in DER.
const EXPONENTS: [&[u8]; 4] = [&[3], &[17], &[1, 1], &[1, 0, 1]];

/// At most this many recipients a backup.
pub(crate) const MAX_RECIPIENTS: usize = 16;

pub(super) const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// An RSA public key that a secret can be wrapped for.
///
/// - 2048 to 8192 bits, a modulus that can be one (odd, no factor below 2^16, no power; no prime, which [`Self::prove`] and
///   [`Self::wrap`] tell), an exponent of 3, 17, 257 or 65537;
/// - `fingerprint` is the SHA-256 of its SPKI DER, whatever form it was given in, so that
///   `openssl pkey -in private.pem -pubout -outform DER | openssl dgst -sha256` names the same key.
#[derive(Clone, Debug)]
pub struct Recipient {
    pub fingerprint: String,
    pub bits: usize,
    spki: Vec<u8>,
    prime_test: Option<Arc<PrimeTest>>,
}

/// Begins the tests of keys that will be used, one after the other on one thread beside a backup's first questions, and only
/// as long as somebody holds the keys: a warm Lambda function must not collect what it was once asked for.
pub(crate) fn begin_tests(recipients: &[Recipient]) {
    let tests = recipients.iter().filter_map(|recipient| recipient.prime_test.as_ref());
    let tests: Vec<_> = tests.filter(|test| test.begins_now()).collect();
    if tests.is_empty() {
        return;
    }
    PrimeTest::run_beside(&tests);
}

/// Waits for the outcomes without holding up anything else that waits.
pub(crate) async fn tested(recipients: &[Recipient]) -> Result<()> {
    begin_tests(recipients);
    for recipient in recipients {
        if let Some(test) = &recipient.prime_test {
            test.finished().await;
        }
        recipient.prove()?;
    }
    Ok(())
}

/// By the key itself, whether it was tested or not.
impl PartialEq for Recipient {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for Recipient {}

/// Keys that people have and that are no RSA key in PEM.
fn of_another_program(text: &str) -> Option<Error> {
    match text.trim_start() {
        key if key.starts_with("ssh-") => Some(refused("is a key for SSH: an RSA key in PEM is needed").advise(
            "Make a pair with `pgseal keygen`; of an RSA key for SSH, `ssh-keygen -e -m pkcs8 -f KEY.pub` prints the public half.",
        )),
        key if key.starts_with("age1") => {
            Some(refused("is a key of age: an RSA key in PEM is needed").advise("Make a pair with `pgseal keygen`."))
        }
        _ => None,
    }
}

impl Recipient {
    /// Takes SPKI, PKCS#1 and X.509 PEM, base64 DER of each, and PEM whose newlines are the two characters `\n`.
    pub fn parse(text: &str) -> Result<Self> {
        if is_private_key(text) {
            return Err(Error::field(
                Code::PrivateKeyGiven,
                "public_key",
                "holds a private key; it was not used",
            ));
        }
        if text.len() > MAX_TEXT {
            return Err(refused("is longer than 16 KiB: give one RSA public key"));
        }
        if let Some(refusal) = of_another_program(text) {
            return Err(refusal);
        }
        match public_blobs(text).as_deref() {
            None | Some([]) if looks_like_a_path(text) => Err(refused("looks like the name of a file: the key itself is needed")
                .advise("Give what the file holds; in a shell: OPENSSL_PUBLIC_KEY=\"$(cat public_key.pem)\".")),
            None | Some([]) => Err(refused("is neither PEM nor base64 DER")),
            Some([der]) => Self::from_der(der),
            Some(_) => Err(refused("holds several keys in one PEM: give a list with one key each")),
        }
    }

    fn from_der(der: &[u8]) -> Result<Self> {
        let not_a_key = || refused("is not a public key that can be read");
        match shape(der).ok_or_else(not_a_key)? {
            KeyContainer::Pkcs1 => Self::from_pkcs1(der),
            KeyContainer::Spki => {
                let spki = SubjectPublicKeyInfoOwned::from_der(der).map_err(|_| not_a_key())?;
                Self::from_spki(&spki)
            }
            KeyContainer::Certificate => {
                let certificate = x509_cert::Certificate::from_der(der).map_err(|_| not_a_key())?;
                Self::from_spki(certificate.tbs_certificate().subject_public_key_info())
            }
            KeyContainer::Private => Err(Error::field(
                Code::PrivateKeyGiven,
                "public_key",
                "holds a private key; it was not used",
            )),
        }
    }

    fn from_spki(spki: &SubjectPublicKeyInfoOwned) -> Result<Self> {
        if spki.algorithm.oid != RSA_ENCRYPTION {
            return Err(refused(&format!(
                "is {} key: RSA (rsaEncryption) is needed to wrap a secret",
                kind(spki.algorithm.oid)
            )));
        }
        // RFC 8017, A.1: NULL, which some writers leave out. Anything else was spoilt on its way.
        let is_null = spki
            .algorithm
            .parameters
            .as_ref()
            .is_none_or(|parameters| *parameters == AnyRef::NULL.into());
        match spki.subject_public_key.as_bytes().filter(|_| is_null) {
            Some(key) => Self::from_pkcs1(key),
            None => Err(refused("is not an RSA public key that can be read")),
        }
    }

    /// For what is to be wrapped: only what can be a key.
    fn from_pkcs1(der: &[u8]) -> Result<Self> {
        let (mut recipient, modulus, exponent) = Self::read_pkcs1(der)?;
        if !EXPONENTS.contains(&exponent) {
            return Err(refused("has an unsafe exponent: it must be 3, 17, 257 or 65537"));
        }
        if let Some(flaw) = modulus::flaw(modulus) {
            return Err(spoilt(flaw));
        }
        recipient.prime_test = Some(PrimeTest::new(modulus));
        Ok(recipient)
    }

    /// The last test of the key, unless [`tested`] has waited for it.
    pub(crate) fn prove(&self) -> Result<()> {
        match &self.prime_test {
            Some(test) if test.run() => Err(spoilt(ModulusFault::Prime)),
            _ => Ok(()),
        }
    }

    /// The public half of a private key, which opens whatever once was sealed for it.
    pub(super) fn of_private(der: &[u8]) -> Result<Self> {
        Self::read_pkcs1(der).map(|(recipient, ..)| recipient)
    }

    /// With its modulus and exponent.
    fn read_pkcs1(der: &[u8]) -> Result<(Self, &[u8], &[u8])> {
        let not_rsa = || refused("is not an RSA public key that can be read");
        let [modulus, exponent] = items(der).and_then(|items| <[_; 2]>::try_from(items).ok()).ok_or_else(not_rsa)?;
        let modulus = modulus.decode_as::<UintRef>().map_err(|_| not_rsa())?;
        let exponent = exponent.decode_as::<UintRef>().map_err(|_| not_rsa())?;
        let (modulus, exponent) = (modulus.as_bytes(), exponent.as_bytes());
        let bits = 8 * modulus.len() - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
        let even = |number: &[u8]| number.last().is_none_or(|byte| byte % 2 == 0);
        if bits < 2048 {
            return Err(refused(&format!("has {bits} bits; at least 2048 are needed")));
        }
        if bits > 8192 {
            return Err(refused(&format!("has {bits} bits; at most 8192 are taken")));
        }
        if even(modulus) {
            return Err(refused("has an even modulus: it is broken"));
        }
        if even(exponent) || exponent == [1] {
            return Err(refused("has an unsafe exponent: it must be 3, 17, 257 or 65537"));
        }
        let spki = SubjectPublicKeyInfoOwned {
            algorithm: AlgorithmIdentifierOwned {
                oid: RSA_ENCRYPTION,
                parameters: Some(AnyRef::NULL.into()),
            },
            subject_public_key: BitString::from_bytes(der).map_err(|_| not_rsa())?,
        }
        .to_der()
        .map_err(|_| not_rsa())?;
        let recipient = Self {
            fingerprint: hex(&sha256(&spki)),
            bits,
            spki,
            prime_test: None,
        };
        recipient.key()?;
        Ok((recipient, modulus, exponent))
    }

    fn key(&self) -> Result<PublicEncryptingKey> {
        PublicEncryptingKey::from_der(&self.spki).map_err(|_| refused("was refused by the RSA library: its numbers are unsafe"))
    }

    /// RSA-OAEP with SHA-256 and MGF1-SHA-256, no label (RFC 8017, 7.1).
    pub fn wrap(&self, secret: &[u8]) -> Result<Vec<u8>> {
        self.prove()?;
        let key = OaepPublicEncryptingKey::new(self.key()?).map_err(|_| cannot_wrap())?;
        let mut wrapped = vec![0; key.ciphertext_size()];
        key.encrypt(&OAEP_SHA256_MGF1SHA256, secret, &mut wrapped, None)
            .map_err(|_| cannot_wrap())?;
        Ok(wrapped)
    }

    /// RSA PKCS#1 v1.5 (RFC 8017, 7.2), for the legacy format only.
    pub fn wrap_pkcs1(&self, secret: &[u8]) -> Result<Vec<u8>> {
        self.prove()?;
        let key = Pkcs1PublicEncryptingKey::new(self.key()?).map_err(|_| cannot_wrap())?;
        let mut wrapped = vec![0; key.ciphertext_size()];
        key.encrypt(secret, &mut wrapped).map_err(|_| cannot_wrap())?;
        Ok(wrapped)
    }
}

fn spoilt(flaw: ModulusFault) -> Error {
    refused(&format!(
        "has a modulus that can be no key's ({flaw}): a character of it was spoilt"
    ))
    .advise(
        "Copy the key again, and compare its fingerprint: `openssl pkey -pubin -in public_key.pem -outform DER | openssl dgst -sha256`.",
    )
}

fn cannot_wrap() -> Error {
    Error::new(Code::Bug, "the data key could not be wrapped for a recipient")
}

fn looks_like_a_path(text: &str) -> bool {
    const ENDINGS: [&str; 6] = [".pem", ".pub", ".key", ".crt", ".cer", ".der"];
    let text = text.trim();
    let is_named_so = ENDINGS.iter().any(|ending| text.to_ascii_lowercase().ends_with(ending));
    !text.contains(char::is_whitespace) && (is_named_so || text.starts_with(['/', '~']) || text.starts_with("./"))
}

fn refused(reason: &str) -> Error {
    Error::field(Code::BadPublicKey, "public_key", reason)
}

pub(super) fn kind(oid: ObjectIdentifier) -> &'static str {
    match oid.to_string().as_str() {
        "1.2.840.113549.1.1.10" => "an RSASSA-PSS (signature only)",
        "1.2.840.113549.1.1.7" => "an RSAES-OAEP",
        "1.2.840.10045.2.1" => "an EC",
        "1.2.840.10040.4.1" => "a DSA",
        "1.3.101.112" | "1.3.101.113" => "an Ed25519 or Ed448",
        "1.3.101.110" | "1.3.101.111" => "an X25519 or X448",
        _ => "another kind of",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, prelude::BASE64_STANDARD};

    fn example() -> String {
        let event = include_str!("../../events/accepted/minimal.json");
        let event: serde_json::Value = serde_json::from_str(event).unwrap();
        event["public_key"].as_str().unwrap().to_owned()
    }

    /// A generator of numbers that are the same in each run (Marsaglia's xorshift64).
    fn numbers(mut state: u64) -> impl FnMut(usize) -> usize {
        move |below| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        }
    }

    #[test]
    fn of_spoilt_keys_one_in_ten_passes_at_most() {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let key = example().into_bytes();
        let fingerprint = Recipient::parse(&example()).unwrap().fingerprint;
        let mut below = numbers(0x5eed);
        let (tries, mut passed, mut the_same) = (400, 0, 0);
        for _ in 0..tries {
            let mut spoilt = key.clone();
            let place = below(key.len());
            while spoilt[place] == key[place] {
                spoilt[place] = ALPHABET[below(ALPHABET.len())];
            }
            let parsed = Recipient::parse(std::str::from_utf8(&spoilt).unwrap());
            if let Some(recipient) = parsed.ok().filter(|recipient| recipient.prove().is_ok()) {
                passed += 1;
                the_same += usize::from(recipient.fingerprint == fingerprint);
            }
        }
        assert!(passed - the_same > 0, "the trial spoils nothing that could pass");
        assert!(passed * 10 <= tries, "{passed} of {tries} passed, {the_same} of them unchanged");
    }

    /// 2^2203 - 1 is a prime number, and looks like a modulus of 2203 bits.
    #[test]
    fn for_a_prime_modulus_nothing_is_wrapped() {
        let mut modulus = vec![0xff; 276];
        modulus[0] = 0x07;
        let mut der = vec![0x30, 0x82, 0x01, 0x1d, 0x02, 0x82, 0x01, 0x14];
        der.extend(modulus);
        der.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
        let recipient = Recipient::parse(&BASE64_STANDARD.encode(der)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let outcomes = [
            runtime.block_on(tested(std::slice::from_ref(&recipient))),
            recipient.prove(),
            recipient.wrap(b"secret").map(drop),
            recipient.wrap_pkcs1(b"secret").map(drop),
        ];
        for outcome in outcomes {
            let error = outcome.unwrap_err();
            assert!(error.code == Code::BadPublicKey && error.message.contains("prime"), "{error}");
        }
    }

    /// 16 keys of 8192 bits held up the deadline and signals; each text of an event, even a refused one, had a thread.
    #[test]
    fn keys_are_tested_beside_everything_else_and_only_where_they_are_used() {
        let recipient = Recipient::parse(&example()).unwrap();
        let test = recipient.prime_test.clone().unwrap();
        assert!(test.outcome().is_none());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let recipients = [recipient.clone(), recipient];
        runtime.block_on(tested(&recipients)).unwrap();
        assert_eq!(test.outcome(), Some(false));
    }

    #[test]
    fn a_label_that_was_spoilt_is_refused() {
        let key = example();
        for (was, is) in [
            ("BEGIN PUBLIC", "BEGIN PUBL1C"),
            ("END PUBLIC", "END PUBLIK"),
            ("KEY-----\n", "KEY----_\n"),
            ("-----END", "----_END"),
            ("BEGIN PUBLIC", "BEGIN RSA PUBLIC"),
        ] {
            let error = Recipient::parse(&key.replacen(was, is, 1)).unwrap_err();
            assert_eq!(error.code, Code::BadPublicKey, "{is}");
        }
        assert!(
            Recipient::parse(&key.replace("PUBLIC KEY", "RSA PUBLIC KEY")).is_ok(),
            "the content tells the kind"
        );
    }
}
