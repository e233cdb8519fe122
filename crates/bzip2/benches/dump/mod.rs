//! Text to measure by.

use std::fmt::Write;

/// So many bytes of rows as a table of orders has them, the same in every run (SplitMix64).
pub fn dump(length: usize) -> String {
    let (mut rows, mut state) = (String::new(), 0u64);
    let mut random = move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    };
    const STATES: [&str; 4] = ["open", "paid", "sent", "returned"];
    for id in 1.. {
        if rows.len() >= length {
            break;
        }
        let (token, owner, sku, state) = (random(), random() % 9999, random() % 500, STATES[random() as usize % 4]);
        let (day, price) = (random() % 28 + 1, random() % 100_000);
        let _ = writeln!(
            rows,
            "{id}\t{token:016x}\t{owner}\t2026-11-{day:02} 10:00:00+00\t{{\"sku\": \"SKU-{sku:05}\", \"price\": {price}, \"state\": \"{state}\"}}"
        );
    }
    rows.truncate(length);
    rows
}
