//! What our encoder writes, read by the programs that a restore may have at hand. In smaller steps it is tested beside its
//! code, against the crate `bzip2`.

use pgseal_bzip2::Level;
use pgseal_bzip2::encode::{Isa, encode_all, encode_all_with};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

const PYTHON: &str = "import sys, bz2; sys.stdout.buffer.write(bz2.decompress(sys.stdin.buffer.read()))";
const READERS: [(&str, &[&str]); 3] = [("bzip2", &["-dc"]), ("lbzip2", &["-dc"]), ("python3", &["-c", PYTHON])];

#[test]
fn lengths_around_a_block_are_read_at_every_level() {
    let mut random = Random(1);
    for level in 1..=9 {
        let block = 100_000 * usize::from(level);
        // As it is, and with each four bytes become five.
        read_by_all(level, &random.text(block + 1, 256));
        read_by_all(level, &(0..block + 3).map(|at| (at / 4) as u8).collect::<Vec<_>>());
    }
    for extra in [-1i32, 0, 19, 20] {
        read_by_all(1, &random.text((100_000 + extra) as usize, 250));
    }
}

#[test]
fn short_texts_are_read() {
    let mut random = Random(2);
    for text in ["", "a", "ab", "ba", "aaaa", "abab", "abcabcabc", "\0\0\0\0\0"] {
        read_by_all(9, text.as_bytes());
    }
    for alphabet in [1, 2, 16, 17, 255, 256] {
        let mut text = random.text(5000, alphabet);
        text.extend([7; 259]);
        read_by_all(9, &text);
    }
}

#[test]
fn repetitive_texts_are_read() {
    let mut random = Random(3);
    read_by_all(9, &random.text(250, 200).repeat(8000));
    read_by_all(9, &random.rows(300).repeat(4000));
    read_by_all(9, &vec![0; 3_000_000]);
    let mut fibonacci = (b"a".to_vec(), b"ab".to_vec());
    while fibonacci.1.len() < 900_000 {
        let next = [fibonacci.1.as_slice(), &fibonacci.0].concat();
        fibonacci = (fibonacci.1, next);
    }
    read_by_all(9, &fibonacci.1);
    // Nearly deterministic: a word of our sort's code has many bytes.
    let mut byte = 0u8;
    let text = (0..300_000).map(|_| {
        byte = if random.below(5000) == 0 {
            random.below(256) as u8
        } else {
            byte.wrapping_mul(5).wrapping_add(1)
        };
        byte
    });
    read_by_all(9, &text.collect::<Vec<_>>());
}

#[test]
fn a_dump_and_what_is_compressed_already_are_read_and_no_larger_than_the_originals() {
    let mut random = Random(4);
    let dump = random.rows(1_900_000);
    let mut floats = String::new();
    while floats.len() < 900_000 {
        let _ = write!(floats, "{:.6}\t", random.below(100_000_000) as f64 / 1e6);
    }
    let hex: Vec<u8> = (0..900_000).map(|_| b"0123456789abcdef"[random.below(16)]).collect();
    let packed = encode_all(Level::MAX, &dump);
    for text in [dump, packed, floats.into_bytes(), hex, random.text(900_000, 40)] {
        let ours = read_by_all(9, &text).len();
        let original = through("bzip2", &["-9c"], &text).len();
        // Its blocks end 19 bytes earlier. Of text with many long runs, which there is none here, it puts more into a block.
        assert!(ours <= original + 8, "{ours} bytes, bzip2 {original}");
    }
}

/// Encodes by each code, and has every reader decode it.
fn read_by_all(level: u8, text: &[u8]) -> Vec<u8> {
    let level = Level::new(level).expect("a level");
    let packed = encode_all(level, text);
    for isa in Isa::all() {
        assert!(encode_all_with(level, isa, text) == packed, "{isa:?} differs");
    }
    for (program, arguments) in READERS {
        assert!(through(program, arguments, &packed) == text, "{program} reads something else");
    }
    packed
}

fn through(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || stdin.write_all(input));
        let output = child.wait_with_output().expect("its output");
        assert!(output.status.success(), "{program} refuses the stream");
        writer.join().expect("the writer").expect("all was taken");
        output.stdout
    })
}

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

    /// Such as a dump has, without runs.
    fn rows(&mut self, len: usize) -> Vec<u8> {
        let mut rows = String::new();
        for id in 1.. {
            if rows.len() >= len {
                break;
            }
            let (owner, sku, count) = (self.below(9999), self.below(500), self.below(9));
            let _ = writeln!(rows, "{id}\t{owner}\t{{\"sku\": \"SKU-{sku:05}\", \"qty\": {count}}}");
        }
        rows.truncate(len);
        rows.into_bytes()
    }
}
