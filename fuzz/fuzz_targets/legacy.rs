//! Backups of the legacy image: any key file and any dump. What cannot be checked may come out wrong, but only as an error or as
//! bytes that the passphrase really opens.
//!
//! Input: a byte that says how, the key file's text up to a NUL, the dump.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use pgseal::cancel::Cancel;
use pgseal::envelope::legacy::Kdf;
use pgseal::envelope::private_key::PrivateKey;
use pgseal::error::{Code, Error, Result};
use pgseal::observe::progress::Progress;
use pgseal::pipeline::{LengthLimit, Stage, seal_small};
use pgseal::restore::find::{BackupKind, ChosenBackup};
use pgseal::restore::legacy::fetch_object;
use pgseal::store::{Archive, InMemoryStore, Location};
use pgseal_fuzz::Input;
use std::io::Read;
use std::sync::LazyLock;
use tokio::runtime::{Builder, Runtime};

const STEM: &str = "app_2026-11-24T02:00:00Z";
const SALT: [u8; 8] = *b"saltsalt";
const LIMIT: usize = 4 << 20;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));
static KEY: LazyLock<PrivateKey> = LazyLock::new(|| {
    let file = include_bytes!("../../tests/vectors/keys/recipient-a.pem");
    PrivateKey::parse(file, || Err(Error::new(Code::Bug, "it is not encrypted"))).expect("a key")
});

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let how = input.byte();
    let file = input.until(0);
    let data = input.rest();
    // What RSA PKCS#1 v1.5 has room for.
    let Ok(wrapped) = KEY.recipient().wrap_pkcs1(&file[..file.len().min(245)]) else {
        return;
    };
    let secret = KEY.unwrap_pkcs1(&wrapped);
    let derivation = Kdf::ALL.get(usize::from(how % 4));
    let dump = match (&secret, derivation) {
        (Ok(secret), Some(kdf)) => seal_small(data, &kdf.cipher_key(secret, &SALT), SALT).expect("sealed"),
        _ => data.to_vec(),
    };
    let [key_name, dump_name] = [".key.txt.enc", ".sql.bz.enc"].map(|end| format!("{STEM}{end}"));
    let objects = [(key_name.clone(), Bytes::from(wrapped)), (dump_name.clone(), Bytes::from(dump))];
    let archive = Archive::Memory(InMemoryStore::new(objects.into()));
    let brought = RUNTIME.block_on(async {
        let folder = Location::parse("s3://acme/backups")?;
        let backup = ChosenBackup::at(folder, archive, STEM).await?;
        assert!(matches!(backup.kind, BackupKind::Legacy { .. }));
        let (progress, cancel) = (Progress::new(0), Cancel::new()?);
        fetch_object(
            &backup,
            &key_name,
            &dump_name,
            &KEY,
            1,
            LengthLimit::Any,
            || Ok(Sink(Vec::new())),
            &progress,
            &cancel,
        )
        .await
    });
    match brought {
        Ok((counted, plain)) => {
            assert!(secret.is_ok() && derivation.is_some(), "a dump that nobody sealed");
            assert_eq!(counted.plain_bytes, plain.len() as u64);
            let mut witness = Vec::new();
            let read = bzip2::read::MultiBzDecoder::new(data).read_to_end(&mut witness);
            assert!(read.is_ok() && witness == plain, "another text than was sealed");
        }
        Err(error) => assert_ne!(error.code, Code::Bug, "{error}"),
    }
});

struct Sink(Vec<u8>);

impl Stage for Sink {
    type Done = Vec<u8>;

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if self.0.len() + bytes.len() > LIMIT {
            return Err(Error::new(Code::RestoreFailed, "enough"));
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>> {
        Ok(self.0)
    }
}
