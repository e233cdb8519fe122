//! The rate out of `pg_dump`, in the syntax of `pv -L`.

use crate::error::{Code, Error, Result};
use std::num::NonZeroU64;

/// Bytes per second, or no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit(Option<NonZeroU64>);

impl RateLimit {
    /// Digits, optionally `.` or `,` and decimals of which four count, optionally one of `k m g t` in either case
    /// (1024-based), blanks before the number and before the unit; nothing else. `0` is no limit.
    ///
    /// ```
    /// use pgseal::plan::RateLimit;
    /// assert_eq!(RateLimit::parse("10M").unwrap().bytes_per_second(), Some(10_485_760));
    /// assert_eq!(RateLimit::parse("1,5k").unwrap().bytes_per_second(), Some(1536));
    /// assert_eq!(RateLimit::parse("0").unwrap().bytes_per_second(), None);
    /// for refused in ["", "10MB", "1KiB", "-1", "1e6", ".5M", "fast"] {
    ///     assert!(RateLimit::parse(refused).is_err(), "{refused}");
    /// }
    /// ```
    pub fn parse(text: &str) -> Result<Self> {
        let refused = || {
            Error::field(
                Code::BadEvent,
                "rate_limit",
                "must be a number and k, m, g or t, such as 10M for 10 MiB a second",
            )
        };
        let blank = [' ', '\t'];
        let text = text.trim_start_matches(blank);
        let (whole, rest) = digits(text);
        let (decimals, rest) = match rest.strip_prefix(['.', ',']) {
            Some(rest) => digits(rest),
            None => ("", rest),
        };
        let shift = match rest.trim_start_matches(blank) {
            "" if rest.is_empty() => 0,
            "k" | "K" => 10,
            "m" | "M" => 20,
            "g" | "G" => 30,
            "t" | "T" => 40,
            _ => return Err(refused()),
        };
        if whole.is_empty() {
            return Err(refused());
        }
        let counted = &decimals[..decimals.len().min(4)];
        let whole: u128 = whole.parse().map_err(|_| refused())?;
        let fraction: u128 = if counted.is_empty() {
            0
        } else {
            counted.parse().map_err(|_| refused())?
        };
        let bytes = whole
            .checked_mul(1 << shift)
            .and_then(|bytes| bytes.checked_add((fraction << shift) / 10u128.pow(counted.len() as u32)))
            .and_then(|bytes| u64::try_from(bytes).ok())
            .ok_or_else(refused)?;
        // Less than a byte a second must not become no limit at all.
        let is_zero = whole == 0 && decimals.bytes().all(|digit| digit == b'0');
        if bytes == 0 && !is_zero {
            return Err(Error::field(
                Code::BadEvent,
                "rate_limit",
                "is less than 1 byte a second; `0` is no limit",
            ));
        }
        Ok(Self(NonZeroU64::new(bytes)))
    }

    pub fn bytes_per_second(self) -> Option<u64> {
        self.0.map(NonZeroU64::get)
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pv_takes_is_taken() {
        for (text, bytes) in [
            ("10M", 10 << 20),
            ("10m", 10 << 20),
            ("6", 6),
            ("00010", 10),
            ("1.5G", 3 << 29),
            ("2T", 2 << 40),
            ("10 M", 10 << 20),
            (" 10", 10),
            ("0.5k", 512),
            ("1.23456M", (1 << 20) + (2345 << 20) / 10_000),
            ("5.", 5),
            ("1.5", 1),
        ] {
            assert_eq!(RateLimit::parse(text).unwrap().bytes_per_second(), Some(bytes), "{text}");
        }
    }

    #[test]
    fn a_positive_rate_below_a_byte_is_refused_and_only_zero_is_no_limit() {
        for text in ["0.9", "0.0001k", "0.00001M", "0.00000001T", "0,5"] {
            assert_eq!(RateLimit::parse(text).unwrap_err().code, Code::BadEvent, "{text}");
        }
        for text in ["0", "0.0", "0,0000000", "0M", "00", "0."] {
            assert_eq!(RateLimit::parse(text).unwrap().bytes_per_second(), None, "{text}");
        }
        assert_eq!(RateLimit::parse("0.0001M").unwrap().bytes_per_second(), Some(104));
    }

    #[test]
    fn what_pv_refuses_is_refused() {
        for text in [
            "",
            " ",
            "M",
            ".5M",
            "10MB",
            "10Mi",
            "1KiB",
            "-1",
            "+5",
            "1e6",
            "0x10",
            "50%",
            "1.2.3",
            "10M ",
            "10 ",
            "99999999999999999999T",
        ] {
            assert!(RateLimit::parse(text).is_err(), "{text:?}");
        }
    }
}
