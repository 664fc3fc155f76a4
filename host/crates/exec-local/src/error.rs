//! What can go wrong with the executor itself (a child's troubles are data: `SpawnFault`, `ExitStatus`).

use rustix::io::Errno;

/// Why the executor could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// A kernel object of the executor's loop could not be had.
    #[error("the executor could not set up its {what}: {source}; check the limit of open files (ulimit -n)")]
    Setup {
        /// Which one.
        what: &'static str,
        /// The operating system's words.
        source: Errno,
    },
    /// What children read whose input is nothing.
    #[error("/dev/null cannot be opened: {0}; without it no process can be started")]
    Null(#[source] std::io::Error),
}

impl ExecError {
    /// For `map_err`: names the object that could not be had.
    pub(crate) fn setup(what: &'static str) -> impl FnOnce(Errno) -> ExecError {
        move |source| ExecError::Setup { what, source }
    }
}
