//! Why a file is not used as a plugin library.

use super::elf::ElfFault;
use super::trust::{PlaceFault, TrustFault};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// A file that cannot serve as a plugin library: which one, why, and what to do.
///
/// Of a file that nothing in the configuration needs it is a warning.
#[derive(Debug, Error)]
#[error("{}: {fault}", path.display())]
pub struct FileProblem {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub fault: FileFault,
}

impl FileProblem {
    pub(crate) fn new(path: &Path, fault: FileFault) -> Self {
        Self { path: path.to_owned(), fault }
    }
}

/// What is wrong with a file.
#[derive(Debug, Error)]
pub enum FileFault {
    /// It cannot be read.
    #[error("cannot be read ({0}); check that it exists and its permissions")]
    Unreadable(#[source] io::Error),
    /// Somebody else could change it.
    #[error(transparent)]
    Place(#[from] PlaceFault),
    /// It is not trusted.
    #[error(transparent)]
    Trust(#[from] TrustFault),
    /// It was loaded, and the rules have changed since.
    #[error("it is trusted no longer, so it was taken out: {0}")]
    Distrusted(#[source] TrustFault),
    /// It is no whole shared library for this machine.
    #[error("{0}; build or copy it again, or remove it from the directory")]
    Elf(#[source] ElfFault),
    /// It is a shared library, but no plugin.
    #[error(
        "no plugin: it holds no descriptor; remove it from the directory, or build it with `export_plugin!`"
    )]
    NoDescriptor,
    /// Its descriptor cannot be read.
    #[error("its descriptor is damaged ({0}); build it again")]
    Descriptor(#[source] serde_json::Error),
    /// It was built against another major version of the contract.
    #[error(
        "it was built against version {plugin} of the plugin contract, this host speaks {host}; \
         build it again with orchestrator-plugin-api {}",
        series(host)
    )]
    Major {
        /// The plugin's version of the contract.
        plugin: String,
        /// The host's.
        host: String,
    },
    /// The process of its own that was to load it did not.
    #[error("its own process did not load it: {reason}")]
    Isolated {
        /// That process's words.
        reason: String,
    },
    /// A panic in it would end the host.
    #[error(
        "it was built with `panic = \"abort\"`, so that a fault in it would end the run; \
         build it with `panic = \"unwind\"`, or set `isolation: sandbox`"
    )]
    PanicAbort,
    /// It could not be copied to a private place.
    #[error("cannot be copied to a private place ({0}); free memory or raise the limit of open files")]
    Stage(#[source] io::Error),
    /// It is not the file any more that was checked.
    #[error("its content is not what was checked before; if the change was meant, start again")]
    Changed,
    /// A trial load in a process of its own ended badly.
    #[error("a trial load in a process of its own {0}; build or copy it again")]
    Probe(#[source] ProbeFault),
    /// The dynamic loader refuses it.
    #[error("cannot be loaded ({reason}); install what it needs or build it again on this machine")]
    Open {
        /// The loader's words.
        reason: String,
    },
    /// It lacks what every plugin of the contract has.
    #[error("it exports no usable root module ({reason}); build it again with `export_plugin!`")]
    Header {
        /// What is missing.
        reason: String,
    },
    /// The same version of the contract, but another binary layout.
    #[error(
        "its binary layout differs from the contract: {difference}; build it again with orchestrator-plugin-api unchanged"
    )]
    Layout {
        /// The first difference, in one line.
        difference: String,
    },
    /// The descriptor in the file and the one in the loaded library differ.
    #[error("it describes itself in two ways; the file was changed after it was built: build it again")]
    TwoDescriptors,
}

/// How a trial load ended.
#[derive(Debug, Error)]
pub enum ProbeFault {
    /// It could not be started.
    #[error("could not be started ({0})")]
    Start(#[source] io::Error),
    /// The trial process was killed.
    #[error("crashed (signal {signal})")]
    Crashed {
        /// The signal.
        signal: i32,
    },
    /// The trial process refused the file.
    #[error("failed: {reason}")]
    Refused {
        /// Its words.
        reason: String,
    },
    /// The trial process did not end.
    #[error("did not end within {} s", after.as_secs_f64())]
    TimedOut {
        /// The time that it was given.
        after: Duration,
    },
}

/// `1.2.3` → `1`.
fn series(version: &str) -> &str {
    version.split('.').next().unwrap_or(version)
}
