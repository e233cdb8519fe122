//! PEM as it is met: text and attributes around the blocks, any line ends, and the headers of RFC 1421 that OpenSSL's
//! traditional encryption uses and RFC 7468 forbids.

use base64::{Engine, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

/// One block, not yet decoded.
pub(crate) struct PemBlock<'a> {
    pub label: &'a str,
    headers: Vec<&'a str>,
    /// Base64 without its line ends.
    text: Zeroizing<Vec<u8>>,
}

impl<'a> PemBlock<'a> {
    /// The value of a header such as `DEK-Info`.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim())
        })
    }

    /// The DER, or what it was encrypted to.
    pub(crate) fn body(&self) -> Option<Zeroizing<Vec<u8>>> {
        let mut body = Zeroizing::new(vec![0; base64::decoded_len_estimate(self.text.len())]);
        let length = BASE64_STANDARD.decode_slice(&*self.text, &mut body).ok()?;
        body.truncate(length);
        (length > 0).then_some(body)
    }
}

/// The blocks of a file; none where it is no PEM, `Err` where a block has no proper end.
pub(crate) fn blocks(file: &[u8]) -> Result<Vec<PemBlock<'_>>, &'static str> {
    let mut blocks = Vec::new();
    let mut lines = file.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii);
    while let Some(line) = lines.next() {
        let Some(label) = boundary(line, "-----BEGIN ") else { continue };
        let mut block = PemBlock {
            label,
            headers: Vec::new(),
            text: Zeroizing::new(Vec::with_capacity(file.len())),
        };
        loop {
            let line = lines.next().ok_or("ends within a PEM block: its last lines are missing")?;
            if let Some(end) = boundary(line, "-----END ") {
                if end != label {
                    return Err("holds a PEM block whose first and last line do not belong together");
                }
                break;
            }
            match std::str::from_utf8(line) {
                Ok(header) if header.contains(':') => block.headers.push(header),
                // Longer than the file it cannot grow, so no copy is left behind.
                _ => block.text.extend_from_slice(line),
            }
        }
        blocks.push(block);
    }
    Ok(blocks)
}

fn boundary<'a>(line: &'a [u8], start: &str) -> Option<&'a str> {
    let line = std::str::from_utf8(line).ok()?;
    // A byte order mark may stand before the first one.
    line.trim_start_matches('\u{feff}').strip_prefix(start)?.strip_suffix("-----")
}
