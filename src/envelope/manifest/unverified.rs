//! A manifest as it was found: nothing of it is believed but the list of recipients, until the secret proves it.

use super::{Manifest, Proof, Role};
use crate::envelope::secret::DataKeyText;
use crate::error::{Code, Error, Result};
use crate::format::names::Prefix;
use crate::format::parts::{MAX_PART, MAX_PARTS};
use crate::format::{Sha256, hex};
use aws_lc_rs::constant_time::verify_slices_are_equal;

/// Two lines of well-formed JSON, no matter who wrote them.
pub struct UnverifiedManifest {
    /// The object's name, without any folder.
    name: String,
    line: Vec<u8>,
    pub proof: Proof,
    manifest: Manifest,
}

/// A manifest that its secret proved.
pub struct VerifiedManifest(Manifest);

impl std::ops::Deref for VerifiedManifest {
    type Target = Manifest;

    fn deref(&self) -> &Manifest {
        &self.0
    }
}

impl UnverifiedManifest {
    /// Takes exactly what a writer makes: two lines, line 2 in its one spelling, names that follow from line 1.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        let bad = |reason: String| tampered(name, &reason);
        let first = memchr::memchr(b'\n', bytes).ok_or_else(|| bad("it has no first line".into()))? + 1;
        let (line, second) = bytes.split_at(first);
        let manifest: Manifest = serde_json::from_slice(line).map_err(|error| bad(format!("line 1: {error}")))?;
        let proof: Proof = serde_json::from_slice(second).map_err(|error| bad(format!("line 2: {error}")))?;
        if proof.line()? != second {
            return Err(bad("line 2 is not as it is written".into()));
        }
        let found = Self {
            name: name.to_owned(),
            line: line.to_vec(),
            proof,
            manifest,
        };
        found.well_formed().map_err(|error| bad(error.message))?;
        Ok(found)
    }

    /// What a reader without a key has to go by, and nothing that it could rely on.
    pub fn unproven(&self) -> &Manifest {
        &self.manifest
    }

    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// Of the whole object.
    pub fn sha256(&self) -> Result<Sha256> {
        Ok(Sha256::digest(&[self.line.as_slice(), &self.proof.line()?].concat()))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Believes the manifest if the secret made it. In constant time.
    pub fn prove(&self, secret: &DataKeyText) -> Result<VerifiedManifest> {
        let expected = format!("hmac-sha256:{}", hex(&secret.manifest_mac(&self.line)));
        verify_slices_are_equal(expected.as_bytes(), self.proof.mac.as_bytes())
            .map_err(|_| tampered(&self.name, "its MAC does not fit its first line"))?;
        Ok(VerifiedManifest(self.manifest.clone()))
    }

    /// Names, sizes and counts that agree with each other: a set that was renamed, spliced or rolled back shows here.
    fn well_formed(&self) -> Result<()> {
        let m = &self.manifest;
        let bad = |reason: &str| Err(Error::new(Code::Tampered, reason));
        m.compression()?;
        let stem = m.stem(&Prefix::new("")?)?;
        if stem.manifest_of(m.generation) != self.name {
            return bad("it belongs to another database or time than its name says");
        }
        let beginnings = stem.beginnings(m.format);
        let folder = |key: &str| key.len() - base_name(key).len();
        let first = m.objects.first().map(|object| &object.key[..folder(&object.key)]);
        for object in &m.objects {
            let name = base_name(&object.key);
            // The dump has the one name that its format gives it.
            let own = &beginnings[..if object.role == Role::Dump { 1 } else { beginnings.len() }];
            if !own.iter().any(|beginning| name.starts_with(beginning)) {
                return bad("it names an object of another backup");
            }
            if first != Some(&object.key[..folder(&object.key)]) {
                return bad("its objects are in different folders");
            }
            // A name is shown to people and given to the system: neither takes these.
            if object.key.chars().any(char::is_control) {
                return bad("an object's name holds control characters");
            }
            let parts = object.part_sizes.as_deref().unwrap_or_default();
            let hashes = object.part_sha256.as_deref().unwrap_or_default();
            let sum = parts.iter().try_fold(0u64, |sum, size| sum.checked_add(*size));
            let in_parts = object.part_sizes.is_some();
            if parts.len() != hashes.len() || parts.len() > MAX_PARTS as usize || (in_parts && sum != Some(object.size)) {
                return bad("sizes of parts do not add up");
            }
            // Anyone who reads a part makes room for it.
            if parts.iter().any(|size| *size > MAX_PART) {
                return bad("a part is larger than S3 takes");
            }
        }
        let count = |role: Role| m.objects.iter().filter(|object| object.role == role).count();
        if count(Role::Dump) != 1 || count(Role::Inventory) > 1 || count(Role::Globals) > 1 {
            return bad("it does not name one dump");
        }
        if m.iterations == 0 || m.iterations > 10_000_000 {
            return bad("no writer chooses this number of iterations");
        }
        Ok(())
    }
}

/// An object's name without its folder.
pub fn base_name(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

fn tampered(name: &str, reason: &str) -> Error {
    Error::new(Code::Tampered, format!("{name}: {reason}"))
}
