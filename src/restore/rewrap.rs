//! New recipients for a backup that stands: new key objects and a new generation of the manifest. The dump is not touched,
//! and nothing is overwritten.

use super::backup::{Backup, Kind};
use super::names::manifest_of;
use super::opened::Opened;
use super::origin::Origin;
use crate::backup::signer::Signing;
use crate::cancel::Cancel;
use crate::envelope::card::{card, card_name};
use crate::envelope::manifest::{Manifest, Object, Proof, Role, Wrapped, base_name};
use crate::envelope::private_key::PrivateKey;
use crate::envelope::recipient::{MAX_RECIPIENTS, Recipient};
use crate::envelope::seal::new_run;
use crate::envelope::signature::Verifier;
use crate::envelope::{hex, sha256};
use crate::error::{Code, Error, Result};
use crate::plan::Prefix;
use crate::store::Written;
use bytes::Bytes;
use serde::Serialize;

pub struct Ask<'a> {
    /// Of one of the present recipients.
    pub key: &'a PrivateKey,
    pub signer: Option<&'a Verifier>,
    /// Who opens the backup by the new manifest.
    pub recipients: Vec<Recipient>,
    /// The present recipients too.
    pub keep: bool,
    /// Needed where the present manifest is signed. Unless another signer is named, its own is pinned: it vouches for
    /// nothing that it has not signed before.
    pub signing: Option<Signing>,
    /// Signs a backup that nobody has signed yet, on its user's word that it is genuine.
    pub adopt_unsigned: bool,
}

