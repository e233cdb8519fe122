//! Whole streams: each is decoded by our own decoder and by the crate `bzip2`, and the code without vector instructions and
//! for each kind of them must give the same bytes. Others' programs are asked in `tests/other_programs.rs`.

use super::*;
use crate::decode::ParallelDecoder;
use std::convert::Infallible;
use std::fmt::Write;
use std::io::Read;

/// Numbers that are the same in each run (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) as usize % below
    }

    /// Bytes of an alphabet spread over all values.
    fn text(&mut self, len: usize, alphabet: usize) -> Vec<u8> {
        (0..len).map(|_| (self.below(alphabet) * 256 / alphabet) as u8).collect()
    }

    /// Such as a dump has.
    fn rows(&mut self, len: usize) -> Vec<u8> {
        let mut rows = String::new();
        for id in 1.. {
            if rows.len() >= len {
                break;
            }
            let (owner, sku, count) = (self.below(9999), self.below(500), self.below(9));
            let _ = writeln!(rows, "{id}\t{owner}\t{:60}\t{{\"sku\": \"SKU-{sku:05}\", \"qty\": {count}}}", "");
        }
        rows.truncate(len);
        rows.into_bytes()
    }
}

fn fibonacci(len: usize) -> Vec<u8> {
    let (mut text, mut before) = (b"a".to_vec(), b"b".to_vec());
    while text.len() < len {
        let next = [text.as_slice(), &before].concat();
        before = std::mem::replace(&mut text, next);
    }
    text.truncate(len);
    text
}

fn thue_morse(len: usize) -> Vec<u8> {
    (0..len).map(|at| b'a' + (at.count_ones() % 2) as u8).collect()
}

fn level(number: u8) -> Level {
    Level::new(number).unwrap()
}

/// Encodes by each code and decodes by the crate and our decoder.
fn round_trip(number: u8, text: &[u8]) -> Vec<u8> {
    let packed = small_round_trip(number, text);
    let mut decoder = ParallelDecoder::new(1, Vec::new()).unwrap();
    decoder.feed(&packed).unwrap();
    assert!(decoder.finish().unwrap() == text, "{} bytes", text.len());
    packed
}

/// The same without our decoder, whose buffers take longer than a small text.
fn small_round_trip(number: u8, text: &[u8]) -> Vec<u8> {
    let packed = encode_all(level(number), text);
    for isa in Isa::all() {
        assert!(
            encode_all_with(level(number), isa, text) == packed,
            "{isa:?} differs, {} bytes",
            text.len()
        );
    }
    let mut back = Vec::new();
    bzip2::read::BzDecoder::new(&packed[..]).read_to_end(&mut back).unwrap();
    assert!(back == text, "{} bytes", text.len());
    packed
}

/// What a splitter makes of a text that comes at once.
fn blocks(level: Level, text: &[u8]) -> Vec<(Vec<u8>, u32)> {
    blocks_of_pieces(level, text, || text.len())
}

/// The same of a text that comes in pieces of these lengths.
fn blocks_of_pieces(level: Level, mut text: &[u8], mut piece: impl FnMut() -> usize) -> Vec<(Vec<u8>, u32)> {
    let (mut splitter, mut blocks) = (Splitter::new(level), Vec::new());
    let mut emit = |block: &mut Vec<u8>, raw: RawBlock| -> Result<(), Infallible> {
        blocks.push((block.clone(), raw.crc));
        Ok(())
    };
    while !text.is_empty() {
        let (now, later) = text.split_at(piece().min(text.len()));
        let Ok(()) = splitter.feed(now, &mut emit);
        text = later;
    }
    let Ok(()) = splitter.finish(&mut emit);
    blocks
}

/// One encoder of each kind for many small texts of one block each.
struct Encoders(Vec<Encoder>);

impl Encoders {
    fn new() -> Self {
        Self(Isa::all().map(|isa| Encoder::with_isa(level(1), isa)).collect())
    }

    fn round_trip(&mut self, text: &[u8]) {
        let [(block, crc)] = &blocks(level(1), text)[..] else {
            panic!("not one block: {text:?}")
        };
        let mut made = self.0.iter_mut().map(|encoder| {
            let mut packed = Vec::new();
            (encoder.encode(block, *crc, &mut packed), packed)
        });
        let Some((info, mut packed)) = made.next() else { unreachable!() };
        assert!(
            made.all(|other| other == (info, packed.clone())),
            "a kind of code differs: {text:?}"
        );
        assert_eq!(packed.len() as u64, info.bits.div_ceil(8));
        let mut stream = StreamWriter::default();
        stream.join(&mut packed, info);
        let file = [level(1).header().to_vec(), packed, stream.finish()].concat();
        let mut back = Vec::new();
        bzip2::read::BzDecoder::new(&file[..]).read_to_end(&mut back).unwrap();
        assert!(back == text, "{text:?}");
    }
}

