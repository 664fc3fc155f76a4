//! Signatures and public keys in the format of minisign: Ed25519, over the file or over its BLAKE2b hash.

use minisign_verify::{Error, PublicKey, Signature};
use orchestrator_core::config::model::is_public_key;
use std::fmt;
use std::path::Path;
use thiserror::Error;

/// More than a signature has.
pub(crate) const LARGEST: u64 = 16 * 1024;
/// What follows the name of a file in the name of its signature.
pub(crate) const ENDING: &str = ".minisig";

/// The number by which minisign tells keys apart, as it prints it: 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u64);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl KeyId {
    /// Of the text of a key or of a signature: two bytes name the algorithm, the next eight are the number.
    fn of_base64(text: &str) -> Option<Self> {
        let mut bytes = [0; 12];
        let digits = text.as_bytes().get(..16)?;
        for (three, four) in bytes.chunks_exact_mut(3).zip(digits.chunks_exact(4)) {
            let bits = four.iter().try_fold(0, |bits: u32, digit| Some(bits << 6 | sextet(*digit)?))?;
            three.copy_from_slice(&bits.to_be_bytes()[1..]);
        }
        let number: [u8; 8] = bytes[2..10].try_into().ok()?;
        Some(Self(u64::from_le_bytes(number)))
    }
}

fn sextet(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

/// Who signed a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The holder of this key; the signature was verified.
    Key(KeyId),
    /// It bears a signature by a key that nobody named as trusted, which was not verified.
    Unverified(KeyId),
    /// Nobody.
    Unsigned,
}

impl Signer {
    /// Whom the signature beside a file names; nothing is verified.
    pub(crate) fn named_beside(path: &Path) -> Self {
        let mut beside = path.as_os_str().to_owned();
        beside.push(ENDING);
        Self::named(&std::fs::read_to_string(beside).unwrap_or_default())
    }

    /// Whom a signature names; nobody where it is none.
    pub(crate) fn named(signature: &str) -> Self {
        SignatureText::parse(signature).map_or(Self::Unsigned, |found| Self::Unverified(found.signer))
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(f, "{id}"),
            Self::Unverified(id) => write!(f, "unverified ({id})"),
            Self::Unsigned => f.write_str("unsigned"),
        }
    }
}

/// Why a text is no public key.
#[derive(Debug, Error)]
#[error("it is no public key of minisign ({0}); its line begins with RW and has 56 characters")]
pub struct KeyFault(#[source] Error);

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    id: KeyId,
    key: PublicKey,
}

impl TrustedKey {
    /// Of a key's line, or of the content of a `.pub` file: a comment and a key's line.
    ///
    /// # Errors
    /// It is no public key.
    pub fn parse(text: &str) -> Result<Self, KeyFault> {
        let found = text.lines().map(str::trim).find(|line| is_public_key(line));
        let line = found.ok_or(KeyFault(Error::InvalidEncoding))?;
        let key = PublicKey::from_base64(line).map_err(KeyFault)?;
        let id = KeyId::of_base64(line).ok_or(KeyFault(Error::InvalidEncoding))?;
        Ok(Self { id, key })
    }

    /// Its number.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Checks a signature of these bytes and returns the comment that is signed with it.
    ///
    /// # Errors
    /// The text is no signature, it is by another key, or it does not fit the bytes.
    pub fn verify(&self, bytes: &[u8], signature: &str) -> Result<String, SignatureFault> {
        SignatureText::parse(signature)?.verify(self, bytes)
    }
}

/// Why a signature counts for nothing.
#[derive(Debug, Error)]
pub enum SignatureFault {
    /// The text is no signature.
    #[error("its signature is damaged ({0}); get it again from where the file came")]
    Damaged(#[source] Error),
    /// It is by another key.
    #[error("it is signed by key {signer}, not by {wanted}; get that key's signature, or trust {signer}")]
    OtherKey {
        /// Who signed.
        signer: KeyId,
        /// Who should have.
        wanted: KeyId,
    },
    /// It does not fit.
    #[error(
        "its signature by key {0} does not fit: the file or the signature was changed after signing; get both again \
         from where they came"
    )]
    Forged(KeyId),
}

/// A signature that was read.
pub(crate) struct SignatureText {
    pub(crate) signer: KeyId,
    signature: Signature,
}

impl SignatureText {
    pub(crate) fn parse(text: &str) -> Result<Self, SignatureFault> {
        let signature = Signature::decode(text).map_err(SignatureFault::Damaged)?;
        let line = text.lines().nth(1).and_then(KeyId::of_base64);
        let signer = line.ok_or(SignatureFault::Damaged(Error::InvalidEncoding))?;
        Ok(Self { signer, signature })
    }

    /// Returns the comment that is signed, too.
    pub(crate) fn verify(&self, key: &TrustedKey, bytes: &[u8]) -> Result<String, SignatureFault> {
        match key.key.verify(bytes, &self.signature, true) {
            Ok(()) => Ok(self.signature.trusted_comment().to_owned()),
            Err(Error::UnexpectedKeyId) => {
                Err(SignatureFault::OtherKey { signer: self.signer, wanted: key.id })
            }
            Err(Error::InvalidSignature) => Err(SignatureFault::Forged(self.signer)),
            Err(error) => Err(SignatureFault::Damaged(error)),
        }
    }
}
