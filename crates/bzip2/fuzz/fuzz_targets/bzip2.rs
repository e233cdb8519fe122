//! The bzip2 writer: what comes out is read back by our own reader and by another implementation, and is the same without
//! vector instructions and with each kind of them.
//!
//! Input: a byte for level and size, then a small program that writes repetitive data: each operation is a byte and its operands.

#![no_main]

use bzip2::read::BzDecoder;
use libfuzzer_sys::fuzz_target;
use pgseal_bzip2::Level;
use pgseal_bzip2::decode::ParallelDecoder;
use pgseal_bzip2::encode::{Isa, encode_all, encode_all_with};
use pgseal_bzip2_fuzz::Input;
use std::io::Read;

/// A little more than one block of level 1, so that cuts between blocks are met; and what goes many times faster.
const LONGEST: usize = 130_000;
const USUAL: usize = 5_000;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let size = input.byte();
    // Mostly level 1: the others differ in nothing but the block's length, and take longer.
    let level = Level::new(1 + size.saturating_sub(240) / 2).expect("1 to 8");
    let text = run(&mut input, if size % 16 == 15 { LONGEST } else { USUAL });
    let packed = encode_all(level, &text);
    for isa in Isa::all() {
        assert!(packed == encode_all_with(level, isa, &text), "the processor makes a difference: {isa:?}");
    }

    let mut decoder = ParallelDecoder::new(1, Vec::new()).expect("threads");
    decoder.feed(&packed).expect("we read what we write");
    assert!(
        decoder.finish().expect("to its end") == text,
        "we read another text than was written"
    );

    let mut witness = Vec::new();
    let mut reader = BzDecoder::new(packed.as_slice());
    reader.read_to_end(&mut witness).expect("others read what we write");
    assert!(witness == text, "others read another text than was written");
    assert_eq!(reader.total_in() as usize, packed.len());
});

fn run(input: &mut Input<'_>, longest: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while !input.is_empty() && text.len() < longest {
        let start = text.len();
        match input.byte() % 8 {
            // As they are.
            0 | 1 => {
                let count = usize::from(input.byte());
                text.extend_from_slice(input.take(count));
            }
            // A run, about as long as run-length coding counts, or much longer.
            2 => {
                let (byte, count) = (input.byte(), usize::from(input.u16()).min(longest));
                text.resize(start + count, byte);
            }
            3 => {
                let (byte, count) = (input.byte(), usize::from(input.byte()));
                text.resize(start + count, byte);
            }
            // Something from before, once more; longer than its distance it repeats itself.
            4 => {
                let (distance, count) = (1 + usize::from(input.u16()), usize::from(input.u16()));
                copy(&mut text, distance, count.min(longest));
            }
            // The last few bytes, often.
            5 => {
                let (distance, times) = (1 + usize::from(input.byte()), usize::from(input.byte()));
                copy(&mut text, distance, (distance * times).min(longest));
            }
            // A Fibonacci word of two bytes: the worst case of many sorts.
            6 => {
                let (a, b, count) = (input.byte(), input.byte(), usize::from(input.u16()).min(longest));
                let (mut short, mut long) = (vec![a], vec![a, b]);
                while long.len() < count {
                    let next = [long.as_slice(), &short].concat();
                    short = std::mem::replace(&mut long, next);
                }
                long.truncate(count);
                text.extend(long);
            }
            // Every byte in turn, in steps.
            _ => {
                let (mut byte, step, count) = (input.byte(), input.byte(), usize::from(input.u16()).min(longest));
                for _ in 0..count {
                    text.push(byte);
                    byte = byte.wrapping_add(step);
                }
            }
        }
    }
    text.truncate(longest);
    text
}

fn copy(text: &mut Vec<u8>, distance: usize, count: usize) {
    let distance = distance.min(text.len());
    if distance == 0 {
        return;
    }
    for _ in 0..count {
        text.push(text[text.len() - distance]);
    }
}
