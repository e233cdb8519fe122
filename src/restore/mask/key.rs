//! What hashes and shapes are keyed with.

use crate::error::{Code, Error, Result};
use crate::random;
use aws_lc_rs::hmac;
use std::fmt;
use std::path::Path;

/// Less can be guessed.
const MIN: usize = 16;
const MAX: u64 = 4096;
/// So that a shape tells nothing about a hash of the same value.
const SHAPE_LABEL: &[u8] = b"pgseal mask shape";

/// The key itself is never shown.
#[derive(Clone)]
pub(super) struct MaskKey {
    pub(super) hash: hmac::Key,
    pub(super) shape: hmac::Key,
}

impl MaskKey {
    fn new(secret: &[u8]) -> Self {
        let hash = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let shape = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&hash, SHAPE_LABEL).as_ref());
        Self { hash, shape }
    }

    /// For one restore: nobody has it afterwards.
    pub(super) fn generate() -> Result<Self> {
        Ok(Self::new(&random::bytes::<32>()?))
    }

    /// Without the ends of lines behind it.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let refused = |why: String| {
            Error::new(Code::BadUsage, format!("--mask: the key file {} {why}", path.display()))
                .advise("Make one with `openssl rand -hex 32 > mask.key`, and keep it from those who get the copy.")
        };
        let mut text = Vec::new();
        let file = std::fs::File::open(path);
        let read = file.and_then(|file| std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX + 1), &mut text));
        read.map_err(|error| refused(format!("cannot be read: {error}")))?;
        if text.len() as u64 > MAX {
            return Err(refused(format!("has more than {MAX} bytes")));
        }
        let secret = text.trim_ascii_end();
        if secret.len() < MIN {
            return Err(refused(format!("has less than {MIN} bytes")));
        }
        Ok(Self::new(secret))
    }
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MaskKey")
    }
}
