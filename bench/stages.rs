//! What each stage of the road costs: `cargo bench --bench stages`. `cargo test` runs each once, without a judgement.

#[path = "instructions/src/dump.rs"]
mod dump;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pgseal::bzip2::Level;
use pgseal::bzip2::decode::BlockDecoder;
use pgseal::bzip2::encode::{Encoder, Isa, Splitter};
use pgseal::cancel::Cancel;
use pgseal::envelope::secret::Secret;
use pgseal::envelope::sha256;
use pgseal::observe::progress::Progress;
use pgseal::pipeline::throttle::Throttle;
use pgseal::pipeline::{Encrypt, Inventory, Nowhere, Road, Stage, forward};
use pgseal::plan::{CHECKED, Compression, Ladder, RateLimit};
use std::convert::Infallible;
use std::hint::black_box;
use std::io::Read;

const MEGABYTE: usize = 1_000_000;
/// A read of the road.
const READ: usize = 128 << 10;

/// Rows with a `COPY` around them.
fn copied(length: usize) -> Vec<u8> {
    format!(
        "COPY public.orders (id, token, owner, at, item) FROM stdin;\n{}\n\\.\n",
        dump::dump(length)
    )
    .into_bytes()
}

/// The first block of a dump, and its checksum.
fn block() -> (Vec<u8>, u32) {
    let mut first = None;
    let mut take = |block: &mut Vec<u8>, crc| -> Result<(), Infallible> {
        first.get_or_insert((block.clone(), crc));
        Ok(())
    };
    let mut splitter = Splitter::new(Level::MAX);
    let Ok(()) = splitter.feed(dump::dump(MEGABYTE).as_bytes(), &mut take);
    let Ok(()) = splitter.rest(take);
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

fn light(c: &mut Criterion) {
    let text = copied(8 * MEGABYTE);
    let mut group = c.benchmark_group("light");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("throttle", |bench| {
        // Never the slower side, but asked all the same.
        let limit = RateLimit::parse("1t").expect("a rate");
        let mut buffer = vec![0; READ];
        bench.iter(|| {
            let mut throttle = Throttle::new(text.as_slice(), limit, Cancel::new().expect("a descriptor"));
            while throttle.read(&mut buffer).expect("memory is read") > 0 {}
        });
    });
    group.bench_function("inventory", |bench| {
        bench.iter(|| {
            let mut inventory = Inventory::new(Nowhere);
            text.chunks(READ).try_for_each(|read| inventory.put(read)).expect("nothing fails");
            inventory.finish().expect("nothing fails").0.rows
        });
    });
    // What of the inventory is the hash that the format has.
    group.bench_function("sha256", |bench| bench.iter(|| sha256(black_box(&text))));
    let key = Secret::generate().expect("random bytes").cipher_key(&[7; 8]);
    group.bench_function("encrypt", |bench| {
        bench.iter(|| {
            let mut encrypt = Encrypt::new(&key, [7; 8], Nowhere).expect("nothing fails");
            text.chunks(READ).try_for_each(|read| encrypt.put(read)).expect("nothing fails");
            encrypt.finish().expect("nothing fails");
        });
    });
    group.finish();
}

fn road(c: &mut Criterion) {
    let text = copied(8 * MEGABYTE);
    let secret = Secret::generate().expect("random bytes");
    let mut group = c.benchmark_group("road");
    group.throughput(Throughput::Bytes(text.len() as u64)).sample_size(10);
    for name in ["none", "zstd", "bzip2"] {
        let compression = Compression::parse(name).expect("a compression");
        group.bench_function(name, |bench| {
            bench.iter(|| {
                // More parts than there are.
                let (sender, _received) = tokio::sync::mpsc::channel(64);
                let road = Road {
                    rate_limit: RateLimit::parse("0").expect("no limit"),
                    compression,
                    workers: 1,
                    checked_blocks: CHECKED,
                    key: secret.cipher_key(&[7; 8]),
                    salt: [7; 8],
                    ladder: Ladder::default(),
                    in_flight: 1,
                };
                let cancel = Cancel::new().expect("a descriptor");
                forward(text.as_slice(), road, sender, &Progress::new(0), &cancel)
                    .expect("sealed")
                    .0
                    .sealed
                    .size
            });
        });
    }
    group.finish();
}

criterion_group!(stages, bzip2, light, road);
criterion_main!(stages);