#[derive(Debug, Serialize)]
pub struct Rewrapped {
    pub status: &'static str,
    pub stem: String,
    pub generation: u32,
    pub manifest: String,
    /// Fingerprints.
    pub recipients: Vec<String>,
    pub written: Vec<String>,
    #[serde(flatten)]
    pub origin: Origin,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

pub async fn rewrap(backup: &Backup, ask: &Ask<'_>, cancel: &Cancel) -> Result<Rewrapped> {
    let Kind::Sealed { .. } = &backup.kind else {
        return Err(Error::new(
            Code::Tampered,
            format!(
                "{} was written by the old image: nothing in it can be proven, so nothing new is vouched for",
                backup.stem
            ),
        )
        .advise("Restore it and back it up anew."));
    };
    let opened = opened(backup, ask).await?;
    if opened.manifest.signer.is_some() && ask.signing.is_none() {
        return Err(Error::field(
            Code::BadEvent,
            "PGSEAL_SIGNING_KEY",
            "must name a signer's key: the backup is signed, and its new manifest must be, too",
        ));
    }
    let mut warnings = opened.warnings();
    if opened.manifest.signer.is_none() && ask.signing.is_some() {
        warnings.push(
            "the backup is signed from here on, and its older manifests are not: read it with --signer, which passes them over; without, it is refused until they are deleted".to_owned(),
        );
    }
    let mut written = Vec::new();
    let mut manifest = Manifest::clone(&opened.manifest);
    manifest.generation = next_generation(backup).await?;
    with_recipients(&mut manifest, &opened, ask, &mut written, cancel).await?;
    manifest.signer = ask.signing.as_ref().map(|signing| signing.signer.clone());

    let stem = manifest.stem(&Prefix::new("")?)?;
    let name = stem.later_manifest(manifest.generation);
    let contents = opened.contents(cancel).await?;
    let (selection, properties) = contents
        .map(|contents| (contents.selection, contents.properties))
        .unwrap_or_default();
    let text = card(&manifest, &name, &backup.folder.to_string(), selection.as_ref(), &properties)?;
    manifest.card_sha256 = Some(hex(&sha256(text.as_bytes())));
    let mut bytes = manifest.line()?;
    let signatures = match &ask.signing {
        Some(signing) => vec![cancel.race(signing.sign(&bytes)).await?],
        None => Vec::new(),
    };
    bytes.extend_from_slice(&Proof::new(&opened.manifest_mac(&bytes), signatures).line()?);
    put(backup, &name, bytes.into(), &mut written, cancel).await?;
    // The new generation stands; what is missing from here on is only its card.
    let of_card = card_name(&backup.stem, manifest.generation);
    if let Err(error) = put(backup, &of_card, text.into(), &mut written, cancel).await {
        tracing::warn!(code = error.code.name(), "the recovery card was not written: {}", error.message);
    }
    Ok(Rewrapped {
        status: "rewrapped",
        stem: backup.stem.clone(),
        generation: manifest.generation,
        manifest: name,
        recipients: manifest.recipients.into_iter().map(|wrapped| wrapped.fingerprint).collect(),
        written,
        origin: opened.origin,
        warnings,
    })
}

/// The backup, believed by no less than what its new signature will say.
async fn opened<'a>(backup: &'a Backup, ask: &Ask<'_>) -> Result<Opened<'a>> {
    let own = match &ask.signing {
        Some(signing) if ask.signer.is_none() => Some(signing.verifier()?),
        _ => None,
    };
    if !ask.adopt_unsigned {
        let opened = Opened::open(backup, ask.key, ask.signer.or(own.as_ref())).await;
        return opened.map_err(|error| match own {
            Some(_) if error.code == Code::Tampered => error.advise(
                "The signer of PGSEAL_SIGNING_KEY signs what it has signed before. Name another signer by --signer; a backup that was never signed needs --adopt-unsigned, and your word that it is genuine.",
            ),
            _ => error,
        });
    }
    let opened = Opened::open(backup, ask.key, None).await?;
    match (&opened.manifest.signer, own) {
        (Some(signer), own) if own.as_ref().is_none_or(|own| own.fingerprint != signer.fingerprint) => Err(Error::new(
            Code::Tampered,
            format!(
                "{} is signed, by {}: --adopt-unsigned is for backups that are not",
                backup.stem, signer.fingerprint
            ),
        )
        .advise("Name that signer by --signer, if you trust it.")),
        _ => Ok(opened),
    }
}

/// Key objects that exist stay and are named again; for everyone else there is a new one, under a run of its own.
async fn with_recipients(
    manifest: &mut Manifest,
    opened: &Opened<'_>,
    ask: &Ask<'_>,
    written: &mut Vec<String>,
    cancel: &Cancel,
) -> Result<()> {
    let present = std::mem::take(&mut manifest.recipients);
    let (keys, mut objects): (Vec<Object>, Vec<Object>) = std::mem::take(&mut manifest.objects)
        .into_iter()
        .partition(|object| object.role == Role::Key);
    let stays = |wrapped: &&Wrapped| ask.keep || ask.recipients.iter().any(|new| new.fingerprint == wrapped.fingerprint);
    manifest.recipients = present.iter().filter(stays).cloned().collect();
    objects.extend(
        keys.into_iter()
            .filter(|key| manifest.recipients.iter().any(|wrapped| wrapped.object == key.key)),
    );
    let folder = objects
        .first()
        .map(|object| object.key.strip_suffix(base_name(&object.key)).unwrap_or_default());
    let folder = folder.unwrap_or_default().to_owned();
    let run = new_run()?;
    for recipient in &ask.recipients {
        if manifest
            .recipients
            .iter()
            .any(|wrapped| wrapped.fingerprint == recipient.fingerprint)
        {
            continue;
        }
        let name = format!("{}.{run}.key.{}.enc", opened.backup.stem, &recipient.fingerprint[..16]);
        let bytes = opened.wrap(recipient)?;
        let object = Object::small(Role::Key, format!("{folder}{name}"), &bytes);
        put(opened.backup, &name, bytes.into(), written, cancel).await?;
        manifest.recipients.push(Wrapped::new(recipient, opened.wrapping(), &object.key));
        objects.push(object);
    }
    if manifest.recipients.len() > MAX_RECIPIENTS {
        return Err(Error::field(
            Code::BadPublicKey,
            "recipient",
            format!("comes to more than {MAX_RECIPIENTS} recipients"),
        ));
    }
    objects.sort_by_key(|object| object.role);
    manifest.objects = objects;
    Ok(())
}

/// One above all that stand there, those that are none included: their names are taken.
async fn next_generation(backup: &Backup) -> Result<u32> {
    let listed = backup.archive.list(&format!("{}.manifest.", backup.stem)).await?;
    let newest = listed.iter().filter_map(|listed| Some(manifest_of(&listed.name)?.1)).max();
    Ok(newest.unwrap_or(1) + 1)
}

async fn put(backup: &Backup, name: &str, bytes: Bytes, written: &mut Vec<String>, cancel: &Cancel) -> Result<()> {
    match cancel.race(backup.archive.put_new(name, bytes)).await? {
        Written::Stored { .. } => {
            written.push(name.to_owned());
            Ok(())
        }
        Written::Exists => Err(Error::new(
            Code::CommitFailed,
            format!("{name} exists already: someone else gives this backup new recipients at the same time"),
        )
        .advise("Look at what they did with `pgseal list`; then run again.")),
    }
}

impl Rewrapped {
    pub fn to_json(&self) -> String {
        // Every field is a text, number or list: this cannot fail.
        serde_json::to_string(self).unwrap_or_else(|_| "{\"status\":\"rewrapped\"}".to_owned())
    }
}
