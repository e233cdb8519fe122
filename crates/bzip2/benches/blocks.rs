//! A block, one thread: `cargo bench -p pgseal-bzip2`. `cargo test` runs each once, without a judgement.

mod dump;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pgseal_bzip2::Level;
use pgseal_bzip2::decode::BlockDecoder;
use pgseal_bzip2::encode::{Encoder, Isa, Splitter};
use std::convert::Infallible;
use std::hint::black_box;

const MEGABYTE: usize = 1_000_000;
const READ: usize = 128 << 10;

/// The first block of a dump, and its checksum.
fn block() -> (Vec<u8>, u32) {
    let mut first = None;
    let mut take = |block: &mut Vec<u8>, crc| -> Result<(), Infallible> {
        first.get_or_insert((block.clone(), crc));
        Ok(())
    };
    let mut splitter = Splitter::new(Level::MAX);
    let Ok(()) = splitter.feed(dump::dump(MEGABYTE).as_bytes(), &mut take);
    let Ok(()) = splitter.finish(take);
    first.expect("a dump has a block")
}

fn bzip2(c: &mut Criterion) {
    let (block, crc) = block();
    let mut group = c.benchmark_group("bzip2");
    group.throughput(Throughput::Bytes(block.len() as u64));
    let mut packed = Vec::new();
    for (name, isa) in [("encode", Isa::detect()), ("encode-scalar", Isa::Scalar)] {
        let mut encoder = Encoder::with_isa(Level::MAX, isa);
        group.bench_function(name, |bench| {
            bench.iter(|| {
                packed.clear();
                encoder.encode(black_box(&block), crc, &mut packed)
            });
        });
    }
    let mut decoder = BlockDecoder::new();
    group.bench_function("decode", |bench| {
        bench.iter(|| decoder.decode_block(black_box(&packed), 0, Level::MAX).expect("a block").0);
    });
    group.bench_function("split", |bench| {
        let text = dump::dump(MEGABYTE);
        let nothing = |_: &mut Vec<u8>, _| -> Result<(), Infallible> { Ok(()) };
        bench.iter(|| {
            let mut splitter = Splitter::new(Level::MAX);
            text.as_bytes().chunks(READ).try_for_each(|read| splitter.feed(read, nothing))
        });
    });
    group.finish();
}

criterion_group!(blocks, bzip2);
criterion_main!(blocks);
