//! The key schedule and what stands around a dump, FORMAT.md on a few screens: secret, recipients, manifest, and the
//! format of the image that came before.

pub(crate) mod data_key;
pub(crate) mod key_pair;
pub(crate) mod key_text;
pub mod legacy;
pub mod manifest;
mod modulus;
pub mod private_key;
pub mod recipient;
pub mod recovery_instructions;
pub mod secret;
pub mod signature;
pub(crate) mod test_keys;
