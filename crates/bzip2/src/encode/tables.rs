//! Up to six Huffman tables for a block and the choice of one for each group of 50 symbols (`sendMTFValues` in bzip2's
//! `compress.c`).

use super::bits::BitWriter;
use super::huffman;
use super::simd::{Isa, Simd, Table, dispatch};
use crate::{GROUP_LEN, MAX_ALPHABET, MAX_BLOCK_LEN, MAX_TABLES};

/// Rounds on a sample of the groups, before the one on all.
const ROUNDS: usize = 7;
/// A round on a sample looks at one group of so many.
const SAMPLE: usize = 8;
/// Blocks of fewer symbols are looked at in full and fitted in two ways: they take little time.
const FEW: usize = 60_000;
/// Of fewer symbols than this the tables themselves weigh: each number of them is tried, else the two largest.
const VERY_FEW: usize = 20_000;

/// For each symbol its cost in each table: eight lanes of 16 bits for six tables. Sums of 50 stay within a lane.
type Costs = Table;
/// Symbols rounded up to a power of two: an index needs no check.
const SLOTS: usize = 512;
type Counts = [[u32; SLOTS]; 8];

/// Memory of the fit.
pub(super) struct TableFitter {
    costs: Box<Costs>,
    counts: Box<Counts>,
    lengths: [[u8; MAX_ALPHABET]; MAX_TABLES],
    selectors: Vec<u8>,
}

impl Default for TableFitter {
    fn default() -> Self {
        Self {
            costs: Box::new([[0; 2]; SLOTS]),
            counts: Box::new([[0; SLOTS]; 8]),
            lengths: [[0; MAX_ALPHABET]; MAX_TABLES],
            selectors: Vec::with_capacity(MAX_BLOCK_LEN / GROUP_LEN + 1),
        }
    }
}

impl TableFitter {
    /// Writes the tables, the selectors and the symbols.
    pub(super) fn write(&mut self, isa: Isa, symbols: &[u16], alphabet: usize, bits: &mut BitWriter) {
        let tables = if symbols.len() < FEW {
            self.best(isa, symbols, alphabet)
        } else {
            self.fit(isa, symbols, alphabet, MAX_TABLES, true);
            MAX_TABLES
        };
        bits.put(tables as u64, 3);
        bits.put(self.selectors.len() as u64, 15);
        let mut order: [u8; MAX_TABLES] = std::array::from_fn(|k| k as u8);
        for &selector in &self.selectors {
            let rank = order.iter().position(|&table| table == selector).unwrap_or(0);
            order.copy_within(..rank, 1);
            order[0] = selector;
            // As many ones as the rank, then a zero.
            bits.put((1 << (rank + 1)) - 2, rank as u32 + 1);
        }
        let mut codes = [[0u32; SLOTS]; 8];
        for (lengths, codes) in self.lengths.iter().zip(&mut codes).take(tables) {
            write_lengths(&lengths[..alphabet], bits);
            huffman::codes(&lengths[..alphabet], codes);
        }
        let selectors = &self.selectors[..];
        let codes = &codes;
        dispatch!(isa, write_with(symbols: &[u16], selectors: &[u8], codes: &[[u32; SLOTS]; 8], bits: &mut BitWriter));
    }

    /// Fits tables in both ways and keeps the best.
    fn best(&mut self, isa: Isa, symbols: &[u16], alphabet: usize) -> usize {
        let mut best = (u64::MAX, 0, self.lengths, Vec::new());
        let fewest = if symbols.len() < VERY_FEW { 2 } else { MAX_TABLES - 1 };
        for (tables, estimated) in (fewest..=MAX_TABLES).flat_map(|tables| [(tables, true), (tables, false)]) {
            let cost = self.fit(isa, symbols, alphabet, tables, estimated);
            if cost < best.0 {
                best = (cost, tables, self.lengths, self.selectors.clone());
            }
        }
        (_, _, self.lengths, self.selectors) = best;
        best.1
    }

