//! What the oracle knows of a live attempt.

use std::time::Duration;

use orchestrator_core::placement::CpuSet;
use orchestrator_core::scheduler::TerminationReason;
use orchestrator_core::{SlotId, TaskId, Timestamp};

/// Where it stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    Launching,
    Running,
    Validating,
    Publishing,
}

/// Why an attempt was stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cause {
    Timeout,
    Stuck,
    Resources,
    Shutdown,
    Halted,
}

impl Cause {
    /// Whether the recorded reason is this one.
    pub(super) fn is(self, reason: &TerminationReason) -> bool {
        matches!(
            (self, reason),
            (Self::Resources, TerminationReason::Resources { .. })
                | (Self::Shutdown, TerminationReason::Shutdown)
                | (Self::Halted, TerminationReason::Halted)
        )
    }
}

/// A stop under way. Two causes may have come in one step.
#[derive(Clone, Debug)]
pub(super) struct Stopping {
    pub(super) causes: Vec<Cause>,
    pub(super) kill_at: Timestamp,
    pub(super) killed: bool,
}

/// A live attempt.
#[derive(Clone, Debug)]
pub(super) struct Shadow {
    pub(super) task: TaskId,
    pub(super) slot: Option<SlotId>,
    /// Processors of its own, as long as it holds the slot; none if it is free, or was given a whole node.
    pub(super) cpus: CpuSet,
    pub(super) phase: Phase,
    pub(super) since: Timestamp,
    /// When its process started, however long it stood still since.
    pub(super) began: Timestamp,
    /// Since when it stands still, and for how long it did before.
    pub(super) frozen: Option<Timestamp>,
    pub(super) still: Duration,
    pub(super) stop: Option<Stopping>,
    pub(super) warned: bool,
    /// CPU time and I/O as last sampled, and since when they have been the same.
    pub(super) progress: Option<(Duration, u64, Timestamp)>,
    /// Its run time, once it has ended in this run.
    pub(super) wall: Option<Duration>,
}

impl Shadow {
    pub(super) fn holds_process(&self) -> bool {
        matches!(self.phase, Phase::Launching | Phase::Running)
    }

    pub(super) fn runs_unstopped(&self) -> bool {
        self.phase == Phase::Running && self.stop.is_none() && self.frozen.is_none()
    }
}
