//! In order, as one stream, and stopped by what is wrong.

use super::pool::{Bzip2, Codec, CompressJob};
use super::*;
use crate::pipeline::BufferSink;
use crate::plan::DEFAULT_CHECK_INTERVAL;
use pgseal_bzip2::encode::{BlockInfo, Encoder, encode_all};
use std::io::Read;

fn starts() -> BlockStarts {
    BlockStarts::new(crate::format::parts::PartSizeSchedule::default())
}

fn compressed(compression: Compression, workers: usize, plain: &[u8]) -> Vec<u8> {
    let mut stage = Compress::new(compression, workers, DEFAULT_CHECK_INTERVAL, starts(), BufferSink::default()).unwrap();
    plain.chunks(70_001).for_each(|chunk| stage.put(chunk).unwrap());
    let done = stage.finish().unwrap();
    assert_eq!(done.bytes, done.below.len() as u64);
    done.below
}

fn plain(length: usize) -> Vec<u8> {
    (0..length).map(|n| if n % 7 == 0 { b'\n' } else { (n / 3 % 97) as u8 }).collect()
}

#[test]
fn the_one_stream_is_the_same_whatever_the_number_of_workers() {
    for length in [0, 1, 99_999, 100_000, 100_001, 1_234_567] {
        let plain = plain(length);
        let expected = encode_all(Level::new(1).unwrap(), &plain);
        for workers in [1, 2, 5] {
            let packed = compressed(Compression::Bzip2(1), workers, &plain);
            assert!(packed == expected, "{workers} workers, {length} bytes");
        }
        let mut back = Vec::new();
        let mut witness = bzip2::read::BzDecoder::new(expected.as_slice());
        witness.read_to_end(&mut back).unwrap();
        assert!(back == plain && witness.total_in() == expected.len() as u64, "{length} bytes");
    }
}

#[test]
fn every_level_is_the_level_that_the_header_says() {
    let plain = plain(1_000_000);
    for level in 1..=9 {
        let packed = compressed(Compression::Bzip2(level), 2, &plain);
        assert_eq!(packed[..4], [b'B', b'Z', b'h', b'0' + level as u8]);
        let mut back = Vec::new();
        bzip2::read::BzDecoder::new(packed.as_slice()).read_to_end(&mut back).unwrap();
        assert!(back == plain, "level {level}");
    }
    assert!(
        Compress::new(Compression::Bzip2(10), 1, DEFAULT_CHECK_INTERVAL, starts(), BufferSink::default())
            .is_err_and(|error| error.code == Code::Bug)
    );
}

/// An encoder that spoils one block, by a function.
struct Faulty(Bzip2, u64, fn(&mut CompressJob));

impl Codec for Faulty {
    fn encode(&mut self, job: &mut CompressJob) -> Result<()> {
        self.0.encode(job)?;
        if job.number == self.1 {
            self.2(job);
        }
        Ok(())
    }
}

fn with_fault(every: usize, number: u64, fault: fn(&mut CompressJob)) -> Result<Vec<u8>> {
    let codec = move || Ok(Box::new(Faulty(Bzip2(Encoder::new(level(1)?)), number, fault)) as _);
    let mut stage = Compress::bzip2(1, 3, every, codec, CountedSink::new(starts(), BufferSink::default()))?;
    stage.put(&plain(2_000_000))?;
    stage.finish().map(|done| done.below)
}

