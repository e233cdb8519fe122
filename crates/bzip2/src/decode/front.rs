//! The first sixteen places of the move-to-front list, as one value.

/// Ranks below this are the front's.
pub(super) const FRONT_LEN: usize = 16;

/// Moves one of the front's bytes to its head.
pub(super) trait Front: Copy {
    fn load(bytes: [u8; FRONT_LEN]) -> Self;
    fn bytes(self) -> [u8; FRONT_LEN];
    fn head(self) -> u8;
    /// `symbol` as the Huffman code gives it: 0 and 1 are runs and move nothing, `s` up to 16 means
    /// rank `s - 1`.
    fn to_front(self, symbol: u8) -> Self;
}

/// For any processor: a 128-bit number, the head lowest.
#[derive(Clone, Copy)]
pub(super) struct Scalar(u128);

impl Front for Scalar {
    #[inline(always)]
    fn load(bytes: [u8; FRONT_LEN]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }

    #[inline(always)]
    fn bytes(self) -> [u8; FRONT_LEN] {
        self.0.to_le_bytes()
    }

    #[inline(always)]
    fn head(self) -> u8 {
        self.0 as u8
    }

    #[inline(always)]
    fn to_front(self, symbol: u8) -> Self {
        Self(shift_in(self.0, u32::from(symbol.saturating_sub(1))))
    }
}

/// The byte at `rank` moves to the lowest place, those below it one up.
#[inline(always)]
fn shift_in(row: u128, rank: u32) -> u128 {
    let byte = row >> (8 * rank) & 255;
    // Two steps: by 128 at once would be none.
    let above = (!0 << (8 * rank)) << 8;
    row & above | (row << 8) & !above | byte
}

/// The permutation that each symbol of the front stands for; the rest only fill the table up to a
/// power of two.
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), expect(dead_code))]
static PERMUTATIONS: [[u8; FRONT_LEN]; 32] = permutations();

const fn permutations() -> [[u8; FRONT_LEN]; 32] {
    let mut table = [[0; FRONT_LEN]; 32];
    let mut symbol = 0;
    while symbol < 32 {
        let rank = if symbol == 0 { 0 } else { symbol - 1 };
        let mut place = 0;
        while place < FRONT_LEN {
            table[symbol][place] = if place > rank {
                place as u8
            } else if place == 0 {
                rank as u8
            } else {
                place as u8 - 1
            };
            place += 1;
        }
        symbol += 1;
    }
    table
}

#[cfg(target_arch = "x86_64")]
pub(super) mod vector {
    //! By `pshufb`: one step of latency a symbol.
    #![expect(unsafe_code, reason = "the processor's byte permute; held equal to the scalar twin by a test")]

    use super::{FRONT_LEN, Front, PERMUTATIONS};
    use std::arch::x86_64::{__m128i, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_shuffle_epi8, _mm_storeu_si128};

    /// Must only be used where the processor has SSSE3; made by [`super::super::entropy`] behind
    /// that test alone.
    #[derive(Clone, Copy)]
    pub(crate) struct Vector(__m128i);

    impl Front for Vector {
        #[inline(always)]
        fn load(bytes: [u8; FRONT_LEN]) -> Self {
            // SAFETY: sixteen bytes are read from an array of sixteen.
            Self(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
        }

        #[inline(always)]
        fn bytes(self) -> [u8; FRONT_LEN] {
            let mut bytes = [0; FRONT_LEN];
            // SAFETY: sixteen bytes are written to an array of sixteen.
            unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), self.0) };
            bytes
        }

        #[inline(always)]
        fn head(self) -> u8 {
            // SAFETY: SSE2, which every x86_64 has.
            unsafe { _mm_cvtsi128_si32(self.0) as u8 }
        }

        #[inline(always)]
        fn to_front(self, symbol: u8) -> Self {
            let permutation = &PERMUTATIONS[usize::from(symbol & 31)];
            // SAFETY: sixteen bytes are read from an array of sixteen; SSSE3 by the type's rule.
            Self(unsafe { _mm_shuffle_epi8(self.0, _mm_loadu_si128(permutation.as_ptr().cast())) })
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub(crate) mod vector {
    //! By `tbl`, which every aarch64 has.
    #![expect(unsafe_code, reason = "the processor's byte permute; held equal to the scalar twin by a test")]

    use super::{FRONT_LEN, Front, PERMUTATIONS};
    use std::arch::aarch64::{uint8x16_t, vgetq_lane_u8, vld1q_u8, vqtbl1q_u8, vst1q_u8};

    #[derive(Clone, Copy)]
    pub(crate) struct Vector(uint8x16_t);

    impl Front for Vector {
        #[inline(always)]
        fn load(bytes: [u8; FRONT_LEN]) -> Self {
            // SAFETY: sixteen bytes are read from an array of sixteen.
            Self(unsafe { vld1q_u8(bytes.as_ptr()) })
        }

        #[inline(always)]
        fn bytes(self) -> [u8; FRONT_LEN] {
            let mut bytes = [0; FRONT_LEN];
            // SAFETY: sixteen bytes are written to an array of sixteen.
            unsafe { vst1q_u8(bytes.as_mut_ptr(), self.0) };
            bytes
        }

        #[inline(always)]
        fn head(self) -> u8 {
            // SAFETY: NEON, which every aarch64 has.
            unsafe { vgetq_lane_u8::<0>(self.0) }
        }

        #[inline(always)]
        fn to_front(self, symbol: u8) -> Self {
            let permutation = &PERMUTATIONS[usize::from(symbol & 31)];
            // SAFETY: sixteen bytes are read from an array of sixteen; NEON as above.
            Self(unsafe { vqtbl1q_u8(self.0, vld1q_u8(permutation.as_ptr())) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves_as_a_list_does<F: Front>() {
        let mut list: Vec<u8> = (0..16u8).map(|i| i.wrapping_mul(13).wrapping_add(200)).collect();
        let mut front = F::load(list.clone().try_into().unwrap());
        let mut random = 1u32;
        for _ in 0..10_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let symbol = (random >> 24) % 17;
            let rank = symbol.saturating_sub(1) as usize;
            let byte = list.remove(rank);
            list.insert(0, byte);
            front = front.to_front(symbol as u8);
            assert_eq!(front.bytes().as_slice(), list);
            assert_eq!(front.head(), byte);
        }
    }

    #[test]
    fn the_scalar_front_moves_as_a_list_does() {
        moves_as_a_list_does::<Scalar>();
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_vector_front_moves_as_a_list_does() {
        assert!(is_x86_feature_detected!("ssse3"), "this test needs SSSE3");
        moves_as_a_list_does::<vector::Vector>();
    }

    #[cfg(target_arch = "aarch64")]
    #[test]
    fn the_vector_front_moves_as_a_list_does() {
        moves_as_a_list_does::<vector::Vector>();
    }
}
