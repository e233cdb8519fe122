//! A value of the same form: each letter becomes another letter, each digit another digit, and all else in ASCII stays.
//!
//! Keyed and without memory: the same value becomes the same, and one that differs anywhere in its first block becomes another one
//! altogether. No letter and no digit stays what it was. It gives up the length, the places of letters, digits, capitals and signs,
//! which values are equal, and which letter or digit cannot have stood in a place. Two values may become the same, and a short
//! one may become what another row has.

use super::charset::Charset;
use aws_lc_rs::hmac;

/// A value is mapped in blocks of so many bytes.
pub(super) const BLOCK: usize = 64 << 10;

/// Maps one value, block by block.
pub(super) struct ShapeMasker {
    key: hmac::Key,
    charset: Charset,
    block: Vec<u8>,
    /// Of the blocks before.
    seed: Vec<u8>,
}

impl ShapeMasker {
    pub(super) fn new(key: hmac::Key, charset: Charset) -> Self {
        Self {
            key,
            charset,
            block: Vec::new(),
            seed: Vec::new(),
        }
    }

    /// What comes out does not depend on the pieces that a value comes in.
    pub(super) fn put(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.block.len() == BLOCK {
                self.map_block(false, out);
            }
            let (part, rest) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(part);
            bytes = rest;
        }
    }

    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        self.map_block(true, out);
        self.seed.clear();
    }

    /// Drops what came of a value.
    pub(super) fn forget(&mut self) {
        self.block.clear();
        self.seed.clear();
    }

    /// An escape or a character that does not end in it is left for the next one, unless it is the last.
    fn map_block(&mut self, is_last: bool, out: &mut Vec<u8>) {
        let mut stream = Keystream::new(&self.key, &self.seed, &self.block);
        let mut at = 0;
        while let Some(byte) = self.block.get(at).copied() {
            let length = match byte {
                b'\\' => 2,
                0x80.. => self.charset.length(byte),
                _ => 1,
            };
            let end = at + length;
            if end > self.block.len() && !is_last {
                break;
            }
            let mut character = &self.block[at..end.min(self.block.len())];
            // One that is cut short takes nothing along: a backslash behind it begins an escape.
            if byte >= 0x80 {
                let own = character.iter().take_while(|byte| **byte >= 0x80).count();
                character = &character[..own];
            }
            match byte {
                // A tab, a line end or a backslash of the value, as COPY writes it.
                b'\\' => out.extend_from_slice(character),
                b'a'..=b'z' => out.push(b'a' + (byte - b'a' + 1 + stream.next() % 25) % 26),
                b'A'..=b'Z' => out.push(b'A' + (byte - b'A' + 1 + stream.next() % 25) % 26),
                b'0'..=b'9' => out.push(b'0' + (byte - b'0' + 1 + stream.next() % 9) % 10),
                0x80.. => out.push(self.in_ascii(character, stream.next())),
                _ => out.push(byte),
            }
            at += character.len();
        }
        self.block.drain(..at.min(self.block.len()));
        self.seed = stream.seed;
    }

    /// A letter or a digit, in any encoding: what it stands for may be a letter, a sign or a word.
    fn in_ascii(&self, character: &[u8], random: u8) -> u8 {
        let known = match self.charset {
            Charset::Utf8 => std::str::from_utf8(character).ok().and_then(|text| text.chars().next()),
            _ => None,
        };
        match known {
            Some(letter) if letter.is_numeric() => b'0' + random % 10,
            Some(letter) if letter.is_uppercase() => b'A' + random % 26,
            _ => b'a' + random % 26,
        }
    }
}

/// Bytes that nobody without the key can tell from random ones, and that depend on the whole block.
struct Keystream<'a> {
    key: &'a hmac::Key,
    seed: Vec<u8>,
    bytes: Vec<u8>,
    used: usize,
    counter: u64,
}

impl<'a> Keystream<'a> {
    fn new(key: &'a hmac::Key, before: &[u8], block: &[u8]) -> Self {
        let mut context = hmac::Context::with_key(key);
        context.update(b"block");
        context.update(before);
        context.update(block);
        let seed = context.sign().as_ref().to_vec();
        Self {
            key,
            bytes: Vec::new(),
            used: 0,
            counter: 0,
            seed,
        }
    }

    fn next(&mut self) -> u8 {
        if self.used == self.bytes.len() {
            let mut context = hmac::Context::with_key(self.key);
            context.update(b"bytes");
            context.update(&self.counter.to_be_bytes());
            context.update(&self.seed);
            self.bytes = context.sign().as_ref().to_vec();
            self.counter += 1;
            self.used = 0;
        }
        let byte = self.bytes.get(self.used).copied().unwrap_or_default();
        self.used += 1;
        byte
    }
}
