//! One field of a masked column, in pieces of any size. A value is never held whole, however long it is.

use super::charset::Charset;
use super::rules::{HashForm, Mask};
use super::shape::ShapeMasker;
use crate::format::hex;
use aws_lc_rs::hmac;

/// As COPY's text format has it.
const NULL: &[u8; 2] = b"\\N";

/// NULL stays NULL under each mask.
pub(super) struct MaskedField {
    mask: FieldMask,
    length: u64,
    first: [u8; 2],
}

enum FieldMask {
    Null,
    Constant(Vec<u8>),
    Hash(Box<HashMasker>),
    Shape(Box<ShapeMasker>),
}

struct HashMasker {
    key: hmac::Key,
    form: HashForm,
    context: Option<hmac::Context>,
}

impl MaskedField {
    /// `None`: the column is kept as it is.
    pub(super) fn new(mask: &Mask, charset: Charset) -> Option<Self> {
        let mask = match mask {
            Mask::Keep => return None,
            Mask::Null => FieldMask::Null,
            Mask::Constant(text) => FieldMask::Constant(text.clone()),
            Mask::Hash { key, form } => FieldMask::Hash(Box::new(HashMasker {
                key: key.hash.clone(),
                form: *form,
                context: None,
            })),
            Mask::Shape { key } => FieldMask::Shape(Box::new(ShapeMasker::new(key.shape.clone(), charset))),
        };
        Some(Self {
            mask,
            length: 0,
            first: [0; 2],
        })
    }

    pub(super) fn put(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let seen = self.length.min(2) as usize;
        for (place, byte) in self.first.iter_mut().skip(seen).zip(bytes) {
            *place = *byte;
        }
        self.length += bytes.len() as u64;
        match &mut self.mask {
            FieldMask::Null | FieldMask::Constant(_) => {}
            FieldMask::Hash(hash) => hash.context.get_or_insert_with(|| hmac::Context::with_key(&hash.key)).update(bytes),
            FieldMask::Shape(shape) => shape.put(bytes, out),
        }
    }

    /// Whether it had a value.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> bool {
        let is_null = self.length == 2 && self.first == *NULL;
        self.length = 0;
        match &mut self.mask {
            FieldMask::Hash(hash) if is_null => hash.context = None,
            FieldMask::Shape(shape) if is_null => shape.forget(),
            _ => {}
        }
        if is_null {
            out.extend_from_slice(NULL);
            return false;
        }
        match &mut self.mask {
            FieldMask::Null => out.extend_from_slice(NULL),
            FieldMask::Constant(text) => out.extend_from_slice(text),
            FieldMask::Hash(hash) => {
                let context = hash.context.take().unwrap_or_else(|| hmac::Context::with_key(&hash.key));
                hash.form.write(context.sign().as_ref(), out);
            }
            FieldMask::Shape(shape) => shape.end(out),
        }
        true
    }
}

impl HashForm {
    fn write(self, hash: &[u8], out: &mut Vec<u8>) {
        let number = hash.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        match self {
            Self::Text { digits } => {
                let text = hex(hash);
                out.extend_from_slice(text.get(..digits).unwrap_or(&text).as_bytes());
            }
            // Never 0, which some programs take for none.
            Self::Integer => out.extend_from_slice((number % (i32::MAX as u64) + 1).to_string().as_bytes()),
            Self::BigInt => out.extend_from_slice((number % (i64::MAX as u64) + 1).to_string().as_bytes()),
            Self::Uuid => {
                let mut bytes = hash.first_chunk::<16>().copied().unwrap_or_default();
                // Version 8 of RFC 9562: one's own.
                bytes[6] = bytes[6] & 0x0F | 0x80;
                bytes[8] = bytes[8] & 0x3F | 0x80;
                let text = hex(&bytes);
                for (place, digit) in text.bytes().enumerate() {
                    if matches!(place, 8 | 12 | 16 | 20) {
                        out.push(b'-');
                    }
                    out.push(digit);
                }
            }
        }
    }
}
