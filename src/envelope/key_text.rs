//! Keys as text: PEM, bare base64, and what the DER in it is.

use base64::{Engine, prelude::BASE64_STANDARD};
use x509_cert::der::asn1::AnyRef;
use x509_cert::der::{Decode, Reader, SliceReader, Tag, Tagged};

/// What a PEM block of a public key may be called. Which kind it is its content tells.
const LABELS: [&str; 5] = [
    "PUBLIC KEY",
    "RSA PUBLIC KEY",
    "CERTIFICATE",
    "X509 CERTIFICATE",
    "TRUSTED CERTIFICATE",
];

/// Whether a text is, or hides, a private key: PEM of any kind, OpenSSH, PuTTY, or base64 of one of these or of DER.
pub fn is_private_key(text: &str) -> bool {
    text.contains("PRIVATE KEY") || text.contains("PuTTY-User-Key-File") || decoded(text).iter().any(|der| hides_private_key(der))
}

fn hides_private_key(bytes: &[u8]) -> bool {
    bytes.starts_with(b"openssh-key-v1\0")
        || bytes.windows(11).any(|window| window == b"PRIVATE KEY")
        || matches!(shape(bytes), Some(KeyContainer::Private))
}

/// The DER blobs in a text: of each PEM block, or of the whole where it is bare base64 (of DER, or of such a PEM).
pub(super) fn decoded(text: &str) -> Vec<Vec<u8>> {
    let text = text.replace("\\r", "").replace("\\n", "\n");
    let blocks = pem_bodies(&text);
    if !blocks.is_empty() {
        return blocks.into_iter().filter_map(base64).collect();
    }
    let Some(bytes) = base64(&text) else { return Vec::new() };
    match std::str::from_utf8(&bytes) {
        // An encrypted block may be no base64: as a whole it still shows that it is a private key.
        Ok(inner) if inner.contains("-----BEGIN ") && !inner.contains("PRIVATE KEY") => {
            pem_bodies(inner).into_iter().filter_map(base64).collect()
        }
        _ => vec![bytes],
    }
}

/// The DER blobs of public keys in a text, as [`decoded`] finds them, but none if anything about them is not as it must be:
/// a text that was spoilt in one place may be spoilt in another too.
pub(super) fn public_blobs(text: &str) -> Option<Vec<Vec<u8>>> {
    let text = text.replace("\\r", "").replace("\\n", "\n");
    if text.contains("-----") {
        return labelled_blobs(&text);
    }
    let bytes = base64(&text)?;
    match std::str::from_utf8(&bytes) {
        Ok(inner) if inner.contains("-----") => labelled_blobs(inner),
        _ => Some(vec![bytes]),
    }
}

fn labelled_blobs(text: &str) -> Option<Vec<Vec<u8>>> {
    let blob = |block: &str| {
        let (label, rest) = block.split_once("-----")?;
        let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
        LABELS.contains(&label).then(|| base64(body)).flatten()
    };
    text.split("-----BEGIN ").skip(1).map(blob).collect()
}

fn pem_bodies(text: &str) -> Vec<&str> {
    text.split("-----BEGIN ")
        .skip(1)
        .filter_map(|block| block.split_once("-----")?.1.split_once("-----END ").map(|(body, _)| body))
        .collect()
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let dense: String = text.split_whitespace().collect();
    BASE64_STANDARD.decode(dense).ok().filter(|bytes| !bytes.is_empty())
}

pub(super) enum KeyContainer {
    Spki,
    Pkcs1,
    Certificate,
    Private,
}

/// Tells the kinds apart by the tags below the outer SEQUENCE, whatever a PEM label claims.
pub(super) fn shape(der: &[u8]) -> Option<KeyContainer> {
    let items = items(der)?;
    let tags: Vec<Tag> = items.iter().map(Tagged::tag).collect();
    match tags.as_slice() {
        [Tag::Integer, Tag::Integer] => Some(KeyContainer::Pkcs1),
        // A version number first: PKCS#8, PKCS#1, SEC1, DSA and PKCS#12.
        [Tag::Integer, ..] => Some(KeyContainer::Private),
        // EncryptedPrivateKeyInfo.
        [Tag::Sequence, Tag::OctetString] => Some(KeyContainer::Private),
        [Tag::Sequence, Tag::BitString] => Some(KeyContainer::Spki),
        [Tag::Sequence, Tag::Sequence, Tag::BitString] => Some(KeyContainer::Certificate),
        _ => None,
    }
}

/// The elements of the one SEQUENCE that `der` must be.
pub(super) fn items(der: &[u8]) -> Option<Vec<AnyRef<'_>>> {
    let outer = AnyRef::from_der(der).ok().filter(|outer| outer.tag() == Tag::Sequence)?;
    let mut reader = SliceReader::new(outer.value()).ok()?;
    let mut items = Vec::new();
    while !reader.is_finished() {
        items.push(AnyRef::decode(&mut reader).ok()?);
    }
    Some(items)
}
