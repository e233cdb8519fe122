//! Whole files against another implementation, and files that are wrong.

use std::io::{self, Read, Write};

use bzip2::Compression;
use bzip2::read::BzEncoder;

use super::rle1::Expander;
use super::*;
use crate::{BLOCK_MAGIC, END_MAGIC, Level, combine_crc, crc32};

/// The crate's own encoder, as a witness.
fn packed(text: &[u8], level: u32) -> Vec<u8> {
    let mut packed = Vec::new();
    BzEncoder::new(text, Compression::new(level)).read_to_end(&mut packed).unwrap();
    packed
}

fn unpacked_by(workers: usize, piece: usize, file: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = ParallelDecoder::new(workers, Vec::new()).unwrap();
    for piece in file.chunks(piece) {
        decoder.feed(piece)?;
    }
    decoder.finish()
}

fn unpacked(file: &[u8]) -> Result<Vec<u8>, DecodeError> {
    unpacked_by(2, 10_000, file)
}

fn fault(file: &[u8]) -> Fault {
    match unpacked(file) {
        Err(DecodeError::Fault(fault)) => fault,
        other => panic!("no fault but {other:?}"),
    }
}

/// Numbers that are the same in each run.
pub(super) struct Random(pub u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below.max(1)
    }

    pub(super) fn text(&mut self, len: usize, alphabet: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(alphabet) as u8).collect()
    }
}

/// A string of bits to make files with.
#[derive(Default, Clone)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(&mut self, value: u64, bits: u32) -> &mut Self {
        self.0
            .extend((0..bits).rev().map(|bit| value.checked_shr(bit).unwrap_or(0) & 1 == 1));
        self
    }

    /// Some bits of a file.
    fn copy(&mut self, file: &[u8], bits: std::ops::Range<usize>) -> &mut Self {
        self.0.extend(bits.map(|bit| file[bit / 8] << (bit % 8) & 0x80 != 0));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        self.0
            .chunks(8)
            .map(|eight| eight.iter().enumerate().fold(0, |byte, (k, &bit)| byte | u8::from(bit) << (7 - k)))
            .collect()
    }
}

fn expanded(packed: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    Expander::new(packed).fill(&mut text, usize::MAX).unwrap();
    text
}

/// The bits of the one block of a file.
fn only_block(file: &[u8]) -> std::ops::Range<usize> {
    let block = {
        let mut decoder = BlockDecoder::new();
        decoder.decode_block(file, 32, Level::MAX).unwrap().0
    };
    32..block.end
}

/// A stream of blocks of other files, with a right checksum.
fn joined(files: &[Vec<u8>]) -> Vec<u8> {
    let mut bits = Bits::default();
    let mut crc = 0;
    bits.copy(b"BZh9", 0..32);
    for file in files {
        let block = only_block(file);
        crc = combine_crc(crc, u32::from_be_bytes(file[10..14].try_into().unwrap()));
        bits.copy(file, block);
    }
    bits.put(END_MAGIC, 48).put(crc.into(), 32);
    bits.bytes()
}

#[test]
fn small_texts_of_every_alphabet_and_length_come_back() {
    let mut random = Random(1);
    for alphabet in (1..=256).step_by(13).chain([2, 3, 17, 253, 254, 255, 256]) {
        for len in [1, 2, 3, 4, 5, 6, 49, 50, 51, 255, 256, 259, 260, 1000 + alphabet] {
            let mut text = random.text(len, alphabet);
            // All of the alphabet occurs, and not in its order.
            text.extend((0..alphabet).map(|byte| (byte * 7 % alphabet) as u8));
            assert!(unpacked_by(1, 1 << 20, &packed(&text, 9)).unwrap() == text, "{alphabet} {len}");
        }
    }
}

#[test]
fn texts_that_repeat_themselves_come_back() {
    let mut fibonacci = (b"a".to_vec(), b"ab".to_vec());
    while fibonacci.1.len() < 300_000 {
        let next = [fibonacci.1.as_slice(), &fibonacci.0].concat();
        fibonacci = (fibonacci.1, next);
    }
    let thue_morse: Vec<u8> = (0..200_000u32).map(|i| (i.count_ones() % 2) as u8).collect();
    let mut texts = vec![fibonacci.1, thue_morse, (0..300_000).map(|i| (i / 256) as u8).collect()];
    let mut random = Random(2);
    for period in [1, 2, 3, 4, 5, 255, 259, 1000, 65_536] {
        texts.push(random.text(period, 256).repeat(400_000 / period));
    }
    for run in 1..=12 {
        texts.push(
            (0..100_000)
                .flat_map(|i| std::iter::repeat_n((i % 7) as u8, run))
                .take(250_000)
                .collect(),
        );
    }
    for text in texts {
        assert!(unpacked(&packed(&text, 3)).unwrap() == text);
    }
}

