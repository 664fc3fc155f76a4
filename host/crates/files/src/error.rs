//! Why the room could not be opened.

use std::io;
use std::path::PathBuf;

/// Why [`crate::LocalFiles::start`] failed. All of these are the configuration's fault.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A glob pattern cannot be read.
    #[error("pattern `{pattern}` cannot be read: {source}")]
    Pattern {
        /// The pattern as given.
        pattern: String,
        /// Its parser's words.
        source: globset::Error,
    },
    /// The output directory or the private directory cannot be made or written.
    #[error("output directory `{}` cannot be written: {source}; choose another or change its permissions", path.display())]
    OutputUnwritable {
        /// The directory.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// Private outputs would lie on another file system, from which nothing can be renamed into place.
    #[error(
        "private directory `{}` is not on the file system of output directory `{}`; keep it inside the output directory",
        partial.display(), output.display()
    )]
    PartialElsewhere {
        /// The private directory.
        partial: PathBuf,
        /// The output directory.
        output: PathBuf,
    },
    /// A thread could not be started.
    #[error("thread `{name}` cannot be started: {source}; raise the process limit (ulimit -u)")]
    Thread {
        /// Its name.
        name: &'static str,
        /// The operating system's words.
        source: io::Error,
    },
    /// Leftovers of earlier runs could not be listed.
    #[error("private directory `{}` cannot be read: {source}", path.display())]
    Sweep {
        /// The private directory.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
}
