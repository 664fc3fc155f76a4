//! `plugins.trust`: the rules and their verdict.

use super::place::{DirectoryId, Opened, PlaceFault};
use super::signature::{ENDING, KeyFault, KeyId, LARGEST, SignatureFault, SignatureText, Signer, TrustedKey};
use orchestrator_core::config::model::{Sha256, Trust as Configured, is_public_key};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Which libraries are trusted; see [`Configured`] for how the rules combine. The default asks for no signature.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    require_signature: bool,
    keys: Vec<TrustedKey>,
    pinned: BTreeSet<Sha256>,
    revoked: BTreeSet<Sha256>,
    unsigned_from: Vec<PathBuf>,
}

/// Why a file passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Its signature by a trusted key.
    Signature,
    /// Its hash is in `plugins.trust.sha256`.
    Pinned,
    /// It lies in a directory of `plugins.trust.allow_unsigned_from`.
    Directory,
    /// No signature is asked for.
    NotRequired,
}

impl Ground {
    /// One word for logs: `signature`, `pinned`, `directory` or `not_required`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Pinned => "pinned",
            Self::Directory => "directory",
            Self::NotRequired => "not_required",
        }
    }
}

/// What is wrong with a key of `plugins.trust.keys`.
#[derive(Debug, Error)]
pub enum TrustError {
    /// A key that is none.
    #[error("{entry}: {fault}")]
    Key {
        /// The entry.
        entry: String,
        /// Why.
        fault: KeyFault,
    },
    /// A key's file that cannot be used.
    #[error("{}: {fault}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        fault: PlaceFault,
    },
}

/// Why a file is not trusted.
#[derive(Debug, Error)]
pub enum TrustFault {
    /// Its hash is revoked.
    #[error("its SHA-256 {0} is in plugins.trust.revoked; replace it by another version")]
    Revoked(Sha256),
    /// There is a list of hashes, and it is not in it.
    #[error("its SHA-256 {0} is not in plugins.trust.sha256; add it there if you trust this very file")]
    NotPinned(Sha256),
    /// It has no signature.
    #[error(
        "it is not signed, and plugins.trust.require_signature is true; put its signature beside it ({name}), pin its \
         SHA-256, or name its directory in plugins.trust.allow_unsigned_from"
    )]
    Unsigned {
        /// What the signature's file would be called.
        name: String,
    },
    /// It is signed by nobody that is trusted.
    #[error(
        "it is signed by key {signer}, which is not in plugins.trust.keys ({}); add that key if you trust it",
        listed(known)
    )]
    UnknownKey {
        /// Who signed.
        signer: KeyId,
        /// Whom we trust.
        known: Vec<KeyId>,
    },
    /// Its signature is damaged or does not fit.
    #[error(transparent)]
    Signature(#[from] SignatureFault),
    /// It was signed by a key that nobody named when it was loaded, and its file is not there any more.
    #[error(
        "it is signed by key {0}, which was not in plugins.trust.keys when it was loaded; put its file back into a \
         plugin directory, so that its signature can be verified"
    )]
    Unverified(KeyId),
    /// Its signature cannot be read.
    #[error("its signature cannot be read ({0}); check the permissions of the file beside it")]
    Unreadable(#[source] io::Error),
}

fn listed(keys: &[KeyId]) -> String {
    if keys.is_empty() {
        return "none".to_owned();
    }
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What a verdict goes by.
pub(crate) struct Evidence<'b> {
    pub(crate) bytes: &'b [u8],
    pub(crate) sha256: Sha256,
    pub(crate) name: String,
    /// The signature's text, if there is one.
    pub(crate) signature: io::Result<Option<Vec<u8>>>,
    pub(crate) directory: Option<DirectoryId>,
}

/// What is known of a file that was loaded.
pub(crate) struct Loaded<'r> {
    pub(crate) sha256: Sha256,
    pub(crate) signer: Signer,
    /// The name of its signature's file.
    pub(crate) name: String,
    pub(crate) directory: Option<DirectoryId>,
    /// The rules by which its signer was found out.
    pub(crate) rules: &'r Trust,
}

impl<'b> Evidence<'b> {
    /// About the bytes of an opened file.
    pub(crate) fn of(opened: &Opened, path: &Path, bytes: &'b [u8], sha256: Sha256) -> Self {
        let name = signature_name(path);
        let signature = opened.companion(ENDING, LARGEST);
        Self { bytes, sha256, name, signature, directory: opened.directory().ok() }
    }
}

/// What the file of a library's signature is called.
pub(crate) fn signature_name(library: &Path) -> String {
    library.file_name().unwrap_or_default().to_string_lossy().into_owned() + ENDING
}

