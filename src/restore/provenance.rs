//! Who vouches for a backup, and where it was written: beside the question whether a key opens it.
//!
//! A recipient's public key is public, so anybody can make a set that its private key opens. Only a signature says whose
//! set it is, and only where its reader named the signer (`--signer`).

use crate::envelope::manifest::{Manifest, Role, UnverifiedManifest, base_name, check_signature};
use crate::envelope::signature::Verifier;
use crate::store::Location;
use serde::Serialize;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The fingerprint of the key whose signature holds. Unless it is pinned, anybody's key will do.
    pub signed_by: Option<String>,
    /// Whether that is the signer whom the reader named.
    pub pinned: bool,
    /// The folder that line 1 names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_to: Option<String>,
    /// It is read from another folder of a bucket than it was written to.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub moved: bool,
}

impl Origin {
    pub(crate) fn new(found: &UnverifiedManifest, signer: Option<&Verifier>, folder: &Location) -> Self {
        let manifest = found.unproven();
        let named = manifest.signer.as_ref().filter(|_| check_signature(found, None).is_ok());
        let written_to = written_to(manifest);
        let moved = match (folder, &written_to) {
            (Location::S3 { path, .. }, Some(written)) => path != written,
            _ => false,
        };
        Self {
            pinned: named.is_some() && signer.is_some() && check_signature(found, signer).is_ok(),
            signed_by: named.map(|signer| signer.fingerprint.clone()),
            written_to,
            moved,
        }
    }

    /// A set that was copied to another folder is genuine, and may be of another server than its place says.
    pub(crate) fn warning(&self) -> Option<String> {
        let written = self.written_to.as_deref().filter(|_| self.moved)?;
        Some(format!(
            "it was written to the folder `{written}` and is read from another one: it was moved or copied, and may be of another server than its place says"
        ))
    }
}

/// Without the slash at its end.
fn written_to(manifest: &Manifest) -> Option<String> {
    let key = &manifest.object(Role::Dump)?.key;
    Some(key.strip_suffix(base_name(key))?.trim_end_matches('/').to_owned())
}
