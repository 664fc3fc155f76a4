//! Sampling of the machine and of process trees.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::AttemptId;
use orchestrator_core::metrics::{ProcessSample, SystemSample};
use orchestrator_core::placement::Topology;
use orchestrator_core::scheduler::ProcessIdentity;

/// One attempt to be sampled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProbeTarget {
    /// Whose.
    pub attempt: AttemptId,
    /// Its main process (leader of its process group).
    pub identity: ProcessIdentity,
}

/// What was read of an attempt's process tree, and the pids in it.
pub type TreeReading = (ProcessSample, Arc<[u32]>);

/// Reads /proc and control groups. Called from a thread of the collector, never from the loop.
pub trait Probe: Send {
    /// Reads the machine; rates are over the time since the previous call.
    fn system(&mut self) -> SystemSample;
    /// Reads the process trees of the targets, with the pids of each tree; a target that has ended is left out.
    ///
    /// They come in the order of the targets. A list of pids is the very one of the reading before ([`Arc::ptr_eq`]) only
    /// if none of them has run in between, as far as the probe can tell: the figures are the same as well, and what was
    /// found out about them by other ways still holds. Where that is so of all, the whole reading is the one of before.
    fn processes(&mut self, targets: &[ProbeTarget]) -> Arc<Vec<TreeReading>>;
    /// The processors that we may use: when first asked, and when they are not those that were told last.
    fn topology(&mut self) -> Option<Topology> {
        None
    }
    /// CPU time that all readings together have cost so far; zero where it is not known.
    fn cpu(&self) -> Duration {
        Duration::ZERO
    }
}
