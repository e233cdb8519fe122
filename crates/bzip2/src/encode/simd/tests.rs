//! Each operation against its plain meaning.

use super::{BATCH, Scalar, Simd, Table};

fn bytes(seed: &mut u64) -> [u8; 64] {
    std::array::from_fn(|_| {
        *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // Few values, so that many are equal, and both sides of the sign bit.
        [0, 1, 0x7F, 0x80, 0x81, 0xFF, 42, 200][(*seed >> 61) as usize]
    })
}

fn masks_agree<S: Simd>(simd: S) {
    let mut seed = 1;
    for _ in 0..1000 {
        let (a, b) = (bytes(&mut seed), bytes(&mut seed));
        let mask = |holds: fn(u8, u8) -> bool| (0..64).fold(0, |mask, k| mask | (u64::from(holds(a[k], b[k])) << k));
        assert_eq!(simd.equal(&a, &b), mask(|a, b| a == b));
        assert_eq!(simd.greater(&a, &b), mask(|a, b| a > b));
    }
}

fn least_is_found<S: Simd>(simd: S) {
    let mut seed = 1;
    for _ in 0..1000 {
        let bytes = bytes(&mut seed);
        let numbers: [u16; 8] = std::array::from_fn(|k| u16::from(bytes[k]) << 8 | u16::from(bytes[k + 8] & 1));
        let least = numbers
            .iter()
            .min()
            .and_then(|least| numbers.iter().position(|number| number == least));
        assert_eq!(Some(simd.least(numbers)), least);
    }
}

fn rows_are_added<S: Simd>(simd: S) {
    let mut seed = 1u64;
    let mut next = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 48) as u16
    };
    let mut table: Box<Table> = Box::new([[0; 2]; 512]);
    for row in table.iter_mut() {
        *row = bytemuck::must_cast::<[u16; 8], _>(std::array::from_fn(|_| next() % 1000));
    }
    for len in 0..=50 {
        // Numbers of rows with bits above.
        let rows: Vec<u16> = (0..len).map(|_| next()).collect();
        let mut sum = [0u16; 8];
        for &row in &rows {
            let row: [u16; 8] = bytemuck::must_cast(table[usize::from(row % 512)]);
            sum = std::array::from_fn(|k| sum[k] + row[k]);
        }
        assert_eq!(simd.sum(&rows, &table), sum);
    }
}

fn bytes_move_to_the_front<S: Simd>(simd: S) {
    let mut seed = 1u64;
    let mut list: [u8; 16] = std::array::from_fn(|k| 3 * k as u8);
    let (mut found, mut missed) = (0, 0);
    for _ in 0..2000 {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // Of 24 values eight are outside at any time.
        let byte = 3 * ((seed >> 33) % 24) as u8;
        let mut expected = list.to_vec();
        let at = list.iter().position(|&other| other == byte);
        let gone = expected.remove(at.unwrap_or(15));
        expected.insert(0, byte);
        assert_eq!(simd.to_front(&mut list, byte), at.ok_or(gone));
        assert_eq!(list[..], expected[..]);
        *if at.is_some() { &mut found } else { &mut missed } += 1;
    }
    assert!(found > 100 && missed > 0, "{found} {missed}");
}

fn few_are_sorted<S: Simd>(simd: S) {
    let mut seed = 1u64;
    for len in (0..=S::FEW).cycle().take(2000) {
        let mut keys: Vec<i64> = (0..len)
            .map(|k| {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                // Different by the low bits, often equal above.
                ((seed >> 62) << 62 | k as u64) as i64
            })
            .collect();
        keys.reverse();
        let mut expected = keys.clone();
        expected.sort_unstable();
        let mut sorted = vec![0; len];
        simd.sort_few(&keys, &mut sorted);
        assert_eq!(sorted, expected);
        simd.sort_few_in_place(&mut keys);
        assert_eq!(keys, expected);
    }
}

/// Some numbers, few of which are equal, and one of them or nearly.
fn numbers(seed: &mut u64, len: usize) -> (Vec<u32>, u32) {
    let mut next = || {
        *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // Both sides of the sign bit.
        (*seed >> 32) as u32
    };
    let numbers: Vec<u32> = (0..len).map(|_| next()).collect();
    let least = match (next() % 4, numbers.get(len / 2)) {
        (0, Some(&number)) => number,
        (1, Some(&number)) => number.wrapping_add(1),
        (2, _) => 0,
        _ => next(),
    };
    (numbers, least)
}

fn the_larger_are_chosen<S: Simd>(simd: S) {
    let mut seed = 1;
    for len in (0..=BATCH).cycle().take(3000) {
        let (numbers, least) = numbers(&mut seed, len);
        let mut chosen = [0; BATCH];
        let count = simd.at_least(&numbers, least, &mut chosen);
        assert!(numbers.iter().filter(|&&number| number >= least).eq(&chosen[..count]));
    }
}

fn rows_are_parted<S: Simd>(simd: S) {
    let mut seed = 1;
    for len in (0..=BATCH).cycle().take(3000) {
        let (before, least) = numbers(&mut seed, 3 * BATCH);
        let (from, to) = (BATCH - len, BATCH);
        // Right behind the rows, or farther.
        for end in [to, to + 1, to + 40] {
            let (mut rows, mut kept, mut others) = (before.clone(), end, [0; BATCH]);
            let count = simd.part(&mut rows, from, to, least, &mut kept, &mut others);
            let parted = &before[from..to];
            assert!(parted.iter().rev().filter(|&&number| number < least).eq(&others[..count]));
            assert!(parted.iter().filter(|&&number| number >= least).eq(&rows[kept..end]));
            assert_eq!((&rows[..from], &rows[end..]), (&before[..from], &before[end..]));
        }
    }
}

fn all_is_as_it_says<S: Simd>(simd: S) {
    masks_agree(simd);
    least_is_found(simd);
    rows_are_added(simd);
    bytes_move_to_the_front(simd);
    few_are_sorted(simd);
    the_larger_are_chosen(simd);
    rows_are_parted(simd);
}

#[test]
fn the_scalar_operations_do_what_they_say() {
    all_is_as_it_says(Scalar);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_vector_operations_do_the_same() {
    all_is_as_it_says(super::Avx2::detect().expect("this test needs AVX2"));
    match super::Avx512::detect() {
        Some(simd) => all_is_as_it_says(simd),
        None => eprintln!("this processor has no AVX-512: that code was not tested"),
    }
}
