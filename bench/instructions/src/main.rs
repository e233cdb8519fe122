//! Encodes a fixed dump, by vector code or without (`--scalar`), and prints the packed size.

#[path = "../../../crates/bzip2/benches/dump/mod.rs"]
mod dump;

use dump::dump;
use pgseal_bzip2::Level;
use pgseal_bzip2::encode::{Isa, encode_all_with};

fn main() {
    let scalar = std::env::args().any(|argument| argument == "--scalar");
    let isa = if scalar { Isa::Scalar } else { Isa::detect() };
    // Without vector code there is nothing to compare.
    assert!(scalar || isa != Isa::Scalar, "this processor has no AVX2");
    println!("{}", encode_all_with(Level::MAX, isa, dump(1_700_000).as_bytes()).len());
}
