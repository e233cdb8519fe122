//! What each stage of the pipeline costs: `cargo bench --bench stages`; the codec alone: `cargo bench -p pgseal-bzip2`.
//! `cargo test` runs each once, without a judgement.

#[path = "../crates/bzip2/benches/dump/mod.rs"]
mod dump;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pgseal::cancel::Cancel;
use pgseal::envelope::secret::DataKeyText;
use pgseal::format::compression::Compression;
use pgseal::format::parts::PartSizeSchedule;
use pgseal::format::sha256;
use pgseal::observe::progress::Progress;
use pgseal::pipeline::throttle::Throttle;
use pgseal::pipeline::{Discard, Encrypt, PipelineOptions, RowCounter, Stage, forward};
use pgseal::plan::{DEFAULT_CHECK_INTERVAL, RateLimit};
use std::hint::black_box;
use std::io::Read;

const MEGABYTE: usize = 1_000_000;
/// A read of the pipeline.
const READ: usize = 128 << 10;

/// Rows with a `COPY` around them.
fn copied(length: usize) -> Vec<u8> {
    format!(
        "COPY public.orders (id, token, owner, at, item) FROM stdin;\n{}\n\\.\n",
        dump::dump(length)
    )
    .into_bytes()
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
            let mut inventory = RowCounter::new(Discard);
            text.chunks(READ).try_for_each(|read| inventory.put(read)).expect("nothing fails");
            inventory.finish().expect("nothing fails").0.rows
        });
    });
    // What of the inventory is the hash that the format has.
    group.bench_function("sha256", |bench| bench.iter(|| sha256(black_box(&text))));
    let key = DataKeyText::generate().expect("random bytes").cipher_key(&[7; 8]);
    group.bench_function("encrypt", |bench| {
        bench.iter(|| {
            let mut encrypt = Encrypt::new(&key, [7; 8], Discard).expect("nothing fails");
            text.chunks(READ).try_for_each(|read| encrypt.put(read)).expect("nothing fails");
            encrypt.finish().expect("nothing fails");
        });
    });
    group.finish();
}

fn pipeline(c: &mut Criterion) {
    let text = copied(8 * MEGABYTE);
    let secret = DataKeyText::generate().expect("random bytes");
    let mut group = c.benchmark_group("pipeline");
    group.throughput(Throughput::Bytes(text.len() as u64)).sample_size(10);
    for name in ["none", "zstd", "bzip2"] {
        let compression = Compression::parse(name).expect("a compression");
        group.bench_function(name, |bench| {
            bench.iter(|| {
                // More parts than there are.
                let (sender, _received) = tokio::sync::mpsc::channel(64);
                let pipeline = PipelineOptions {
                    rate_limit: RateLimit::parse("0").expect("no limit").into(),
                    compression,
                    workers: 1,
                    checked_blocks: DEFAULT_CHECK_INTERVAL,
                    key: secret.cipher_key(&[7; 8]),
                    salt: [7; 8],
                    part_sizes: PartSizeSchedule::default(),
                    in_flight: 1,
                    row_keys: None,
                };
                let cancel = Cancel::new().expect("a descriptor");
                forward(text.as_slice(), pipeline, sender, &Progress::new(0), &cancel)
                    .expect("sealed")
                    .0
                    .sealed
                    .size
            });
        });
    }
    group.finish();
}

criterion_group!(stages, light, pipeline);
criterion_main!(stages);
