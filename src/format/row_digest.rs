//! A value of a table's rows that does not depend on their order: the sum, modulo 2^128, of a keyed hash of each row.
//!
//! Two values are kept of each table. The *digest* has a key that is derived from the data key: without it nobody can say what a
//! table holds, nor find rows that could take the place of others. The *change hint* has one that is derived from the
//! recipients' fingerprints, which are public, so that nights can be compared by who has no private key at hand; it proves
//! nothing.
//!
//! Why the digest is sound. A row is hashed by two independent universal hashes, NH of UMAC (RFC 4418, 5.2; two words of 64
//! bits at a time, the second one by its Toeplitz shift) over blocks of 1024 bytes, and a polynomial modulo 2^61 - 1 over the
//! results and the row's length. For two different rows, chosen without the key, both of them are equal with a chance of at
//! most about (n / 2^60)^2 for rows of n blocks: less than 2^-100 for rows of 1 MB. The 122 bits that come out are encrypted
//! with AES-128 under a key of its own, which makes them values of a function that looks random, and these are added modulo
//! 2^128: the construction MSet-Add-Hash (Clarke, Devadas, van Dijk, Gassend, Suh: "Incremental Multiset Hash Functions and
//! Their Application to Memory Integrity Checking", ASIACRYPT 2003), whose collisions nobody finds who does not know the key
//! and has less than about 2^64 rows at hand. A row that comes twice counts twice; one that comes 2^128 times does not, which
//! is one reason why the number of rows is compared as well. Without the encryption the sum would be of no use: universal
//! hashes are nearly linear, and what two rows exchange could cancel out.

use crate::format::{hex, sha256};
#[cfg(test)]
mod tests;

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit, consts::U16};
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

/// Of a row so many bytes are hashed at once; a longer one has several blocks.
const BLOCK: usize = 1024;
/// Words of NH's key: those of the second hash are the same, one pair further on.
const WORDS: usize = BLOCK / 8 + 2;
/// Of the polynomial.
const PRIME: u64 = (1 << 61) - 1;
/// Numbers of the polynomial's key: for the three limbs of a result of NH, for the length, and the point.
const NUMBERS: usize = 5;
/// Rows that are encrypted at once: several take hardly more time than one.
const BATCH: usize = 32;
const KEY_LEN: usize = 8 * (WORDS + 2 * NUMBERS) + 16;

const DIGEST_LABEL: &[u8] = b"pgseal/1 row digest";
const HINT_LABEL: &[u8] = b"pgseal/1 change hint";

/// The keys of both values, for one backup.
pub struct RowKeys {
    digest: RowKey,
    hint: RowKey,
}

impl RowKeys {
    /// Of a data key, as `openssl` takes it, and the fingerprints of the recipients, in any order.
    pub(crate) fn new(data_key: &[u8], fingerprints: &[&str]) -> Self {
        Self {
            digest: RowKey::new(&expanded::<KEY_LEN>(data_key, DIGEST_LABEL)),
            hint: RowKey::new(&expanded::<KEY_LEN>(sorted(fingerprints).as_bytes(), HINT_LABEL)),
        }
    }
}

/// HKDF-Expand (RFC 5869, 2.3) with HMAC-SHA256 and this label as its info, from what is secret enough as it is.
fn expanded<const N: usize>(secret: &[u8], label: &[u8]) -> Zeroizing<[u8; N]> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let mut out = Zeroizing::new([0; N]);
    let mut last = Zeroizing::new(Vec::new());
    for (number, block) in (1..).zip(out.chunks_mut(32)) {
        let signed = hmac::sign(&key, &[last.as_slice(), label, &[number]].concat());
        block.copy_from_slice(&signed.as_ref()[..block.len()]);
        *last = signed.as_ref().to_vec();
    }
    out
}

/// By which a reader knows whether two hints are of the same recipients.
pub(crate) fn hint_recipients(fingerprints: &[&str]) -> [u8; 32] {
    sha256(sorted(fingerprints).as_bytes())
}

