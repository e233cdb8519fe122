//! The Burrows-Wheeler transform of a block: the last column of its sorted rotations.
//!
//! The rotations of type B* ([`types`]) are sorted by an order-preserving code ([`order`], [`key`], [`sort`], [`ties`]), and the
//! order of the others is induced from theirs ([`induce`]). TooRepetitive data is sorted in linear time ([`fallback`]).

mod bins;
mod fallback;
mod induce;
mod key;
mod order;
mod sais;
mod sort;
mod text;
mod ties;
mod types;
mod windows;

use super::simd::Isa;
use bins::Bins;
use induce::{Buckets, ROWS};
use order::Order;
use text::CyclicText;
pub(super) use text::Text;
use ties::TieResolver;
use types::StarSet;
use windows::Windows;

/// What the transform gives.
pub(super) struct Transform<'a> {
    pub last_column: &'a [u8],
    /// Row of the block itself (`origPtr`).
    pub origin: u32,
    /// The bytes that occur.
    pub used: [bool; 256],
    /// Memory that is free now, for one symbol a byte and one more.
    pub symbols: &'a mut [u16],
}

/// Memory of the transform.
pub(super) struct Workspace {
    /// The keys of the B*, their entries and room for their sort, then the rows, then the symbols that follow from the column.
    /// Pages never touched take no memory.
    rows: Vec<u64>,
    /// The codes behind the B*, then the column.
    windows: Vec<u64>,
    /// Of each pair of bytes.
    counts: Vec<u32>,
    /// The bytes that were counted: of the others there is nothing to clear, and no memory to touch.
    counted: [bool; 256],
    stars: StarSet,
    order: Order,
    bins: Bins,
    buckets: Buckets,
}

impl Workspace {
    pub(super) fn new(block: usize) -> Self {
        Self {
            // At most every other position is a B*, and most often every third.
            rows: vec![0; (ROWS / 2).max(block / 2 + block / 4 + 1)],
            windows: vec![0; windows::room(block)],
            counts: vec![0; 1 << 16],
            counted: [false; 256],
            stars: StarSet::new(),
            order: Order::new(),
            bins: Bins::new(),
            buckets: Buckets::new(),
        }
    }

    /// The transform of the block of `n` bytes.
    pub(super) fn transform<'a>(&'a mut self, isa: Isa, text: &'a mut Text, n: usize) -> Transform<'a> {
        let mut used = [false; 256];
        let times = repetitions(text.block(n));
        let origin = match types::begin(text.block(n)) {
            Some(start) => {
                let first = if start == 0 { 0 } else { n - start };
                let circle = text.circle(n, start);
                self.count(circle, &mut used);
                if self.sort(isa, circle) {
                    self.induce(isa, circle, first)
                } else {
                    let rows = &mut bytemuck::cast_slice_mut(&mut self.rows)[..n];
                    let column = &mut bytemuck::cast_slice_mut(&mut self.windows)[..n];
                    fallback::whole(text.rotated(n, start), first, rows, column)
                }
            }
            None => {
                let block = text.block(n);
                used[usize::from(block[0])] = true;
                bytemuck::cast_slice_mut(&mut self.windows)[..n].copy_from_slice(block);
                0
            }
        };
        Transform {
            last_column: &bytemuck::cast_slice(&self.windows)[..n],
            // Of equal rotations, whose rows follow each other, the first: so the way of sorting does not show.
            origin: origin - origin % times,
            used,
            symbols: bytemuck::cast_slice_mut(&mut self.rows),
        }
    }

    fn count(&mut self, text: CyclicText, used: &mut [bool; 256]) {
        for (counts, _) in self.counts.chunks_exact_mut(256).zip(self.counted).filter(|(_, counted)| *counted) {
            counts.fill(0);
        }
        let counts: &mut [u32; 1 << 16] = self.counts.first_chunk_mut().unwrap_or_else(|| unreachable!());
        self.order.count(text, counts);
        for (used, counts) in used.iter_mut().zip(counts.as_chunks::<256>().0) {
            *used = counts.iter().any(|&count| count > 0);
        }
        self.counted = *used;
    }

    /// Sorts the B*, whose positions then begin the rows; false if the text is too repetitive.
    fn sort(&mut self, isa: Isa, text: CyclicText) -> bool {
        let Self {
            rows,
            windows,
            stars,
            order,
            bins,
            counted,
            ..
        } = self;
        stars.find(isa, text);
        order.build();
        let Some(window) = order.window_at_start(text) else { return false };
        let codes = &mut windows[..windows::room(2 * stars.count)];
        bins.clear(counted);
        windows::find(isa, text, stars, order, window, bins, codes);
        let (keys, rest) = rows.split_at_mut(stars.count);
        let (entries, scratch) = rest.split_at_mut(stars.count.div_ceil(2));
        let (keys, entries) = (
            bytemuck::cast_slice_mut(keys),
            &mut bytemuck::cast_slice_mut(entries)[..stars.count],
        );
        sort::spread(isa, text, stars, bins, codes, keys, entries);
        let known = Windows {
            codes,
            count: stars.count,
            entries,
        };
        let mut ties = TieResolver::new(isa, text, stars, order, known, bytemuck::cast_slice_mut(scratch));
        if sort::sort(isa, bins, keys, &mut ties).is_err() {
            return fallback::by_names(text, stars, order, bins, rows, &mut codes[..stars.count]);
        }
        induce::keys_to_entries(rows, stars.count);
        true
    }

    fn induce(&mut self, isa: Isa, text: CyclicText, origin: usize) -> u32 {
        let Self {
            rows,
            windows,
            counts,
            stars,
            bins,
            buckets,
            ..
        } = self;
        let rows = bytemuck::cast_slice_mut(rows).first_chunk_mut().unwrap_or_else(|| unreachable!());
        let column = &mut bytemuck::cast_slice_mut(windows)[..text.n];
        let counts = counts.first_chunk().unwrap_or_else(|| unreachable!());
        buckets.place(stars, bins, counts, rows);
        induce::induce(isa, text, stars, buckets, origin, rows, column)
    }
}

/// How many times the block repeats its shortest period that divides it.
fn repetitions(block: &[u8]) -> u32 {
    let (mut period, mut rest) = (block.len(), block.len());
    for prime in 2.. {
        if prime * prime > rest {
            break;
        }
        while rest % prime == 0 {
            rest /= prime;
            period = shorter(block, period, prime);
        }
    }
    if rest > 1 {
        period = shorter(block, period, rest);
    }
    (block.len() / period) as u32
}

/// The period divided by `prime`, if that is one too.
fn shorter(block: &[u8], period: usize, prime: usize) -> usize {
    let part = period / prime;
    if block[..block.len() - part] == block[part..] {
        part
    } else {
        period
    }
}
