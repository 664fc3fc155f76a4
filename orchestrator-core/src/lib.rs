//! The brain of Process Orchestrator.
//!
//! Pure and synchronous: no clock, no files, no threads, no environment. Time, samples, exits and new files arrive
//! as [`scheduler::Event`]s; decisions leave as [`scheduler::Fact`]s (what became true, to be recorded) and
//! [`scheduler::Command`]s (what is to be done once the facts are recorded). The same code therefore runs live, in
//! simulation and in replay.

pub mod capacity;
pub mod config;
pub mod ids;
pub mod metrics;
pub mod outlook;
pub mod placement;
pub mod plan;
pub mod predict;
pub mod scheduler;
pub mod simulate;
pub mod units;
pub mod validation;
pub mod view;

pub use ids::{AttemptId, RunId, SlotId, TaskId};
pub use units::{Bytes, Timestamp};
