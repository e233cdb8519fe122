//! The operations by AVX2.
#![expect(
    unsafe_code,
    reason = "calls into code for a processor that was asked; held equal to the scalar twin by tests"
)]

use super::{BATCH, Scalar, Simd, Table};
use bytemuck::must_cast_ref;
use std::arch::x86_64::*;

/// Proof that the processor has AVX2, and with it BMI1, BMI2, LZCNT and POPCNT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    pub fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt");
        all.then_some(Self(()))
    }
}

// SAFETY of each `unsafe` in this block: an `Avx2` proves that the processor has the instructions. Nothing else of the
// functions called is unsafe: vectors are loaded and stored by `bytemuck`.
impl Simd for Avx2 {
    #[inline(always)]
    fn equal(self, a: &[u8; 64], b: &[u8; 64]) -> u64 {
        unsafe { equal(a, b) }
    }
    #[inline(always)]
    fn greater(self, a: &[u8; 64], b: &[u8; 64]) -> u64 {
        unsafe { greater(a, b) }
    }
    #[inline(always)]
    fn least(self, numbers: [u16; 8]) -> usize {
        unsafe { least(numbers) }
    }
    #[inline(always)]
    fn sum(self, rows: &[u16], table: &Table) -> [u16; 8] {
        unsafe { sum(rows, table) }
    }
    #[inline(always)]
    fn to_front(self, list: &mut [u8; 16], byte: u8) -> Result<usize, u8> {
        unsafe { to_front(list, byte) }
    }
    #[inline(always)]
    fn at_least(self, numbers: &[u32], least: u32, chosen: &mut [u32; BATCH]) -> usize {
        Scalar.at_least(numbers, least, chosen)
    }
    #[inline(always)]
    fn part(self, rows: &mut [u32], from: usize, to: usize, least: u32, kept: &mut usize, others: &mut [u32; BATCH]) -> usize {
        Scalar.part(rows, from, to, least, kept, others)
    }

    const FEW: usize = 32;

    #[inline(always)]
    fn sort_few(self, keys: &[i64], sorted: &mut [i64]) {
        match keys.len() {
            0..=3 => Scalar.sort_few(keys, sorted),
            4 => unsafe { rank::<1>(keys).write(sorted) },
            5..=8 => unsafe { rank::<2>(keys).write(sorted) },
            9..=12 => unsafe { rank::<3>(keys).write(sorted) },
            13..=16 => unsafe { rank::<4>(keys).write(sorted) },
            17..=24 => unsafe { rank::<6>(keys).write(sorted) },
            _ => unsafe { rank::<8>(keys).write(sorted) },
        }
    }

    #[inline(always)]
    fn sort_few_in_place(self, keys: &mut [i64]) {
        match keys.len() {
            0..=3 => Scalar.sort_few_in_place(keys),
            4 => unsafe { rank::<1>(keys).write(keys) },
            5..=8 => unsafe { rank::<2>(keys).write(keys) },
            9..=12 => unsafe { rank::<3>(keys).write(keys) },
            13..=16 => unsafe { rank::<4>(keys).write(keys) },
            17..=24 => unsafe { rank::<6>(keys).write(keys) },
            _ => unsafe { rank::<8>(keys).write(keys) },
        }
    }
}

/// Keys and the place of each.
struct RankVectors<const VECTORS: usize> {
    keys: [[i64; 4]; VECTORS],
    ranks: [[u64; 4]; VECTORS],
}

impl<const VECTORS: usize> RankVectors<VECTORS> {
    #[inline(always)]
    fn write(self, sorted: &mut [i64]) {
        let ranked = self.keys.as_flattened().iter().zip(self.ranks.as_flattened());
        for (&key, &rank) in ranked.take(sorted.len()) {
            sorted[rank as usize] = key;
        }
    }
}

