//! The operations in plain code, a word at a time where that helps.

use super::{BATCH, Simd, Table};
use crate::encode::ranks::moved;

#[derive(Clone, Copy)]
pub(in super::super) struct Scalar;

impl Simd for Scalar {
    #[inline(always)]
    fn equal(self, a: &[u8; 64], b: &[u8; 64]) -> u64 {
        let (a, b): (&[[u8; 8]; 8], &[[u8; 8]; 8]) = (bytemuck::must_cast_ref(a), bytemuck::must_cast_ref(b));
        let mut mask = 0;
        for (k, (a, b)) in a.iter().zip(b).enumerate() {
            let x = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
            // The top bit of each byte that is not zero, gathered by a product whose terms do not meet.
            let differs = (x | ((x & LOW7) + LOW7)) & !LOW7;
            mask |= ((!differs & !LOW7) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56 << (8 * k);
        }
        mask
    }

    #[inline(always)]
    fn greater(self, a: &[u8; 64], b: &[u8; 64]) -> u64 {
        let (a, b): (&[[u8; 8]; 8], &[[u8; 8]; 8]) = (bytemuck::must_cast_ref(a), bytemuck::must_cast_ref(b));
        let mut mask = 0;
        for (k, (a, b)) in a.iter().zip(b).enumerate() {
            let (a, b) = (u64::from_le_bytes(*a), u64::from_le_bytes(*b));
            // The top bit of each byte is set where the low seven bits of b are not below those of a.
            let low = (b | !LOW7).wrapping_sub(a & LOW7);
            let less_or_equal = ((!a & b) | (!(a ^ b) & low)) & !LOW7;
            mask |= ((!less_or_equal & !LOW7) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56 << (8 * k);
        }
        mask
    }

    #[inline(always)]
    fn least(self, numbers: [u16; 8]) -> usize {
        let keys: [u32; 8] = std::array::from_fn(|k| (u32::from(numbers[k]) << 3) | k as u32);
        keys.iter().fold(u32::MAX, |least, &key| least.min(key)) as usize % 8
    }

    #[inline(always)]
    fn sum(self, rows: &[u16], table: &Table) -> [u16; 8] {
        let mut sum = [0u64; 2];
        for &row in rows {
            let row = &table[usize::from(row) % table.len()];
            sum = [sum[0] + row[0], sum[1] + row[1]];
        }
        bytemuck::must_cast(sum)
    }

    #[inline(always)]
    fn to_front(self, list: &mut [u8; 16], byte: u8) -> Result<usize, u8> {
        let words: &mut [[u8; 8]; 2] = bytemuck::must_cast_mut(list);
        let [first, second] = words.map(u64::from_le_bytes);
        let wanted = u64::from_le_bytes([byte; 8]);
        let (new, rank) = moved(first, u64::from(byte), wanted);
        words[0] = new.to_le_bytes();
        if let Some(rank) = rank {
            return Ok(rank);
        }
        let (new, rank) = moved(second, first >> 56, wanted);
        words[1] = new.to_le_bytes();
        rank.map(|rank| 8 + rank).ok_or((second >> 56) as u8)
    }

    #[inline(always)]
    fn at_least(self, numbers: &[u32], least: u32, chosen: &mut [u32; BATCH]) -> usize {
        let mut len = 0;
        // No branch: it cannot be guessed.
        for &number in numbers {
            chosen[len % BATCH] = number;
            len += usize::from(number >= least);
        }
        len
    }

    #[inline(always)]
    fn part(self, rows: &mut [u32], from: usize, to: usize, least: u32, kept: &mut usize, others: &mut [u32; BATCH]) -> usize {
        let (mut len, mut end) = (0, *kept);
        for row in (from..to).rev() {
            let number = rows[row];
            let over = number >= least;
            rows[end - 1] = number;
            end -= usize::from(over);
            others[len % BATCH] = number;
            len += usize::from(!over);
        }
        *kept = end;
        len
    }

    const FEW: usize = 12;

    #[inline(always)]
    fn sort_few(self, keys: &[i64], sorted: &mut [i64]) {
        match (keys, sorted) {
            ([], []) => {}
            ([a], [x]) => *x = *a,
            ([a, b], [x, y]) => (*x, *y) = ordered(*a, *b),
            ([a, b, c], [x, y, z]) => {
                let (a, b) = ordered(*a, *b);
                let (b, c) = ordered(b, *c);
                let (a, b) = ordered(a, b);
                (*x, *y, *z) = (a, b, c);
            }
            (keys, sorted) => {
                // The place of each key is the number of those less: no branch depends on the keys.
                for &key in keys {
                    let rank = keys.iter().filter(|&&other| other < key).count();
                    sorted[rank] = key;
                }
            }
        }
    }

    #[inline(always)]
    fn sort_few_in_place(self, keys: &mut [i64]) {
        let mut copy = [0; Self::FEW];
        let copy = &mut copy[..keys.len()];
        copy.copy_from_slice(keys);
        self.sort_few(copy, keys);
    }
}

#[inline(always)]
fn ordered(a: i64, b: i64) -> (i64, i64) {
    (a.min(b), a.max(b))
}

const LOW7: u64 = 0x7F7F_7F7F_7F7F_7F7F;
