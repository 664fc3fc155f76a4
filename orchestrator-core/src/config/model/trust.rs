//! Which plugin libraries are trusted.

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::scalar::{Scalar, ValueError, scalar_traits, shown};

/// Which plugin libraries are loaded, besides that their files must not be writable by others.
///
/// `revoked` beats all. With a list `sha256` only those files pass, and need no signature. Otherwise
/// `require_signature` asks for a signature by one of `keys`, except in `allow_unsigned_from`. Where it is false, a file
/// may be unsigned, but a signature by one of `keys` that does not fit is refused all the same.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Trust {
    /// Whether a library has to be signed by one of `keys`, in FILE.so.minisig beside it.
    pub require_signature: bool,
    /// Public keys of minisign: the keys themselves, or files that hold one.
    #[schemars(extend("items" = {"type": "string", "format": "key-or-path"}))]
    pub keys: Vec<String>,
    /// SHA-256 of the only files that are used, as 64 hexadecimal digits; empty means no such list.
    pub sha256: Vec<Sha256>,
    /// SHA-256 of files that are never used.
    pub revoked: Vec<Sha256>,
    /// Directories whose files, those directly in them, need no signature.
    #[schemars(extend("items" = {"type": "string", "format": "path"}))]
    pub allow_unsigned_from: Vec<PathBuf>,
}

/// Whether an entry of [`Trust::keys`] is a public key itself: 42 bytes in Base64 that begin with `Ed`.
pub fn is_public_key(text: &str) -> bool {
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    text.len() == 56 && text.starts_with("RW") && text.bytes().all(base64)
}

/// The SHA-256 of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

impl Scalar for Sha256 {
    const NAME: &'static str = "Sha256";
    const FORMAT: &'static str = "sha256";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let error = || ValueError::Sha256(shown(value));
        let text = value.as_str().ok_or_else(error)?.trim();
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() {
            return Err(error());
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            *byte =
                digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| high << 4 | low).ok_or_else(error)?;
        }
        Ok(Self(bytes))
    }

    fn render(&self) -> Value {
        let mut text = String::new();
        let _ = write!(text, "{self}");
        Value::String(text)
    }

    fn describe() -> Value {
        json!({
            "description": "A SHA-256: 64 hexadecimal digits, as sha256sum prints them.",
            "type": "string", "pattern": "^[0-9a-fA-F]{64}$",
        })
    }
}

scalar_traits!(Sha256);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_printed_and_nothing_else_is_one() {
        let text = "00ff10".to_owned() + &"a5".repeat(29);
        let hash = Sha256::parse(&text.to_uppercase().into()).unwrap();
        assert_eq!(hash.to_string(), text);
        assert_eq!(hash.render(), Value::from(text.clone()));
        for bad in [&text[1..], &(text.clone() + "00"), &text.replace('f', "g"), &text.replace("ff", "+f")] {
            assert!(Sha256::parse(&bad.into()).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_told_from_paths() {
        assert!(is_public_key("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"));
        assert!(!is_public_key("keys/team.pub"));
        assert!(!is_public_key(&"RW".repeat(27)));
    }
}
