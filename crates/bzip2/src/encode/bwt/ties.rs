//! Rotations whose keys have the same code: compared farther behind.

use super::super::simd::{Isa, Simd, dispatch};
use super::key::{KEY_BITS, SIGN, number, same_code, sort_keys, with_code, with_number};
use super::order::{Order, WINDOW_BITS};
use super::text::CyclicText;
use super::types::{NUMBER, StarSet};
use super::windows::Windows;

/// So many equal stretches that a sort in linear time is the shorter way.
#[derive(Debug)]
pub(super) struct TooRepetitive;

/// Words that may be compared before it is known how many the data needs.
const SLACK: usize = 50_000;
/// Words for each key sorted: dumps need up to one, repetitive data three and more.
const WORDS_PER_KEY: usize = 3;

/// Sorts groups of equal code, within a budget of words compared.
pub(super) struct TieResolver<'a> {
    text: CyclicText<'a>,
    stars: &'a StarSet,
    order: &'a Order,
    windows: Windows<'a>,
    scratch: &'a mut [i64],
    isa: Isa,
    budget: usize,
}

/// A group of at most so many is sorted by all bits of a window and the index within the group.
const FEW: usize = 1 << (64 - WINDOW_BITS);

impl<'a> TieResolver<'a> {
    pub(super) fn new(
        isa: Isa,
        text: CyclicText<'a>,
        stars: &'a StarSet,
        order: &'a Order,
        windows: Windows<'a>,
        scratch: &'a mut [i64],
    ) -> Self {
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
    pub(super) fn scratch(&mut self) -> &mut [i64] {
        self.scratch
    }

    /// Sorts the groups in a sorted bin. The code stays, the numbers change places.
    pub(super) fn resolve(&mut self, bin: &mut [i64]) -> Result<(), TooRepetitive> {
        self.budget += bin.len() * WORDS_PER_KEY;
        for group in bin.chunk_by_mut(|&a, &b| same_code(a, b)) {
            match group {
                [_] => {}
                [a, b] => self.pair(a, b, 0)?,
                _ => self.group(group, 0, KEY_BITS)?,
            }
        }
        Ok(())
    }

    /// Sorts two that agree up to the B* that is `offset` behind each.
    #[inline(always)]
    fn pair(&mut self, a: &mut i64, b: &mut i64, offset: usize) -> Result<(), TooRepetitive> {
        let (x, y) = (number(*a), number(*b));
        // No branch: it cannot be guessed.
        let other = (x ^ y) & usize::from(self.descends(x, y, offset)?).wrapping_neg();
        (*a, *b) = (with_number(*a, x ^ other), with_number(*b, y ^ other));
        Ok(())
    }

    fn descends(&mut self, a: usize, b: usize, mut offset: usize) -> Result<bool, TooRepetitive> {
        loop {
            let (a, b) = (self.windows.wrap(a + offset), self.windows.wrap(b + offset));
            self.spend(1)?;
            let (x, y) = (self.windows.code(a), self.windows.code(b));
            if x != y {
                return Ok(x > y);
            }
            let Some(step) = self.step(a, WINDOW_BITS)? else {
                return self.text_descends(self.windows.position(a), self.windows.position(b));
            };
            offset += step;
            if offset >= self.stars.count {
                // The same all around.
                return Ok(false);
            }
        }
    }

    /// Compares two rotations as text.
    fn text_descends(&mut self, mut a: usize, mut b: usize) -> Result<bool, TooRepetitive> {
        for _ in 0..self.text.n.div_ceil(8) {
            let (x, y) = (self.text.word(a), self.text.word(b));
            self.spend(1)?;
            if x != y {
                return Ok(x > y);
            }
            (a, b) = (self.text.wrap(a + 8), self.text.wrap(b + 8));
        }
        // The same all around.
        Ok(false)
    }

    /// Sorts a group whose rotations agree up to the B* that is `offset` behind each, and by `bits` of code behind. Each
    /// call within is for a smaller group, so that the budget bounds the depth too.
    fn group(&mut self, group: &mut [i64], mut offset: usize, mut bits: u32) -> Result<(), TooRepetitive> {
        loop {
            if let [a, b] = group {
                return self.pair(a, b, offset);
            }
            let Some(step) = self.step(self.windows.wrap(number(group[0]) + offset), bits)? else {
                return self.by_text(group, offset, 0);
            };
            offset += step;
            if offset >= self.stars.count {
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
                dispatch!(ties.isa, many_with(ties: &mut TieResolver, keys: &mut [i64], offset: usize));
                self.parts(group, code, |ties, part| ties.group(part, offset, KEY_BITS))?
            };
            if split {
                return Ok(());
            }
        }
    }

    /// Sorts at most `MOST`, a power of two to [`FEW`], by whole windows at `offset`; false if all are equal.
    #[inline(never)]
    fn few<const MOST: usize>(&mut self, group: &mut [i64], offset: usize) -> Result<bool, TooRepetitive> {
        let mut keys = [0i64; MOST];
        let mut numbers = [0usize; MOST];
        let keys = &mut keys[..group.len()];
        let ties = &mut *self;
        let numbers_of = &mut numbers[..];
        let (members, sorted) = (&*group, &mut *keys);
        dispatch!(ties.isa, few_with(ties: &mut TieResolver, members: &[i64], offset: usize, sorted: &mut [i64], numbers_of: &mut [usize]));
        let equal = |a: i64, b: i64| ((a ^ b) as u64) < FEW as u64;
        if equal(keys[0], keys[keys.len() - 1]) {
            return Ok(false);
        }
        for (member, &key) in group.iter_mut().zip(&*keys) {
            *member = with_number(*member, numbers[key as usize % MOST]);
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
        mut deeper: impl FnMut(&mut Self, &mut [i64]) -> Result<(), TooRepetitive>,
    ) -> Result<bool, TooRepetitive> {
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
            *member = with_number(own, number(*member));
        }
        result
    }

    /// The slow way, for long stretches without a B*: rotations agree up to `depth` bytes behind the B* at `offset`.
    fn by_text(&mut self, group: &mut [i64], offset: usize, mut depth: usize) -> Result<(), TooRepetitive> {
        while depth < self.text.n {
            self.spend(group.len())?;
            let code = group[0];
            for member in &mut *group {
                let start = self.windows.position(self.windows.wrap(number(*member) + offset));
                *member = with_code(*member, self.text.word(self.text.wrap(start + depth)));
            }
            group.sort_unstable();
            // 44 bits are five bytes.
            depth += 5;
            if self.parts(group, code, |ties, part| ties.by_text(part, offset, depth))? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// How many B* farther the next is that the bytes show which `bits` of code behind the B* `number` determine.
    #[inline(always)]
    fn step(&mut self, number: usize, bits: u32) -> Result<Option<usize>, TooRepetitive> {
        match self.windows.step(number, bits) {
            None => self.exact_step(number, bits),
            some => Ok(some),
        }
    }

    /// The same by the text, for few B* far from each other.
    #[cold]
    fn exact_step(&mut self, number: usize, bits: u32) -> Result<Option<usize>, TooRepetitive> {
        let start = self.windows.position(number);
        let known = self.order.known_bytes(self.text, start, bits, self.text.n);
        self.spend(known / size_of::<u64>())?;
        let Some(bytes) = self.stars.step(self.text, start, known) else {
            return Ok(None);
        };
        let there = self.windows.number(self.text.wrap(start + bytes));
        Ok(Some(if there > number { there } else { there + self.stars.count } - number))
    }

    fn spend(&mut self, words: usize) -> Result<(), TooRepetitive> {
        self.budget = self.budget.checked_sub(words).ok_or(TooRepetitive)?;
        Ok(())
    }
}

/// The keys of a group by whole windows and the index of each, sorted.
#[inline(always)]
fn few_with<S: Simd>(simd: S, ties: &mut TieResolver, group: &[i64], offset: usize, keys: &mut [i64], numbers: &mut [usize]) {
    let windows = ties.windows;
    for (index, (key, &member)) in keys.iter_mut().zip(group).enumerate() {
        numbers[index] = number(member);
        let window = windows.codes[windows.wrap(numbers[index] + offset)] ^ SIGN;
        *key = ((window & !(FEW as u64 - 1)) | index as u64) as i64;
    }
    sort_keys(simd, keys, FEW as u64 - 1, ties.scratch());
}

/// Gives the keys of a group the windows at `offset`, and sorts them.
#[inline(always)]
fn many_with<S: Simd>(simd: S, ties: &mut TieResolver, keys: &mut [i64], offset: usize) {
    let windows = ties.windows;
    for key in &mut *keys {
        *key = with_code(*key, windows.codes[windows.wrap(number(*key) + offset)]);
    }
    sort_keys(simd, keys, NUMBER as u64, ties.scratch());
}
