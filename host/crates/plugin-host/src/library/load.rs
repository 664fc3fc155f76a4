//! From a file to a root module, in the one order that lets nothing of a bad file run.

use super::file::ContentHash;
use super::layout;
use super::probe::Probe;
use super::problem::{FileFault, FileProblem};
use super::verified::VerifiedFile;
use abi_stable::StableAbi;
use abi_stable::library::{LibHeader, LibraryError, RawLibrary, RootModule, lib_header_from_raw_library};
use orchestrator_plugin_api::abi::PluginLibraryRef;
use semver::Version;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A library in this process. It is never unloaded: thread-local destructors and references into it would outlive it.
#[derive(Clone, Copy)]
pub struct Library {
    module: PluginLibraryRef,
}

impl Library {
    /// The root module.
    pub fn module(self) -> PluginLibraryRef {
        self.module
    }

    /// Loads the library at `path`, whoever signed it, or hands out the one with the same content that is loaded already.
    ///
    /// The order: owner and permissions → read → size and extents → descriptor → trust → private copy → version and panic
    /// strategy → trial load in a
    /// process of its own, where `probe` says so → load → header → layout → root module.
    ///
    /// # Errors
    /// The first step that fails.
    pub fn load(path: &Path, probe: Option<&Probe>) -> Result<Self, FileProblem> {
        Self::load_verified(&VerifiedFile::open(path, &Arc::default())?, probe)
    }

    /// As [`Self::load`], of bytes that were read and checked before: the path is not looked at again.
    ///
    /// # Errors
    /// The first step that fails.
    pub fn load_verified(verified: &VerifiedFile, probe: Option<&Probe>) -> Result<Self, FileProblem> {
        verified.file().check_compatible()?;
        Self::load_checked(verified, probe)
    }

    /// As [`Self::load_verified`] for a process that may end with the plugin: panics in it may abort.
    ///
    /// # Errors
    /// The first step that fails.
    pub(crate) fn load_isolated(verified: &VerifiedFile) -> Result<Self, FileProblem> {
        verified.file().check_version()?;
        Self::load_checked(verified, None)
    }

    fn load_checked(verified: &VerifiedFile, probe: Option<&Probe>) -> Result<Self, FileProblem> {
        let file = verified.file();
        let mut loaded = loaded().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = loaded.get(&file.hash) {
            return Ok(*library);
        }
        let library = load_new(verified, probe).map_err(|fault| FileProblem::new(&file.path, fault))?;
        loaded.insert(file.hash, library);
        Ok(library)
    }
}

/// All libraries of this process by content.
fn loaded() -> &'static Mutex<HashMap<ContentHash, Library>> {
    static LOADED: OnceLock<Mutex<HashMap<ContentHash, Library>>> = OnceLock::new();
    LOADED.get_or_init(Mutex::default)
}

fn load_new(verified: &VerifiedFile, probe: Option<&Probe>) -> Result<Library, FileFault> {
    if let Some(probe) = probe {
        probe.try_out(verified).map_err(FileFault::Probe)?;
    }
    let copy = verified.sealed().path_for_good().map_err(FileFault::Stage)?;
    let header = open(&copy)?;
    let version = check_header(header)?;
    let ours = version_of(PluginLibraryRef::VERSION_STRINGS.version.as_str())?;
    if let Some(theirs) = header.layout() {
        layout::check((PluginLibraryRef::LAYOUT, &ours), (theirs, &version))
            .map_err(|difference| FileFault::Layout { difference })?;
    } else {
        return Err(FileFault::Header { reason: "without a layout".to_owned() });
    }
    // SAFETY: the layouts were found compatible just now, in the direction that fits the two versions.
    let module = unsafe { header.unchecked_layout::<PluginLibraryRef>() }
        .map_err(|error| FileFault::Header { reason: error.to_string() })?;
    let described = serde_json::from_str(module.descriptor().as_str()).map_err(FileFault::Descriptor)?;
    if verified.file().descriptor == described {
        Ok(Library { module })
    } else {
        Err(FileFault::TwoDescriptors)
    }
}

fn open(path: &Path) -> Result<&'static LibHeader, FileFault> {
    let raw = RawLibrary::load_at(path).map_err(|error| FileFault::Open { reason: in_words(&error) })?;
    // Leaked before anything is asked of it: it is never unloaded, whatever comes out.
    let raw: &'static RawLibrary = Box::leak(Box::new(raw));
    // SAFETY: the library is leaked, so that the header lives as long as the process.
    unsafe { lib_header_from_raw_library(raw) }
        .map_err(|error| FileFault::Header { reason: in_words(&error) })
}

fn check_header(header: &LibHeader) -> Result<Version, FileFault> {
    let version = version_of(header.version_strings().version.as_str())?;
    let ours = version_of(PluginLibraryRef::VERSION_STRINGS.version.as_str())?;
    if version.major == ours.major {
        return Ok(version);
    }
    Err(FileFault::Major { plugin: version.to_string(), host: ours.to_string() })
}

fn version_of(text: &str) -> Result<Version, FileFault> {
    Version::parse(text).map_err(|_| FileFault::Header { reason: format!("its version is {text:?}") })
}

/// One line of an error that likes to print many.
fn in_words(error: &LibraryError) -> String {
    match error {
        LibraryError::OpenError { err, .. } | LibraryError::GetSymbolError { err, .. } => {
            one_line(&err.to_string())
        }
        LibraryError::InvalidAbiHeader(_) => "built with another version of abi_stable".to_owned(),
        LibraryError::InvalidCAbi { .. } => "built with another C calling convention".to_owned(),
        other => one_line(&other.to_string()),
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no details").to_owned()
}
