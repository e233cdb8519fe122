//! Random bytes: of keys, salts, runs and names.

use crate::error::{Code, Error, Result};

/// Fails where the system gives none.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<()> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| Error::new(Code::Bug, "the system gives no random bytes"))
}

pub(crate) fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}
