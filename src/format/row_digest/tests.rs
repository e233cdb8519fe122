//! Neither order nor pieces matter, and everything else does.

use super::*;
use proptest::prelude::*;
use std::sync::Arc;

fn keys(data_key: &str, fingerprints: &[&str]) -> Arc<RowKeys> {
    Arc::new(RowKeys::new(data_key.as_bytes(), fingerprints))
}

fn of(keys: &Arc<RowKeys>, text: &[u8], piece: usize) -> [String; 2] {
    let mut digests = RowDigests::new(keys.clone());
    text.chunks(piece.max(1)).for_each(|piece| {
        digests.put(piece);
    });
    digests.take()
}

fn joined(rows: &[Vec<u8>]) -> Vec<u8> {
    rows.iter().flat_map(|row| row.iter().copied().chain([b'\n'])).collect()
}

fn row() -> impl Strategy<Value = Vec<u8>> {
    let short = proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'\t'), Just(0u8), Just(b'b')], 0..40);
    let long = (1000usize..3100, any::<u8>()).prop_map(|(length, byte)| vec![byte.max(b' '); length]);
    prop_oneof![8 => short, 1 => long]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn neither_order_nor_pieces_matter_and_everything_else_does(
        rows in proptest::collection::vec(row(), 1..70),
        other in row(),
        at in any::<proptest::sample::Index>(),
        piece in 1usize..200,
    ) {
        let keys = keys("k", &["b", "a"]);
        let text = joined(&rows);
        let whole = of(&keys, &text, usize::MAX);
        prop_assert_eq!(&of(&keys, &text, piece), &whole);
        let mut shuffled = rows.clone();
        shuffled.reverse();
        let middle = at.index(rows.len());
        shuffled.rotate_left(middle);
        prop_assert_eq!(&of(&keys, &joined(&shuffled), piece), &whole);

        let differs = |rows: &[Vec<u8>]| {
            let other = of(&keys, &joined(rows), usize::MAX);
            other[0] != whole[0] && other[1] != whole[1]
        };
        let with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
            let mut rows = rows.clone();
            change(&mut rows);
            rows
        };
        let without = with(&|rows| drop(rows.remove(middle)));
        let twice = with(&|rows| rows.push(rows[middle].clone()));
        let longer = with(&|rows| rows[middle].push(0));
        prop_assert!(differs(&without));
        prop_assert!(differs(&twice));
        prop_assert!(differs(&longer));
        prop_assert!(other == rows[middle] || differs(&with(&|rows| rows[middle].clone_from(&other))));
    }
}

/// Each bit of short and long rows counts, in both halves of the digest.
#[test]
fn one_changed_bit_changes_both_values() {
    let keys = keys("k", &["a"]);
    for length in [1, 15, 16, 17, 1023, 1024, 1025, 2100] {
        let row = vec![b'x'; length];
        let before = of(&keys, &joined(std::slice::from_ref(&row)), usize::MAX);
        for at in (0..length).step_by(1 + length / 40) {
            let mut changed = row.clone();
            changed[at] ^= 1 << (at % 3);
            let after = of(&keys, &joined(&[changed]), usize::MAX);
            assert!(before[0] != after[0] && before[1] != after[1], "{length}: byte {at}");
        }
    }
}

/// What two rows exchange does not cancel out.
#[test]
fn values_that_two_rows_exchange_are_seen() {
    let keys = keys("k", &["a"]);
    let text = |rows: [&str; 2]| of(&keys, &joined(&rows.map(|row| row.as_bytes().to_vec())), usize::MAX);
    let before = text(["1\tann\t100", "2\tbob\t250"]);
    let after = text(["1\tann\t250", "2\tbob\t100"]);
    assert!(before[0] != after[0] && before[1] != after[1]);
}

#[test]
fn the_digest_is_the_data_keys_and_the_hint_the_recipients() {
    let text = b"1\tx\n2\ty\n";
    let one = of(&keys("one", &["a", "b"]), text, 3);
    let other = of(&keys("other", &["b", "a", "a"]), text, 3);
    assert!(one[0] != other[0] && one[1] == other[1]);
    assert_ne!(of(&keys("one", &["a"]), text, 3)[1], one[1]);
    let none = of(&keys("one", &["a"]), b"", 1);
    assert_eq!(none, ["0".repeat(32), "0".repeat(32)]);
}

/// Written down, since other releases must come to the same.
#[test]
fn the_values_stay_what_they_are() {
    let long = vec![b'z'; 5000];
    let text = joined(&[b"1\tx".to_vec(), Vec::new(), long]);
    let made = of(&keys("key", &["aa", "bb"]), &text, 1000);
    assert_eq!(made, ["ce4e127d6a29c0dbc8de44b8c6303645", "c36dce2d85105a6348f4d3e48c141a90"]);
}