    /// Fits so many tables, by estimated costs before the real ones or, as the original, without; gives the bits of all.
    fn fit(&mut self, isa: Isa, symbols: &[u16], alphabet: usize, tables: usize, estimated: bool) -> u64 {
        self.begin(symbols, alphabet, tables);
        for round in 0..if estimated { ROUNDS } else { 0 } {
            // The same sample each time would be learnt by heart.
            let (first, every) = if symbols.len() < FEW { (0, 1) } else { (round % SAMPLE, SAMPLE) };
            self.clear(alphabet, tables);
            self.choose(isa, symbols, first, every);
            self.estimate(alphabet, tables);
        }
        // Real codes once: for few symbols, which each fraction of a bit counts for, until they settle.
        for _ in 0..if symbols.len() < FEW { ROUNDS } else { 1 } {
            self.clear(alphabet, tables);
            self.choose(isa, symbols, 0, 1);
            self.measure(alphabet, tables);
        }
        let described = |lengths: &[u8; MAX_ALPHABET]| description(&lengths[..alphabet]);
        self.select(isa, symbols) + self.lengths[..tables].iter().map(described).sum::<u64>()
    }

    /// Codes for the counts, and what they cost.
    fn measure(&mut self, alphabet: usize, tables: usize) {
        for table in 0..tables {
            let counts = &mut self.counts[table][..alphabet];
            // A symbol that does not occur must have a code, and one not too unlike the others is described in fewer bits.
            counts.iter_mut().for_each(|count| *count = (*count).max(1));
            huffman::lengths(counts, &mut self.lengths[table][..alphabet]);
            for symbol in 0..alphabet {
                lanes(&mut self.costs[symbol])[table] = u16::from(self.lengths[table][symbol]);
            }
        }
    }

    /// First costs: each table is cheap for its share of the symbols.
    fn begin(&mut self, symbols: &[u16], alphabet: usize, tables: usize) {
        let mut counts = [0u32; SLOTS];
        for group in symbols.chunks(GROUP_LEN).step_by(SAMPLE) {
            for &symbol in group {
                counts[usize::from(symbol) % SLOTS] += 1;
            }
        }
        let counts = &counts[..alphabet];
        let mut left: u32 = counts.iter().sum();
        let mut symbol = 0;
        // Lanes that are no table cost more than any.
        let outside: [u16; 8] = std::array::from_fn(|table| if table < tables { 15 } else { 1000 });
        self.costs[..counts.len()].fill(bytemuck::must_cast(outside));
        for table in (0..tables).rev() {
            let share = left / (table + 1) as u32;
            let mut sum = 0;
            let from = symbol;
            while symbol < counts.len() && sum < share {
                sum += counts[symbol];
                symbol += 1;
            }
            // As the original has it: every other part ends one symbol before, so that parts are nearer to equal.
            if symbol > from + 1 && table + 1 != tables && table != 0 && (tables - table - 1) % 2 == 1 {
                symbol -= 1;
                sum -= counts[symbol];
            }
            left -= sum;
            for cost in &mut self.costs[from..symbol] {
                lanes(cost)[table] = 0;
            }
        }
    }

    fn clear(&mut self, alphabet: usize, tables: usize) {
        for counts in &mut self.counts[..tables] {
            counts[..alphabet].fill(0);
        }
    }

    /// Costs from the counts, as an ideal code would have them, in sixteenths of a bit.
    fn estimate(&mut self, alphabet: usize, tables: usize) {
        for table in 0..tables {
            let counts = &self.counts[table][..alphabet];
            // A table that no group chose has nothing to offer.
            let sum = match counts.iter().sum::<u32>() {
                0 => u16::MAX,
                sum => log2(sum),
            };
            for (cost, &count) in self.costs.iter_mut().zip(counts) {
                // A symbol that did not occur counts as one that did once; no code is shorter than a bit.
                lanes(cost)[table] = sum.saturating_sub(log2(count.max(1))).clamp(16, 17 * 16);
            }
        }
    }

