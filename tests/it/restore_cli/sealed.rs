//! Whole backups made in memory, by the writer's own stages, and opened from there: what no server and no bucket is needed
//! for, thousands of times a second.

use bytes::Bytes;
use pgseal::cancel::Cancel;
use pgseal::envelope::legacy::{Kdf, LegacySecret};
use pgseal::envelope::manifest::{Manifest, ManifestObject, Proof, Role, Timestamp, WrappedKey};
use pgseal::envelope::private_key::PrivateKey;
use pgseal::envelope::secret::{CipherKey, DataKeyText};
use pgseal::envelope::signature::Verifier;
use pgseal::error::{Code, Error, Result};
use pgseal::format::Sha256;
use pgseal::format::backup_format::{Cipher, Format, KeyWrap};
use pgseal::format::compression::Compression;
use pgseal::format::inventory::Inventory;
use pgseal::format::names::{DatabaseName, Prefix, Stem};
use pgseal::format::order::{SelectionRecord, source_digest};
use pgseal::format::parts::PartSizeSchedule;
use pgseal::format::parts::{PartDigest, UploadedObject};
use pgseal::format::{hex, sha256};
use pgseal::observe::progress::Progress;
use pgseal::pipeline::{PipelineOptions, Stage, StreamSummary, forward, seal_small};
use pgseal::plan::{DEFAULT_CHECK_INTERVAL, RateLimit};
use pgseal::restore::find::ChosenBackup;
use pgseal::restore::unsealed::UnsealedBackup;
use pgseal::restore::verify::{VerifyOptions, VerifyReport, check_against_inventory, verify};
use pgseal::store::{Archive, InMemoryStore, Location};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, Mutex};
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::runtime::Runtime;

/// Objects by their names.
pub type Objects = BTreeMap<String, Bytes>;

pub const OLDER: OffsetDateTime = datetime!(2026-11-23 02:00 UTC);
pub const NEWER: OffsetDateTime = datetime!(2026-11-24 02:00 UTC);

/// What a backup is to be like.
pub struct Order {
    pub secret: Hidden,
    /// The public halves of these are its recipients.
    pub keys: Vec<PrivateKey>,
    pub compression: Compression,
    pub time: OffsetDateTime,
    /// Bytes of each part of the dump, a multiple of 16; else as the writer cuts.
    pub part: Option<usize>,
    /// Few make a test quick, and are as good.
    pub iterations: NonZeroU32,
    pub workers: usize,
    /// Of the server, and of pg_dump.
    pub version: String,
    /// Roles, and the plain bytes that the inventory promises of them.
    pub globals: Option<(Vec<u8>, Option<u64>)>,
}

pub enum Hidden {
    Pgseal1(DataKeyText),
    Legacy(LegacySecret),
}

/// A backup, all of it.
pub struct Made {
    pub objects: Objects,
    /// With the time as a manifest's name has it.
    pub stem: String,
    pub dump: String,
    pub manifest: String,
    pub plain: Vec<u8>,
    /// Where each part of the dump begins.
    pub parts: Vec<usize>,
}

/// One of the keys that lie beside the test vectors: `recipient-a`, `recipient-b` or `stranger`.
pub fn key(name: &str) -> PrivateKey {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/keys/{name}.pem"));
    PrivateKey::open(&path, None).expect("a private key")
}

/// Always the same secret, so that objects are the same from run to run.
pub fn fixed_secret() -> DataKeyText {
    let wrapped = include_bytes!("../fixtures/secret.enc");
    key("recipient-a").unwrap_oaep(wrapped).expect("made for this key")
}

impl Default for Order {
    fn default() -> Self {
        Self {
            secret: Hidden::Pgseal1(fixed_secret()),
            keys: vec![key("recipient-a")],
            compression: Compression::None,
            time: NEWER,
            part: None,
            iterations: NonZeroU32::MIN,
            workers: 2,
            version: "18.1".into(),
            globals: None,
        }
    }
}

impl Order {
    pub fn legacy() -> Self {
        Self {
            secret: Hidden::Legacy(LegacySecret::generate().expect("random bytes")),
            compression: Compression::Bzip2(9),
            ..Self::default()
        }
    }

