//! Numbers, sizes and times as people write them.

use time::OffsetDateTime;
use time::macros::format_description;

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2,000 rows`, `3 indexes`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let ending = match noun {
        _ if number == 1 => "",
        "index" => "es",
        "authority" => return format!("{} authorities", grouped(number)),
        _ => "s",
    };
    format!("{} {noun}{ending}", grouped(number))
}

/// In units of 1024 bytes. No line is broken between a number and its unit.
pub(crate) fn sized(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    // What would be rounded to 1024 of a unit is 1 of the next.
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let places = usize::from(unit > 0 && value < 10.0);
    format!("{value:.places$}\u{a0}{}", UNITS[unit])
}

pub(crate) fn lasting(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds}\u{a0}ms"),
        1..60 => format!("{:.1}\u{a0}s", milliseconds as f64 / 1000.0),
        60..3600 => format!("{}\u{a0}min\u{a0}{:02}\u{a0}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}\u{a0}h\u{a0}{:02}\u{a0}min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}\u{a0}d\u{a0}{:02}\u{a0}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `2026-11-24 02:00` of UTC.
pub(crate) fn minute(time: OffsetDateTime) -> String {
    let shape = format_description!("[year]-[month]-[day] [hour]:[minute]");
    // Of a year that the shape cannot write there is none.
    time.to_offset(time::UtcOffset::UTC).format(shape).unwrap_or_default()
}

/// Of a SHA-256: enough to know one key among a few.
pub(crate) fn short(fingerprint: &str) -> &str {
    fingerprint.get(..8).unwrap_or(fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_people_write_them() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "index"), "1 index");
        assert_eq!(counted(3, "index"), "3 indexes");
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_500, "1.0 MiB"),
            (42 << 20, "42 MiB"),
        ] {
            assert_eq!(sized(bytes).replace('\u{a0}', " "), text);
        }
        for (milliseconds, text) in [
            (0, "0 ms"),
            (3_100, "3.1 s"),
            (65_000, "1 min 05 s"),
            (7_380_000, "2 h 03 min"),
            (100_000_000, "1 d 03 h"),
        ] {
            assert_eq!(lasting(milliseconds).replace('\u{a0}', " "), text);
        }
        assert_eq!(minute(time::macros::datetime!(2026-11-24 02:00:59 UTC)), "2026-11-24 02:00");
        assert_eq!((short("0123456789"), short("ab")), ("01234567", "ab"));
    }
}
