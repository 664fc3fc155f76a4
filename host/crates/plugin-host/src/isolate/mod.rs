//! An instance in a process of its own.
//!
//! The host's program, started with a hidden subcommand, is the *runner*: it is handed the very bytes that the host
//! verified, shuts itself in, loads them and runs the same [engine](crate::instance::engine) as the host would. The
//! instance's worker in the host is a *proxy*: it sends batches of processes, answers questions about them, and judges
//! every value again as if it came from the plugin directly, since it may.
//!
//! - `wire`: what is said; `link`: how it travels; `page`: the stamp of the call under way.
//! - `runner`, `upward`: the child's side. `launch`, `proxy`: the host's. `sandbox`: what a runner gives up.

mod launch;
mod link;
mod page;
mod proxy;
mod runner;
mod sandbox;
mod upward;
mod wire;

pub use launch::{Ending, Runner};
pub(crate) use proxy::{Proxy, Stop};
pub use runner::run_here;
pub(crate) use upward::Upward;
