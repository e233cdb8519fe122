//! Rotations whose keys have the same code: compared farther behind.

use super::super::simd::{Isa, Simd, dispatch};
use super::order::{Order, WINDOW_BITS};
use super::sort::{KEY_BITS, SIGN, position, same_code, sort_keys, with_code, with_position};
use super::text::{Circle, POSITION};
use super::types::Stars;

/// So many equal stretches that a sort in linear time is the shorter way.
#[derive(Debug)]
pub(super) struct Repetitive;

/// Words that may be compared before it is known how many the data needs.
const SLACK: usize = 50_000;
/// Words for each key sorted: dumps need up to one, repetitive data three and more.
const WORDS_PER_KEY: usize = 2;

/// Sorts groups of equal code, within a budget of words compared.
pub(super) struct Ties<'a> {
    text: Circle<'a>,
    stars: &'a Stars,
    order: &'a Order,
    windows: &'a [u64],
    scratch: &'a mut [i64],
    isa: Isa,
    budget: usize,
}

/// A group of at most so many is sorted by all bits of a window and the index within the group.
const FEW: usize = 1 << (64 - WINDOW_BITS);

impl<'a> Ties<'a> {
    pub fn new(isa: Isa, text: Circle<'a>, stars: &'a Stars, order: &'a Order, windows: &'a [u64], scratch: &'a mut [i64]) -> Self {
        Self {
            text,
            stars,
            order,
            windows,
            scratch,
            isa,
            budget: SLACK,
        }
    }

    /// Memory for a sort.
    pub fn scratch(&mut self) -> &mut [i64] {
        self.scratch
    }

    /// Sorts the groups in a sorted bin. The code stays, the positions change places.
    pub fn resolve(&mut self, bin: &mut [i64]) -> Result<(), Repetitive> {
        self.budget += bin.len() * WORDS_PER_KEY;
        for group in bin.chunk_by_mut(|&a, &b| same_code(a, b)) {
            match group {
                [_] => {}
                [a, b] => {
                    if self.pair_descends(position(*a), position(*b))? {
                        (*a, *b) = (with_position(*a, position(*b)), with_position(*b, position(*a)));
                    }
                }
                _ => self.group(group, 0, KEY_BITS)?,
            }
        }
        Ok(())
    }

    /// Compares two rotations as text.
    fn pair_descends(&mut self, a: usize, b: usize) -> Result<bool, Repetitive> {
        // The first pair of bytes is the same.
        let (mut a, mut b) = (a + 2, b + 2);
        let mut left = self.text.n + 8;
        loop {
            a = self.text.wrap(a);
            b = self.text.wrap(b);
            let (x, y) = (self.text.word(a), self.text.word(b));
            self.spend(1)?;
            if x != y {
                return Ok(x > y);
            }
            if left < 8 {
                // The same all around.
                return Ok(false);
            }
            left -= 8;
            a += 8;
            b += 8;
        }
    }

    /// Sorts a group whose rotations agree up to `offset`, where a B* is, and by `bits` of code behind. Each call within
    /// is for a smaller group, so that the budget bounds the depth too.
    fn group(&mut self, group: &mut [i64], mut offset: usize, mut bits: u32) -> Result<(), Repetitive> {
        loop {
            if let [a, b] = group {
                let (x, y) = (position(*a), position(*b));
                if self.pair_descends(self.text.wrap(x + offset), self.text.wrap(y + offset))? {
                    (*a, *b) = (with_position(*a, y), with_position(*b, x));
                }
                return Ok(());
            }
            let start = self.text.wrap(position(group[0]) + offset);
            let Some(step) = self.reach(start, bits) else {
                return self.by_text(group, offset);
            };
            offset += step;
            if offset >= self.text.n {
                // The same all around: any order is right.
                return Ok(());
            }
            self.spend(group.len())?;
            let split = if group.len() <= 16 {
                bits = WINDOW_BITS;
                self.few::<16>(group, offset)?
            } else if group.len() <= FEW {
                bits = WINDOW_BITS;
                self.few::<FEW>(group, offset)?
            } else {
                bits = KEY_BITS;
                let code = group[0];
                let (ties, keys) = (&mut *self, &mut *group);
                dispatch!(ties.isa, many_with(ties: &mut Ties, keys: &mut [i64], offset: usize));
                self.parts(group, code, |ties, part| ties.group(part, offset, KEY_BITS))?
            };
            if split {
                return Ok(());
            }
        }
    }

    /// Sorts at most `MOST`, a power of two to [`FEW`], by whole windows at `offset`; false if all are equal.
    #[inline(never)]
    fn few<const MOST: usize>(&mut self, group: &mut [i64], offset: usize) -> Result<bool, Repetitive> {
        let mut keys = [0i64; MOST];
        let mut positions = [0usize; MOST];
        let keys = &mut keys[..group.len()];
        let ties = &mut *self;
        let positions_of = &mut positions[..];
        let (members, sorted) = (&*group, &mut *keys);
        dispatch!(ties.isa, few_with(ties: &mut Ties, members: &[i64], offset: usize, sorted: &mut [i64], positions_of: &mut [usize]));
        let equal = |a: i64, b: i64| ((a ^ b) as u64) < FEW as u64;
        if equal(keys[0], keys[keys.len() - 1]) {
            return Ok(false);
        }
        for (member, &key) in group.iter_mut().zip(&*keys) {
            *member = with_position(*member, positions[key as usize % MOST]);
        }
        let mut from = 0;
        for same in keys.chunk_by(|&a, &b| equal(a, b)) {
            let members = &mut group[from..from + same.len()];
            from += same.len();
            if members.len() > 1 {
                self.group(members, offset, WINDOW_BITS)?;
            }
        }
        Ok(true)
    }

