//! What goes in comes out: at every length where a buffer, a block, a part or a stream ends, and at any other.

use super::sealed::{Hidden, NEWER, Objects, Order, Reader, key};
use pgseal::envelope::legacy::LegacySecret;
use pgseal::envelope::secret::{DataKeyText, ITERATIONS};
use pgseal::format::compression::Compression;
use proptest::prelude::*;
use std::num::NonZeroU32;

const PART: usize = 8 << 20;

/// Compresses neither badly nor well, and is no SQL: rows are another test's business.
pub fn plain(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        // Xorshift64 (Marsaglia, 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        match next() % 4 {
            0 => bytes.extend_from_slice(&next().to_le_bytes()),
            1 => bytes.resize(bytes.len() + (next() % 300) as usize, next() as u8),
            _ => bytes.extend_from_slice(b"row of a table\n"),
        }
    }
    bytes.truncate(length);
    bytes
}

/// Every recipient opens it, with the key and without it all is well.
fn comes_back(order: &Order, plain: &[u8]) {
    let made = order.seal(plain);
    let told = format!("{:?}, {} bytes, part {:?}", order.compression, plain.len(), order.part);
    for key in &order.keys {
        let (back, done) = Reader::new(key.clone()).decrypt(&made.objects, &made.stem);
        done.unwrap_or_else(|error| panic!("{told}: {error:?}"));
        assert!(back == plain, "{told}");
    }
    let reader = Reader::new(order.keys[0].clone());
    reader
        .verify(&made.objects, &made.stem)
        .unwrap_or_else(|error| panic!("{told}: {error:?}"));
    reader
        .verify_without_key(&made.objects, &made.stem)
        .unwrap_or_else(|error| panic!("{told}: {error:?}"));
    stranger_gets_nothing(&made.objects, &made.stem);
}

fn stranger_gets_nothing(objects: &Objects, stem: &str) {
    let (back, done) = Reader::new(key("stranger")).decrypt(objects, stem);
    assert_eq!((back.len(), done.map_err(|error| error.code.name())), (0, Err("wrong_key")));
}

fn around(edges: &[usize]) -> Vec<usize> {
    let mut lengths: Vec<usize> = edges.iter().flat_map(|edge| [edge - 1, *edge, edge + 1]).collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

/// Cipher blocks, what is encrypted and what is read at once.
const SMALL: &[usize] = &[1, 16, 32, 64 << 10, 128 << 10];

#[test]
fn at_the_edges_of_what_is_not_compressed() {
    // With its header and its padding, this much is exactly one part, or two.
    let full = |parts: usize| parts * PART - 32;
    let lengths = [around(SMALL), around(&[full(1), full(1) + 16, PART, full(2) + 16])].concat();
    for length in lengths {
        comes_back(&Order::default(), &plain(length, 1));
    }
}

#[test]
fn at_the_edges_of_bzip2() {
    for length in [around(SMALL), around(&[100_000, 200_000])].concat() {
        let order = Order {
            compression: Compression::Bzip2(1),
            ..Order::default()
        };
        comes_back(&order, &plain(length, 2));
    }
    for length in around(&[900_000, 1_800_000]) {
        let order = Order {
            compression: Compression::Bzip2(9),
            ..Order::default()
        };
        comes_back(&order, &plain(length, 3));
    }
}

#[test]
fn at_the_edges_of_zstd() {
    for length in [around(SMALL), around(&[1 << 20, 2 << 20, 4 << 20])].concat() {
        let order = Order {
            compression: Compression::Zstd(3),
            ..Order::default()
        };
        comes_back(&order, &plain(length, 4));
    }
}

#[test]
fn at_the_edges_of_the_old_format() {
    for length in [around(SMALL), around(&[900_000])].concat() {
        comes_back(&Order::legacy(), &plain(length, 5));
    }
}

/// One byte repeated is where bzip2's runs and its blocks end in different places.
#[test]
fn of_one_byte_only() {
    for length in around(&[4, 255, 259, 100_000, 900_000, 5_000_000]) {
        for compression in [Compression::Bzip2(1), Compression::Bzip2(9), Compression::Zstd(1)] {
            let order = Order {
                compression,
                ..Order::default()
            };
            comes_back(&order, &vec![b'a'; length]);
        }
    }
}

fn compression() -> impl Strategy<Value = Compression> {
    prop_oneof![
        (1u32..=9).prop_map(Compression::Bzip2),
        (1i32..=5).prop_map(Compression::Zstd),
        Just(Compression::None),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn at_any_length_in_any_parts_for_any_recipients(
        length in prop_oneof![0usize..2_000, 0usize..400_000],
        seed in any::<u64>(),
        compression in compression(),
        blocks in prop_oneof![1usize..8, 60usize..70, 1_000usize..9_000],
        recipients in 1usize..=3,
        workers in 1usize..=3,
    ) {
        // Few enough parts for S3, as a writer makes.
        let part = (16 * blocks).max(length / 5_000 / 16 * 16 + 16);
        let order = Order {
            secret: Hidden::Pgseal1(DataKeyText::generate().expect("random bytes")),
            keys: ["recipient-a", "recipient-b", "recipient-c"][..recipients].iter().map(|name| key(name)).collect(),
            compression,
            time: NEWER,
            part: Some(part),
            iterations: if seed % 2 == 0 { ITERATIONS } else { NonZeroU32::MIN },
            workers,
            version: "18.1".into(),
            globals: None,
        };
        comes_back(&order, &plain(length, seed));
    }

    #[test]
    fn at_any_length_in_the_old_format(length in 0usize..300_000, seed in any::<u64>(), level in 1u32..=9) {
        let order = Order {
            secret: Hidden::Legacy(LegacySecret::generate().expect("random bytes")),
            compression: Compression::Bzip2(level),
            part: Some(4096),
            ..Order::default()
        };
        comes_back(&order, &plain(length, seed));
    }
}
