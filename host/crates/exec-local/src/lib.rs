//! Spawn, watch, reap and stop process trees on this machine.
//!
//! One permanent thread owns every child: it launches them, reads their captured output, hears of their death by
//! pidfd, sweeps what they left behind and reaps them. Nothing here ever forks the (large) host: children are born by
//! `clone3` with shared memory, or `posix_spawn`. The host is made a *child subreaper*, so that a process whose parents have died becomes our own
//! child instead of init's, where it can be found and ended.
//!
//! - [`LocalExecutor`] implements the `Executor` port.
//! - [`orphans`] ends what a host that was killed left running.
//! - [`run_check`] runs a validation command to its end under a time limit.

#![expect(
    unsafe_code,
    reason = "clone3, wait4, waitid and raw signal numbers have no safe wrapper that reports usage and pid"
)]

mod birth;
mod capture;
mod check;
mod child;
mod error;
mod executor;
mod fault;
mod fds;
mod image;
mod nursery;
mod oom;
pub mod orphans;
mod pidlog;
mod proctable;
mod program;
mod reactor;
mod reap;
mod registry;
mod rescue;
mod signal;
mod spawn;
mod stat;
mod streams;
mod sweep;
mod ticks;

pub use check::{CheckError, CheckOutcome, run_check};
pub use error::ExecError;
pub use executor::{LocalExecutor, Options};
pub use fds::{FDS_PER_CHILD, max_children_by_fds, max_children_under};
pub use spawn::LaunchPath;
pub use stat::{boot_id, start_ticks};
