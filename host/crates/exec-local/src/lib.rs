//! Spawn, watch, reap and stop process trees on this machine.
//!
//! One thread owns every child, that of whoever holds the executor: within its calls children are launched, their
//! captured output is read, their death is heard of by pidfd, what they left behind is swept and they are reaped.
//! Nothing here ever forks the (large) host: children are born by `clone3` with shared memory, or `posix_spawn`. The
//! host is made a *child subreaper*, so that a process whose parents have died becomes our own child instead of init's,
//! where it can be found and ended.
//!
//! - [`LocalExecutor`] implements the `Executor` port.
//! - [`kill_launched`] ends all children when the thread that owns them hangs.
//! - [`orphans`] ends what a host that was killed left running.
//! - [`Checks`] runs validation commands to their end under a time limit.

#![expect(
    unsafe_code,
    reason = "clone3, wait4, waitid and raw signal numbers have no safe wrapper that reports usage and pid"
)]

mod abandon;
mod affinity;
mod bell;
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
mod signalling;
mod spawn;
mod stack;
mod stat;
mod streams;
mod sweep;
mod ticks;
mod young;

pub use abandon::kill_launched;
pub use check::{CheckError, CheckOutcome, Checks};
pub use error::ExecError;
pub use executor::{LocalExecutor, Options};
pub use fds::{FDS_PER_CHILD, max_children_by_fds, max_children_under};
pub use spawn::LaunchPath;
pub use stat::{boot_id, start_ticks};
