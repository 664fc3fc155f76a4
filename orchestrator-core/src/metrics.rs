//! What was measured: samples of the machine and of one attempt's process tree, and the usage of a whole attempt.
//!
//! Samples travel beside the record of facts, never through it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{AttemptId, Bytes};

/// Metric name → value, as plugins see them. Names are dotted lower case; a unit that is not obvious ends the name
/// (`_bytes`, `_seconds`, `percent`, `_cores`).
pub type Metrics = BTreeMap<String, f64>;

/// Built-in metric names, as fed to capacity plugins and as written to the history.
pub mod names {
    /// Share of the usable CPU in use by everybody, 0–100.
    pub const SYSTEM_CPU_PERCENT: &str = "system.cpu.percent";
    /// Usable cores: the smaller of affinity mask and control group quota.
    pub const SYSTEM_CPU_CORES: &str = "system.cpu.cores";
    /// Usable memory: the smaller of the machine's and the control group's limit.
    pub const SYSTEM_MEMORY_TOTAL: &str = "system.memory.total_bytes";
    /// Memory in use (total − available).
    pub const SYSTEM_MEMORY_USED: &str = "system.memory.used_bytes";
    /// Memory that can be had without swapping.
    pub const SYSTEM_MEMORY_AVAILABLE: &str = "system.memory.available_bytes";
    /// Memory in use as a share of the total, 0–100.
    pub const SYSTEM_MEMORY_PERCENT: &str = "system.memory.percent";
    /// Swap in use.
    pub const SYSTEM_SWAP_USED: &str = "system.swap.used_bytes";
    /// Fill of the output file system, 0–100.
    pub const SYSTEM_DISK_PERCENT: &str = "system.disk.percent";
    /// Bytes read from block devices per second.
    pub const SYSTEM_DISK_READ: &str = "system.disk.read_bytes_per_second";
    /// Bytes written to block devices per second.
    pub const SYSTEM_DISK_WRITE: &str = "system.disk.write_bytes_per_second";
    /// Read operations per second.
    pub const SYSTEM_DISK_READ_OPS: &str = "system.disk.read_ops_per_second";
    /// Write operations per second.
    pub const SYSTEM_DISK_WRITE_OPS: &str = "system.disk.write_ops_per_second";
    /// One-minute load average.
    pub const SYSTEM_LOAD1: &str = "system.load1";
    /// Processes on the machine.
    pub const SYSTEM_PROCESSES: &str = "system.processes";
    /// Attempts that hold a slot.
    pub const RUNNING: &str = "orchestrator.processes.running";
    /// Running attempts whose processes were read: what sums over processes are made of.
    pub const MEASURED: &str = "orchestrator.processes.measured";
    /// Cores kept busy by all our attempts together.
    pub const OWN_CPU_CORES: &str = "orchestrator.processes.cpu_cores";
    /// Resident memory of all our attempts together.
    pub const OWN_RSS: &str = "orchestrator.processes.rss_bytes";
    /// CPU time that sampling has cost the host so far, seconds.
    pub const SAMPLING_CPU: &str = "orchestrator.sampling.cpu_seconds";
    /// Time from one reading to the next in force, seconds: `metrics.interval`, or more where readings cost much.
    pub const SAMPLING_INTERVAL: &str = "orchestrator.sampling.interval_seconds";
    /// Files that wait.
    pub const QUEUE_LENGTH: &str = "orchestrator.queue.length";
    /// The capacity in force.
    pub const CONCURRENCY: &str = "orchestrator.concurrency.current";
    /// `resource_limits.cpu_threshold_percent`.
    pub const LIMIT_CPU: &str = "limits.cpu_threshold_percent";
    /// `resource_limits.memory_threshold_percent`.
    pub const LIMIT_MEMORY: &str = "limits.memory_threshold_percent";
    /// `resource_limits.disk_usage_threshold_percent`.
    pub const LIMIT_DISK: &str = "limits.disk_usage_threshold_percent";
}

