//! What is known about how long things take.

mod run_times;

pub use run_times::RunTimes;
