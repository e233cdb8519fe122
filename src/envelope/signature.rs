//! Signatures over a manifest's first line: ECDSA on P-256 over SHA-256, in DER, as `openssl dgst -sign` and KMS `Sign` make
//! them.
//!
//! Anyone who may write to the bucket can forge a whole set with a recipient's public key. A signature closes that, where its
//! verifier is kept outside the bucket.

use super::key_text::{KeyContainer, decoded, is_private_key, shape};
use super::private_key::container::{self, DecodedKey, ID_EC_PUBLIC_KEY};
use super::recipient::kind;
use crate::error::{Code, Error, Result};
use crate::format::{hex, sha256};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use zeroize::Zeroizing;

/// As a manifest names it.
pub const ALGORITHM: &str = "ecdsa-p256-sha256";

const PRIME256V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// The public key of a signer.
///
/// - EC on P-256, the point uncompressed, as OpenSSL and KMS write it;
/// - `fingerprint` is the SHA-256 of its SPKI DER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    pub fingerprint: String,
    /// SEC 1, 2.3.3.
    point: Vec<u8>,
}

impl Verifier {
    /// Takes an SPKI or a certificate, as PEM, DER (what KMS `GetPublicKey` answers) or its base64.
    pub fn parse(file: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(file).unwrap_or_default();
        if is_private_key(text) || matches!(shape(file), Some(KeyContainer::Private)) {
            return Err(unusable("is a private key").advise("Give its public half: `openssl pkey -in KEY -pubout -out signer.pem`."));
        }
        match decoded(text).as_slice() {
            [] => Self::from_der(file),
            [der] => Self::from_der(der),
            _ => Err(unusable("holds several keys: give one")),
        }
    }

    fn from_der(der: &[u8]) -> Result<Self> {
        let unreadable = |_| unusable("is no public key that can be read");
        match shape(der) {
            Some(KeyContainer::Spki) => Self::from_spki(&SubjectPublicKeyInfoOwned::from_der(der).map_err(unreadable)?),
            Some(KeyContainer::Certificate) => {
                let certificate = x509_cert::Certificate::from_der(der).map_err(unreadable)?;
                Self::from_spki(certificate.tbs_certificate().subject_public_key_info())
            }
            Some(KeyContainer::Pkcs1) => Err(unusable("is an RSA key")),
            _ => Err(unusable("is no public key that can be read")),
        }
    }

    fn from_spki(spki: &SubjectPublicKeyInfoOwned) -> Result<Self> {
        let algorithm = &spki.algorithm;
        if algorithm.oid != ID_EC_PUBLIC_KEY {
            let kind = if algorithm.oid == super::recipient::RSA_ENCRYPTION {
                "an RSA"
            } else {
                kind(algorithm.oid)
            };
            return Err(unusable(&format!("is {kind} key")));
        }
        let curve = algorithm.parameters.as_ref().and_then(|any| any.decode_as().ok());
        if curve != Some(PRIME256V1) {
            return Err(unusable("is an EC key on another curve than P-256"));
        }
        let point = spki.subject_public_key.raw_bytes().to_vec();
        if point.first() != Some(&4) || UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &point).parse().is_err() {
            return Err(unusable("is no uncompressed point of P-256"));
        }
        let der = spki.to_der().map_err(|_| unusable("is no public key that can be read"))?;
        Ok(Self {
            fingerprint: hex(&sha256(&der)),
            point,
        })
    }

    /// Checks a DER signature over the manifest's first line, its newline included.
    pub fn verify(&self, line: &[u8], signature: &[u8]) -> Result<()> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point)
            .verify(line, signature)
            .map_err(|_| {
                Error::new(
                    Code::Tampered,
                    format!("the signature is not one of the signer {}", self.fingerprint),
                )
            })
    }
}

/// A signer whose private key is a file, for those without KMS. It neither prints nor compares.
pub struct LocalSigner {
    key: EcdsaKeyPair,
    spki: Vec<u8>,
    fingerprint: String,
}

impl LocalSigner {
    /// Takes PKCS#8 and SEC 1, as PEM or DER, encrypted or not. `passphrase` is asked only where the key is encrypted.
    pub fn parse(file: &[u8], passphrase: impl FnOnce() -> Result<Zeroizing<Vec<u8>>>) -> Result<Self> {
        let der = match container::open(file, passphrase)? {
            DecodedKey::Ec(der) => der,
            DecodedKey::Rsa(_) => {
                return Err(container::refused(
                    "holds an RSA key: a signature needs an EC key on P-256",
                    MAKE_SIGNER,
                ));
            }
        };
        let not_p256 = || container::refused("holds an EC key that is broken or not on P-256", MAKE_SIGNER);
        let key = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &der).map_err(|_| not_p256())?;
        let spki: PublicKeyX509Der = key.public_key().as_der().map_err(|_| not_p256())?;
        let fingerprint = hex(&sha256(spki.as_ref()));
        let spki = spki.as_ref().to_vec();
        Ok(Self { key, spki, fingerprint })
    }

    /// The same as the verifier's.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The public half: SPKI DER.
    pub fn public_key(&self) -> &[u8] {
        &self.spki
    }

    /// The DER signature of the manifest's first line, its newline included.
    pub fn sign(&self, line: &[u8]) -> Result<Vec<u8>> {
        match self.key.sign(&SystemRandom::new(), line) {
            Ok(signature) => Ok(signature.as_ref().to_vec()),
            Err(_) => Err(Error::new(Code::Bug, "the manifest could not be signed")),
        }
    }
}

impl std::fmt::Debug for LocalSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LocalSigner")
    }
}

