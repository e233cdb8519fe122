//! Reading that begins at any block of a stream, and ends anywhere.

use super::tests::Random;
use super::*;
use crate::Level;

/// Where each block of a stream begins, in bits, and in its text.
fn block_starts(text: &[u8], level: Level) -> Vec<(u64, u64)> {
    let (mut splitter, mut encoder) = (crate::encode::Splitter::new(level), crate::encode::Encoder::new(level));
    let (mut starts, mut bit, mut plain) = (Vec::new(), 32, 0);
    let mut emit = |block: &mut Vec<u8>, raw: crate::encode::RawBlock| -> Result<(), std::convert::Infallible> {
        starts.push((bit, plain));
        bit += encoder.encode(block, raw.crc, &mut Vec::new()).bits;
        plain += raw.len;
        Ok(())
    };
    let Ok(()) = splitter.feed(text, &mut emit);
    let Ok(()) = splitter.finish(&mut emit);
    starts
}

#[test]
fn reading_begins_at_any_block_and_ends_with_the_last_whole_one() {
    let level = Level::new(1).unwrap();
    let mut random = Random(11);
    let mut text = random.text(450_000, 50);
    text.extend(std::iter::repeat_n(b'x', 900_000));
    let file = crate::encode::encode_all(level, &text);
    let starts = block_starts(&text, level);
    assert!(starts.len() > 4 && starts.iter().any(|(bit, _)| bit % 8 != 0), "{starts:?}");
    let read = |bit: u64, end: usize, piece: usize| {
        let mut decoder = ParallelDecoder::within(level, (bit % 8) as u8, 2, Vec::new()).unwrap();
        let input = &file[bit as usize / 8..end];
        input.chunks(piece).try_for_each(|piece| decoder.feed(piece)).unwrap();
        decoder.finish_within().unwrap()
    };
    for (number, (bit, plain)) in starts.iter().enumerate() {
        assert!(read(*bit, file.len(), 777) == text[*plain as usize..], "block {number} to the end");
        let Some((next, end)) = starts.get(number + 1) else { continue };
        // With the byte in which the next begins, and somewhere in its midst: the same.
        for cut in [next.div_ceil(8) as usize, (*next as usize / 8 + 3_000).min(file.len() - 20)] {
            let got = read(*bit, cut, usize::MAX);
            let whole = starts
                .iter()
                .rev()
                .find(|(bit, _)| bit.div_ceil(8) as usize <= cut)
                .map_or(*end, |(_, plain)| *plain);
            assert!(
                got == text[*plain as usize..whole.max(*end) as usize],
                "block {number}, cut at {cut}"
            );
        }
    }
}
