//! The restore of `encrypt`: each part by itself, since a CBC block needs only the one before it.

use crate::envelope::secret::CipherKey;
use crate::error::{Code, Error, Result};
use crate::format::sha256;
use aes::Aes256;
use bytes::{Bytes, BytesMut};
use cbc::Decryptor;
use cbc::cipher::array::Array;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};

pub(crate) const BLOCK: usize = 16;
const MAGIC: &[u8; 8] = b"Salted__";

/// What is known of one part before it comes.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedPart {
    pub offset: u64,
    pub size: u64,
    /// `None` only in the legacy format without a manifest.
    pub sha256: Option<[u8; 32]>,
}

/// How the parts of one object are opened.
pub struct PartDecryptor {
    /// The object's name, for messages.
    pub name: String,
    pub key: CipherKey,
    pub salt: [u8; 8],
    pub parts: Vec<ExpectedPart>,
}

impl PartDecryptor {
    /// Checks a part, then decrypts it; `before` is the last block of the part before it.
    pub fn open(&self, index: usize, before: Option<[u8; BLOCK]>, bytes: Bytes) -> Result<Bytes> {
        let part = &self.parts[index];
        if let Some(expected) = part.sha256
            && sha256(&bytes) != expected
        {
            return Err(self.tampered(index, "has other bytes than were sealed"));
        }
        let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
        let vector = match before {
            Some(block) if part.offset > BLOCK as u64 => block,
            // The part before held the header and nothing else.
            Some(_) => *self.key.iv,
            None => {
                if bytes.len() < BLOCK || &bytes[..8] != MAGIC || bytes[8..BLOCK] != self.salt {
                    return Err(self.tampered(index, "begins with another header than was sealed"));
                }
                let _header = bytes.split_to(BLOCK);
                *self.key.iv
            }
        };
        let mut cipher = Decryptor::<Aes256>::new(&Array::from(*self.key.key), &Array::from(vector));
        let (blocks, rest) = Array::slice_as_chunks_mut(&mut bytes);
        if !rest.is_empty() {
            return Err(self.tampered(index, "ends within a block"));
        }
        cipher.decrypt_blocks(blocks);
        if index + 1 == self.parts.len() {
            let padding = self
                .padding(&bytes)
                .ok_or_else(|| self.tampered(index, "has no end that was sealed"))?;
            bytes.truncate(bytes.len() - padding);
        }
        Ok(bytes.freeze())
    }

    /// PKCS#7 (RFC 5652, 6.3): one to sixteen bytes, each with their number.
    fn padding(&self, plain: &[u8]) -> Option<usize> {
        let padding = usize::from(*plain.last()?);
        let valid = (1..=BLOCK).contains(&padding) && plain.len() >= padding;
        (valid && plain[plain.len() - padding..].iter().all(|byte| usize::from(*byte) == padding)).then_some(padding)
    }

    fn tampered(&self, index: usize, what: &str) -> Error {
        let (number, offset) = (index + 1, self.parts[index].offset);
        Error::new(
            Code::Tampered,
            format!("{}: part {number}, which begins at byte {offset}, {what}", self.name),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::secret::DataKeyText;
    use crate::pipeline::seal_small;
    use proptest::prelude::*;

    fn opener(secret: &DataKeyText, sealed: &[u8], part: usize) -> PartDecryptor {
        let parts = sealed.chunks(part).enumerate().map(|(n, bytes)| ExpectedPart {
            offset: (n * part) as u64,
            size: bytes.len() as u64,
            sha256: Some(sha256(bytes)),
        });
        PartDecryptor {
            name: "a.sql.enc".into(),
            key: secret.cipher_key(&[3; 8]),
            salt: [3; 8],
            parts: parts.collect(),
        }
    }

    fn open(opener: &PartDecryptor, sealed: &[u8], part: usize) -> Result<Vec<u8>> {
        let mut before = None;
        let mut plain = Vec::new();
        for (index, bytes) in sealed.chunks(part).enumerate() {
            plain.extend_from_slice(&opener.open(index, before, Bytes::copy_from_slice(bytes))?);
            before = bytes.last_chunk::<BLOCK>().copied();
        }
        Ok(plain)
    }

    proptest! {
        // Each derives two keys, without optimisation.
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn parts_open_to_what_was_sealed(plain in proptest::collection::vec(any::<u8>(), 0..400), blocks in 1usize..6) {
            let secret = DataKeyText::generate().unwrap();
            let sealed = seal_small(&plain, &secret.cipher_key(&[3; 8]), [3; 8]).unwrap();
            let part = blocks * BLOCK;
            prop_assert_eq!(open(&opener(&secret, &sealed, part), &sealed, part).unwrap(), plain);
        }
    }

    #[test]
    fn a_first_part_with_the_header_alone() {
        let secret = DataKeyText::generate().unwrap();
        let sealed = seal_small(&[7; 40], &secret.cipher_key(&[3; 8]), [3; 8]).unwrap();
        assert_eq!(open(&opener(&secret, &sealed, BLOCK), &sealed, BLOCK).unwrap(), [7; 40]);
    }

    #[test]
    fn every_changed_bit_is_found_before_anything_is_released() {
        let secret = DataKeyText::generate().unwrap();
        let sealed = seal_small(&[7; 100], &secret.cipher_key(&[3; 8]), [3; 8]).unwrap();
        let opener = opener(&secret, &sealed, 48);
        for bit in 0..8 * sealed.len() {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let index = bit / 8 / 48;
            let part = Bytes::copy_from_slice(changed.chunks(48).nth(index).unwrap());
            let error = opener.open(index, (index > 0).then_some([0; BLOCK]), part).unwrap_err();
            assert_eq!(error.code, Code::Tampered);
            assert!(
                error
                    .message
                    .contains(&format!("part {}, which begins at byte {}", index + 1, index * 48)),
                "{error}"
            );
        }
    }
}