/// One reading of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemSample {
    /// Share of the usable CPU in use since the previous reading, 0–100.
    pub cpu_percent: f64,
    /// Usable cores (affinity, control group quota); may be fractional.
    pub cpu_cores: f64,
    /// Usable memory.
    pub memory_total: Bytes,
    /// Memory in use (total − available).
    pub memory_used: Bytes,
    /// Memory that can be had without swapping.
    pub memory_available: Bytes,
    /// Swap in use.
    pub swap_used: Bytes,
    /// Fill of the output file system, 0–100.
    pub disk_percent: f64,
    /// Space that is left on the output file system.
    #[serde(default)]
    pub disk_available: Bytes,
    /// Bytes read from block devices per second since the previous reading.
    pub disk_read_per_second: f64,
    /// Bytes written to block devices per second since the previous reading.
    pub disk_write_per_second: f64,
    /// Read operations per second since the previous reading.
    pub disk_read_ops_per_second: f64,
    /// Write operations per second since the previous reading.
    pub disk_write_ops_per_second: f64,
    /// One-minute load average.
    pub load1: f64,
    /// Processes on the machine.
    pub processes: u64,
    /// The largest resident memory that the host itself ever had; a process that it starts is counted with that at least.
    #[serde(default)]
    pub own_peak: Bytes,
}

impl SystemSample {
    /// Memory in use as a share of the total, 0–100; 0 when the total is unknown.
    #[must_use]
    pub fn memory_percent(&self) -> f64 {
        if self.memory_total.0 == 0 {
            0.0
        } else {
            self.memory_used.0 as f64 * 100.0 / self.memory_total.0 as f64
        }
    }

    /// Writes the reading under the built-in names.
    pub fn write_to(&self, out: &mut Metrics) {
        let pairs = [
            (names::SYSTEM_CPU_PERCENT, self.cpu_percent),
            (names::SYSTEM_CPU_CORES, self.cpu_cores),
            (names::SYSTEM_MEMORY_TOTAL, self.memory_total.0 as f64),
            (names::SYSTEM_MEMORY_USED, self.memory_used.0 as f64),
            (names::SYSTEM_MEMORY_AVAILABLE, self.memory_available.0 as f64),
            (names::SYSTEM_MEMORY_PERCENT, self.memory_percent()),
            (names::SYSTEM_SWAP_USED, self.swap_used.0 as f64),
            (names::SYSTEM_DISK_PERCENT, self.disk_percent),
            (names::SYSTEM_DISK_READ, self.disk_read_per_second),
            (names::SYSTEM_DISK_WRITE, self.disk_write_per_second),
            (names::SYSTEM_DISK_READ_OPS, self.disk_read_ops_per_second),
            (names::SYSTEM_DISK_WRITE_OPS, self.disk_write_ops_per_second),
            (names::SYSTEM_LOAD1, self.load1),
            (names::SYSTEM_PROCESSES, self.processes as f64),
        ];
        out.extend(pairs.map(|(name, value)| (name.to_owned(), value)));
    }
}

/// One reading of an attempt's process tree: the main process and all its descendants together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessSample {
    /// Whose tree.
    pub attempt: AttemptId,
    /// CPU time used so far, user and system, including reaped children.
    pub cpu_time: Duration,
    /// Resident memory.
    pub rss: Bytes,
    /// Virtual memory.
    pub virtual_memory: Bytes,
    /// Bytes read from storage so far.
    pub read_bytes: Bytes,
    /// Bytes written to storage so far.
    pub write_bytes: Bytes,
    /// Read system calls so far.
    pub read_ops: u64,
    /// Write system calls so far.
    pub write_ops: u64,
    /// Live processes in the tree.
    pub processes: u32,
    /// Live threads in the tree.
    pub threads: u32,
    /// Processes in the tree by state: running, sleeping, uninterruptible, stopped, zombie.
    pub states: [u32; 5],
}

/// What an attempt used over its whole life (from `wait4` and the last samples of its descendants).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// From launch to reap.
    pub wall: Duration,
    /// CPU time in user mode, reaped descendants included.
    pub cpu_user: Duration,
    /// CPU time in the kernel, reaped descendants included.
    pub cpu_system: Duration,
    /// Largest resident memory of one process of the tree, or of the tree when it was sampled.
    pub peak_rss: Bytes,
    /// Bytes read from storage.
    pub read_bytes: Bytes,
    /// Bytes written to storage.
    pub write_bytes: Bytes,
}

impl Usage {
    /// CPU time, user and system.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        self.cpu_user + self.cpu_system
    }
}
