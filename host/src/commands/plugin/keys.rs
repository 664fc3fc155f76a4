//! Secret keys of minisign: reading, writing, passwords. Nothing of them is ever printed.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use minisign::{KeyPair, SecretKey, SecretKeyBox};
use orchestrator_core::config::Sources;
use thiserror::Error;

use crate::session::Session;

/// The variable that holds the password of a secret key.
pub(crate) const PASSWORD: &str = "ORCHESTRATOR_KEY_PASSWORD";

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
    let boxed = SecretKeyBox::from_string(&text).map_err(|_| no_key())?;
    // Bytes 2 and 3 of a key name how it is protected: none, or scrypt (`Sc`).
    let line = text.lines().nth(1).ok_or_else(no_key)?;
    if !line.starts_with("RWRT") && !line.starts_with("RWQA") {
        return Err(no_key());
    }
    if line.starts_with("RWQA") {
        return boxed.into_unencrypted_secret_key().map_err(|_| no_key());
    }
    let password = match given(session) {
        Some(password) => Some(password),
        None if io::stdin().is_terminal() => None,
        None => return Err(KeyError::NoPassword(path.to_owned())),
    };
    boxed.into_secret_key(password).map_err(|_| KeyError::WrongPassword(path.to_owned()))
}

/// Makes a pair of keys.
pub(super) fn generate(no_password: bool, session: &Session) -> Result<KeyPair, KeyError> {
    let made = match given(session) {
        _ if no_password => KeyPair::generate_unencrypted_keypair(),
        None if !io::stdin().is_terminal() => return Err(KeyError::WantsPassword),
        password => KeyPair::generate_encrypted_keypair(password),
    };
    made.map_err(|source| KeyError::Minisign { what: "make keys", source })
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
