//! The two ways in which private keys are encrypted: PKCS#8 with PBES2 (RFC 8018) and OpenSSL's traditional PEM.

use crate::format::unhex_any_case;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use md5::{Digest, Md5};
use pkcs8::der::Decode;
use pkcs8::pkcs5::{self, EncryptionScheme, pbes2::Kdf};
use pkcs8::{EncryptedPrivateKeyInfoRef, der};
use zeroize::Zeroizing;

/// What scrypt may take: 64 times the 16 MiB of `openssl pkcs8 -scrypt`.
const MAX_SCRYPT_BYTES: u128 = 1 << 30;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DecryptError {
    WrongPassphrase,
    /// Encrypted in a way that is not read here, or broken.
    Unsupported,
}

/// `EncryptedPrivateKeyInfo` (RFC 5958, 3) to the `PrivateKeyInfo` inside.
pub(crate) fn pkcs8(der: &[u8], passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    let info = EncryptedPrivateKeyInfoRef::from_der(der).map_err(|_: der::Error| DecryptError::Unsupported)?;
    if !is_affordable(&info.encryption_algorithm) {
        return Err(DecryptError::Unsupported);
    }
    let mut buffer = Zeroizing::new(info.encrypted_data.as_bytes().to_vec());
    let length = match info.encryption_algorithm.decrypt_in_place(passphrase, &mut buffer) {
        Ok(plain) => plain.len(),
        Err(pkcs5::Error::DecryptFailed) => return Err(DecryptError::WrongPassphrase),
        Err(_) => return Err(DecryptError::Unsupported),
    };
    buffer.truncate(length);
    Ok(buffer)
}

fn is_affordable(scheme: &EncryptionScheme) -> bool {
    match scheme.pbes2().map(|parameters| &parameters.kdf) {
        Some(Kdf::Scrypt(scrypt)) => {
            let bytes = 128 * u128::from(scrypt.cost_parameter) * u128::from(scrypt.block_size);
            (1..=MAX_SCRYPT_BYTES).contains(&bytes)
        }
        _ => true,
    }
}

/// A block with `DEK-Info: CIPHER,IV`: the key comes from EVP_BytesToKey with MD5, one round, the IV's first 8 bytes as
/// salt (PEM_do_header(3)).
pub(crate) fn traditional(body: &[u8], dek_info: &str, passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    let (cipher, iv) = dek_info.split_once(',').ok_or(DecryptError::Unsupported)?;
    let iv = unhex_any_case(iv.trim())
        .filter(|iv| iv.len() >= 8)
        .ok_or(DecryptError::Unsupported)?;
    let key = |length| bytes_to_key_md5(passphrase, &iv[..8], length);
    match cipher.trim() {
        "AES-128-CBC" => decrypt::<aes::Aes128>(body, &key(16), &iv),
        "AES-192-CBC" => decrypt::<aes::Aes192>(body, &key(24), &iv),
        "AES-256-CBC" => decrypt::<aes::Aes256>(body, &key(32), &iv),
        "DES-EDE3-CBC" => decrypt::<des::TdesEde3>(body, &key(24), &iv),
        _ => Err(DecryptError::Unsupported),
    }
}

fn decrypt<C: BlockCipherDecrypt + KeyInit>(body: &[u8], key: &[u8], iv: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    let cipher = cbc::Decryptor::<C>::new_from_slices(key, iv).map_err(|_| DecryptError::Unsupported)?;
    let mut buffer = Zeroizing::new(body.to_vec());
    let length = cipher
        .decrypt_padded::<Pkcs7>(&mut buffer)
        .map_err(|_| DecryptError::WrongPassphrase)?
        .len();
    buffer.truncate(length);
    Ok(buffer)
}

/// EVP_BytesToKey with MD5 and one round.
fn bytes_to_key_md5(passphrase: &[u8], salt: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    // Whole digests, so that the buffer never moves.
    let mut key = Zeroizing::new(Vec::with_capacity(length + 16));
    while key.len() < length {
        let previous = &key[key.len().saturating_sub(16)..];
        let digest = Md5::new().chain_update(previous).chain_update(passphrase).chain_update(salt);
        let digest: Zeroizing<[u8; 16]> = Zeroizing::new(digest.finalize().into());
        key.extend_from_slice(&*digest);
    }
    key.truncate(length);
    key
}