/// At most `4 * VECTORS` keys: the place of each is the number of those less.
#[inline]
#[target_feature(enable = "avx2")]
fn rank<const VECTORS: usize>(keys: &[i64]) -> RankVectors<VECTORS> {
    let len = _mm256_set1_epi64x(keys.len() as i64);
    let none = _mm256_set1_epi64x(i64::MAX);
    let vectors: [__m256i; VECTORS] = std::array::from_fn(|v| {
        let first = 4 * v as i64;
        let inside = _mm256_cmpgt_epi64(len, _mm256_setr_epi64x(first, first + 1, first + 2, first + 3));
        // SAFETY: only the elements inside of `keys` are read, and the pointer goes no further.
        let some = unsafe { _mm256_maskload_epi64(keys.as_ptr().wrapping_add(4 * v), inside) };
        _mm256_blendv_epi8(none, some, inside)
    });
    let mut ranks = [_mm256_setzero_si256(); VECTORS];
    for &key in keys {
        let key = _mm256_set1_epi64x(key);
        for v in 0..VECTORS {
            // A comparison that holds is -1.
            ranks[v] = _mm256_sub_epi64(ranks[v], _mm256_cmpgt_epi64(vectors[v], key));
        }
    }
    RankVectors {
        keys: vectors.map(bytemuck::must_cast),
        ranks: ranks.map(bytemuck::must_cast),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn least(numbers: [u16; 8]) -> usize {
    // The number, then its place.
    _mm_extract_epi16::<1>(_mm_minpos_epu16(bytemuck::must_cast(numbers))) as usize % 8
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum(rows: &[u16], table: &Table) -> [u16; 8] {
    let row = |number: u16| bytemuck::must_cast(table[usize::from(number) % table.len()]);
    let mut sums = [_mm_setzero_si128(); 2];
    let (pairs, rest) = rows.as_chunks::<2>();
    for pair in pairs {
        sums = [_mm_add_epi16(sums[0], row(pair[0])), _mm_add_epi16(sums[1], row(pair[1]))];
    }
    for &number in rest {
        sums[0] = _mm_add_epi16(sums[0], row(number));
    }
    bytemuck::must_cast(_mm_add_epi16(sums[0], sums[1]))
}

#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn to_front(list: &mut [u8; 16], byte: u8) -> Result<usize, u8> {
    let bytes: __m128i = bytemuck::must_cast(*list);
    let wanted = _mm_set1_epi8(byte as i8);
    let equal = _mm_cmpeq_epi8(bytes, wanted);
    // Below the byte found, and there, the top bits of the difference are set; without one in its half, everywhere.
    let upto = _mm_sub_epi64(equal, _mm_set1_epi64x(1));
    // The upper half moves only if the byte is not in the lower.
    let absent = _mm_cmpeq_epi64(equal, _mm_setzero_si128());
    let upto = _mm_and_si128(upto, _mm_unpacklo_epi64(_mm_set1_epi64x(-1), absent));
    let moved = _mm_alignr_epi8::<15>(bytes, wanted);
    *list = bytemuck::must_cast(_mm_blendv_epi8(bytes, moved, upto));
    let found = _mm_movemask_epi8(equal);
    if found != 0 {
        Ok(found.trailing_zeros() as usize % 16)
    } else {
        Err(_mm_extract_epi8::<15>(bytes) as u8)
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn halves(a: &[u8; 64]) -> [__m256i; 2] {
    let [low, high]: &[[u8; 32]; 2] = must_cast_ref(a);
    [bytemuck::must_cast(*low), bytemuck::must_cast(*high)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn bits(low: __m256i, high: __m256i) -> u64 {
    u64::from(_mm256_movemask_epi8(low) as u32) | (u64::from(_mm256_movemask_epi8(high) as u32) << 32)
}

#[inline]
#[target_feature(enable = "avx2")]
fn equal(a: &[u8; 64], b: &[u8; 64]) -> u64 {
    let ([a0, a1], [b0, b1]) = (halves(a), halves(b));
    bits(_mm256_cmpeq_epi8(a0, b0), _mm256_cmpeq_epi8(a1, b1))
}

#[inline]
#[target_feature(enable = "avx2")]
fn greater(a: &[u8; 64], b: &[u8; 64]) -> u64 {
    let ([a0, a1], [b0, b1]) = (halves(a), halves(b));
    !bits(
        _mm256_cmpeq_epi8(_mm256_min_epu8(a0, b0), a0),
        _mm256_cmpeq_epi8(_mm256_min_epu8(a1, b1), a1),
    )
}
