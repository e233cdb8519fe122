//! Sorting in linear time, by libsais.

use super::bins::Bins;
use super::key::{KEY_BITS, number, same_code, with_code};
use super::order::Order;
use super::sais::{sort_bytes, sort_names};
use super::text::{CyclicText, POSITION};
use super::types::StarSet;

/// Stretches of more bytes without a B* are not worth names.
const LONGEST_STRETCH: usize = 1000;

/// Sorts the B* by their names, where the same text to the next B* is one name: the string of names, a third as long as
/// the text, is sorted instead of it. `keys_and_entries` has the keys sorted by code, then the entries by number; the sorted
/// entries take the place of the keys. False if some stretch between two B* is too long. `scratch` has a word for each B*.
pub(super) fn by_names(
    text: CyclicText,
    stars: &StarSet,
    order: &Order,
    bins: &Bins,
    keys_and_entries: &mut [u64],
    scratch: &mut [u64],
) -> bool {
    let m = stars.count;
    let (names, sorted) = bytemuck::cast_slice_mut::<u64, u32>(scratch).split_at_mut(m);
    let (keys, entries) = keys_and_entries.split_at_mut(m);
    let keys: &mut [i64] = bytemuck::cast_slice_mut(keys);
    let entries: &[u32] = bytemuck::cast_slice(entries);
    let mut namer = Namer {
        text,
        stars,
        entries,
        names,
        name: 0,
    };
    for range in bins.ranges() {
        for group in keys[range].chunk_by_mut(|&a, &b| same_code(a, b)) {
            // One alone needs no more than its code.
            let bytes = if group.len() > 1 {
                order.known_bytes(text, namer.position(group[0]), KEY_BITS, LONGEST_STRETCH + 1)
            } else {
                0
            };
            if !namer.give(group, bytes) {
                return false;
            }
        }
    }
    let name = namer.name;
    let start = least_rotation(names);
    names.rotate_left(start);
    sort_names(names, name, sorted);
    let rows: &mut [u32] = bytemuck::cast_slice_mut(keys);
    for (row, &at) in rows.iter_mut().zip(&*sorted) {
        let at = at as usize + start;
        *row = entries[if at >= m { at - m } else { at }];
    }
    true
}

struct Namer<'a> {
    text: CyclicText<'a>,
    stars: &'a StarSet,
    entries: &'a [u32],
    names: &'a mut [u32],
    name: u32,
}

impl Namer<'_> {
    fn position(&self, key: i64) -> usize {
        self.entries[number(key)] as usize & POSITION
    }

    /// Names a group that agrees in the first `known` bytes: one name if these show the next B*, else more bytes decide.
    fn give(&mut self, group: &mut [i64], mut known: usize) -> bool {
        while group.len() > 1 && self.stars.step(self.text, self.position(group[0]), known).is_none() {
            if known > LONGEST_STRETCH {
                return false;
            }
            for member in &mut *group {
                let at = self.text.wrap(self.position(*member) + known);
                *member = with_code(*member, self.text.word(at));
            }
            group.sort_unstable();
            // A key's code has room for five bytes.
            known += 5;
            if !same_code(group[0], group[group.len() - 1]) {
                return group.chunk_by_mut(|&a, &b| same_code(a, b)).all(|group| self.give(group, known));
            }
        }
        for &key in &*group {
            self.names[number(key)] = self.name;
        }
        self.name += 1;
        true
    }
}

/// Rotates `text` and writes the last column of its rotations; returns the row of what began at `origin`.
pub(super) fn whole(text: &mut [u8], origin: usize, rows: &mut [u32], column: &mut [u8]) -> u32 {
    let start = least_rotation(text);
    text.rotate_left(start);
    let rows: &mut [i32] = bytemuck::cast_slice_mut(rows);
    sort_bytes(text, rows);
    let n = text.len();
    let origin = (origin + n - start) % n;
    let mut origin_row = 0;
    for (row, (&position, byte)) in rows.iter().zip(column).enumerate() {
        let position = position as usize;
        if position == origin {
            origin_row = row as u32;
        }
        *byte = text[if position == 0 { n } else { position } - 1];
    }
    origin_row
}

/// Where the least rotation begins. Its suffixes are ordered as the rotations are.
pub(super) fn least_rotation<T: Ord>(text: &[T]) -> usize {
    let n = text.len();
    let (mut a, mut b, mut k) = (0, 1, 0);
    let wrap = |at: usize| if at < n { at } else { at - n };
    while a < n && b < n && k < n {
        match text[wrap(a + k)].cmp(&text[wrap(b + k)]) {
            std::cmp::Ordering::Equal => k += 1,
            std::cmp::Ordering::Greater => {
                a += k + 1;
                if a == b {
                    a += 1;
                }
                k = 0;
            }
            std::cmp::Ordering::Less => {
                b += k + 1;
                if a == b {
                    b += 1;
                }
                k = 0;
            }
        }
    }
    a.min(b)
}
