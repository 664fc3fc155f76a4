//! A file whose bytes were checked, together with those very bytes.

use super::file::{ContentHash, Examined, PluginFile};
use super::probe::Probe;
use super::problem::{FileFault, FileProblem};
use super::sealed::Sealed;
use super::trust::Trust;
use super::trust::place::Opened;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

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
    /// Reads a file once and checks what was read: who may change it, what it is, whether it is trusted. Nothing of it is
    /// executed.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn open(path: &Path, trust: &Arc<Trust>) -> Result<Self, FileProblem> {
        let problem = |fault| FileProblem::new(path, fault);
        let opened = Opened::at(path).map_err(|fault| problem(FileFault::Place(fault)))?;
        let Examined { file, bytes, verdict } = PluginFile::examine(path, opened, trust)?;
        verdict.map_err(|fault| problem(FileFault::Trust(fault)))?;
        let sealed = Sealed::new(&bytes, &file.hash).map_err(|error| problem(FileFault::Stage(error)))?;
        Ok(Self { file, sealed })
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

    /// Loads the bytes in a process of its own and says what came of it; nothing of them runs in this one.
    ///
    /// # Errors
    /// How the trial ended.
    pub fn try_out(&self, probe: &Probe) -> Result<(), FileProblem> {
        probe.try_out(self).map_err(|fault| FileProblem::new(&self.file.path, FileFault::Probe(fault)))
    }

    /// What the file says about itself.
    pub fn file(&self) -> &PluginFile {
        &self.file
    }

    /// The bytes, for a process that is to load them.
    pub fn sealed(&self) -> &Sealed {
        &self.sealed
    }
}
