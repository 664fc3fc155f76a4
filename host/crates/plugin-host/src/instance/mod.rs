//! One configured plugin: its thread, what it may say, what it costs, how it fails.

pub(crate) mod collect;
pub(crate) mod context;
pub(crate) mod engine;
pub(crate) mod facts;
pub(crate) mod failure;
pub(crate) mod jobs;
mod spec;
pub(crate) mod stats;
pub(crate) mod worker;

pub use failure::{FailureCategory, InstanceFailure, InstanceFault};
pub use spec::InstanceSpec;
pub use stats::{InstanceState, InstanceStats, LibraryFacts, RunnerUsage};
