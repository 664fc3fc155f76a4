//! The work of a simulation from what earlier runs of a configuration measured.

use orchestrator_core::config::Config;
use orchestrator_core::simulate::{Recorded, Work, recorded_work};
use orchestrator_store::{StateReader, StoreError};

use crate::errors::Failure;

/// Every completed task of the state, as its last attempt was measured.
///
/// # Errors
/// There is no state, it cannot be read, or nothing was ever completed.
pub(super) fn measured(config: &Config) -> Result<Work, Failure> {
    let directory = config.state_directory();
    let reader = StateReader::open(&directory).map_err(|error| match error {
        StoreError::Missing { .. } => {
            Failure::NothingToSimulate { why: format!("{} holds no state of a run", directory.display()) }
        }
        other => other.into(),
    })?;
    let mut tasks = Vec::new();
    reader.measured(|task| {
        let seconds = task.wall.as_secs_f64();
        tasks.push(Recorded {
            input: task.input,
            seconds,
            peak: task.peak_rss as f64,
            cores: (seconds > 0.0).then(|| task.cpu.as_secs_f64() / seconds),
            io: Some(task.moved as f64),
        });
    })?;
    if tasks.is_empty() {
        return Err(Failure::NothingToSimulate { why: "no task was ever completed here".to_owned() });
    }
    Ok(recorded_work("earlier runs", &tasks))
}
