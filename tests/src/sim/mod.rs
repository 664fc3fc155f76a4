//! Deterministic simulation of the scheduler.
//!
//! The real [`orchestrator_core::scheduler::Scheduler`] lives in a seeded fake world ([`explore`]): processes that fail,
//! hang, leak and ignore signals; a store that commits in groups and a host that is killed between any record and any
//! command; disks that fill up, plugins that flap, events that come twice, late, out of order or from nobody. After
//! every step an oracle that shares no code with the scheduler says whether the laws of the house were kept.
//!
//! A seed is a universe: the same seed, the same run, to the last event.

mod agenda;
mod chance;
mod fate;
mod files;
mod ledger;
mod machine;
mod oracle;
mod run;
mod settings;
mod tally;
mod universe;
mod world;

pub use tally::Tally;
pub use universe::{Violation, explore, narrate};
