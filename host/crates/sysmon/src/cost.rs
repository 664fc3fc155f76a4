//! What observing costs.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time that the probe itself used, over all its calls.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SelfCost {
    /// Readings of the machine.
    pub system_calls: u64,
    /// Readings of process trees.
    pub process_calls: u64,
    /// Processes read, over all calls.
    pub processes_read: u64,
    /// CPU time of all of it.
    pub cpu: Duration,
}

/// CPU time of this thread so far.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}
