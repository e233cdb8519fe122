//! `openssl enc -aes-256-cbc`: `Salted__`, the salt, then the blocks, the last one padded (RFC 5652, 6.3).

use super::Stage;
use crate::envelope::secret::CipherKey;
use crate::error::Result;
use aes::Aes256;
use cbc::Encryptor;
use cbc::cipher::array::Array;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};

const BLOCK: usize = 16;
const MAGIC: &[u8; 8] = b"Salted__";
/// Encrypted and passed on at once: small enough for the cache.
const STEP: usize = 64 << 10;

/// Encrypts what passes. One chain over the whole object, as the format demands.
pub struct Encrypt<S> {
    cipher: Encryptor<Aes256>,
    /// Less than one block that waits for more.
    rest: Vec<u8>,
    scratch: Vec<u8>,
    below: S,
}

impl<S: Stage> Encrypt<S> {
    pub fn new(key: &CipherKey, salt: [u8; 8], mut below: S) -> Result<Self> {
        let cipher = Encryptor::new(&Array::from(*key.key), &Array::from(*key.iv));
        below.put(&[MAGIC.as_slice(), &salt].concat())?;
        Ok(Self {
            cipher,
            rest: Vec::with_capacity(BLOCK),
            scratch: Vec::with_capacity(STEP + BLOCK),
            below,
        })
    }

    /// Encrypts what is in `scratch`, whole blocks, and passes it on.
    fn pass(&mut self) -> Result<()> {
        let (blocks, _) = Array::slice_as_chunks_mut(&mut self.scratch);
        self.cipher.encrypt_blocks(blocks);
        self.below.put(&self.scratch)
    }
}

impl<S: Stage> Stage for Encrypt<S> {
    type Done = S::Done;

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        for step in bytes.chunks(STEP) {
            self.scratch.clear();
            self.scratch.append(&mut self.rest);
            self.scratch.extend_from_slice(step);
            let whole = self.scratch.len() / BLOCK * BLOCK;
            self.rest.extend_from_slice(&self.scratch[whole..]);
            self.scratch.truncate(whole);
            self.pass()?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<S::Done> {
        let padding = BLOCK - self.rest.len();
        self.scratch.clear();
        self.scratch.append(&mut self.rest);
        self.scratch.resize(BLOCK, padding as u8);
        self.pass()?;
        self.below.finish()
    }
}

#[cfg(test)]
mod tests {
    use crate::envelope::secret::DataKeyText;
    use crate::pipeline::{BufferSink, Stage, seal_small};
    use std::io::Write;
    use std::process::{Command, Stdio};

    /// Opens with the stock tool.
    fn openssl(secret: &DataKeyText, sealed: &[u8]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.txt");
        std::fs::write(&key, &*secret.file()).unwrap();
        let mut child = Command::new("openssl")
            .args(["enc", "-d", "-aes-256-cbc", "-pbkdf2", "-iter", "10000", "-md", "sha256", "-pass"])
            .arg(format!("file:{}", key.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(sealed).unwrap());
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success());
            output.stdout
        })
    }

    #[test]
    fn openssl_opens_every_length_around_the_edges() {
        let secret = DataKeyText::generate().unwrap();
        for length in [0, 1, 15, 16, 17, 31, 32, 65_535, 65_536, 65_537, 200_000] {
            let plain: Vec<u8> = (0..length).map(|n| (n % 253) as u8).collect();
            let sealed = seal_small(&plain, &secret.cipher_key(&[7; 8]), [7; 8]).unwrap();
            assert_eq!(sealed.len(), 16 + (length / 16 + 1) * 16);
            assert!(openssl(&secret, &sealed) == plain, "{length}");
        }
    }

    #[test]
    fn pieces_make_no_difference() {
        let key = DataKeyText::generate().unwrap().cipher_key(&[1; 8]);
        let plain = vec![9; 100_000];
        let whole = seal_small(&plain, &key, [1; 8]).unwrap();
        for piece in [1, 7, 16, 1000, 65_536] {
            let mut encrypt = super::Encrypt::new(&key, [1; 8], BufferSink::default()).unwrap();
            plain.chunks(piece).for_each(|chunk| encrypt.put(chunk).unwrap());
            assert!(encrypt.finish().unwrap() == whole, "{piece}");
        }
    }
}