impl Trust {
    /// Reads the keys. Their files are held to the rules of plugin files: whoever may change a key decides.
    ///
    /// # Errors
    /// A key that is none, or a file that cannot be used.
    pub fn new(configured: &Configured) -> Result<Self, TrustError> {
        let keys = configured.keys.iter().map(|entry| key(entry)).collect::<Result<_, _>>()?;
        Ok(Self {
            require_signature: configured.require_signature,
            keys,
            pinned: configured.sha256.iter().copied().collect(),
            revoked: configured.revoked.iter().copied().collect(),
            unsigned_from: configured.allow_unsigned_from.clone(),
        })
    }

    /// Whether a file passes, by whom it is signed, and why it passes.
    pub(crate) fn judge(&self, evidence: &Evidence<'_>) -> Result<(Signer, Ground), TrustFault> {
        let sha256 = evidence.sha256;
        if self.revoked.contains(&sha256) {
            return Err(TrustFault::Revoked(sha256));
        }
        let signer = self.signer(evidence);
        if self.pinned.contains(&sha256) {
            return Ok((signer.unwrap_or(Signer::Unsigned), Ground::Pinned));
        }
        if !self.pinned.is_empty() {
            return Err(TrustFault::NotPinned(sha256));
        }
        match signer? {
            signer @ Signer::Key(_) => Ok((signer, Ground::Signature)),
            signer if !self.require_signature => Ok((signer, Ground::NotRequired)),
            signer if self.needs_none(evidence.directory) => Ok((signer, Ground::Directory)),
            Signer::Unverified(signer) => {
                let known = self.keys.iter().map(TrustedKey::id).collect();
                Err(TrustFault::UnknownKey { signer, known })
            }
            Signer::Unsigned => Err(TrustFault::Unsigned { name: evidence.name.clone() }),
        }
    }

    /// Whether what was loaded by earlier rules would pass by these, as far as can be said without its file: a signature
    /// that was verified counts as long as the very key is still trusted.
    pub(crate) fn judge_loaded(&self, loaded: &Loaded<'_>) -> Result<(), TrustFault> {
        let (sha256, signer) = (loaded.sha256, loaded.signer);
        if self.revoked.contains(&sha256) {
            return Err(TrustFault::Revoked(sha256));
        }
        if !self.pinned.is_empty() {
            let pinned = self.pinned.contains(&sha256);
            return if pinned { Ok(()) } else { Err(TrustFault::NotPinned(sha256)) };
        }
        let verified = |id: KeyId| {
            let mut same = loaded.rules.keys.iter().filter(|key| key.id() == id);
            same.any(|key| self.keys.contains(key))
        };
        match signer {
            Signer::Key(id) if verified(id) => Ok(()),
            Signer::Unverified(id) | Signer::Key(id) if self.keys.iter().any(|key| key.id() == id) => {
                Err(TrustFault::Unverified(id))
            }
            _ if !self.require_signature || self.needs_none(loaded.directory) => Ok(()),
            Signer::Unverified(signer) | Signer::Key(signer) => {
                let known = self.keys.iter().map(TrustedKey::id).collect();
                Err(TrustFault::UnknownKey { signer, known })
            }
            Signer::Unsigned => Err(TrustFault::Unsigned { name: loaded.name.clone() }),
        }
    }

    fn signer(&self, evidence: &Evidence<'_>) -> Result<Signer, TrustFault> {
        if self.keys.is_empty() {
            // Nobody could say whether a signature fits.
            let text = evidence.signature.as_ref().ok().and_then(Option::as_deref).unwrap_or_default();
            return Ok(Signer::named(&String::from_utf8_lossy(text)));
        }
        let text = match &evidence.signature {
            Ok(Some(text)) => String::from_utf8_lossy(text),
            Ok(None) => return Ok(Signer::Unsigned),
            Err(error) => {
                return Err(TrustFault::Unreadable(io::Error::new(error.kind(), error.to_string())));
            }
        };
        let signature = SignatureText::parse(&text)?;
        let Some(key) = self.keys.iter().find(|key| key.id() == signature.signer) else {
            return Ok(Signer::Unverified(signature.signer));
        };
        signature.verify(key, evidence.bytes)?;
        Ok(Signer::Key(signature.signer))
    }

    fn needs_none(&self, directory: Option<DirectoryId>) -> bool {
        directory.is_some() && self.unsigned_from.iter().any(|path| DirectoryId::of(path) == directory)
    }
}

fn key(entry: &str) -> Result<TrustedKey, TrustError> {
    let text = if is_public_key(entry) { entry.to_owned() } else { key_file(Path::new(entry))? };
    TrustedKey::parse(&text).map_err(|fault| TrustError::Key { entry: entry.to_owned(), fault })
}

fn key_file(path: &Path) -> Result<String, TrustError> {
    let read = || Opened::at(path)?.read();
    let bytes = read().map_err(|fault| TrustError::KeyFile { path: path.to_owned(), fault })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
