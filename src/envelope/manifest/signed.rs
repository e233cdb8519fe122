//! Who signed a manifest, and whether that is whom its reader trusts.

use super::{Signature, UnverifiedManifest};
use crate::envelope::signature::{ALGORITHM, Verifier};
use crate::error::{Code, Error, Result};
use base64::{Engine, prelude::BASE64_STANDARD};

const UNSIGNED: &str = "Either it is from before your backups were signed, which you know from elsewhere (then leave out --signer for it), or \
     somebody else made it.";

/// A manifest that says who signed it must hold that signature, no matter who reads it; with a pinned signer it must be theirs.
pub(crate) fn check_signature(found: &UnverifiedManifest, pinned: Option<&Verifier>) -> Result<()> {
    let tampered = |reason: String| Error::new(Code::Tampered, format!("{}: {reason}", found.name()));
    let signatures = &found.proof.signatures;
    let Some(signer) = &found.unproven().signer else {
        return match (pinned, signatures.is_empty()) {
            (Some(pinned), _) => Err(tampered(format!("it is not signed; {} should have signed it", pinned.fingerprint)).advise(UNSIGNED)),
            (None, false) => Err(tampered("it holds a signature, but its first line names no signer".into())),
            (None, true) => Ok(()),
        };
    };
    let named = BASE64_STANDARD
        .decode(&signer.public_key)
        .map_err(|_| tampered("the signer's key is no base64".into()))
        // A key that cannot be used, in a manifest that nobody vouches for, is no mistake of the reader's.
        .and_then(|der| Verifier::parse(&der).map_err(|error| tampered(error.message)))?;
    if named.fingerprint != signer.fingerprint {
        return Err(tampered("the signer's key has another fingerprint than is named".into()));
    }
    if let Some(pinned) = pinned
        && pinned.fingerprint != named.fingerprint
    {
        return Err(tampered(format!(
            "it was signed by {}, not by {}",
            named.fingerprint, pinned.fingerprint
        )));
    }
    let [
        Signature {
            algorithm,
            fingerprint,
            signature,
        },
    ] = signatures.as_slice()
    else {
        return Err(tampered(format!("it holds {} signatures, not one", signatures.len())));
    };
    if algorithm != ALGORITHM || *fingerprint != named.fingerprint {
        return Err(tampered("its signature is not by the signer that it names".into()));
    }
    let der = BASE64_STANDARD
        .decode(signature)
        .map_err(|_| tampered("its signature is no base64".into()))?;
    named.verify(found.line(), &der).map_err(|error| tampered(error.message))
}
