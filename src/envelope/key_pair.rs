//! A new pair of keys: the public one for events, the private one for the day of the restore.

use super::recipient::Recipient;
use crate::error::{Code, Error, Result};
use crate::random;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize, PrivateDecryptingKey};
use pkcs8::der::pem::PemLabel;
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};
use zeroize::Zeroizing;

/// Of PBKDF2 with SHA-256, as OWASP recommends.
const ITERATIONS: u32 = 600_000;

pub(crate) struct NewKeyPair {
    /// PKCS#8, encrypted where a passphrase was given.
    pub private_pem: Zeroizing<String>,
    /// SubjectPublicKeyInfo, as `openssl pkey -pubout` writes it.
    pub public_pem: String,
    pub recipient: Recipient,
}

impl NewKeyPair {
    /// An RSA key of 3,072 bits: as strong as AES-128, for which NIST SP 800-57 names it.
    pub(crate) fn generate(passphrase: Option<&[u8]>) -> Result<Self> {
        let failed = || Error::new(Code::Bug, "the RSA library makes no key");
        let pair = KeyPair::generate(KeySize::Rsa3072).map_err(|_| failed())?;
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(|_| failed())?;
        let private_pem = match passphrase {
            None => SecretDocument::try_from(der.as_ref())
                .map_err(|_| failed())
                .and_then(|document| document.to_pem(PrivateKeyInfoRef::PEM_LABEL, LineEnding::LF).map_err(|_| failed()))?,
            Some(passphrase) => {
                let parameters = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ITERATIONS, &random::bytes::<16>()?, random::bytes()?);
                let parameters = parameters.map_err(|_| failed())?;
                let key = PrivateKeyInfoRef::try_from(der.as_ref()).map_err(|_| failed())?;
                let sealed = key.encrypt_with_params(parameters, passphrase);
                sealed
                    .and_then(|sealed| Ok(sealed.to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF)?))
                    .map_err(|_| failed())?
            }
        };
        let key = PrivateDecryptingKey::from_pkcs8(der.as_ref()).map_err(|_| failed())?;
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(&key.public_key()).map_err(|_| failed())?;
        let public_pem = pkcs8::Document::try_from(spki.as_ref())
            .and_then(|document| document.to_pem("PUBLIC KEY", LineEnding::LF))
            .map_err(|_| failed())?;
        // What a backup will make of it, not what was meant.
        let recipient = Recipient::parse(&public_pem)?;
        Ok(Self {
            private_pem,
            public_pem,
            recipient,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::private_key::PrivateKey;

    #[test]
    fn the_private_half_opens_what_was_wrapped_for_the_public_one() {
        for passphrase in [None, Some("correct horse".as_bytes())] {
            let pair = NewKeyPair::generate(passphrase).unwrap();
            assert_eq!(pair.private_pem.contains("BEGIN ENCRYPTED PRIVATE KEY"), passphrase.is_some());
            let ask = || Ok(Zeroizing::new(passphrase.expect("asked only where it is encrypted").to_vec()));
            let private = PrivateKey::parse(pair.private_pem.as_bytes(), ask).unwrap();
            assert_eq!(private.fingerprint(), pair.recipient.fingerprint);
            assert_eq!(pair.recipient.bits, 3072);
        }
    }
}
