//! Two states over the same blocks by the SHA instructions of x86-64.
#![expect(
    unsafe_code,
    reason = "a call into code for a processor that was asked; held equal to the library's hash by tests"
)]

use super::{BLOCK, State};
use std::arch::x86_64::*;

/// Proof that the processor has the SHA instructions, SSE4.1 and SSSE3.
#[derive(Clone, Copy)]
pub(crate) struct ShaNi(());

impl ShaNi {
    pub(crate) fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("sha") && is_x86_feature_detected!("sse4.1") && is_x86_feature_detected!("ssse3");
        all.then_some(Self(()))
    }

    /// Takes the blocks into both states.
    pub(crate) fn blocks(self, states: [&mut State; 2], blocks: &[[u8; BLOCK]]) {
        // SAFETY: a `ShaNi` proves that the processor has the instructions. Nothing else of the function is unsafe.
        unsafe { compress(states, blocks) }
    }
}

/// The constants of the rounds (FIPS 180-4, 4.2.2), four to a step, four steps to each turn of the schedule.
static CONSTANTS: [[[u32; 4]; 4]; 4] = [
    [
        [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
        [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
        [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
        [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    ],
    [
        [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
        [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
        [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
        [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    ],
    [
        [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
        [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
        [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
        [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    ],
    [
        [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
        [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
        [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
        [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
    ],
];

/// The words as the instructions want them: (a, b, e, f) and (c, d, g, h), the first named at the high end.
#[derive(Clone, Copy)]
struct Words {
    abef: __m128i,
    cdgh: __m128i,
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn compress(states: [&mut State; 2], blocks: &[[u8; BLOCK]]) {
    let big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    let [mut whole, mut part] = [load(states[0]), load(states[1])];
    for block in blocks {
        let quarters: &[[u8; 16]; 4] = bytemuck::must_cast_ref(block);
        let mut schedule = quarters.map(|quarter| _mm_shuffle_epi8(bytemuck::must_cast(quarter), big_endian));
        let before = [whole, part];
        for (round, constants) in CONSTANTS.iter().enumerate() {
            // The loop over the four is unrolled: what stands in `schedule` stays in registers.
            for step in 0..4 {
                let words = schedule[step];
                let now = _mm_add_epi32(words, bytemuck::must_cast(constants[step]));
                whole = four_rounds(whole, now);
                part = four_rounds(part, now);
                // The words of four steps later take the place of these.
                if round < 3 {
                    let [one, two, three] = [1, 2, 3].map(|later| schedule[(step + later) % 4]);
                    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(words, one), _mm_alignr_epi8::<4>(three, two));
                    schedule[step] = _mm_sha256msg2_epu32(sum, three);
                }
            }
        }
        [whole, part] = [add(whole, before[0]), add(part, before[1])];
    }
    *states[0] = store(whole);
    *states[1] = store(part);
}

#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn four_rounds(words: Words, now: __m128i) -> Words {
    let cdgh = _mm_sha256rnds2_epu32(words.cdgh, words.abef, now);
    let abef = _mm_sha256rnds2_epu32(words.abef, cdgh, _mm_shuffle_epi32::<0b1110>(now));
    Words { abef, cdgh }
}

#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn add(a: Words, b: Words) -> Words {
    Words {
        abef: _mm_add_epi32(a.abef, b.abef),
        cdgh: _mm_add_epi32(a.cdgh, b.cdgh),
    }
}

fn load(&[a, b, c, d, e, f, g, h]: &State) -> Words {
    Words {
        abef: bytemuck::must_cast([f, e, b, a]),
        cdgh: bytemuck::must_cast([h, g, d, c]),
    }
}

fn store(words: Words) -> State {
    let [f, e, b, a]: [u32; 4] = bytemuck::must_cast(words.abef);
    let [h, g, d, c]: [u32; 4] = bytemuck::must_cast(words.cdgh);
    [a, b, c, d, e, f, g, h]
}
