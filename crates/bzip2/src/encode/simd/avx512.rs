//! The operations by AVX-512 where it does more than AVX2 at a time.
#![expect(
    unsafe_code,
    reason = "calls into code for a processor that was asked; held equal to the scalar twin by tests"
)]

use super::{Avx2, BATCH, Simd, Table};
use bytemuck::must_cast;
use std::arch::x86_64::*;

/// Proof that the processor has AVX-512 with its instructions for bytes, shorter vectors and numbers of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512(Avx2);

impl Avx512 {
    pub fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        Avx2::detect().filter(|_| all).map(Self)
    }
}

// SAFETY of each `unsafe` in this block: an `Avx512` proves that the processor has the instructions. Nothing else of the
// functions called is unsafe.
impl Simd for Avx512 {
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
        self.0.least(numbers)
    }
    #[inline(always)]
    fn sum(self, rows: &[u16], table: &Table) -> [u16; 8] {
        self.0.sum(rows, table)
    }
    #[inline(always)]
    fn to_front(self, list: &mut [u8; 16], byte: u8) -> Result<usize, u8> {
        self.0.to_front(list, byte)
    }

    const FEW: usize = 128;

    #[inline(always)]
    fn sort_few(self, keys: &[i64], sorted: &mut [i64]) {
        match keys.len() {
            0..=8 => unsafe { sort_8(keys).write(sorted) },
            9..=16 => unsafe { sort_16(keys).write(sorted) },
            17..=32 => unsafe { sort_32(keys).write(sorted) },
            33..=64 => unsafe { sort_64(keys).write(sorted) },
            _ => unsafe { sort_128(keys).write(sorted) },
        }
    }

    #[inline(always)]
    fn sort_few_in_place(self, keys: &mut [i64]) {
        match keys.len() {
            0..=8 => unsafe { sort_8(keys).write(keys) },
            9..=16 => unsafe { sort_16(keys).write(keys) },
            17..=32 => unsafe { sort_32(keys).write(keys) },
            33..=64 => unsafe { sort_64(keys).write(keys) },
            _ => unsafe { sort_128(keys).write(keys) },
        }
    }

    #[inline(always)]
    fn at_least(self, numbers: &[u32], least: u32, chosen: &mut [u32; BATCH]) -> usize {
        unsafe { at_least(numbers, least, chosen) }
    }

    #[inline(always)]
    fn part(self, rows: &mut [u32], from: usize, to: usize, least: u32, kept: &mut usize, others: &mut [u32; BATCH]) -> usize {
        unsafe { part(rows, from, to, least, kept, others) }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn equal(a: &[u8; 64], b: &[u8; 64]) -> u64 {
    _mm512_cmpeq_epi8_mask(must_cast(*a), must_cast(*b))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn greater(a: &[u8; 64], b: &[u8; 64]) -> u64 {
    _mm512_cmpgt_epu8_mask(must_cast(*a), must_cast(*b))
}

/// A bit for each of the first `len` of eight numbers.
#[inline(always)]
fn first(len: usize) -> __mmask8 {
    ((1u32 << len.min(8)) - 1) as __mmask8
}

/// Keys in vectors, in order.
struct KeyVectors<const VECTORS: usize>([__m512i; VECTORS]);

impl<const VECTORS: usize> KeyVectors<VECTORS> {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn write(self, sorted: &mut [i64]) {
        for (v, vector) in self.0.into_iter().enumerate() {
            let inside = first(sorted.len().saturating_sub(8 * v));
            // SAFETY: only the elements inside of `sorted` are written, and the pointer goes no further.
            unsafe { _mm512_mask_storeu_epi64(sorted.as_mut_ptr().wrapping_add(8 * v), inside, vector) };
        }
    }
}

/// At most eight keys, and behind them none that is less.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(keys: &[i64]) -> __m512i {
    // SAFETY: only the elements inside of `keys` are read.
    unsafe { _mm512_mask_loadu_epi64(_mm512_set1_epi64(i64::MAX), first(keys.len()), keys.as_ptr()) }
}

// Sorting without a branch: Batcher's network of merges, all exchanges in one direction (Knuth, The Art of Computer
// Programming, 5.3.4).

#[inline]
#[target_feature(enable = "avx512f")]
fn sort_8(keys: &[i64]) -> KeyVectors<1> {
    let v = load(keys);
    let v = exchange::<0b1010_1010>(v, _mm512_permutex_epi64::<0b10_11_00_01>(v));
    let v = exchange::<0b1100_1100>(v, _mm512_permutex_epi64::<0b00_01_10_11>(v));
    let v = exchange::<0b1010_1010>(v, _mm512_permutex_epi64::<0b10_11_00_01>(v));
    let v = exchange::<0b1111_0000>(v, reversed(v));
    let v = exchange::<0b1100_1100>(v, _mm512_permutex_epi64::<0b01_00_11_10>(v));
    KeyVectors([exchange::<0b1010_1010>(v, _mm512_permutex_epi64::<0b10_11_00_01>(v))])
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sort_16(keys: &[i64]) -> KeyVectors<2> {
    let (low, high) = keys.split_at(keys.len().min(8));
    let ([a], [b]) = merge(sort_8(low), sort_8(high));
    KeyVectors([a, b])
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sort_32(keys: &[i64]) -> KeyVectors<4> {
    let (low, high) = keys.split_at(keys.len().min(16));
    let ([a, b], [c, d]) = merge(sort_16(low), sort_16(high));
    KeyVectors([a, b, c, d])
}

#[inline(never)]
#[target_feature(enable = "avx512f")]
fn sort_64(keys: &[i64]) -> KeyVectors<8> {
    let (low, high) = keys.split_at(keys.len().min(32));
    let ([a, b, c, d], [e, f, g, h]) = merge(sort_32(low), sort_32(high));
    KeyVectors([a, b, c, d, e, f, g, h])
}

#[inline(never)]
#[target_feature(enable = "avx512f")]
fn sort_128(keys: &[i64]) -> KeyVectors<16> {
    let (low, high) = keys.split_at(keys.len().min(64));
    let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) = merge(sort_64(low), sort_64(high));
    KeyVectors([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
}

/// The lower half of both, and the upper.
#[inline]
#[target_feature(enable = "avx512f")]
fn merge<const VECTORS: usize>(
    KeyVectors(a): KeyVectors<VECTORS>,
    KeyVectors(b): KeyVectors<VECTORS>,
) -> ([__m512i; VECTORS], [__m512i; VECTORS]) {
    let (mut low, mut high) = (a, a);
    for v in 0..VECTORS {
        // The one rises while the other falls.
        (low[v], high[v]) = least_first(a[v], reversed(b[VECTORS - 1 - v]));
    }
    (in_order(low), in_order(high))
}

/// Sorts numbers that rise and then fall, or turn round the circle of such.
#[inline]
#[target_feature(enable = "avx512f")]
fn in_order<const VECTORS: usize>(mut vectors: [__m512i; VECTORS]) -> [__m512i; VECTORS] {
    let mut distance = VECTORS / 2;
    while distance > 0 {
        for v in (0..VECTORS).filter(|v| v & distance == 0) {
            (vectors[v], vectors[v + distance]) = least_first(vectors[v], vectors[v + distance]);
        }
        distance /= 2;
    }
    for v in &mut vectors {
        *v = exchange::<0b1111_0000>(*v, _mm512_shuffle_i64x2::<0b01_00_11_10>(*v, *v));
        *v = exchange::<0b1100_1100>(*v, _mm512_permutex_epi64::<0b01_00_11_10>(*v));
        *v = exchange::<0b1010_1010>(*v, _mm512_permutex_epi64::<0b10_11_00_01>(*v));
    }
    vectors
}

/// Each number compared with its partner: the greater where a bit of `GREATER` is set, else the less.
#[inline]
#[target_feature(enable = "avx512f")]
fn exchange<const GREATER: __mmask8>(v: __m512i, partners: __m512i) -> __m512i {
    _mm512_mask_max_epi64(_mm512_min_epi64(v, partners), GREATER, v, partners)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn least_first(a: __m512i, b: __m512i) -> (__m512i, __m512i) {
    (_mm512_min_epi64(a, b), _mm512_max_epi64(a, b))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn reversed(v: __m512i) -> __m512i {
    _mm512_permutexvar_epi64(_mm512_setr_epi64(7, 6, 5, 4, 3, 2, 1, 0), v)
}

/// At most sixteen numbers, and behind them zeros; and a bit for each.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_16(numbers: &[u32]) -> (__m512i, __mmask16) {
    let inside = ((1u32 << numbers.len().min(16)) - 1) as __mmask16;
    // SAFETY: only the elements inside of `numbers` are read.
    (unsafe { _mm512_maskz_loadu_epi32(inside, numbers.as_ptr().cast()) }, inside)
}

#[inline]
#[target_feature(enable = "avx512f,popcnt")]
fn at_least(numbers: &[u32], least: u32, chosen: &mut [u32; BATCH]) -> usize {
    let least = _mm512_set1_epi32(least as i32);
    let mut len = 0;
    for numbers in numbers.chunks(16) {
        let (numbers, inside) = load_16(numbers);
        let wanted = _mm512_mask_cmpge_epu32_mask(inside, numbers, least);
        chosen[len..][..16].copy_from_slice(must_cast::<_, [u32; 16]>(_mm512_maskz_compress_epi32(wanted, numbers)).as_slice());
        len += wanted.count_ones() as usize;
    }
    len
}

#[inline]
#[target_feature(enable = "avx512f,popcnt")]
fn part(rows: &mut [u32], from: usize, to: usize, least: u32, kept: &mut usize, others: &mut [u32; BATCH]) -> usize {
    let least = _mm512_set1_epi32(least as i32);
    let backwards = _mm512_setr_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    let (mut len, mut end) = (0, to);
    while end > from {
        let start = from.max(end.saturating_sub(16));
        let (numbers, inside) = load_16(&rows[start..end]);
        end = start;
        let over = _mm512_mask_cmpge_epu32_mask(inside, numbers, least);
        let count = over.count_ones() as usize;
        let place = &mut rows[*kept - count..*kept];
        *kept -= count;
        // SAFETY: as many numbers are written as the slice has.
        unsafe {
            _mm512_mask_storeu_epi32(
                place.as_mut_ptr().cast(),
                ((1u32 << count) - 1) as __mmask16,
                _mm512_maskz_compress_epi32(over, numbers),
            )
        };
        let under = _mm512_maskz_compress_epi32((inside & !over).reverse_bits(), _mm512_permutexvar_epi32(backwards, numbers));
        others[len..][..16].copy_from_slice(must_cast::<_, [u32; 16]>(under).as_slice());
        len += (inside & !over).count_ones() as usize;
    }
    len
}
