//! What people and machines are shown: a snapshot of the run, the estimate of its end.

mod eta;
mod snapshot;

pub use eta::{Eta, EtaInputs, estimate};
pub use snapshot::{RunningAttempt, Snapshot};