#[test]
fn no_byte_is_an_empty_stream() {
    assert_eq!(encode_all(Level::MAX, b""), b"BZh9\x17\x72\x45\x38\x50\x90\0\0\0\0");
}

#[test]
fn every_short_text_of_two_and_three_letters_comes_back() {
    let mut encoders = Encoders::new();
    for (letters, longest) in [(2usize, 11u32), (3, 7)] {
        for len in 1..=longest {
            for number in 0..letters.pow(len) {
                let text: Vec<u8> = (0..len).map(|at| b'a' + (number / letters.pow(at) % letters) as u8).collect();
                encoders.round_trip(&text);
            }
        }
    }
}

#[test]
fn every_length_to_400_of_each_shape_comes_back() {
    let mut random = Random(1);
    let mut encoders = Encoders::new();
    for len in 1..400 {
        encoders.round_trip(&random.text(len, 256));
        encoders.round_trip(&random.text(len, 2));
        encoders.round_trip(&fibonacci(len));
        encoders.round_trip(&thue_morse(len));
        encoders.round_trip(&vec![7; len]);
        encoders.round_trip(&(0..len).map(|at| at as u8).collect::<Vec<_>>());
        encoders.round_trip(&(0..len).map(|at| 255 - at as u8).collect::<Vec<_>>());
        encoders.round_trip(&random.rows(len));
    }
}

#[test]
fn runs_around_the_limits_of_their_code_come_back() {
    let mut encoders = Encoders::new();
    for run in [3, 4, 5, 6, 254, 255, 256, 258, 259, 260, 509, 510, 511, 514, 515, 1020] {
        for (before, after) in [("", ""), ("a", ""), ("", "b"), ("ab", "ba"), ("xxx", "xxx"), ("aaaa", "bbbb")] {
            for byte in [b'x', 0, 0xFB, 0xFF, b'a'] {
                encoders.round_trip(&[before.as_bytes(), &vec![byte; run], after.as_bytes()].concat());
            }
        }
    }
}

#[test]
fn every_size_of_alphabet_comes_back() {
    let mut random = Random(2);
    let mut encoders = Encoders::new();
    for alphabet in 1..=256 {
        let len = 50 + random.below(4000);
        encoders.round_trip(&random.text(len, alphabet));
    }
}

#[test]
fn lengths_around_a_block_come_back_at_the_levels() {
    let mut random = Random(3);
    for extra in [-20i32, -19, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 19] {
        let len = (100_000 + extra) as usize;
        round_trip(1, &random.text(len, 250));
        // Runs of four become five bytes: the block is full early, within a run or not.
        round_trip(1, &(0..len).map(|at| (at / 4) as u8).collect::<Vec<_>>());
        // A run across the cut.
        let mut text = random.text(len - 3, 250);
        text.extend([9; 700]);
        round_trip(1, &text);
    }
    for number in 1..=9 {
        let text = random.text(100_000 * usize::from(number) + 1, 200);
        assert!(round_trip(number, &text).starts_with(&level(number).header()));
    }
}

#[test]
fn exact_powers_and_near_periods_come_back() {
    let mut random = Random(4);
    let mut encoders = Encoders::new();
    for period in [1, 2, 3, 4, 5, 7, 12, 16, 60, 97, 250, 256, 1000] {
        let word = random.text(period, 5);
        for times in [2, 3, 8, 64, 97] {
            let power = word.repeat(times);
            // Runs make it longer by a quarter.
            if power.len() > 80_000 {
                continue;
            }
            encoders.round_trip(&power);
            for fault in [0, power.len() / 2, power.len() - 1] {
                let mut near = power.clone();
                near[fault] ^= 1;
                encoders.round_trip(&near);
                near.pop();
                encoders.round_trip(&near);
            }
        }
    }
    round_trip(9, &random.text(250, 200).repeat(8000));
}

#[test]
fn nearly_deterministic_text_needs_many_bytes_for_a_word_of_code() {
    let mut random = Random(5);
    for seldom in [50, 500, 5000, 50_000] {
        let mut byte = 0u8;
        let text: Vec<u8> = (0..200_000)
            .map(|_| {
                byte = match random.below(seldom) {
                    0 => random.below(256) as u8,
                    _ => byte.wrapping_mul(5).wrapping_add(1),
                };
                byte
            })
            .collect();
        round_trip(9, &text);
    }
    // Once around has fewer bits of code than a word.
    let all: Vec<u8> = (0..=255).collect();
    round_trip(9, &all);
    round_trip(9, &all.repeat(300));
    round_trip(9, b"abcdefgh");
}