fn sorted(fingerprints: &[&str]) -> String {
    let mut sorted = fingerprints.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.join("\n")
}

struct RowKey {
    words: [u64; WORDS],
    numbers: [[u64; NUMBERS]; 2],
    aes: Aes128,
}

impl RowKey {
    fn new(bytes: &[u8; KEY_LEN]) -> Self {
        let (numbers, aes) = bytes.split_at(KEY_LEN - 16);
        let (numbers, _) = numbers.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let mut next = || numbers.next().unwrap_or_default();
        Self {
            words: std::array::from_fn(|_| next()),
            numbers: std::array::from_fn(|_| std::array::from_fn(|_| next() % PRIME)),
            aes: Aes128::new(&Array::from(*aes.first_chunk::<16>().unwrap_or(&[0; 16]))),
        }
    }

    /// Two hashes of at most a block, with zeros up to a multiple of 16 bytes.
    #[inline]
    fn nh<const LANES: usize>(&self, bytes: &[u8]) -> [u128; LANES] {
        let (pairs, rest) = bytes.as_chunks::<16>();
        let mut sums = [0; LANES];
        let mut keys = self.words.windows(4).step_by(2);
        for (pair, keys) in pairs.iter().zip(&mut keys) {
            add_pair(&mut sums, pair, keys);
        }
        if let Some(keys) = keys.next().filter(|_| !rest.is_empty()) {
            let mut pair = [0; 16];
            pair[..rest.len()].copy_from_slice(rest);
            add_pair(&mut sums, &pair, keys);
        }
        sums
    }

    /// Takes a block of a row into its state.
    #[inline]
    fn absorb<const LANES: usize>(&self, state: &mut [u64; LANES], block: &[u8]) {
        let sums = self.nh::<LANES>(block);
        for (lane, state) in state.iter_mut().enumerate() {
            let (numbers, sum) = (&self.numbers[lane], sums[lane]);
            let limbs = [sum as u64 & PRIME, (sum >> 61) as u64 & PRIME, (sum >> 122) as u64];
            let of_limbs = limbs
                .iter()
                .zip(numbers)
                .map(|(limb, number)| product(*limb, *number))
                .sum::<u128>();
            *state = reduced(product(*state, numbers[4]) + of_limbs);
        }
    }

    #[inline]
    fn with_length<const LANES: usize>(&self, mut state: [u64; LANES], length: u64) -> [u64; LANES] {
        for (lane, state) in state.iter_mut().enumerate() {
            *state = reduced(u128::from(*state) + product(length, self.numbers[lane][3]));
        }
        state
    }
}

#[inline(always)]
fn add_pair<const LANES: usize>(sums: &mut [u128; LANES], pair: &[u8; 16], keys: &[u64]) {
    let both = u128::from_le_bytes(*pair);
    let [low, high] = [both as u64, (both >> 64) as u64];
    for (lane, sum) in sums.iter_mut().enumerate() {
        let [one, other] = [keys[2 * lane], keys[2 * lane + 1]];
        *sum = sum.wrapping_add(product(low.wrapping_add(one), high.wrapping_add(other)));
    }
}

#[inline(always)]
fn product(one: u64, other: u64) -> u128 {
    u128::from(one) * u128::from(other)
}

/// Modulo the prime.
#[inline(always)]
fn reduced(value: u128) -> u64 {
    let once = (value & u128::from(PRIME)) + (value >> 61);
    let twice = (once as u64 & PRIME) + (once >> 61) as u64;
    let thrice = (twice & PRIME) + (twice >> 61);
    if thrice == PRIME { 0 } else { thrice }
}

/// One value of one table, as its rows pass.
#[derive(Clone)]
struct RowSum<const LANES: usize> {
    sum: u128,
    blocks: [Array<u8, U16>; BATCH],
    waiting: usize,
    /// Of a row whose end has not come: of its whole blocks.
    state: [u64; LANES],
}

