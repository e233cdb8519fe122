//! The reader of `Salted__` objects, part by part, and all the pipeline behind it: decrypting, zstd, bzip2, the inventory.
//!
//! Input: a byte that says how, the parts' length in blocks less one, data. In one case in four the data is an object as it
//! lies there, else it is what stands inside one.

#![no_main]

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use pgseal::cancel::Cancel;
use pgseal::envelope::secret::CipherKey;
use pgseal::error::{Code, Result};
use pgseal::format::compression::Compression;
use pgseal::format::sha256;
use pgseal::observe::progress::Progress;
use pgseal::pipeline::{DumpStats, ExpectedPart, LengthLimit, PartDecryptor, RestorePipeline, Stage, back, seal_small};
use pgseal::store::{Archive, InMemoryStore};
use pgseal_fuzz::Input;
use std::sync::LazyLock;
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

const BLOCK: usize = 16;
const SALT: [u8; 8] = *b"saltsalt";
const NAME: &str = "app_20261124T020000Z.3f9a12bc.sql.enc";
/// A dump that grows beyond this is given up.
const LIMIT: usize = 4 << 20;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let how = input.byte();
    let part = BLOCK * (1 + usize::from(input.byte()));
    let data = input.rest();
    if how.is_multiple_of(4) {
        return hostile(data, part);
    }
    let sealed = seal_small(data, &key(), SALT).expect("sealed");
    let whole = open(&opener(&sealed, part, true), &sealed, part);
    assert_eq!(whole.expect("what was sealed opens"), data);
    changed(&sealed, part, data);
    let compression = [Compression::None, Compression::Zstd(3), Compression::Bzip2(9), Compression::None][usize::from(how % 4)];
    road(&sealed, part, compression, data);
});

fn key() -> CipherKey {
    CipherKey {
        key: Zeroizing::new([7; 32]),
        iv: Zeroizing::new([9; 16]),
    }
}

fn opener(sealed: &[u8], part: usize, hashed: bool) -> PartDecryptor {
    let parts = sealed.chunks(part).enumerate().map(|(n, bytes)| ExpectedPart {
        offset: (n * part) as u64,
        size: bytes.len() as u64,
        sha256: hashed.then(|| sha256(bytes)),
    });
    PartDecryptor {
        name: NAME.into(),
        key: key(),
        salt: SALT,
        parts: parts.collect(),
    }
}

fn open(opener: &PartDecryptor, sealed: &[u8], part: usize) -> Result<Vec<u8>> {
    let mut before = None;
    let mut plain = Vec::new();
    for (index, bytes) in sealed.chunks(part).enumerate() {
        plain.extend_from_slice(&opener.open(index, before, Bytes::copy_from_slice(bytes))?);
        before = bytes.last_chunk::<BLOCK>().copied();
    }
    Ok(plain)
}

/// Any bytes, without hashes, as in the legacy format: the outcome is a witness's, whatever the parts.
fn hostile(object: &[u8], part: usize) {
    let inner = [b"Salted__".as_slice(), &SALT, object].concat();
    let expected = witness(object);
    for (object, expected) in [(object, None), (&inner, expected)] {
        if object.is_empty() {
            continue;
        }
        let opened = open(&opener(object, part, false), object, part);
        match opened {
            Ok(plain) if object.starts_with(b"Salted__") && expected.is_none() => assert_eq!(Some(plain), witness(&object[BLOCK..])),
            Ok(plain) => assert_eq!(Some(plain), expected),
            Err(error) => {
                assert_eq!(error.code, Code::Tampered);
                assert!(expected.is_none());
            }
        }
    }
}

/// Another implementation of AES-256-CBC with PKCS#7.
fn witness(body: &[u8]) -> Option<Vec<u8>> {
    let key = UnboundCipherKey::new(&AES_256, &[7; 32]).expect("a key");
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).expect("a key");
    let mut body = body.to_vec();
    let context = DecryptionContext::Iv128(FixedLength::from([9; BLOCK]));
    key.decrypt(&mut body, context).ok().map(|plain| plain.to_vec())
}

/// A changed byte is found in its part; no part before it is held back, none behind it is asked for.
fn changed(sealed: &[u8], part: usize, seed: &[u8]) {
    let random = sha256(seed);
    let at = usize::from(random[0]) * sealed.len() / 256;
    let mut changed = sealed.to_vec();
    changed[at] ^= random[1].max(1);
    let opener = opener(sealed, part, true);
    let bytes = changed.chunks(part).nth(at / part).expect("the part");
    let error = opener.open(at / part, (at >= part).then_some([0; BLOCK]), Bytes::copy_from_slice(bytes));
    assert_eq!(error.map_err(|error| error.code).err(), Some(Code::Tampered));
}

/// What comes out at the end of the pipeline.
struct Sink(Vec<u8>);

impl Stage for Sink {
    type Done = Vec<u8>;

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if self.0.len() + bytes.len() > LIMIT {
            return Err(pgseal::error::Error::new(Code::RestoreFailed, "enough"));
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>> {
        Ok(self.0)
    }
}

fn road(sealed: &[u8], part: usize, compression: Compression, data: &[u8]) {
    let few = bring(sealed, part, compression);
    let whole = bring(sealed, usize::MAX, compression);
    match (few, whole) {
        (Ok((counted, plain)), Ok((whole, again))) => {
            assert!(plain == again);
            assert_eq!((counted.plain_bytes, counted.plain_sha256), (plain.len() as u64, sha256(&plain)));
            assert_eq!(
                (&counted.tables, counted.rows, counted.large_objects),
                (&whole.tables, whole.rows, whole.large_objects)
            );
            assert_eq!(counted.rows, counted.tables.iter().map(|table| table.rows).sum::<u64>());
            assert!(compression != Compression::None || plain == data);
        }
        (Err(few), Err(whole)) => assert!(few.code == whole.code && few.code != Code::Bug, "{few} {whole}"),
        (few, whole) => panic!("{:?} in parts, {:?} at once", few.map(|_| ()), whole.map(|_| ())),
    }
}

fn bring(sealed: &[u8], part: usize, compression: Compression) -> Result<(DumpStats, Vec<u8>)> {
    let archive = Archive::Memory(InMemoryStore::new([(NAME.to_owned(), Bytes::copy_from_slice(sealed))].into()));
    let way = RestorePipeline {
        opener: opener(sealed, part, true),
        compression,
        workers: 1,
        plain_bytes: LengthLimit::Any,
        keeps_heads: false,
    };
    RUNTIME.block_on(async {
        let pinned = archive.pin(NAME).await?.expect("the object");
        let cancel = Cancel::new()?;
        back(&archive, &pinned, way, || Ok(Sink(Vec::new())), &Progress::new(0), &cancel).await
    })
}
