//! A library as its file describes it, before anything of it runs.

use super::elf::Elf;
use super::problem::{FileFault, FileProblem};
use super::trust::place::{DirectoryId, Opened};
use super::trust::{Evidence, Ground, Loaded, PlaceFault, Signer, Trust, TrustFault, signature_name};
use super::verified::VerifiedFile;
use orchestrator_core::config::model::Sha256;
use orchestrator_plugin_api::abi::DESCRIPTOR_SECTION;
use orchestrator_plugin_api::{API_VERSION, ClassDescriptor, Descriptor, PanicStrategy, PluginKind};
use semver::Version;
use sha2::Digest;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// The hash of its content by which people name it.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
    /// Who signed it.
    pub signer: Signer,
    /// Why it is trusted.
    pub ground: Ground,
    /// The directory that it was read from.
    directory: Option<DirectoryId>,
    /// By what rules; they are applied again when it is loaded.
    trust: Arc<Trust>,
}

/// A file that was read by the rules of trust, and whether it passed.
pub(super) struct Examined {
    pub(super) file: PluginFile,
    pub(super) bytes: Vec<u8>,
    pub(super) verdict: Result<(), TrustFault>,
}

impl PluginFile {
    /// Reads and checks a file by whomever it may be; nothing of it is executed, and it is not asked whether it is to be
    /// trusted.
    ///
    /// # Errors
    /// Unreadable, truncated, foreign, no plugin, or a damaged descriptor.
    pub fn inspect(path: &Path) -> Result<Self, FileProblem> {
        let bytes = std::fs::read(path).map_err(|error| {
            let directory = error.kind() == std::io::ErrorKind::IsADirectory;
            let fault = if directory { PlaceFault::Directory.into() } else { FileFault::Unreadable(error) };
            FileProblem::new(path, fault)
        })?;
        let mut file = Self::of_bytes(path, &bytes)?;
        file.signer = Signer::named_beside(path);
        Ok(file)
    }

    /// What these bytes, which were read at `path`, say about themselves.
    pub(super) fn of_bytes(path: &Path, bytes: &[u8]) -> Result<Self, FileProblem> {
        let descriptor = read_descriptor(bytes).map_err(|fault| FileProblem::new(path, fault))?;
        Ok(Self {
            path: path.to_owned(),
            descriptor,
            hash: blake3::hash(bytes),
            sha256: Sha256(sha2::Sha256::digest(bytes).into()),
            size: bytes.len() as u64,
            signer: Signer::Unsigned,
            ground: Ground::NotRequired,
            directory: None,
            trust: Arc::default(),
        })
    }

    /// Reads an opened file once and judges what was read. A file that is not trusted still says what it is, so that it
    /// can be said what is missing.
    pub(super) fn examine(
        path: &Path,
        mut opened: Opened,
        trust: &Arc<Trust>,
    ) -> Result<Examined, FileProblem> {
        let bytes = opened.read().map_err(|fault| FileProblem::new(path, FileFault::Place(fault)))?;
        let mut file = Self::of_bytes(path, &bytes)?;
        let evidence = Evidence::of(&opened, path, &bytes, file.sha256);
        file.directory = evidence.directory;
        let verdict = trust.judge(&evidence).map(|(signer, ground)| {
            (file.signer, file.ground) = (signer, ground);
        });
        file.trust = Arc::clone(trust);
        Ok(Examined { file, bytes, verdict })
    }

    /// Reads and checks the file once more, for good: what is handed out can be loaded.
    ///
    /// # Errors
    /// The first check that fails, or other content than this value was made of.
    pub fn verified(&self) -> Result<VerifiedFile, FileProblem> {
        let verified = VerifiedFile::open(&self.path, &self.trust)?;
        if verified.file().hash == self.hash {
            Ok(verified)
        } else {
            Err(FileProblem::new(&self.path, FileFault::Changed))
        }
    }

    /// Whether what was loaded is trusted by other rules, too, whatever lies at its path now.
    ///
    /// # Errors
    /// The rule that it does not pass.
    pub(crate) fn is_trusted_by(&self, rules: &Trust) -> Result<(), TrustFault> {
        rules.judge_loaded(&Loaded {
            sha256: self.sha256,
            signer: self.signer,
            name: signature_name(&self.path),
            directory: self.directory,
            rules: &self.trust,
        })
    }

    /// Whether this host can take the library into its own process.
    ///
    /// # Errors
    /// Another major version of the contract, or a build that aborts on panics.
    pub fn check_compatible(&self) -> Result<(), FileProblem> {
        self.check_version()?;
        match self.descriptor.panic {
            PanicStrategy::Unwind => Ok(()),
            PanicStrategy::Abort => Err(FileProblem::new(&self.path, FileFault::PanicAbort)),
        }
    }

    /// Whether this host can take the library at all, if need be into a process of its own.
    ///
    /// # Errors
    /// Another major version of the contract.
    pub fn check_version(&self) -> Result<(), FileProblem> {
        let host = API_VERSION;
        if major(&self.descriptor.api) != major(host) {
            let fault = FileFault::Major { plugin: self.descriptor.api.clone(), host: host.to_owned() };
            return Err(FileProblem::new(&self.path, fault));
        }
        Ok(())
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