#[test]
fn lengths_around_a_block_come_back_at_every_level() {
    let mut random = Random(3);
    for level in 1..=9 {
        let text = random.text(level as usize * 100_000 + 40, 4);
        // bzip2 leaves the last 19 bytes of a block free.
        for len in [-40, -20, -19, -18, -1, 0, 1, 40] {
            let text = &text[..(level as isize as usize * 100_000).strict_add_signed(len)];
            assert!(unpacked(&packed(text, level)).unwrap() == text, "{level} {len}");
        }
    }
}

#[test]
fn runs_that_make_a_block_fifty_times_as_long_come_back() {
    let text = vec![b'x'; 50_000_000];
    assert!(unpacked(&packed(&text, 9)).unwrap() == text);
}

#[test]
fn the_size_of_the_pieces_and_the_number_of_workers_do_not_matter() {
    let text = Random(4).text(450_000, 30);
    let file = packed(&text, 1);
    for workers in [0, 1, 2, 5] {
        for piece in [1, 7, 4096, file.len()] {
            assert!(unpacked_by(workers, piece, &file).unwrap() == text);
        }
    }
}

#[test]
fn several_streams_and_empty_ones_are_one_text() {
    let (a, b) = (b"first".repeat(1000), Random(5).text(250_000, 256));
    let empty = packed(b"", 9);
    assert_eq!(empty.len(), 14);
    assert_eq!(unpacked(&empty).unwrap(), b"");
    let file = [&empty, &packed(&a, 1), &empty, &empty, &packed(&b, 2), &packed(&a, 9), &empty]
        .map(Vec::as_slice)
        .concat();
    assert!(unpacked(&file).unwrap() == [a.as_slice(), &b, &a].concat());
}

#[test]
fn blocks_of_other_files_make_one_stream() {
    let mut random = Random(6);
    let texts: Vec<Vec<u8>> = (0..40).map(|i| random.text(1 + i * 97, 200)).collect();
    let file = joined(&texts.iter().map(|text| packed(text, 9)).collect::<Vec<_>>());
    assert!(unpacked(&file).unwrap() == texts.concat());
}

/// A block whose data holds both magic numbers many times: each of its 256 bytes has a code of
/// eight or nine bits, so that nearly any string of bits is data.
fn block_with_magics(crc: u32) -> Bits {
    let mut bits = Bits::default();
    bits.put(BLOCK_MAGIC, 48).put(crc.into(), 32).put(0, 1).put(0, 24);
    bits.put(0xffff, 16);
    (0..16).for_each(|_| _ = bits.put(0xffff, 16));
    // 258 symbols: 254 codes of eight bits, then four of nine.
    bits.put(2, 3).put(100, 15).put(0, 50).put(0, 50);
    for _ in 0..2 {
        bits.put(8, 5).put(0, 254);
        bits.put(0b10, 2).put(0, 4);
    }
    for k in 0..400 {
        bits.put(if k % 2 == 0 { BLOCK_MAGIC } else { END_MAGIC }, 48);
        // Shifts the next one by a byte; a true header of a stream too.
        bits.copy(b"BZh9", 0..32);
    }
    // The last code is the end of the block.
    bits.put(0x1ff, 9);
    bits
}

