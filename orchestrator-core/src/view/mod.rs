//! What people and machines are shown: a snapshot of the run, the estimate of its end.

mod snapshot;

pub use crate::outlook::Eta;
pub use snapshot::{RunningAttempt, Snapshot};
