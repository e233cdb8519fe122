//! A key file to the one private key in it, or to the sentence that says what was given instead.

use super::encrypted::{self, DecryptError};
use super::pem::{self, PemBlock};
use crate::envelope::key_text::{KeyContainer, items, shape};
use crate::envelope::recipient::{RSA_ENCRYPTION, kind};
use crate::error::{Code, Error, Result};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, SliceReader, Tag, Tagged};
use zeroize::Zeroizing;

/// 8192 bits make 7 KB; certificates may stand around the key.
const MAX_FILE: usize = 64 << 10;

pub(crate) const ID_EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

const GIVE_PRIVATE: &str = "Give the private key as PEM or DER: PKCS#1 or PKCS#8, encrypted or not.";
const CONVERT: &str = "Write it anew with `openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out KEY.pem` (an older OpenSSL, or `-provider legacy -provider default`, where this one refuses).";

type Der = Zeroizing<Vec<u8>>;

pub(crate) enum DecodedKey {
    /// `RSAPrivateKey` (RFC 8017, A.1.2).
    Rsa(Der),
    /// PKCS#8 or `ECPrivateKey` (RFC 5915).
    Ec(Der),
}

/// What a private key is kept in.
enum KeyEncoding<'a> {
    Plain(Der),
    /// `EncryptedPrivateKeyInfo`.
    Pkcs8(Der),
    /// A traditional PEM block and its `DEK-Info`.
    Traditional(Der, &'a str),
}

/// A file that holds no key to be used: `reason` follows on "the key file".
pub(crate) fn refused(reason: &str, advice: &str) -> Error {
    Error::new(Code::BadUsage, format!("the key file {reason}")).advise(advice)
}

/// Says so where a key file's mode lets everybody read or change it. A pipe or a descriptor has no such mode.
pub(crate) fn warn_if_open_to_all(path: &Path) {
    if std::fs::metadata(path).is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o006 != 0) {
        let name = path.display();
        tracing::warn!("everyone on this machine may read or change the private key {name}: `chmod 600` it");
    }
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Code::BadUsage, format!("the key file {} cannot be read: {error}", path.display()))
        .advise("Name the file that holds the private key, and see that this user may read it.")
}

/// The file's content, of a length a key file may have.
pub(crate) fn read(path: &Path) -> Result<Der> {
    // Its full length at once, so that growing leaves no copies behind.
    let mut file = Zeroizing::new(Vec::with_capacity(MAX_FILE + 2));
    File::open(path)
        .and_then(|opened| opened.take(MAX_FILE as u64 + 1).read_to_end(&mut file))
        .map_err(|error| unreadable(path, &error))?;
    Ok(file)
}

/// The one private key of a file. `passphrase` is asked only where it is encrypted.
pub(crate) fn open(file: &[u8], passphrase: impl FnOnce() -> Result<Zeroizing<Vec<u8>>>) -> Result<DecodedKey> {
    if file.len() > MAX_FILE {
        return Err(refused("is longer than 64 KiB", GIVE_PRIVATE));
    }
    let plain = match find(file)? {
        KeyEncoding::Plain(der) => return key(der),
        KeyEncoding::Pkcs8(der) => encrypted::pkcs8(&der, &passphrase()?),
        KeyEncoding::Traditional(body, dek_info) => encrypted::traditional(&body, dek_info, &passphrase()?),
    };
    match plain {
        // One wrong passphrase in 256 leaves what looks like padding: then it is no DER.
        Ok(plain) if items(&plain).is_some() => key(plain),
        Ok(_) | Err(DecryptError::WrongPassphrase) => Err(refused(
            super::passphrase::WRONG,
            "Try again. The first line of a passphrase file is the passphrase: look for a carriage return (Windows) at its end.",
        )),
        Err(DecryptError::Unsupported) => Err(refused("is encrypted in a way that is not read here", CONVERT)),
    }
}

fn find(file: &[u8]) -> Result<KeyEncoding<'_>> {
    let blocks = pem::blocks(file).map_err(|reason| refused(reason, "Fetch the key file again: it is damaged."))?;
    if blocks.is_empty() {
        return find_der(file);
    }
    let mut private = blocks.iter().filter(|block| block.label.ends_with("PRIVATE KEY"));
    match (private.next(), private.next()) {
        (Some(block), None) => find_block(block),
        (Some(_), Some(_)) => Err(refused(
            "holds more than one private key",
            "Give a file with one: copy its block, from BEGIN to END.",
        )),
        (None, _) => Err(not_private(blocks[0].label)),
    }
}

