//! COPY's text format: a line a row, tabs between values, `\N` for NULL, backslashes before what would be read otherwise.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS>

/// The values of a line without its line end; `None` is NULL.
pub(crate) fn values(line: &[u8]) -> Vec<Option<Vec<u8>>> {
    line.split(|byte| *byte == b'\t').map(value).collect()
}

fn value(text: &[u8]) -> Option<Vec<u8>> {
    if text == b"\\N" {
        return None;
    }
    let mut value = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        value.extend_from_slice(&rest[..at]);
        let (byte, read) = escaped(&rest[at + 1..]);
        value.push(byte);
        rest = &rest[at + 1 + read..];
    }
    value.extend_from_slice(rest);
    Some(value)
}

/// What stands behind a backslash, and in how many bytes.
fn escaped(text: &[u8]) -> (u8, usize) {
    let digits = |text: &[u8], base: u32, most: usize| -> (u8, usize) {
        let count = text.iter().take(most).take_while(|byte| (**byte as char).is_digit(base)).count();
        let number = text[..count]
            .iter()
            .fold(0, |number, byte| number * base + (*byte as char).to_digit(base).unwrap_or(0));
        (number as u8, count)
    };
    match text {
        [b'b', ..] => (8, 1),
        [b'f', ..] => (12, 1),
        [b'n', ..] => (b'\n', 1),
        [b'r', ..] => (b'\r', 1),
        [b't', ..] => (b'\t', 1),
        [b'v', ..] => (11, 1),
        [b'x', first, ..] if first.is_ascii_hexdigit() => {
            let (byte, count) = digits(&text[1..], 16, 2);
            (byte, count + 1)
        }
        [b'0'..=b'7', ..] => digits(text, 8, 3),
        [other, ..] => (*other, 1),
        // A line does not end so.
        [] => (b'\\', 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_was_copied() {
        for (line, expected) in [
            ("1\tx", vec![Some("1"), Some("x")]),
            ("\\N\t\t\\\\N", vec![None, Some(""), Some("\\N")]),
            ("a\\tb\\nc\\\\d\\b\\f\\r\\v", vec![Some("a\tb\nc\\d\u{8}\u{c}\r\u{b}")]),
            ("\\101\\x41\\x4a\\q", vec![Some("AAJq")]),
            ("", vec![Some("")]),
        ] {
            let expected: Vec<Option<Vec<u8>>> = expected
                .into_iter()
                .map(|value| value.map(|value| value.as_bytes().to_vec()))
                .collect();
            assert_eq!(values(line.as_bytes()), expected, "{line}");
        }
    }
}
