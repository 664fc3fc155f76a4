//! What is known of a task before it runs, and what is expected of it.

pub mod amount;
mod features;
mod fit;
mod kinds;
pub mod memory;
pub mod replay;
mod run_times;
mod unusual;

pub use amount::{AmountPrediction, AmountPredictor, AmountState};
pub use features::Features;
pub use kinds::Kind;
pub(crate) use kinds::{Case, Kinds};
pub use memory::{MemoryPrediction, MemoryPredictor, MemoryRules, MemorySource, MemoryState};
pub use run_times::RunTimes;
pub use unusual::{Severity, Suspicion, Watch, Watches};