    /// Not from within a runtime: the pipeline blocks.
    pub fn seal(&self, plain: &[u8]) -> Made {
        let prefix = Prefix::new("").expect("a prefix");
        let stem = Stem::new(&prefix, &DatabaseName::new("app").expect("a name"), self.time).expect("a stem");
        let run = hex(&sha256(self.time.to_string().as_bytes())[..4]);
        let legacy = matches!(self.secret, Hidden::Legacy(_));
        let name = |new: &str, old: &str| if legacy { stem.legacy_object(old) } else { stem.object(&run, new) };
        let mut objects = Objects::new();
        let mut listed = Vec::new();
        let mut recipients = Vec::new();
        let mut add = |role, key: &str, bytes: Vec<u8>| {
            let object = ManifestObject::small(role, format!("backups/{key}"), &bytes);
            objects.insert(key.to_owned(), Bytes::from(bytes));
            object
        };
        for key in &self.keys {
            let recipient = key.recipient();
            let (wrapped, how) = match &self.secret {
                Hidden::Pgseal1(secret) => (recipient.wrap(&secret.file()), KeyWrap::Oaep),
                Hidden::Legacy(legacy) => (recipient.wrap_pkcs1(legacy.file()), KeyWrap::Pkcs1),
            };
            let name = name(&format!("key.{}.enc", &recipient.fingerprint[..16]), "key.txt.enc");
            let object = add(Role::Key, &name, wrapped.expect("wrapped"));
            recipients.push(WrappedKey::new(recipient, how, &object.key));
            listed.push(object);
        }
        let (salt, other_salt) = (self.salt("dump"), self.salt("inventory"));
        let (arrived, sealed, cut) = self.send(plain, salt);
        let dump = name(&format!("sql{}.enc", self.compression.extension()), "sql.bz.enc");
        let mut salts = serde_json::Map::new();
        salts.insert("dump".into(), hex(&salt).into());
        if !legacy {
            let mut contents = contents(&arrived);
            if let Some((_, Some(length))) = &self.globals {
                contents.plain_lengths.insert("globals".to_owned(), *length);
            }
            let inventory = contents.to_json().expect("JSON");
            let bytes = seal_small(&inventory, &self.cipher_key(&other_salt), other_salt).expect("sealed");
            listed.push(add(Role::Inventory, &stem.object(&run, "inventory.json.enc"), bytes));
            salts.insert("inventory".into(), hex(&other_salt).into());
        }
        if let Some((plain, _)) = &self.globals {
            let salt = self.salt("globals");
            let (_, sealed, cut) = self.send(plain, salt);
            let key = stem.object(&run, "globals.sql.enc");
            salts.insert("globals".into(), hex(&salt).into());
            listed.push(ManifestObject::sealed(Role::Globals, format!("backups/{key}"), &cut));
            objects.insert(key, Bytes::from(sealed));
        }
        listed.push(ManifestObject::sealed(Role::Dump, format!("backups/{dump}"), &cut));
        let card = format!("# How to restore {stem}\n");
        let manifest = Manifest {
            format: if legacy { Format::Legacy } else { Format::Pgseal1 },
            program: "pgseal 0.0.0".into(),
            run,
            database: "app".into(),
            scheduled_time: Timestamp(self.time),
            started_at: Timestamp(self.time),
            finished_at: Timestamp(self.time),
            server_version: self.version.clone(),
            pg_dump_version: self.version.clone(),
            compression: self.compression.to_string(),
            cipher: Cipher::Aes256Cbc,
            kdf: if legacy { Kdf::Sha256 } else { Kdf::Pbkdf2 },
            iterations: if legacy { 1 } else { self.iterations.get() },
            salts,
            plain_bytes: plain.len() as u64,
            objects: listed,
            recipients,
            tables: arrived.counted.tables.len() as u64,
            rows: arrived.counted.rows,
            source: Some(source_digest("db.example.com", 5432, "app")),
            selection: Some(SelectionRecord::default().digest()),
            partial: Some(false),
            value_settings: None,
            card_sha256: Some(Sha256::digest(card.as_bytes())),
            signer: None,
            generation: 1,
        };
        let line = manifest.line().expect("JSON");
        let proof = Proof::new(&self.mac(&line), Vec::new()).line().expect("JSON");
        objects.insert(dump.clone(), Bytes::from(sealed));
        objects.insert(format!("{stem}.RECOVER.md"), Bytes::from(card));
        objects.insert(stem.manifest(), Bytes::from([line, proof].concat()));
        let starts = cut.parts.iter().scan(0, |at, part| {
            let start = *at;
            *at += part.size as usize;
            Some(start)
        });
        Made {
            objects,
            stem: stem.to_string(),
            dump,
            manifest: stem.manifest(),
            plain: plain.to_vec(),
            parts: starts.collect(),
        }
    }

    /// By the pipeline itself; then cut again, if asked for.
    fn send(&self, plain: &[u8], salt: [u8; 8]) -> (StreamSummary, Vec<u8>, UploadedObject) {
        // More parts than any test has.
        let (sender, mut received) = tokio::sync::mpsc::channel(64);
        let pipeline = PipelineOptions {
            rate_limit: RateLimit::parse("0").expect("no limit").into(),
            compression: self.compression,
            workers: self.workers,
            checked_blocks: DEFAULT_CHECK_INTERVAL,
            key: self.cipher_key(&salt),
            salt,
            part_sizes: PartSizeSchedule::default(),
            in_flight: 1,
            row_keys: None,
        };
        let cancel = Cancel::new().expect("a descriptor");
        let (arrived, last, _) = forward(plain, pipeline, sender, &Progress::new(0), &cancel).expect("sealed");
        let mut sealed = Vec::new();
        while let Ok(part) = received.try_recv() {
            sealed.extend_from_slice(&part.bytes);
        }
        sealed.extend_from_slice(&last.bytes);
        let mut cut = arrived.sealed.clone();
        if let Some(part) = self.part {
            let facts = |bytes: &[u8]| PartDigest {
                size: bytes.len() as u64,
                sha256: sha256(bytes),
            };
            cut.parts = sealed.chunks(part).map(facts).collect();
        }
        (arrived, sealed, cut)
    }