const MAKE_SIGNER: &str = "Make one: `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out signer.key`, and its public half with `openssl pkey -in signer.key -pubout -out signer.pem`.";

fn unusable(reason: &str) -> Error {
    Error::new(Code::BadPublicKey, format!("the signer's public key {reason}")).advise(MAKE_SIGNER)
}

#[cfg(test)]
mod tests {
    use super::super::private_key::tests::{Folder, no_passphrase};
    use super::*;

    const LINE: &[u8] = b"{\"format\":\"pgseal/1\"}\n";

    fn folder() -> Folder {
        let folder = Folder::new();
        folder.run("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out signer.key");
        folder.run("openssl pkey -in signer.key -pubout -out signer.pem");
        folder.write("line", LINE);
        folder
    }

    fn verifier(folder: &Folder) -> Verifier {
        Verifier::parse(&folder.read("signer.pem")).unwrap()
    }

    #[test]
    fn what_is_signed_here_verifies_with_openssl() {
        let folder = folder();
        let signer = LocalSigner::parse(&folder.read("signer.key"), no_passphrase).unwrap();
        folder.write("line.sig", &signer.sign(LINE).unwrap());
        folder.run("openssl dgst -sha256 -verify signer.pem -signature line.sig line");
        folder.write("line", b"{}\n");
        assert!(!folder.try_run("openssl dgst -sha256 -verify signer.pem -signature line.sig line"));
    }

    #[test]
    fn what_openssl_signs_verifies_here() {
        let folder = folder();
        folder.run("openssl dgst -sha256 -sign signer.key -out line.sig line");
        let (verifier, signature) = (verifier(&folder), folder.read("line.sig"));
        verifier.verify(LINE, &signature).unwrap();
        assert_eq!(verifier.verify(b"{}\n", &signature).unwrap_err().code, Code::Tampered);
    }

    #[test]
    fn no_changed_bit_of_a_signature_verifies() {
        let folder = folder();
        let signer = LocalSigner::parse(&folder.read("signer.key"), no_passphrase).unwrap();
        let (verifier, signature) = (verifier(&folder), signer.sign(LINE).unwrap());
        verifier.verify(LINE, &signature).unwrap();
        for bit in 0..8 * signature.len() {
            let mut changed = signature.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(verifier.verify(LINE, &changed).is_err(), "bit {bit}");
        }
        for length in 0..signature.len() {
            assert!(verifier.verify(LINE, &signature[..length]).is_err(), "length {length}");
        }
        assert!(verifier.verify(LINE, &[signature, vec![0]].concat()).is_err());
    }

    #[test]
    fn every_form_of_a_key_has_the_fingerprint_of_openssl() {
        let folder = folder();
        folder.run("openssl pkey -in signer.key -pubout -outform DER -out spki.der");
        folder.run("openssl req -new -x509 -key signer.key -subj /CN=signer -days 2 -out certificate.pem");
        let fingerprint = hex(&sha256(&folder.read("spki.der")));
        for name in ["signer.pem", "spki.der", "certificate.pem"] {
            assert_eq!(Verifier::parse(&folder.read(name)).unwrap().fingerprint, fingerprint, "{name}");
        }
        folder.run("openssl ec -in signer.key -out sec1.pem");
        folder.run("openssl ec -in signer.key -outform DER -out sec1.der");
        folder.run("openssl ec -in signer.key -aes256 -passout pass:secret -out sec1-encrypted.pem");
        folder.run("openssl pkcs8 -topk8 -in signer.key -passout pass:secret -out pkcs8-encrypted.pem");
        folder.run("openssl ecparam -name prime256v1 -genkey -out with-parameters.pem");
        for name in ["signer.key", "sec1.pem", "sec1.der", "sec1-encrypted.pem", "pkcs8-encrypted.pem"] {
            let signer = LocalSigner::parse(&folder.read(name), || Ok(Zeroizing::new(b"secret".to_vec()))).unwrap();
            assert_eq!(signer.fingerprint(), fingerprint, "{name}");
        }
        LocalSigner::parse(&folder.read("with-parameters.pem"), no_passphrase).unwrap();
    }

    #[test]
    fn other_keys_are_refused_by_their_kind() {
        let folder = folder();
        folder.run("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.key");
        folder.run("openssl pkey -in p384.key -pubout -out p384.pem");
        folder.run("openssl genpkey -algorithm ED25519 -out ed.key");
        folder.run("openssl pkey -in ed.key -pubout -out ed.pem");
        folder.run("openssl pkey -in signer.key -pubout -ec_conv_form compressed -out compressed.pem");
        folder.write("rsa.pem", super::super::private_key::tests::keys().public.as_bytes());
        folder.write("nothing", b"nothing");
        for (name, reason) in [
            ("p384.pem", "another curve than P-256"),
            ("ed.pem", "an Ed25519 or Ed448 key"),
            ("rsa.pem", "an RSA key"),
            ("compressed.pem", "no uncompressed point"),
            ("signer.key", "a private key"),
            ("nothing", "no public key"),
        ] {
            let error = Verifier::parse(&folder.read(name)).unwrap_err();
            assert_eq!(error.code, Code::BadPublicKey);
            assert!(error.message.contains(reason), "{name}: {error}");
        }
        for (name, reason) in [
            ("p384.key", "not on P-256"),
            ("ed.key", "an Ed25519"),
            ("signer.pem", "a public key"),
        ] {
            let error = LocalSigner::parse(&folder.read(name), no_passphrase).unwrap_err();
            assert!(error.message.contains(reason), "{name}: {error}");
        }
    }
}
