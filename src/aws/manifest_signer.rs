//! Who signs a manifest: a key in KMS, which never leaves it, or a local one.

use crate::aws::{self, RetryNotice, ServiceError};
use crate::envelope::manifest::{Signature, Signer};
use crate::envelope::private_key::{passphrase, warn_if_open_to_all};
use crate::envelope::signature::{ALGORITHM, LocalSigner, Verifier};
use crate::error::{Code, Error, Result};
use crate::format::sha256;
use crate::plan::SigningKey;
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use base64::{Engine, prelude::BASE64_STANDARD};

/// Ready to sign: found, allowed to say its public key, and of the right kind.
pub(crate) struct ManifestSigner {
    /// What stands in line 1.
    pub signer: Signer,
    by: SigningMethod,
}

const USABLE: &str = "PGSEAL_SIGNING_KEY names the file of an EC key on P-256 that this user may read, or the ARN of one in KMS. Where its file is encrypted, set PGSEAL_SIGNING_PASSPHRASE_FILE to a \
                      file whose first line is the passphrase.";

enum SigningMethod {
    Local(LocalSigner),
    Kms { client: Client, key: String },
}

impl ManifestSigner {
    pub(crate) async fn open(key: &SigningKey) -> Result<Self> {
        match key {
            SigningKey::File { path, passphrase_file } => {
                let bad = |reason: String| Error::field(Code::BadEvent, "PGSEAL_SIGNING_KEY", reason);
                let unreadable = |error| bad(format!("names {}, which cannot be read: {error}", path.display())).advise(USABLE);
                let file = std::fs::read(path).map_err(unreadable)?;
                warn_if_open_to_all(path);
                let ask = || passphrase::ask(&path.display().to_string(), passphrase_file.as_deref());
                let local = LocalSigner::parse(&file, ask).map_err(|error| match error.code {
                    // Stopped at the question.
                    Code::Terminated => error,
                    _ => bad(format!("cannot be used: {}", error.message)).advise(USABLE),
                })?;
                Ok(Self {
                    signer: Signer {
                        fingerprint: local.fingerprint().to_owned(),
                        public_key: BASE64_STANDARD.encode(local.public_key()),
                    },
                    by: SigningMethod::Local(local),
                })
            }
            SigningKey::Kms { key, region } => {
                let config = aws::config(region).await?;
                let config = aws_sdk_kms::config::Builder::from(&config).interceptor(RetryNotice::new("KMS"));
                let client = Client::from_conf(config.build());
                let answer = client.get_public_key().key_id(key).send().await;
                let answer = answer.map_err(|error| ServiceError::from_sdk(&error).into_error("kms:GetPublicKey", key))?;
                let der = answer.public_key().map(|blob| blob.as_ref().to_vec()).unwrap_or_default();
                let verifier = Verifier::parse(&der)
                    .map_err(|error| Error::field(Code::BadEvent, "PGSEAL_SIGNING_KEY", format!("cannot be used: {}", error.message)))
                    .map_err(|error| error.advise("Make it with key usage SIGN_VERIFY and key spec ECC_NIST_P256."))?;
                Ok(Self {
                    signer: Signer {
                        fingerprint: verifier.fingerprint,
                        public_key: BASE64_STANDARD.encode(der),
                    },
                    by: SigningMethod::Kms { client, key: key.clone() },
                })
            }
        }
    }

    /// Ready to sign, and seen to do so: what is not allowed is known now and not after hours of dumping. KMS signs
    /// nothing for it (`DryRun`); a local key signs a line that is no manifest's.
    pub(crate) async fn tried(key: &SigningKey) -> Result<Self> {
        const PROBE: &[u8] = b"pgseal/1 probe of the signing key\n";
        let signing = Self::open(key).await?;
        match &signing.by {
            SigningMethod::Local(local) => {
                let signature = local.sign(PROBE)?;
                Verifier::parse(local.public_key())?
                    .verify(PROBE, &signature)
                    .map_err(|_| Error::field(Code::BadEvent, "PGSEAL_SIGNING_KEY", "does not sign what its public half takes"))?;
            }
            SigningMethod::Kms { client, key } => {
                let request = client
                    .sign()
                    .key_id(key)
                    .message(Blob::new(sha256(PROBE)))
                    .message_type(MessageType::Digest)
                    .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
                    .dry_run(true);
                match request.send().await {
                    Ok(_) => {}
                    // How KMS says that it would have signed.
                    Err(error) if ServiceError::from_sdk(&error).code.starts_with("DryRunOperation") => {}
                    Err(error) => return Err(ServiceError::from_sdk(&error).into_error("kms:Sign", key)),
                }
            }
        }
        Ok(signing)
    }

    /// What checks a signature of this signer.
    pub(crate) fn verifier(&self) -> Result<Verifier> {
        let der = BASE64_STANDARD.decode(&self.signer.public_key);
        Verifier::parse(&der.map_err(|_| Error::new(Code::Bug, "the signer's public key is no base64"))?)
    }

    /// Signs a manifest's first line, its newline included. KMS is given its SHA-256 only.
    pub(crate) async fn sign(&self, line: &[u8]) -> Result<Signature> {
        let der = match &self.by {
            SigningMethod::Local(local) => local.sign(line)?,
            SigningMethod::Kms { client, key } => {
                let request = client
                    .sign()
                    .key_id(key)
                    .message(Blob::new(sha256(line)))
                    .message_type(MessageType::Digest)
                    .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256);
                let answer = request.send().await;
                let answer = answer.map_err(|error| ServiceError::from_sdk(&error).into_error("kms:Sign", key))?;
                answer.signature().map(|blob| blob.as_ref().to_vec()).unwrap_or_default()
            }
        };
        Ok(Signature {
            algorithm: ALGORITHM.to_owned(),
            fingerprint: self.signer.fingerprint.clone(),
            signature: BASE64_STANDARD.encode(der),
        })
    }
}
