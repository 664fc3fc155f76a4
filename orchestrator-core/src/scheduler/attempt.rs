//! A live attempt: an explicit state machine from launch to the end of publication.

use std::time::Duration;

use super::TerminationReason;
use crate::metrics::Usage;
use crate::outlook::Promise;
use crate::view::{RunningAttempt, Snapshot};
use crate::{AttemptId, Bytes, SlotId, TaskId, Timestamp};

/// Where a live attempt stands.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Admitted; its process does not run yet.
    Launching,
    /// Its process runs.
    Running,
    /// Its process ended well; its output is being inspected.
    Validating,
    /// Its output is being moved into place.
    Publishing,
}

/// Why a running attempt is being stopped.
#[derive(Clone, Debug)]
pub(super) enum StopCause {
    /// Without fault.
    Terminate(TerminationReason),
    /// It ran too long.
    Timeout(Duration),
    /// It showed no progress for so long.
    Stuck(Duration),
}

/// A stop under way.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    pub(super) cause: StopCause,
    /// When SIGKILL follows; `None` once it was sent.
    pub(super) kill_at: Option<Timestamp>,
}

/// A live attempt.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) task: TaskId,
    /// Held from admission until the process has ended.
    pub(super) slot: Option<SlotId>,
    pub(super) calibrating: bool,
    pub(super) phase: Phase,
    /// When it was admitted, then when its process started; later by the time that it stood still.
    pub(super) since: Timestamp,
    /// Since when it stands still.
    pub(super) frozen: Option<Timestamp>,
    /// For how long it stood still before.
    pub(super) still: Duration,
    pub(super) stop: Option<Stop>,
    pub(super) warned_slow: bool,
    /// What was expected of it when it was admitted.
    pub(super) promise: Option<Promise>,
    /// Bytes that it publishes, once they were inspected.
    pub(super) output: Option<u64>,
    /// What it used as far as others learn from it, once its process has ended; unknown of one that ended in an earlier run.
    pub(super) usage: Option<Usage>,
    /// The most memory that it was seen to hold.
    pub(super) held: Option<Bytes>,
    /// The last sign of progress: CPU time, bytes and calls of I/O, and when they last changed.
    pub(super) progress: Option<(Duration, u64, Timestamp)>,
    /// The longest time without a sign of progress.
    pub(super) pause: Duration,
    /// Whether it was said that something may be wrong with it.
    pub(super) suspected: bool,
    /// The timer that is set for it.
    pub(super) timer: Option<Timestamp>,
}

impl Attempt {
    pub(super) fn new(task: TaskId, slot: SlotId, calibrating: bool, now: Timestamp) -> Self {
        Self {
            task,
            slot: Some(slot),
            calibrating,
            phase: Phase::Launching,
            since: now,
            frozen: None,
            still: Duration::ZERO,
            stop: None,
            warned_slow: false,
            promise: None,
            output: None,
            usage: None,
            held: None,
            progress: None,
            pause: Duration::ZERO,
            suspected: false,
            timer: None,
        }
    }

    /// What others learn from its usage. A process shares the host's memory until it is its program, so that the kernel
    /// counts it with the host's peak at least: of one that needed less, what was seen of it is nearer the truth.
    pub(super) fn learned_from(&self, usage: Usage, own_peak: Bytes) -> Usage {
        match self.held {
            Some(held) if usage.peak_rss <= own_peak && held < usage.peak_rss => {
                Usage { peak_rss: held, ..usage }
            }
            _ => usage,
        }
    }

    /// Whether its process may exist.
    pub(super) fn holds_process(&self) -> bool {
        matches!(self.phase, Phase::Launching | Phase::Running)
    }
}

/// Gives out the lowest free slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    free: std::collections::BTreeSet<SlotId>,
    highest: u32,
}

impl Slots {
    pub(super) fn take(&mut self) -> SlotId {
        self.free.pop_first().unwrap_or_else(|| {
            self.highest += 1;
            SlotId(self.highest)
        })
    }

    pub(super) fn give_back(&mut self, slot: SlotId) {
        self.free.insert(slot);
    }
}

/// Live attempts by id; ids grow with admission, so the order is that of age.
pub(super) type Live = std::collections::BTreeMap<AttemptId, Attempt>;

impl super::Scheduler {
    /// The oldest attempts that hold a slot (at most [`Snapshot::SHOWN`]).
    pub(crate) fn running_attempts(&self, now: Timestamp) -> Vec<RunningAttempt> {
        let held = self.live.iter().filter_map(|(id, attempt)| Some((*id, attempt, attempt.slot?)));
        held.take(Snapshot::SHOWN)
            .map(|(attempt, one, slot)| RunningAttempt {
                attempt,
                slot,
                path: self.tasks.path(one.task),
                running_for: one.frozen.unwrap_or(now).since(one.since),
                expected_seconds: one.promise.map(|promise| promise.seconds),
                calibrating: one.calibrating,
                stopping: one.stop.is_some(),
                frozen: one.frozen.is_some(),
                place: self.placer.place_of(attempt).cloned(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_kernel_can_only_say_what_the_host_held_what_was_seen_is_learned() {
        let peak = |held: Option<u64>, kernel: u64| {
            let mut attempt = Attempt::new(TaskId(1), SlotId(1), false, Timestamp(0));
            attempt.held = held.map(Bytes);
            let usage = Usage { peak_rss: Bytes(kernel), ..Usage::default() };
            attempt.learned_from(usage, Bytes(16_000)).peak_rss.0
        };
        assert_eq!(peak(Some(1_000), 15_800), 1_000);
        assert_eq!(peak(None, 15_800), 15_800, "nobody looked");
        assert_eq!(peak(Some(1_000), 16_001), 16_001, "its own");
        assert_eq!(peak(Some(18_000), 15_800), 15_800, "a tree's sum is not one process's peak");
    }
}