#[test]
fn magic_numbers_inside_a_block_do_not_fool_it() {
    let mut crc = 0;
    // What the text is, the block's checksum says when it is wrong.
    let mut decoder = BlockDecoder::new();
    if let Err(Fault::BlockCrc { computed, .. }) = decoder.decode_block(&block_with_magics(0).bytes(), 0, Level::MAX) {
        crc = computed;
    }
    let block = block_with_magics(crc);
    let mut bits = Bits::default();
    bits.copy(b"BZh9", 0..32);
    let mut combined = 0;
    for _ in 0..3 {
        bits.0.extend(&block.0);
        combined = combine_crc(combined, crc);
    }
    bits.put(END_MAGIC, 48).put(combined.into(), 32);
    let file = bits.bytes();
    let mut by_witness = Vec::new();
    bzip2::read::MultiBzDecoder::new(file.as_slice())
        .read_to_end(&mut by_witness)
        .unwrap();
    assert!(by_witness.len() > 3000);
    for workers in [1, 3] {
        for piece in [100, 1 << 20] {
            assert!(unpacked_by(workers, piece, &file).unwrap() == by_witness);
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_a_fault() {
    let file = [packed(&Random(7).text(3000, 50), 1), packed(b"end", 9)].concat();
    let first = packed(&Random(7).text(3000, 50), 1).len();
    for len in 0..file.len() {
        let result = unpacked_by(1, 1 << 20, &file[..len]);
        if len == first {
            assert_eq!(result.unwrap().len(), 3000);
        } else {
            let expected = if len > first && len < first + 4 {
                Fault::TrailingGarbage
            } else {
                Fault::Truncated
            };
            assert!(matches!(result, Err(DecodeError::Fault(fault)) if fault == expected), "{len}");
        }
    }
}

#[test]
fn each_kind_of_damage_has_its_fault() {
    let good = packed(b"some text", 9);
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    assert_eq!(fault(b"no such thing"), Fault::NotBzip2);
    assert_eq!(fault(&with(3, b"0")), Fault::NotBzip2);
    assert_eq!(fault(&with(4, b"x")), Fault::NoBlock);
    assert!(matches!(fault(&with(10, b"\0\0\0\0")), Fault::BlockCrc { stored: 0, .. }));
    assert_eq!(fault(&with(14, &[good[14] | 0x80])), Fault::Randomised);
    assert_eq!(fault(&with(14, &[0x7f])), Fault::Origin);
    assert_eq!(fault(&[good.as_slice(), b"\0"].concat()), Fault::TrailingGarbage);
    assert_eq!(fault(&[good.as_slice(), b"BZh0 more"].concat()), Fault::TrailingGarbage);
    let end = only_block(&good).end;
    let mut bits = Bits::default();
    bits.copy(&good, 0..end).put(END_MAGIC, 48).put(1, 32);
    assert!(matches!(fault(&bits.bytes()), Fault::StreamCrc { stored: 1, .. }));
    let long = packed(&Random(8).text(150_000, 256), 9);
    let lowered = [b"BZh1", &long[4..]].concat();
    assert_eq!(fault(&lowered), Fault::TooLong);
}

#[test]
fn a_fault_is_invalid_data_and_keeps_its_name() {
    let error = io::Error::from(unpacked(b"no such thing").unwrap_err());
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(error.get_ref().and_then(|inner| inner.downcast_ref()), Some(&Fault::NotBzip2));
}

/// Takes so many bytes and then refuses.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_sinks_error_comes_as_it_is_and_ends_the_decoder() {
    let file = packed(&Random(9).text(2_000_000, 256), 1);
    let mut decoder = ParallelDecoder::new(2, Full(500_000)).unwrap();
    let error = file.chunks(1000).find_map(|piece| decoder.feed(piece).err()).unwrap();
    assert!(matches!(&error, DecodeError::Sink(error) if error.kind() == io::ErrorKind::StorageFull));
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::StorageFull);
    assert!(matches!(decoder.feed(b""), Err(DecodeError::Broken)));
    assert!(matches!(decoder.finish(), Err(DecodeError::Broken)));
}

#[test]
fn the_scalar_code_gives_what_the_vector_code_gives() {
    let (mut best, mut scalar) = (BlockDecoder::new(), BlockDecoder::scalar());
    let mut random = Random(12);
    for alphabet in [1, 2, 15, 16, 17, 18, 40, 200, 254, 255, 256] {
        let mut text = random.text(30_000, alphabet);
        text.sort_by_key(|byte| byte % 3);
        let file = packed(&text, 9);
        let block = best.decode_block(&file, 32, Level::MAX);
        assert_eq!(block, scalar.decode_block(&file, 32, Level::MAX));
        assert!(expanded(block.unwrap().1) == text);
        // Also in what they refuse.
        for _ in 0..100 {
            let mut bad = file.clone();
            let at = 4 + random.below(bad.len() - 4);
            bad[at] ^= 1 << random.below(8);
            assert_eq!(best.decode_block(&bad, 32, Level::MAX), scalar.decode_block(&bad, 32, Level::MAX));
        }
    }
}

#[test]
fn a_block_decoder_goes_on_after_a_fault() {
    let mut decoder = BlockDecoder::new();
    let text = Random(10).text(200_000, 10);
    let file = packed(&text, 9);
    let mut bad = file.clone();
    bad[10] ^= 1;
    for _ in 0..3 {
        assert!(matches!(decoder.decode_block(&bad, 32, Level::MAX), Err(Fault::BlockCrc { .. })));
        assert_eq!(decoder.decode_block(&file[..file.len() / 2], 32, Level::MAX), Err(Fault::Truncated));
        assert_eq!(decoder.decode_block(&file, 32, Level::new(1).unwrap()), Err(Fault::TooLong));
        let (block, packed) = decoder.decode_block(&file, 32, Level::MAX).unwrap();
        assert!(expanded(packed) == text);
        assert_eq!((block.crc, block.packed_len), (crc32(&text), packed.len()));
        assert_eq!((block.end + 80).div_ceil(8), file.len());
    }
}

#[test]
fn random_damage_is_never_taken_for_other_text() {
    let mut random = Random(11);
    let text = random.text(20_000, 90);
    let good = packed(&text, 1);
    for _ in 0..500 {
        let mut file = good.clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(file.len());
            file[at] ^= 1 << random.below(8);
        }
        if let Ok(found) = unpacked_by(1, 1 << 20, &file) {
            assert!(found == text);
        }
    }
}
