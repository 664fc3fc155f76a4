//! What a runner gives up before it loads anything: memory, capabilities, files, sockets, other processes.
//!
//! Each step binds the calling thread and whatever it starts later: the runner has one thread at this point.

mod calls;
mod files;
mod limits;
mod lists;

use orchestrator_core::config::model::Grants;
use std::io;
use thiserror::Error;

/// Why a runner cannot shut itself in.
#[derive(Debug, Error)]
pub(super) enum SandboxError {
    /// Landlock is missing.
    #[error(
        "the kernel has no Landlock: boot a Linux from 5.13 on with `landlock` among `lsm=`, or set `isolation: process` \
         to run the plugin without a sandbox"
    )]
    NoLandlock,
    /// Landlock refuses.
    #[error("Landlock refuses ({0}); set `isolation: process` to run the plugin without a sandbox")]
    Landlock(#[source] landlock::RulesetError),
    /// seccomp refuses.
    #[error("seccomp refuses ({0}); set `isolation: process` to run the plugin without a sandbox")]
    Seccomp(#[source] seccompiler::Error),
    /// A filter is not one.
    #[error("its filter of system calls is wrong ({0}); tell the authors of this program")]
    Filter(#[source] seccompiler::BackendError),
    /// A limit or a privilege cannot be given up.
    #[error(
        "{what} cannot be limited ({source}); set `isolation: process` to run the plugin without a sandbox"
    )]
    Limit {
        /// Of what.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Threads that are there already would not be bound.
    #[error("it has {0} threads already; tell the authors of this program")]
    Threads(usize),
}

/// Limits memory and cores; what every runner gets.
pub(super) fn limit(max_memory: u64) -> Result<(), SandboxError> {
    limits::memory(max_memory)
}

/// Shuts the calling process in: from here on only what `grants` name goes beyond calculating.
pub(super) fn shut_in(grants: &Grants) -> Result<(), SandboxError> {
    let threads = std::fs::read_dir("/proc/self/task").map(Iterator::count);
    match threads.map_err(|source| SandboxError::Limit { what: "threads", source })? {
        1 => {}
        several => return Err(SandboxError::Threads(several)),
    }
    limits::courtesy()?;
    limits::capabilities(grants)?;
    // An observer looks into other processes, which no Landlock domain lets it do.
    if !grants.observer {
        files::restrict(grants)?;
    }
    calls::restrict(grants)
}
