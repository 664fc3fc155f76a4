//! A library as its file describes it, before anything of it runs.

use super::elf::Elf;
use super::problem::{FileFault, FileProblem};
use super::verified::VerifiedFile;
use orchestrator_plugin_api::abi::DESCRIPTOR_SECTION;
use orchestrator_plugin_api::{API_VERSION, ClassDescriptor, Descriptor, PanicStrategy, PluginKind};
use semver::Version;
use std::path::{Path, PathBuf};

/// The content's BLAKE3 hash: what a library is known by.
pub type ContentHash = blake3::Hash;

/// A plugin library's file: whole, for this machine, with a readable descriptor.
#[derive(Clone, Debug)]
pub struct PluginFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says about itself.
    pub descriptor: Descriptor,
    /// Hash of its content.
    pub hash: ContentHash,
    /// Its size in bytes.
    pub size: u64,
}

impl PluginFile {
    /// Reads and checks a file; nothing of it is executed.
    ///
    /// # Errors
    /// Unreadable, truncated, foreign, no plugin, or a damaged descriptor.
    pub fn inspect(path: &Path) -> Result<Self, FileProblem> {
        Self::with_bytes(path).map(|(file, _)| file)
    }

    /// As [`Self::inspect`], and hands out the very bytes that were checked.
    pub(crate) fn with_bytes(path: &Path) -> Result<(Self, Vec<u8>), FileProblem> {
        let bytes =
            std::fs::read(path).map_err(|error| FileProblem::new(path, FileFault::Unreadable(error)))?;
        Self::of_bytes(path, &bytes).map(|file| (file, bytes))
    }

    /// What these bytes, which were read at `path`, say about themselves.
    pub(crate) fn of_bytes(path: &Path, bytes: &[u8]) -> Result<Self, FileProblem> {
        let descriptor = read_descriptor(bytes).map_err(|fault| FileProblem::new(path, fault))?;
        Ok(Self { path: path.to_owned(), descriptor, hash: blake3::hash(bytes), size: bytes.len() as u64 })
    }

    /// Reads and checks the file once more, for good: what is handed out can be loaded.
    ///
    /// # Errors
    /// The first check that fails, or other content than this value was made of.
    pub fn verified(&self) -> Result<VerifiedFile, FileProblem> {
        VerifiedFile::again(self)
    }

    /// Whether this host can take the library into its process.
    ///
    /// # Errors
    /// Another major version of the contract, or a build that aborts on panics.
    pub fn check_compatible(&self) -> Result<(), FileProblem> {
        let host = API_VERSION;
        if major(&self.descriptor.api) != major(host) {
            let fault = FileFault::Major { plugin: self.descriptor.api.clone(), host: host.to_owned() };
            return Err(FileProblem::new(&self.path, fault));
        }
        match self.descriptor.panic {
            PanicStrategy::Unwind => Ok(()),
            PanicStrategy::Abort => Err(FileProblem::new(&self.path, FileFault::PanicAbort)),
        }
    }

    /// The exported class of this name and kind.
    pub fn class(&self, kind: PluginKind, class: &str) -> Option<&ClassDescriptor> {
        self.descriptor.classes.iter().find(|found| found.kind == kind && found.class == class)
    }
}

/// The major version, or `None` for what is no version at all.
fn major(version: &str) -> Option<u64> {
    Version::parse(version).ok().map(|version| version.major)
}

fn read_descriptor(bytes: &[u8]) -> Result<Descriptor, FileFault> {
    let elf = Elf::check(bytes).map_err(FileFault::Elf)?;
    let section = elf.section(DESCRIPTOR_SECTION).ok_or(FileFault::NoDescriptor)?;
    serde_json::from_slice(section).map_err(FileFault::Descriptor)
}
