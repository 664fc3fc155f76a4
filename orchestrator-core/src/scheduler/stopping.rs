//! Stopping: of one attempt, of a surplus, of the whole run.

use super::attempt::{Phase, Stop, StopCause};
use super::halt::struck;
use super::{Command, Scheduler, SpawnFault, StopHow, StopLevel, TerminationReason};
use crate::config::model::HaltWhen;
use crate::{AttemptId, Timestamp};

/// Why a run ends before its queue is empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RunFault {
    /// The binary cannot be started at all; the queue was not touched (exit 78).
    Spawn(SpawnFault),
    /// The halt policy struck.
    Halted,
    /// Somebody asked for it (exit 75).
    Interrupted,
    /// Calibration is complete, and nothing else was asked for.
    Calibrated,
}

/// What the run is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    /// Working through the queue.
    Working,
    /// Nothing new is started; running attempts may end by themselves until the deadline, if there is one.
    Draining { why: RunFault, deadline: Option<Timestamp> },
    /// Running attempts are being stopped.
    Stopping { why: RunFault },
}

impl Mode {
    pub(super) fn admits(&self) -> bool {
        *self == Self::Working
    }

    pub(super) fn drain_deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Draining { deadline, .. } => *deadline,
            Self::Working | Self::Stopping { .. } => None,
        }
    }

    pub(super) fn fault(&self) -> Option<&RunFault> {
        match self {
            Self::Working => None,
            Self::Draining { why, .. } | Self::Stopping { why } => Some(why),
        }
    }
}

impl Scheduler {
    /// Begins the stop sequence of one attempt; nothing happens when it is being stopped already or has no process.
    pub(super) fn stop_attempt(&mut self, id: AttemptId, cause: StopCause, now: Timestamp) {
        let Some(attempt) = self.live.get_mut(&id) else { return };
        if attempt.stop.is_some() || !attempt.holds_process() {
            return;
        }
        if attempt.frozen.is_some() {
            // A process that stands still hears no signal.
            self.thaw(id, now);
        }
        let Some(attempt) = self.live.get_mut(&id) else { return };
        attempt.stop = Some(Stop { cause, kill_at: Some(now + self.policy.grace) });
        self.commands.push(Command::Stop { attempt: id, how: StopHow::Gracefully });
        self.set_timer(id);
    }

    /// Stops what runs above capacity: youngest first, the oldest never, so that progress is guaranteed.
    pub(super) fn stop_surplus(&mut self, now: Timestamp) {
        let surplus = self.answers.surplus(self.holding());
        if surplus == 0 || self.calibration.is_open() {
            return;
        }
        let already = self.live.values().filter(|a| a.holds_process() && a.stop.is_some()).count();
        let oldest = self.live.iter().find(|(_, attempt)| attempt.holds_process()).map(|(id, _)| *id);
        let youngest: Vec<AttemptId> = self
            .live
            .iter()
            .rev()
            .filter(|(id, attempt)| attempt.holds_process() && attempt.stop.is_none() && Some(**id) != oldest)
            .map(|(id, _)| *id)
            .take((surplus as usize).saturating_sub(already))
            .collect();
        let bound = self.answers.decide().to_string();
        for id in youngest {
            let cause = StopCause::Terminate(TerminationReason::Resources { bound: bound.clone() });
            self.stop_attempt(id, cause, now);
        }
    }

    /// Somebody asked to stop.
    pub(super) fn stop_requested(&mut self, level: StopLevel, now: Timestamp) {
        match (level, &self.mode) {
            (StopLevel::Drain, Mode::Working) => {
                let deadline = Some(now + self.policy.drain);
                self.mode = Mode::Draining { why: RunFault::Interrupted, deadline };
            }
            (StopLevel::Drain, Mode::Draining { why, deadline: None }) => {
                let (why, deadline) = (why.clone(), Some(now + self.policy.drain));
                self.mode = Mode::Draining { why, deadline };
            }
            (StopLevel::Now, Mode::Working) => self.stop_all(RunFault::Interrupted, now),
            (StopLevel::Now, Mode::Draining { why, .. }) => self.stop_all(why.clone(), now),
            (StopLevel::Drain, Mode::Draining { .. }) | (_, Mode::Stopping { .. }) => {}
        }
    }

    /// The drain deadline came.
    pub(super) fn check_drain(&mut self, now: Timestamp) {
        if let Mode::Draining { why, deadline: Some(deadline) } = &self.mode
            && *deadline <= now
        {
            let why = why.clone();
            self.stop_all(why, now);
        }
    }

    /// The binary cannot be started: stop before the queue is burnt.
    pub(super) fn abandon(&mut self, fault: SpawnFault) {
        if self.mode.admits() {
            self.mode = Mode::Draining { why: RunFault::Spawn(fault), deadline: None };
        }
    }

    /// Calibration was all that was asked for, and it is complete: what runs may end, nothing new is started.
    pub(super) fn check_calibrated(&mut self) {
        if self.policy.calibrate_only && self.mode.admits() && !self.calibration.is_open() {
            self.mode = Mode::Draining { why: RunFault::Calibrated, deadline: None };
        }
    }

    /// Looks at the halt policy after a task became final.
    pub(super) fn check_halt(&mut self, now: Timestamp) {
        if !self.mode.admits() {
            return;
        }
        if struck(&self.policy.halt, self.completed_here, self.failed_here, &self.tasks.counts()) {
            match self.policy.halt.when {
                HaltWhen::Soon => self.mode = Mode::Draining { why: RunFault::Halted, deadline: None },
                HaltWhen::Now => self.stop_all(RunFault::Halted, now),
            }
        }
    }

    fn stop_all(&mut self, why: RunFault, now: Timestamp) {
        let reason =
            if why == RunFault::Halted { TerminationReason::Halted } else { TerminationReason::Shutdown };
        self.mode = Mode::Stopping { why };
        let ids: Vec<_> = self.live.keys().copied().collect();
        for id in ids {
            if self.live.get(&id).is_some_and(|attempt| matches!(attempt.phase, Phase::Validating)) {
                // A check may take long, and is not waited for: its task starts anew another time.
                self.unpublished -= 1;
                self.terminate(id, reason.clone(), now);
            } else {
                self.stop_attempt(id, StopCause::Terminate(reason.clone()), now);
            }
        }
    }
}
