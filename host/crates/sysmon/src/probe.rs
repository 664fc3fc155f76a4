//! The `Probe` port.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::metrics::SystemSample;
use orchestrator_core::placement::Topology;
use orchestrator_ports::{Probe, ProbeTarget, TreeReading};

use crate::cost::{SelfCost, thread_cpu};
use crate::error::ProbeError;
use crate::system::SystemWatch;
use crate::topology;
use crate::tree::TreeWatch;

/// Observes the machine and process trees. To be called from one thread of a collector.
#[derive(Debug)]
pub struct SystemProbe {
    system: SystemWatch,
    trees: TreeWatch,
    cost: SelfCost,
    /// The processors whose topology was told.
    processors: Vec<usize>,
}

impl SystemProbe {
    /// Sets the probe up; rates of the first reading cover the time since now. `output_directory` names the file system
    /// whose fill is reported; it need not exist yet.
    ///
    /// # Errors
    /// When /proc is not there.
    pub fn new(output_directory: &Path) -> Result<Self, ProbeError> {
        for path in ["/proc/self/stat", "/proc/stat", "/proc/meminfo"] {
            fs::read(path).map_err(|source| ProbeError::NoProc { path, source })?;
        }
        let system = SystemWatch::new(output_directory);
        Ok(Self { system, trees: TreeWatch::new(), cost: SelfCost::default(), processors: Vec::new() })
    }

    /// What the probe itself has used so far.
    #[must_use]
    pub fn cost(&self) -> SelfCost {
        self.cost
    }
}

impl Probe for SystemProbe {
    fn system(&mut self) -> SystemSample {
        let before = thread_cpu();
        let sample = self.system.read();
        self.cost.system_calls += 1;
        self.cost.cpu += thread_cpu().saturating_sub(before);
        sample
    }

    fn processes(&mut self, targets: &[ProbeTarget]) -> Arc<Vec<TreeReading>> {
        let before = thread_cpu();
        let samples = self.trees.read(targets);
        self.cost.process_calls += 1;
        self.cost.processes_read += samples.iter().map(|(_, pids)| pids.len() as u64).sum::<u64>();
        self.cost.cpu += thread_cpu().saturating_sub(before);
        samples
    }

    fn topology(&mut self) -> Option<Topology> {
        if self.processors == self.system.processors() {
            return None;
        }
        self.processors = self.system.processors().to_vec();
        Some(topology::read(Path::new(topology::DEVICES), &self.processors))
    }

    fn cpu(&self) -> Duration {
        self.cost.cpu
    }
}
