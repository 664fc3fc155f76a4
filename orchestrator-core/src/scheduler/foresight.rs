//! The outlook at work: what waits is counted by size, what ends is learned from, and what follows is said.

use super::attempt::{Attempt, Phase};
use super::{Command, Fact, Fingerprint, Scheduler};
use crate::capacity::control::Candidate;
use crate::metrics::{SystemSample, Usage};
use crate::outlook::{Drifted, Promise, Took};
use crate::predict::{Features, MemorySource};
use crate::{AttemptId, Bytes, TaskId, Timestamp};

/// A size that nobody told.
const UNKNOWN: u64 = u64::MAX;
/// An allocation that a task has outgrown by less than this was too small for it.
const OUTGROWN: f64 = 1.05;
/// Completed tasks with output before anything is said of the space that all outputs need.
const OUTPUTS: u64 = 5;

impl Scheduler {
    /// Keeps an input's size.
    pub(super) fn note_size(&mut self, task: TaskId, fingerprint: Option<Fingerprint>) {
        let Some(print) = fingerprint else { return };
        let at = task.0 as usize;
        if self.input_sizes.len() <= at {
            self.input_sizes.resize(at + 1, UNKNOWN);
        }
        self.input_sizes[at] = print.size;
    }

    /// An input's size: as the scan saw it, else as an attempt saw it; `None` if nobody has looked yet.
    pub(super) fn known_size(&self, task: TaskId) -> Option<u64> {
        let scanned = self.input_sizes.get(task.0 as usize).copied().filter(|size| *size != UNKNOWN);
        scanned.or_else(|| Some(self.tasks.detail(task)?.fingerprint?.size))
    }

    /// What is known of a task that has not run: an input's size as far as anybody has looked, its kind by its name.
    pub(super) fn known_features(&self, task: TaskId) -> Features {
        let input = self.known_size(task).map(Bytes);
        Features { input, kind: self.tasks.kind(task), ..Features::default() }
    }

    /// A task waits: new, found again, or come back.
    pub(super) fn foresee(&mut self, task: TaskId) {
        self.outlook.queued(&self.known_features(task));
    }

    /// A waiting task gets a slot; what is expected of it.
    pub(super) fn promise(&mut self, task: TaskId) -> Option<Promise> {
        self.outlook.admitted(&self.known_features(task))
    }

    /// The input was looked at on launch. Sizes that nobody knew say what others like them may be.
    pub(super) fn size_seen(&mut self, task: TaskId, size: u64) {
        if self.known_size(task).is_none() {
            self.outlook.model.surprised(size);
        }
    }