fn find_block<'a>(block: &PemBlock<'a>) -> Result<KeyEncoding<'a>> {
    match block.label {
        "OPENSSH PRIVATE KEY" => {
            return Err(refused(
                "holds a private key in OpenSSH's own format",
                "Convert a copy, in place: `ssh-keygen -p -m PEM -f KEY`; if it is an RSA key, the copy can then be used.",
            ));
        }
        "DSA PRIVATE KEY" => return Err(other_kind("a DSA")),
        _ => {}
    }
    let body = block
        .body()
        .ok_or_else(|| refused("holds a PEM block that is not base64", "Fetch the key file again: it is damaged."))?;
    match block.header("DEK-Info") {
        Some(dek_info) => Ok(KeyEncoding::Traditional(body, dek_info)),
        None => Ok(kept(body)),
    }
}

fn find_der(file: &[u8]) -> Result<KeyEncoding<'_>> {
    match shape(file) {
        Some(KeyContainer::Private) => Ok(kept(Zeroizing::new(file.to_vec()))),
        Some(KeyContainer::Spki | KeyContainer::Pkcs1) => Err(not_private("PUBLIC KEY")),
        Some(KeyContainer::Certificate) => Err(not_private("CERTIFICATE")),
        None if file.starts_with(b"ssh-") || file.starts_with(b"ecdsa-sha2-") => Err(not_private("PUBLIC KEY")),
        None if file.starts_with(b"PuTTY-User-Key-File") => Err(refused(
            "holds a private key in PuTTY's format",
            "Convert it: `puttygen KEY.ppk -O private-openssh -o KEY.pem`, then `ssh-keygen -p -m PEM -f KEY.pem`.",
        )),
        None if file.starts_with(b"\xff\xfe") || file.starts_with(b"\xfe\xff") => {
            Err(refused("is UTF-16 text", "Convert it: `iconv -f UTF-16 -t UTF-8 KEY > KEY.pem`."))
        }
        None => Err(refused("is neither PEM nor DER", GIVE_PRIVATE)),
    }
}

fn kept(der: Der) -> KeyEncoding<'static> {
    let tags = tags(&der);
    match tags.as_deref() {
        Some([Tag::Sequence, Tag::OctetString]) => KeyEncoding::Pkcs8(der),
        _ => KeyEncoding::Plain(der),
    }
}

/// Tells keys apart by the tags below the outer SEQUENCE, whatever a PEM label claims.
fn key(der: Der) -> Result<DecodedKey> {
    match tags(&der).as_deref() {
        Some([Tag::Integer, Tag::OctetString, ..]) => Ok(DecodedKey::Ec(der)),
        Some([Tag::Integer, Tag::Sequence, Tag::OctetString, ..]) => from_pkcs8(der),
        Some([Tag::Integer, Tag::Sequence, ..]) => Err(refused(
            "is a PKCS#12 store",
            "Take the key out: `openssl pkcs12 -in KEY.p12 -nocerts -out KEY.pem`.",
        )),
        Some([Tag::Integer, rest @ ..]) if rest.starts_with(&[Tag::Integer; 8]) => Ok(DecodedKey::Rsa(der)),
        Some([Tag::Integer, rest @ ..]) if rest == [Tag::Integer; 5] => Err(other_kind("a DSA")),
        _ => Err(refused("holds a private key that cannot be read", GIVE_PRIVATE)),
    }
}

fn from_pkcs8(der: Der) -> Result<DecodedKey> {
    let broken = || refused("holds a private key that cannot be read", GIVE_PRIVATE);
    let fields = items(&der).ok_or_else(broken)?;
    let [_, algorithm, inner, ..] = fields.as_slice() else {
        return Err(broken());
    };
    // The first element of an AlgorithmIdentifier.
    let oid = SliceReader::new(algorithm.value())
        .and_then(|mut reader| ObjectIdentifier::decode(&mut reader))
        .map_err(|_| broken())?;
    match oid {
        RSA_ENCRYPTION => Ok(DecodedKey::Rsa(Zeroizing::new(inner.value().to_vec()))),
        ID_EC_PUBLIC_KEY => Ok(DecodedKey::Ec(der)),
        other => Err(other_kind(kind(other))),
    }
}

fn tags(der: &[u8]) -> Option<Vec<Tag>> {
    items(der).map(|items| items.iter().map(Tagged::tag).collect())
}

fn other_kind(kind: &str) -> Error {
    refused(
        &format!("holds {kind} key, which is not used here"),
        "A backup is opened by an RSA key, a manifest is signed by an EC key on P-256.",
    )
}

/// By the label of the first block.
fn not_private(label: &str) -> Error {
    let what = match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" | "SSH2 PUBLIC KEY" => "holds a public key; the private one is needed".to_owned(),
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => "holds a certificate; the private key is needed".to_owned(),
        // Only what PEM labels are made of, so that a strange file cannot write over the terminal.
        other if other.bytes().all(|byte| matches!(byte, b' '..=b'~')) => format!("holds {other}, but no private key"),
        _ => "holds no private key".to_owned(),
    };
    refused(&what, GIVE_PRIVATE)
}