impl<const LANES: usize> RowSum<LANES> {
    fn new() -> Self {
        Self {
            sum: 0,
            blocks: Default::default(),
            waiting: 0,
            state: [0; LANES],
        }
    }

    #[inline]
    fn whole(&mut self, key: &RowKey, row: &[u8]) {
        let mut state = [0; LANES];
        row.chunks(BLOCK).for_each(|block| key.absorb(&mut state, block));
        self.push(key, key.with_length(state, row.len() as u64));
    }

    #[inline]
    fn push(&mut self, key: &RowKey, hash: [u64; LANES]) {
        let block = &mut self.blocks[self.waiting];
        for (bytes, hash) in block.chunks_exact_mut(8).zip(hash) {
            bytes.copy_from_slice(&hash.to_le_bytes());
        }
        self.waiting += 1;
        if self.waiting == BATCH {
            self.flush(key);
        }
    }

    fn flush(&mut self, key: &RowKey) {
        let blocks = &mut self.blocks[..std::mem::take(&mut self.waiting)];
        key.aes.encrypt_blocks(blocks);
        for block in blocks {
            self.sum = self.sum.wrapping_add(u128::from_le_bytes((*block).into()));
            *block = Array::default();
        }
    }

    fn take(&mut self, key: &RowKey) -> u128 {
        self.flush(key);
        self.state = [0; LANES];
        std::mem::take(&mut self.sum)
    }
}

/// Both values of one table after the other. Rows may come in any pieces, their line ends with them.
pub(crate) struct RowDigests {
    keys: std::sync::Arc<RowKeys>,
    digest: RowSum<2>,
    hint: RowSum<1>,
    /// What was not hashed yet of a row whose end has not come, less than a block; and the length of all of it so far.
    begun: Vec<u8>,
    length: u64,
}

impl RowDigests {
    pub(crate) fn new(keys: std::sync::Arc<RowKeys>) -> Self {
        Self {
            keys,
            digest: RowSum::new(),
            hint: RowSum::new(),
            begun: Vec::new(),
            length: 0,
        }
    }

    /// Gives the number of rows that ended.
    pub(crate) fn put(&mut self, mut bytes: &[u8]) -> u64 {
        let mut rows = 0;
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let row = &bytes[..end];
            if self.length == 0 {
                self.digest.whole(&self.keys.digest, row);
                self.hint.whole(&self.keys.hint, row);
            } else {
                self.begin(row);
                self.end();
            }
            rows += 1;
            bytes = &bytes[end + 1..];
        }
        self.begin(bytes);
        rows
    }

    /// Of a row whose end is not there.
    fn begin(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len() as u64;
        while self.begun.len() + bytes.len() > BLOCK {
            let (now, later) = bytes.split_at(BLOCK - self.begun.len());
            self.begun.extend_from_slice(now);
            self.absorb();
            bytes = later;
        }
        self.begun.extend_from_slice(bytes);
    }

    fn absorb(&mut self) {
        self.keys.digest.absorb(&mut self.digest.state, &self.begun);
        self.keys.hint.absorb(&mut self.hint.state, &self.begun);
        self.begun.clear();
    }

    fn end(&mut self) {
        if !self.begun.is_empty() {
            self.absorb();
        }
        let (digest, hint) = (std::mem::take(&mut self.digest.state), std::mem::take(&mut self.hint.state));
        let length = std::mem::take(&mut self.length);
        self.digest.push(&self.keys.digest, self.keys.digest.with_length(digest, length));
        self.hint.push(&self.keys.hint, self.keys.hint.with_length(hint, length));
    }

    /// Both values of the rows so far, and begins anew: the digest and the change hint, each as 32 hexadecimal digits.
    pub(crate) fn take(&mut self) -> [String; 2] {
        self.begun.clear();
        self.length = 0;
        let sums = [self.digest.take(&self.keys.digest), self.hint.take(&self.keys.hint)];
        sums.map(|sum| hex(&sum.to_be_bytes()))
    }
}