#[test]
fn long_monotone_stretches_come_back() {
    let mut random = Random(6);
    let words: Vec<Vec<u8>> = (0..6)
        .map(|_| {
            let mut word = random.text(3000, 256);
            word.sort_unstable();
            if random.below(2) == 0 {
                word.reverse();
            }
            word
        })
        .collect();
    round_trip(9, &(0..120).flat_map(|_| words[random.below(6)].clone()).collect::<Vec<_>>());
}

#[test]
fn repetitive_text_comes_back() {
    let mut random = Random(7);
    round_trip(9, &random.rows(300).repeat(4000));
    let forty: Vec<Vec<u8>> = (0..40).map(|_| random.rows(250)).collect();
    round_trip(9, &(0..5000).flat_map(|_| forty[random.below(40)].clone()).collect::<Vec<_>>());
    round_trip(9, &fibonacci(1_000_000));
    round_trip(9, &thue_morse(1_000_000));
}

#[test]
fn text_and_what_is_compressed_already_come_back() {
    let mut random = Random(8);
    let text = random.rows(1_900_000);
    round_trip(9, &text);
    round_trip(9, &encode_all(Level::MAX, &text));
    round_trip(
        3,
        &[random.text(200_000, 256), text[..400_000].to_vec(), vec![0; 3_000_000]].concat(),
    );
}

#[test]
fn cutting_the_input_anywhere_gives_the_same_blocks() {
    let mut random = Random(9);
    let runs = (0..3000)
        .flat_map(|_| vec![b'a' + random.below(3) as u8; random.below(600)])
        .collect();
    let long = [vec![7; 6_000_000], vec![8; 100_001], vec![7; 254]].concat();
    for text in [random.rows(250_000), runs, long, random.text(250_000, 2)] {
        let whole = blocks(level(1), &text);
        assert!(whole.iter().all(|(block, _)| !block.is_empty() && block.len() <= 100_000));
        // A block is full, but for a run that is not cut below four.
        assert!(whole[..whole.len() - 1].iter().all(|(block, _)| block.len() >= 99_999));
        assert_eq!(blocks_of_pieces(level(1), &text, || 1 + random.below(30_000)), whole);
        assert_eq!(blocks_of_pieces(level(1), &text, || 1 + random.below(300)), whole);
        assert_eq!(
            blocks_of_pieces(level(1), &text[..200_000], || 1),
            blocks(level(1), &text[..200_000])
        );
    }
}

#[test]
fn a_block_is_filled_whatever_its_runs_stand_for() {
    // bzip2 itself makes one block of it.
    let packed = round_trip(1, &vec![b'x'; 5_000_000]);
    assert!(packed.len() < 50, "{} bytes", packed.len());
}

#[test]
fn an_encoder_keeps_nothing_of_the_block_before() {
    let mut random = Random(10);
    let texts = [
        random.rows(90_000),
        random.text(70_000, 256),
        vec![1; 50_000],
        b"abc".to_vec(),
        random.rows(30_000),
    ];
    let mut reused = Encoder::new(level(1));
    for (text, crc) in texts.iter().chain(&texts).flat_map(|text| blocks(level(1), text)) {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        let info = reused.encode(&text, crc, &mut one);
        assert_eq!(Encoder::new(level(1)).encode(&text, crc, &mut other), info);
        assert!(one == other);
    }
}

/// They were larger by 0.3 %: their blocks have some 30,000 symbols, and the tables' fit stopped too early.
#[test]
fn rows_drawn_from_forty_are_no_larger_than_by_the_original() {
    let mut random = Random(40);
    let all = random.rows(40 * 400);
    let rows: Vec<&[u8]> = all.split_inclusive(|&byte| byte == b'\n').take(40).collect();
    // Hexadecimal digits in front, as tokens are.
    let tokens: Vec<String> = (0..40)
        .map(|_| (0..64).map(|_| format!("{:x}", random.below(16))).collect())
        .collect();
    let mut text = Vec::new();
    while text.len() < 2_700_000 {
        let row = random.below(40);
        text.extend_from_slice(tokens[row].as_bytes());
        text.extend_from_slice(rows[row]);
    }
    let mut original = Vec::new();
    let mut encoder = bzip2::read::BzEncoder::new(&text[..], bzip2::Compression::best());
    encoder.read_to_end(&mut original).unwrap();
    let packed = round_trip(9, &text);
    assert!(packed.len() <= original.len(), "{} and {}", packed.len(), original.len());
}
