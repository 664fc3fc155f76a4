//! Capacity plugins and their answer.

use super::error::Result;
use super::metrics::Readings;
use crate::abi::Answer;
use serde::de::DeserializeOwned;

/// A class that says how many processes may run. Of several enabled ones the smallest answer wins.
pub trait CapacityPlugin: Sized + Send + 'static {
    /// The instance's `config:` section. Unknown keys are refused by name; [`NoConfig`](crate::NoConfig)
    /// takes none.
    type Config: DeserializeOwned;

    /// Makes the instance from its configuration; called once, before anything else.
    ///
    /// # Errors
    /// Whatever makes the instance useless; the host names the instance and raises no capacity because of it.
    fn initialize(config: Self::Config) -> Result<Self>;

    /// Answers how many processes may run in all.
    ///
    /// `calibration` holds what one process needs (`calibration.cpu_cores`, `calibration.rss_peak_bytes`,
    /// …; empty where no calibration was made); `current` what the machine and the run look like now
    /// (`system.cpu.percent`, `orchestrator.processes.running`, …, and every metric of the metrics plugins,
    /// summed over processes).
    ///
    /// # Errors
    /// No answer is possible; the host keeps the last good answer as an upper bound.
    fn calculate_capacity(&mut self, calibration: &Readings<'_>, current: &Readings<'_>) -> Result<Capacity>;

    /// The instance's state, in a format of its own, for a successor of it: a restarted one, or one of a later build
    /// of the library. `None`: there is none worth keeping.
    ///
    /// # Errors
    /// The state cannot be written down; the successor starts anew.
    fn snapshot(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Takes over the state of a predecessor, right after [`initialize`](Self::initialize). The bytes may come from
    /// an earlier or later build of the plugin: write a version into them.
    ///
    /// # Errors
    /// The state is of no use; the instance goes on as initialised, so change nothing before all of it was read.
    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let _ = state;
        Ok(())
    }
}

/// A capacity plugin's answer: a number of processes and, optionally, what limits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    processes: u32,
    reason: String,
}

impl Capacity {
    /// So many processes may run in all.
    pub fn new(processes: u32) -> Self {
        Self { processes, reason: String::new() }
    }

    /// This plugin sets no limit.
    pub fn unlimited() -> Self {
        Self::new(u32::MAX)
    }

    /// Says what limits it, in a few words (`memory: 3.1 GiB free of 4 GiB a process`).
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// The number of processes; `u32::MAX` = no limit.
    pub fn processes(&self) -> u32 {
        self.processes
    }

    /// What limits it; may be empty.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl From<u32> for Capacity {
    fn from(processes: u32) -> Self {
        Self::new(processes)
    }
}

impl From<Capacity> for Answer {
    fn from(capacity: Capacity) -> Self {
        Self { processes: capacity.processes, reason: capacity.reason.into() }
    }
}
