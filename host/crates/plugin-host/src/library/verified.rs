//! A file whose bytes were checked, together with those very bytes.

use super::file::{ContentHash, PluginFile};
use super::problem::{FileFault, FileProblem};
use super::sealed::Sealed;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A library that passed every check of files, and the bytes that did so.
///
/// Whatever happens to the file at its path from now on, these bytes are what is loaded here, or handed to a process
/// that loads them ([`sealed`](Self::sealed), [`receive`](Self::receive)). A clone shares them.
#[derive(Clone, Debug)]
pub struct VerifiedFile {
    file: PluginFile,
    sealed: Sealed,
}

impl VerifiedFile {
    /// Reads and checks a file. Nothing of it is executed.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn open(path: &Path) -> Result<Self, FileProblem> {
        let (file, bytes) = PluginFile::with_bytes(path)?;
        Self::seal(file, &bytes)
    }

    /// As [`Self::open`] for a file that was checked before, whose content must be the same.
    ///
    /// # Errors
    /// The first check that fails, or other content than was checked before.
    pub(super) fn again(known: &PluginFile) -> Result<Self, FileProblem> {
        let verified = Self::open(&known.path)?;
        if verified.file.hash == known.hash {
            Ok(verified)
        } else {
            Err(FileProblem::new(&known.path, FileFault::Changed))
        }
    }

    /// What another process verified and handed over; `path` is what to call it, `hash` what it must be.
    ///
    /// # Errors
    /// It cannot be read, is no plugin, or not the expected one.
    pub fn receive(sealed: OwnedFd, path: &Path, hash: Option<&ContentHash>) -> Result<Self, FileProblem> {
        let sealed = Sealed::of(sealed);
        let bytes = sealed.bytes().map_err(|error| FileProblem::new(path, FileFault::Unreadable(error)))?;
        let file = PluginFile::of_bytes(path, &bytes)?;
        match hash {
            Some(hash) if *hash != file.hash => Err(FileProblem::new(path, FileFault::Changed)),
            _ => Ok(Self { file, sealed }),
        }
    }

    /// What the file says about itself.
    pub fn file(&self) -> &PluginFile {
        &self.file
    }

    /// The bytes, for a process that is to load them.
    pub fn sealed(&self) -> &Sealed {
        &self.sealed
    }

    fn seal(file: PluginFile, bytes: &[u8]) -> Result<Self, FileProblem> {
        let sealed = Sealed::new(bytes, &file.hash)
            .map_err(|error| FileProblem::new(&file.path, FileFault::Stage(error)))?;
        Ok(Self { file, sealed })
    }
}
