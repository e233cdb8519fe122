//! How a dump is compressed.

use crate::error::{Code, Error, Result};

/// `bzip2[:1-9]`, `zstd[:1-19]`, `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Bzip2(u32),
    Zstd(i32),
    None,
}

impl Compression {
    pub fn parse(text: &str) -> Result<Self> {
        let refused = || {
            Error::field(
                Code::BadEvent,
                "compression",
                "must be bzip2 or bzip2:1 to bzip2:9, zstd or zstd:1 to zstd:19, or none",
            )
        };
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level.parse::<u32>().map_err(|_| refused())?)),
            None => (text, None),
        };
        match (name, level) {
            ("bzip2", None) => Ok(Self::Bzip2(9)),
            ("bzip2", Some(level @ 1..=9)) => Ok(Self::Bzip2(level)),
            ("zstd", None) => Ok(Self::Zstd(3)),
            ("zstd", Some(level @ 1..=19)) => Ok(Self::Zstd(level as i32)),
            ("none", None) => Ok(Self::None),
            _ => Err(refused()),
        }
    }

    /// Between `.sql` and `.enc` in an object's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Bzip2(_) => ".bz2",
            Self::Zstd(_) => ".zst",
            Self::None => "",
        }
    }
}

impl std::fmt::Display for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bzip2(level) => write!(f, "bzip2:{level}"),
            Self::Zstd(level) => write!(f, "zstd:{level}"),
            Self::None => f.write_str("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressions() {
        for (text, shown) in [
            ("bzip2", "bzip2:9"),
            ("bzip2:1", "bzip2:1"),
            ("zstd", "zstd:3"),
            ("zstd:19", "zstd:19"),
            ("none", "none"),
        ] {
            assert_eq!(Compression::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", "gzip", "bzip2:0", "bzip2:10", "zstd:20", "zstd:-1", "none:1", "bzip2:", "BZIP2"] {
            assert!(Compression::parse(text).is_err(), "{text}");
        }
    }
}
