//! What a manifest says of how its backup was made. A name that is not here is of a later release: it does not parse.

use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    #[serde(rename = "pgseal/1")]
    Pgseal1,
    #[serde(rename = "legacy")]
    Legacy,
}

impl Format {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pgseal1 => "pgseal/1",
            Self::Legacy => "legacy",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cipher {
    #[serde(rename = "aes-256-cbc")]
    Aes256Cbc,
}

/// How the secret is wrapped for a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyWrap {
    /// With SHA-256 and MGF1-SHA-256, no label (RFC 8017, 7.1).
    #[serde(rename = "rsa-oaep-sha256")]
    Oaep,
    /// Of the format `legacy` (RFC 8017, 7.2).
    #[serde(rename = "rsa-pkcs1-v1_5")]
    Pkcs1,
}

impl From<Format> for KeyWrap {
    fn from(format: Format) -> Self {
        match format {
            Format::Pgseal1 => Self::Oaep,
            Format::Legacy => Self::Pkcs1,
        }
    }
}