#[test]
fn a_block_that_comes_back_otherwise_stops_the_backup() {
    let faults: [fn(&mut CompressJob); 4] = [
        |job| job.output[100] ^= 4,
        |job| job.output.truncate(1000),
        // Sound in itself, but another's.
        |job| job.input[70_000] ^= 1,
        |job| job.info = job.info.map(|info| BlockInfo { crc: info.crc ^ 1, ..info }),
    ];
    for fault in faults {
        for number in [0, 1, 7, 19] {
            let error = with_fault(1, number, fault).unwrap_err();
            assert_eq!(error.code, Code::Bug);
            assert!(error.message.contains(&format!("block {number} ")), "{error}");
        }
        assert_eq!(with_fault(DEFAULT_CHECK_INTERVAL, 0, fault).unwrap_err().code, Code::Bug);
        assert_eq!(with_fault(4, 16, fault).unwrap_err().code, Code::Bug);
    }
    // The others of the share are not looked at.
    assert!(with_fault(DEFAULT_CHECK_INTERVAL, 15, |job| job.output[100] ^= 4).is_ok());
    assert!(with_fault(4, 15, |job| job.output[100] ^= 4).is_ok());
}

/// Runs make a block's text up to 51 times as long as the block.
#[test]
fn sound_blocks_pass_the_witness_whatever_is_in_them() {
    let noise: Vec<u8> = (0..300_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for text in [
        vec![b'a'; 6_000_000],
        plain(450_000),
        noise,
        b"x".to_vec(),
        [vec![0; 4], vec![1; 259]].concat(),
    ] {
        let mut stage = Compress::new(Compression::Bzip2(1), 2, 1, starts(), BufferSink::default()).unwrap();
        stage.put(&text).unwrap();
        let done = stage.finish().unwrap();
        assert_eq!(done.below, encode_all(Level::new(1).unwrap(), &text));
    }
}

/// Every bit of a block is the witness's to judge: none of a sample of flips passes.
#[test]
fn a_bit_that_flipped_in_the_memory_is_found() {
    for (byte, bit) in [(0, 7), (9, 0), (14, 3), (40, 5), (5_000, 1), (20_000, 6)] {
        let codec = move || {
            let spoil = move |job: &mut CompressJob| job.output[byte] ^= 1 << bit;
            Ok(Box::new(Spoiling(Bzip2(Encoder::new(level(1)?)), spoil)) as _)
        };
        let mut stage = Compress::bzip2(1, 1, 1, codec, CountedSink::new(starts(), BufferSink::default())).unwrap();
        let ended = stage.put(&plain(300_000)).and_then(|()| stage.finish().map(|_| ()));
        assert_eq!(ended.unwrap_err().code, Code::Bug, "byte {byte}, bit {bit}");
    }
}

struct Spoiling<F>(Bzip2, F);

impl<F: Fn(&mut CompressJob)> Codec for Spoiling<F> {
    fn encode(&mut self, job: &mut CompressJob) -> Result<()> {
        self.0.encode(job)?;
        self.1(job);
        Ok(())
    }
}

#[test]
fn a_worker_that_breaks_off_ends_the_backup() {
    let error = with_fault(1, 3, |_| panic!("on purpose")).unwrap_err();
    assert_eq!(error.code, Code::Bug);
}

#[test]
fn zstd_frames_make_one_stream() {
    let plain = plain(5 << 20);
    let packed = compressed(Compression::Zstd(1), 3, &plain);
    assert!(zstd::decode_all(packed.as_slice()).unwrap() == plain);
    assert!(
        zstd::decode_all(compressed(Compression::Zstd(3), 2, b"").as_slice())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn none_changes_nothing() {
    let plain = plain(300_000);
    assert!(compressed(Compression::None, 2, &plain) == plain);
}

#[test]
fn a_failure_below_ends_the_workers_too() {
    /// Takes the header and nothing else.
    struct Broken;
    impl Stage for Broken {
        type Done = ();
        fn put(&mut self, bytes: &[u8]) -> Result<()> {
            match bytes {
                b"BZh1" => Ok(()),
                _ => Err(Error::new(Code::S3Denied, "no")),
            }
        }
        fn finish(self) -> Result<()> {
            Ok(())
        }
    }
    let mut stage = Compress::new(Compression::Bzip2(1), 2, DEFAULT_CHECK_INTERVAL, starts(), Broken).unwrap();
    let error = (0..100).find_map(|_| stage.put(&plain(100_000)).err()).unwrap();
    assert_eq!(error.code, Code::S3Denied);
}