    /// Another one for each object, and for each time.
    fn salt(&self, role: &str) -> [u8; 8] {
        let hash = sha256(format!("{role} {}", self.time).as_bytes());
        *hash.first_chunk().expect("32 bytes")
    }

    fn cipher_key(&self, salt: &[u8; 8]) -> CipherKey {
        match &self.secret {
            Hidden::Pgseal1(secret) => secret.cipher_key_after(self.iterations, salt),
            Hidden::Legacy(legacy) => legacy.cipher_key(salt),
        }
    }

    pub fn mac(&self, line: &[u8]) -> [u8; 32] {
        match &self.secret {
            Hidden::Pgseal1(secret) => secret.manifest_mac(line),
            Hidden::Legacy(legacy) => legacy.secret.manifest_mac(line),
        }
    }
}

fn contents(arrived: &StreamSummary) -> Inventory {
    let counted = &arrived.counted;
    Inventory {
        format: Inventory::FORMAT.into(),
        database: "app".into(),
        host: Some("db.example.com".into()),
        port: Some(5432),
        selection: Some(SelectionRecord::default()),
        partial: Some(false),
        server_version: "18.1".into(),
        pg_dump_version: "18.1".into(),
        plain_bytes: counted.plain_bytes,
        plain_sha256: counted.plain_sha256.into(),
        rows: counted.rows,
        large_objects: counted.large_objects,
        tables: counted.tables.clone(),
        part_index: arrived.part_index.clone(),
        extensions: Vec::new(),
        warnings: Vec::new(),
        ..Inventory::default()
    }
}

/// Keeps what came, also where it is dropped before its end.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<u8>>>);

impl Stage for Recorder {
    type Done = ();

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self) -> Result<()> {
        Ok(())
    }
}

/// A reader with its key.
pub struct Reader {
    runtime: Runtime,
    cancel: Cancel,
    key: PrivateKey,
    /// Who must have signed.
    pub signer: Option<Verifier>,
}

impl Reader {
    pub fn new(key: PrivateKey) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        Self {
            runtime: runtime.expect("a runtime"),
            cancel: Cancel::new().expect("a descriptor"),
            key,
            signer: None,
        }
    }

    /// Every byte and every count, with the key.
    pub fn verify(&self, objects: &Objects, stem: &str) -> Result<VerifyReport> {
        self.look(objects, stem, Some(&self.key))
    }

    /// Every byte, without it.
    pub fn verify_without_key(&self, objects: &Objects, stem: &str) -> Result<VerifyReport> {
        self.look(objects, stem, None)
    }

    fn look(&self, objects: &Objects, stem: &str, key: Option<&PrivateKey>) -> Result<VerifyReport> {
        self.runtime.block_on(async {
            let backup = find(objects, stem).await?;
            let ask = VerifyOptions {
                key,
                signer: self.signer.as_ref(),
                deep: true,
                workers: 1,
            };
            let report = verify(&backup, &ask, &self.cancel).await;
            match report.error {
                Some(error) => Err(error),
                None => Ok(report),
            }
        })
    }

    /// What `pgseal decrypt` does, and every byte that it let go.
    pub fn decrypt(&self, objects: &Objects, stem: &str) -> (Vec<u8>, Result<()>) {
        let recorder = Recorder::default();
        let sink = recorder.clone();
        let done = self.runtime.block_on(async {
            let backup = find(objects, stem).await?;
            let opened = UnsealedBackup::open(&backup, &self.key, self.signer.as_ref()).await?;
            let contents = opened.contents(&self.cancel).await?;
            let (counted, ()) = opened
                .fetch_object(Role::Dump, 2, || Ok(sink), &Progress::new(0), &self.cancel)
                .await?;
            contents.map_or(Ok(()), |contents| check_against_inventory(&counted, &contents))
        });
        let released = std::mem::take(&mut *recorder.0.lock().expect("no panic"));
        (released, done)
    }
}

async fn find(objects: &Objects, stem: &str) -> Result<ChosenBackup> {
    let archive = Archive::Memory(InMemoryStore::new(objects.clone()));
    ChosenBackup::at(Location::parse("memory").expect("a place"), archive, stem).await
}

/// Anything but these two is a defect of the reader: a bug, or a fault that is taken for another one.
pub fn is_found(error: &Error) -> bool {
    matches!(error.code, Code::Tampered | Code::WrongKey)
}

/// As somebody has them who fetched them.
pub fn write(objects: &Objects, folder: &Path) {
    for (name, body) in objects {
        std::fs::write(folder.join(name), body).expect("the object is written");
    }
}

/// A dump of one table whose rows differ.
pub fn dump(rows: usize) -> Vec<u8> {
    let mut text = String::from("CREATE TABLE public.t (id int, note text);\nCOPY public.t (id, note) FROM stdin;\n");
    for n in 0..rows {
        text.push_str(&format!("{n}\trow {}\n", n * n % 97));
    }
    text.push_str("\\.\n\n--\n-- PostgreSQL database dump complete\n--\n");
    text.into_bytes()
}
