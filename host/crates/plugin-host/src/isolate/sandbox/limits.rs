//! Limits of resources and privileges.

use super::SandboxError;
use orchestrator_core::config::model::Grants;
use rustix::process::{Resource, Rlimit, nice, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};
use std::io;

/// Open files of a sandboxed plugin.
const FILES: u64 = 512;
/// Raised niceness: the run comes first.
const NICE: i32 = 5;

fn error(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> SandboxError {
    move |errno| SandboxError::Limit { what, source: io::Error::from(errno) }
}

fn set(what: &'static str, resource: Resource, limit: u64) -> Result<(), SandboxError> {
    let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
    setrlimit(resource, limit).map_err(error(what))
}

/// Address space, and no core files.
pub(super) fn memory(max_memory: u64) -> Result<(), SandboxError> {
    set("memory", Resource::As, max_memory)?;
    set("core files", Resource::Core, 0)
}

/// Few files, low priority.
pub(super) fn courtesy() -> Result<(), SandboxError> {
    set("open files", Resource::Nofile, FILES)?;
    nice(NICE).map(|_| ()).map_err(error("priority"))
}

/// Gives up privileges for good; an observer keeps those of looking.
pub(super) fn capabilities(grants: &Grants) -> Result<(), SandboxError> {
    set_no_new_privs(true).map_err(error("new privileges"))?;
    let has = rustix::thread::capabilities(None).map_err(error("capabilities"))?;
    let looking = CapabilitySet::DAC_READ_SEARCH | CapabilitySet::SYS_PTRACE;
    let keep = if grants.observer { has.permitted & looking } else { CapabilitySet::empty() };
    let sets = CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(error("capabilities"))
}
