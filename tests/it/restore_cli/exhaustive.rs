//! Every bit, every shorter length and one byte more, of every object of small backups: all is found, and nothing comes
//! out of what was changed.

use super::sealed::{Made, Objects, Order, Reader, dump, is_found, key};
use bytes::Bytes;
use pgseal::format::compression::Compression;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads of one test; the machine that this is made for has two cores.
const THREADS: usize = 2;

#[test]
fn of_a_backup_in_parts_for_two_recipients() {
    every_change(&Order {
        keys: vec![key("recipient-b"), key("recipient-a")],
        part: Some(48),
        ..Order::default()
    });
}

#[test]
fn of_a_compressed_backup() {
    every_change(&Order {
        compression: Compression::Bzip2(9),
        part: Some(64),
        ..Order::default()
    });
}

#[test]
fn of_a_backup_in_the_old_format() {
    every_change(&Order::legacy());
}

fn every_change(order: &Order) {
    let made = order.seal(&dump(5));
    let reader = Reader::new(key("recipient-a"));
    reader.verify(&made.objects, &made.stem).expect("it is whole");
    let (released, done) = reader.decrypt(&made.objects, &made.stem);
    assert!(done.is_ok() && released == made.plain);

    let changes: Vec<(String, Change)> = made.objects.iter().flat_map(|(name, body)| of_one(name, body.len())).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let reader = Reader::new(key("recipient-a"));
                while let Some((name, change)) = changes.get(next.fetch_add(1, Ordering::Relaxed)) {
                    found(&reader, &made, name, *change);
                }
            });
        }
    });
    let bits: usize = made.objects.values().map(|body| 8 * body.len()).sum();
    assert!(changes.len() > bits && next.into_inner() >= changes.len());
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Bit(usize),
    Length(usize),
    More(u8),
}

fn of_one(name: &str, size: usize) -> impl Iterator<Item = (String, Change)> {
    let bits = (0..8 * size).map(Change::Bit);
    let lengths = (0..size).map(Change::Length);
    let more = [0, b'\n', b' ', b'x'].map(Change::More);
    let name = name.to_owned();
    bits.chain(lengths).chain(more).map(move |change| (name.clone(), change))
}

impl Change {
    /// The changed object, and the first byte that is another one.
    fn of(self, body: &[u8]) -> (Bytes, usize) {
        let mut body = body.to_vec();
        let at = match self {
            Self::Bit(bit) => {
                body[bit / 8] ^= 1 << (bit % 8);
                bit / 8
            }
            Self::Length(length) => {
                body.truncate(length);
                length
            }
            Self::More(byte) => {
                body.push(byte);
                body.len() - 1
            }
        };
        (Bytes::from(body), at)
    }
}

fn found(reader: &Reader, made: &Made, name: &str, change: Change) {
    let mut objects: Objects = made.objects.clone();
    let (body, at) = change.of(&made.objects[name]);
    objects.insert(name.to_owned(), body);
    match reader.verify(&objects, &made.stem) {
        Ok(_) => panic!("{name}, {change:?}: not found"),
        Err(error) => assert!(is_found(&error), "{name}, {change:?}: {error:?}"),
    }
    if name == made.manifest || name.ends_with(".RECOVER.md") {
        // Nothing is read behind a manifest that is not proven, and nobody reads recovery instructions but by its hash.
        return;
    }
    if let Ok(report) = reader.verify_without_key(&objects, &made.stem) {
        panic!("{name}, {change:?}: not found without the key: {report:?}");
    }
    let (released, done) = reader.decrypt(&objects, &made.stem);
    if name == made.dump {
        assert!(done.is_err(), "{name}, {change:?}: released");
        let part = made.parts.iter().rposition(|start| *start <= at).expect("a part");
        // Uncompressed, the plaintext lies one block before its ciphertext.
        let before = made.parts[part].saturating_sub(16);
        assert!(released.len() <= before, "{name}, {change:?}: {} bytes came out", released.len());
        assert!(made.plain.starts_with(&released), "{name}, {change:?}: other bytes came out");
    } else if done.is_err() {
        assert!(released.is_empty(), "{name}, {change:?}: {} bytes came out", released.len());
    } else {
        // Another recipient's key object: this reader does not need it.
        assert!(name.contains(".key.") && released == made.plain, "{name}, {change:?}");
    }
}
