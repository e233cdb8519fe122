//! A block, one thread, and the same by the crate `bzip2`, which is libbz2-rs: `cargo bench -p pgseal-bzip2`. `cargo test`
//! runs each once, without a judgement.

mod dump;

use bzip2::Compression;
use bzip2::read::BzDecoder;
use bzip2::write::BzEncoder;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pgseal_bzip2::Level;
use pgseal_bzip2::decode::BlockDecoder;
use pgseal_bzip2::encode::{Encoder, Isa, RawBlock, Splitter};
use std::convert::Infallible;
use std::hint::black_box;
use std::io::{Read, Write};

const MEGABYTE: usize = 1_000_000;
const READ: usize = 128 << 10;

/// The first block of a dump, and its checksum.
fn block() -> (Vec<u8>, u32) {
    let mut first = None;
    let mut take = |block: &mut Vec<u8>, raw: RawBlock| -> Result<(), Infallible> {
        first.get_or_insert((block.clone(), raw.crc));
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
    // Whichever were chosen on the command line.
    packed.clear();
    Encoder::new(Level::MAX).encode(&block, crc, &mut packed);
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

/// A stream of one block.
fn libbz2_rs(c: &mut Criterion) {
    let text = dump::dump(890_000);
    let mut group = c.benchmark_group("libbz2-rs");
    group.throughput(Throughput::Bytes(text.len() as u64));
    let encode = || {
        let mut encoder = BzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(black_box(text.as_bytes())).expect("memory is written");
        encoder.finish().expect("memory is written")
    };
    group.bench_function("encode", |bench| bench.iter(encode));
    let packed = encode();
    let mut back = Vec::new();
    group.bench_function("decode", |bench| {
        bench.iter(|| {
            back.clear();
            BzDecoder::new(black_box(&packed[..])).read_to_end(&mut back).expect("its text")
        });
    });
    group.finish();
}

criterion_group!(blocks, bzip2, libbz2_rs);
criterion_main!(blocks);
