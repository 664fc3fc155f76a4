//! Secret keys of minisign: reading, writing, passwords. Nothing of them is ever printed.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ct_codecs::{Base64, Decoder};
use minisign::{KeyPair, SecretKey, SecretKeyBox};
use orchestrator_core::config::Sources;
use thiserror::Error;

use crate::session::Session;

/// The variable that holds the password of a secret key.
pub(crate) const PASSWORD: &str = "ORCHESTRATOR_KEY_PASSWORD";

/// Bytes of a secret key: algorithms, salt and costs of its protection, number, key, checksum.
const LENGTH: usize = 158;

/// Why a key cannot be made or used.
#[derive(Debug, Error)]
pub(crate) enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the key {}: {source}; name the file that `orchestrator plugin keygen` wrote", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// It is no secret key.
    #[error("{} holds no secret key of minisign; name minisign.key, not minisign.pub", .0.display())]
    NoKey(PathBuf),
    /// It is protected, and nobody can be asked.
    #[error("{} is protected by a password; put it into {PASSWORD}, or run this at a terminal", .0.display())]
    NoPassword(PathBuf),
    /// The password is not that of the key.
    #[error("the password does not open {}; try again, or correct {PASSWORD}", .0.display())]
    WrongPassword(PathBuf),
    /// A new key wants a password, and nobody can be asked.
    #[error(
        "a secret key wants a password; put it into {PASSWORD}, run this at a terminal, or add --no-password"
    )]
    WantsPassword,
    /// The two were not the same.
    #[error("the two passwords differ, and nothing was written; try again")]
    Mistyped,
    /// The terminal cannot be read.
    #[error("the password cannot be read from the terminal: {0}; put it into {PASSWORD}")]
    Terminal(#[source] io::Error),
    /// A key is there already.
    #[error("{} exists already, and a key is never replaced; name another directory with --out", .0.display())]
    Exists(PathBuf),
    /// The library that signs failed.
    #[error("cannot {what}: {source}")]
    Minisign {
        /// `make keys`, `sign`.
        what: &'static str,
        /// Its words.
        source: minisign::PError,
    },
}

/// Reads a secret key; a password comes from the environment, or is asked for without showing it.
pub(super) fn secret_key(path: &Path, session: &Session) -> Result<SecretKey, KeyError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| KeyError::Unreadable { path: path.to_owned(), source })?;
    let no_key = || KeyError::NoKey(path.to_owned());
    let line = text.lines().nth(1).ok_or_else(no_key)?.trim();
    let bytes = Base64::decode_to_vec(line, None).map_err(|_| no_key())?;
    if bytes.len() != LENGTH {
        return Err(no_key());
    }
    match &bytes[..4] {
        // The tool `minisign` leaves the checksum of such a key empty, so it is not looked at.
        b"Ed\0\0" => SecretKey::from_bytes(&bytes).map_err(|_| no_key()),
        b"EdSc" => {
            let password = match given(session) {
                Some(password) => password,
                None => asked("Password: ")?.ok_or_else(|| KeyError::NoPassword(path.to_owned()))?,
            };
            let boxed = SecretKeyBox::from_string(&text).map_err(|_| no_key())?;
            boxed.into_secret_key(Some(password)).map_err(|_| KeyError::WrongPassword(path.to_owned()))
        }
        _ => Err(no_key()),
    }
}

/// Makes a pair of keys.
pub(super) fn generate(no_password: bool, session: &Session) -> Result<KeyPair, KeyError> {
    let made = if no_password {
        KeyPair::generate_unencrypted_keypair()
    } else {
        let password = match given(session) {
            Some(password) => password,
            None => chosen()?,
        };
        KeyPair::generate_encrypted_keypair(Some(password))
    };
    made.map_err(|source| KeyError::Minisign { what: "make keys", source })
}

/// Asks twice for a new password.
fn chosen() -> Result<String, KeyError> {
    let password = asked("Password for the new key: ")?.ok_or(KeyError::WantsPassword)?;
    let again = asked("The same once more: ")?.ok_or(KeyError::WantsPassword)?;
    match password == again {
        _ if password.is_empty() => Err(KeyError::WantsPassword),
        true => Ok(password),
        false => Err(KeyError::Mistyped),
    }
}

/// Asks at the terminal without showing what is typed; `None` where there is none.
fn asked(question: &str) -> Result<Option<String>, KeyError> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    rpassword::prompt_password(question).map(Some).map_err(KeyError::Terminal)
}

fn given(session: &Session) -> Option<String> {
    session.sources.environment().get(PASSWORD).cloned()
}

/// Creates a file that was not there; only its owner may read a secret one.
pub(super) fn create(path: &Path, secret: bool, content: &str) -> io::Result<()> {
    let mode = if secret { 0o600 } else { 0o644 };
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}