    /// Adds each `every`th group to the counts of the table that is cheapest for it.
    fn choose(&mut self, isa: Isa, symbols: &[u16], first: usize, every: usize) {
        let fit = self;
        dispatch!(isa, choose_with(symbols: &[u16], first: usize, every: usize, fit: &mut TableFitter));
    }

    /// The table of each group, with what the choice itself costs; gives the bits of both.
    fn select(&mut self, isa: Isa, symbols: &[u16]) -> u64 {
        let fit = self;
        dispatch!(isa, select_with(symbols: &[u16], fit: &mut TableFitter) -> u64)
    }
}

/// 16 times the logarithm of `x`.
fn log2(x: u32) -> u16 {
    /// By the four bits behind the first.
    const FRACTIONS: [u16; 16] = [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 14, 15];
    let whole = x.ilog2();
    let behind = (u64::from(x) << 32 >> whole >> 28) & 15;
    16 * whole as u16 + FRACTIONS[behind as usize]
}

#[inline(always)]
fn choose_with<S: Simd>(simd: S, symbols: &[u16], first: usize, every: usize, fit: &mut TableFitter) {
    let (groups, rest) = symbols.as_chunks::<GROUP_LEN>();
    for group in groups.iter().skip(first).step_by(every) {
        let best = simd.least(simd.sum(group, &fit.costs));
        let counts = &mut fit.counts[best];
        for &symbol in group {
            counts[usize::from(symbol) % SLOTS] += 1;
        }
    }
    if !rest.is_empty() {
        let best = simd.least(simd.sum(rest, &fit.costs));
        for &symbol in rest {
            fit.counts[best][usize::from(symbol) % SLOTS] += 1;
        }
    }
}

#[inline(always)]
fn select_with<S: Simd>(simd: S, symbols: &[u16], fit: &mut TableFitter) -> u64 {
    fit.selectors.clear();
    let mut bits = 0;
    // A selector is written as its rank by last use, in as many bits and one.
    let mut ranks: [u16; 8] = std::array::from_fn(|k| k as u16);
    let (groups, rest) = symbols.as_chunks::<GROUP_LEN>();
    for group in groups.iter().map(|group| &group[..]).chain((!rest.is_empty()).then_some(rest)) {
        // A whole group is of a length known to the compiler.
        let mut sum = match group.first_chunk::<GROUP_LEN>() {
            Some(group) => simd.sum(group, &fit.costs),
            None => simd.sum(group, &fit.costs),
        };
        for (sum, rank) in sum.iter_mut().zip(ranks) {
            *sum += rank;
        }
        let best = simd.least(sum);
        let rank = ranks[best];
        bits += u64::from(sum[best]) + 1;
        for other in &mut ranks {
            *other += u16::from(*other < rank);
        }
        ranks[best] = 0;
        fit.selectors.push(best as u8);
    }
    bits
}

fn lanes(cost: &mut [u64; 2]) -> &mut [u16; 8] {
    bytemuck::must_cast_mut(cost)
}

#[inline(always)]
fn write_with<S: Simd>(_: S, symbols: &[u16], selectors: &[u8], codes: &[[u32; SLOTS]; 8], bits: &mut BitWriter) {
    for (group, &selector) in symbols.chunks(GROUP_LEN).zip(selectors) {
        bits.put_codes(
            group
                .iter()
                .map(|&symbol| codes[usize::from(selector) % 8][usize::from(symbol) % SLOTS]),
        );
    }
}

/// Bits of what [`write_lengths`] writes.
fn description(lengths: &[u8]) -> u64 {
    let steps = lengths.windows(2).map(|pair| u64::from(pair[0].abs_diff(pair[1])));
    5 + lengths.len() as u64 + 2 * steps.sum::<u64>()
}

/// The lengths, each as its steps from the one before.
fn write_lengths(lengths: &[u8], bits: &mut BitWriter) {
    let mut current = lengths[0];
    bits.put(u64::from(current), 5);
    for &length in lengths {
        while current < length {
            bits.put(0b10, 2);
            current += 1;
        }
        while current > length {
            bits.put(0b11, 2);
            current -= 1;
        }
        bits.put(0, 1);
    }
}
