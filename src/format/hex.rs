//! Bytes as hexadecimal: in lower case, as manifests and names have them, or in any, as others write them.

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Exactly so many bytes of lower-case hexadecimal.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    (text.len() == 2 * N).then(|| unhex_all(text))??.try_into().ok()
}

/// However many bytes of lower-case hexadecimal.
pub fn unhex_all(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    text.as_bytes()
        .chunks(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?))
        .collect()
}

/// However many bytes of hexadecimal of either case.
pub(crate) fn unhex_any_case(text: &str) -> Option<Vec<u8>> {
    unhex_all(&text.to_ascii_lowercase())
}