    /// Sorts the parts of equal code of a sorted group by `deeper`, and gives all the code of `own`, which they had before;
    /// false if there is one part only.
    fn parts(
        &mut self,
        group: &mut [i64],
        own: i64,
        mut deeper: impl FnMut(&mut Self, &mut [i64]) -> Result<(), Repetitive>,
    ) -> Result<bool, Repetitive> {
        let split = !same_code(group[0], group[group.len() - 1]);
        let mut result = Ok(split);
        if split {
            for part in group.chunk_by_mut(|&a, &b| same_code(a, b)) {
                if part.len() > 1 && result.is_ok() {
                    result = deeper(self, part).map(|()| true);
                }
            }
        }
        for member in &mut *group {
            *member = with_position(own, position(*member));
        }
        result
    }

    /// The slow way, for long stretches without a B*: rotations agree up to `depth`.
    fn by_text(&mut self, group: &mut [i64], mut depth: usize) -> Result<(), Repetitive> {
        while depth < self.text.n {
            self.spend(group.len())?;
            let code = group[0];
            for member in &mut *group {
                let at = self.text.wrap(position(*member) + depth);
                *member = with_code(*member, self.text.word(at));
            }
            group.sort_unstable();
            // 44 bits are five bytes.
            depth += 5;
            if self.parts(group, code, |ties, part| ties.by_text(part, depth))? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// As [`step`] for the bytes that `bits` of code determine, in fewer steps where that is easy.
    #[inline(always)]
    fn reach(&self, start: usize, bits: u32) -> Option<usize> {
        if start + 64 >= self.text.n {
            return step(self.text, self.stars, start, known(self.text, self.order, start, bits));
        }
        let (mut left, mut last) = (bits, 1);
        while last < 63 {
            let length = self.order.length(self.text.pair(start + last));
            if length > left {
                break;
            }
            left -= length;
            last += 1;
        }
        // Bytes up to `last` are known. Types before a descent are determined.
        let descent = (1..last).rev().find(|at| {
            let pair = self.text.pair(start + at);
            pair >> 8 > pair & 0xFF
        })?;
        self.stars.last_within(start, descent)
    }

    /// The window of the B* that is `offset` behind one.
    #[inline(always)]
    fn window(&self, position: usize, offset: usize) -> u64 {
        self.windows[self.stars.rank(self.text.wrap(position + offset))]
    }

    fn spend(&mut self, words: usize) -> Result<(), Repetitive> {
        self.budget = self.budget.checked_sub(words).ok_or(Repetitive)?;
        Ok(())
    }
}

/// The keys of a group by whole windows and the index of each, sorted.
#[inline(always)]
fn few_with<S: Simd>(simd: S, ties: &mut Ties, group: &[i64], offset: usize, keys: &mut [i64], positions: &mut [usize]) {
    for (index, (key, &member)) in keys.iter_mut().zip(group).enumerate() {
        positions[index] = position(member);
        let window = ties.window(positions[index], offset) ^ SIGN;
        *key = ((window & !(FEW as u64 - 1)) | index as u64) as i64;
    }
    sort_keys(simd, keys, FEW as u64 - 1, ties.scratch());
}

/// Gives the keys of a group the windows at `offset`, and sorts them.
#[inline(always)]
fn many_with<S: Simd>(simd: S, ties: &mut Ties, keys: &mut [i64], offset: usize) {
    for key in &mut *keys {
        *key = with_code(*key, ties.window(position(*key), offset));
    }
    sort_keys(simd, keys, POSITION as u64, ties.scratch());
}

/// Number of bytes from `start` on that `bits` of code from its second byte on determine.
pub(super) fn known(text: Circle, order: &Order, start: usize, bits: u32) -> usize {
    let (mut left, mut known) = (bits, 2);
    while known <= text.n {
        let length = order.length(text.pair(text.wrap(start + known - 1)));
        if length > left {
            break;
        }
        left -= length;
        known += 1;
    }
    known
}

/// How far behind the B* at `start` the last B* is that the `known` bytes from `start` on are sure to show: every rotation
/// with the same bytes has one there.
pub(super) fn step(text: Circle, stars: &Stars, start: usize, known: usize) -> Option<usize> {
    // Types before a descent are determined, and a B* is a position of type S before one of type L.
    let descends = |at: &usize| {
        let pair = text.pair(text.wrap(start + at));
        pair >> 8 > pair & 0xFF
    };
    let descent = (1..known.min(text.n) - 1).rev().find(descends)?;
    (1..descent).rev().find(|at| stars.contains(text.wrap(start + at)))
}
