//! Why the machine cannot be observed.

use std::io;

/// Why the probe could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A file of the kernel that everything rests on cannot be read.
    #[error("{path} cannot be read: {source}; mount /proc in this environment")]
    NoProc {
        /// Which one.
        path: &'static str,
        /// The operating system's words.
        source: io::Error,
    },
}
