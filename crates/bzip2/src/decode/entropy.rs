//! The coded part of a block: which processor's code reads it.

use super::bits::BitReader;
use super::fault::Fault;
use super::front::{self, Front};
use super::huffman::{Group, Table};
use super::mtf::{MoveToFront, Tokens};

/// What a block's header says about its coded part.
pub(super) struct Coding<'a> {
    /// The bytes that occur, rising.
    pub used: &'a [u8],
    pub tables: &'a [Box<Table>],
    /// The table of each group.
    pub selectors: &'a [u8],
    /// Bits of the input, counted as the reader does.
    pub end: usize,
}

/// Which code reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    /// That of this processor, where there is one; else the scalar one.
    Best,
    Scalar,
}

/// Reads symbols up to the end of the block.
pub(super) fn decode(path: Path, coding: &Coding<'_>, reader: &mut BitReader<'_>, tokens: &mut Tokens) -> Result<(), Fault> {
    if path == Path::Best {
        #[cfg(target_arch = "x86_64")]
        if x86::is_there() {
            return x86::decode(coding, reader, tokens);
        }
        #[cfg(target_arch = "aarch64")]
        return decode_with::<front::vector::Vector>(coding, reader, tokens);
    }
    decode_with::<front::Scalar>(coding, reader, tokens)
}

#[inline(always)]
fn decode_with<F: Front>(coding: &Coding<'_>, reader: &mut BitReader<'_>, tokens: &mut Tokens) -> Result<(), Fault> {
    let mut mtf = MoveToFront::<F>::new(coding.used, tokens);
    let mut group = Group::new();
    for &selector in coding.selectors {
        let table = coding
            .tables
            .get(usize::from(selector))
            .ok_or(Fault::Header("a selector of no table"))?;
        let symbols = table.decode_group(reader, &mut group);
        // Behind the end the reader gives zeros, so this goes before whatever they mean.
        if reader.position() > coding.end {
            return Err(Fault::Truncated);
        }
        symbols?;
        if mtf.group(&group, tokens)? {
            return Ok(());
        }
    }
    Err(Fault::Header("fewer selectors than groups"))
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The same code compiled for AVX2 and BMI2, with the byte permute for the front.
    #![expect(unsafe_code, reason = "a call into code for a processor that was just seen to be there")]

    use super::*;

    pub(super) fn is_there() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2")
    }

    pub(super) fn decode(coding: &Coding<'_>, reader: &mut BitReader<'_>, tokens: &mut Tokens) -> Result<(), Fault> {
        assert!(is_there());
        // SAFETY: the features were just seen.
        unsafe { compiled(coding, reader, tokens) }
    }

    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn compiled(coding: &Coding<'_>, reader: &mut BitReader<'_>, tokens: &mut Tokens) -> Result<(), Fault> {
        decode_with::<front::vector::Vector>(coding, reader, tokens)
    }
}