    /// Attempts that run: how long, without the time they stood still, and what was promised of them.
    pub(crate) fn under_way(&self, now: Timestamp) -> impl Iterator<Item = (f64, Option<Promise>)> + '_ {
        let runs = |attempt: &&Attempt| attempt.slot.is_some() && matches!(attempt.phase, Phase::Running);
        let ran = move |attempt: &Attempt| attempt.frozen.unwrap_or(now).since(attempt.since).as_secs_f64();
        self.live.values().filter(runs).map(move |attempt| (ran(attempt), attempt.promise))
    }

    /// A reading: expectations are renewed, and said for the first time once they mean something.
    pub(super) fn look_ahead(&mut self, system: &SystemSample, now: Timestamp) {
        if let Some((what, keep)) = self.outlook.judge(system.own_peak) {
            self.relearn(what, keep, now);
        }
        let frozen = self.live.values().filter(|attempt| attempt.frozen.is_some()).count();
        let running: Vec<_> = self.under_way(now).collect();
        self.outlook.read(u32::try_from(frozen).unwrap_or(u32::MAX), running.iter().copied());
        if self.scan_report().is_none() {
            return;
        }
        if !self.outlook.has_spoken() {
            let elapsed = now.since(self.started_at);
            if let Some(eta) = self.outlook.eta(elapsed, running.iter().copied()) {
                self.outlook.say(elapsed, eta);
            }
        }
        if !self.space_told && self.completed_here >= OUTPUTS {
            self.check_space(system, &running);
        }
    }

    /// Says once, and early, that the outputs of what is left will not fit below the threshold.
    fn check_space(&mut self, system: &SystemSample, running: &[(f64, Option<Promise>)]) {
        let Some(needed) = self.outlook.output(running.iter().copied()) else { return };
        let threshold = self.policy.disk_threshold;
        let filled = system.disk_percent / 100.0;
        if filled >= 1.0 || system.disk_available.0 == 0 {
            return;
        }
        let all = system.disk_available.0 as f64 / (1.0 - filled);
        let room = Bytes((all * (threshold - filled)).max(0.0) as u64);
        if needed > room {
            self.space_told = true;
            self.commands.push(Command::WarnSpace { needed, room });
        }
    }

    /// A task ended well.
    pub(super) fn learn_from(&mut self, attempt: &Attempt, usage: &Usage, now: Timestamp) {
        let features = self.known_features(attempt.task);
        let took = Took {
            seconds: usage.wall.saturating_sub(attempt.still).as_secs_f64(),
            cpu: usage.cpu().as_secs_f64(),
            io: (usage.read_bytes.0 + usage.write_bytes.0) as f64,
            peak: usage.peak_rss.0 as f64,
            output: attempt.output.map(|bytes| bytes as f64),
        };
        self.outlook.done(attempt.promise.as_ref(), took.seconds);
        self.outlook.completed(now, &features, attempt.promise.as_ref(), took);
    }

    /// What tasks reserve because they had too little memory, in this run or in an earlier one, is told to a new law.
    pub(super) fn keep_reservations(&mut self) {
        let Some(control) = &mut self.control else { return };
        for (task, reserved) in self.tasks.reserved() {
            control.reserve_at_least(Candidate { task, input: None, kind: None }, reserved.0 as f64);
        }
    }

    fn relearn(&mut self, what: Drifted, keep: usize, now: Timestamp) {
        if let Some(control) = &mut self.control {
            control.relearn(keep);
        }
        self.record(Fact::Relearned { what, at: now });
    }

    /// The task is final: nothing is reserved for it any more.
    pub(super) fn forget_reservation(&mut self, task: TaskId) {
        if let Some(control) = &mut self.control {
            control.forget(task);
        }
    }

    /// The attempt died for want of memory, or was evicted, after it had used so much: the next one reserves the next rung of
    /// the ladder, or what the law sets it to if that is more.
    pub(super) fn raise_reservation(
        &mut self,
        attempt: AttemptId,
        task: TaskId,
        used: Bytes,
        evicted: bool,
        now: Timestamp,
    ) {
        let candidate = self.candidate(task);
        let before = self.tasks.detail(task).and_then(|detail| detail.reserved);
        let Some(control) = &mut self.control else { return };
        let before = before.map_or(0.0, |bytes| bytes.0 as f64);
        // One that was evicted may have kept to what it reserved, while others took the memory.
        let outgrown = (used.0 as f64 * OUTGROWN).max(if evicted { 0.0 } else { before });
        if outgrown <= 0.0 {
            return;
        }
        let prediction = self.outlook.model.memory(&candidate.features());
        let reserved = match prediction.source {
            MemorySource::Guess | MemorySource::Request => Bytes((2.0 * outgrown) as u64),
            MemorySource::FewResults | MemorySource::Learned(_) => (0..64)
                .map(|rung| prediction.allocation(rung))
                .find(|rung| rung.0 as f64 > outgrown)
                .unwrap_or(Bytes((2.0 * outgrown) as u64)),
        };
        // More than the machine may give to all would keep it from ever being started beside anything.
        let most = control.allowed_memory().max(outgrown + 1.0);
        let reserved = control.reserve_at_least(candidate, (reserved.0 as f64).min(most));
        let reserved = Bytes(reserved as u64);
        if reserved.0 as f64 <= before {
            return;
        }
        self.record(Fact::ReservationRaised { attempt, task, used, reserved, evicted, at: now });
    }
}
