//! How an attempt goes on and ends: exit, validation, publication, failure, retry.

use super::attempt::{Phase, StopCause};
use super::retry::{Verdict, judge};
use super::{
    Command, ExitStatus, Fact, FailureReason, Fingerprint, OutputFault, OutputRecord, ProcessIdentity,
    Scheduler, SpawnFault, TerminationReason,
};
use crate::metrics::Usage;
use crate::{AttemptId, TaskId, Timestamp};

/// Completed tasks that are learned from between two samples, for what is unusual: where they come by the thousand, these say
/// it all.
const WATCHED: u32 = 20;

impl Scheduler {
    pub(super) fn attempt_started(
        &mut self,
        id: AttemptId,
        identity: ProcessIdentity,
        fingerprint: Fingerprint,
        now: Timestamp,
    ) {
        let Some(attempt) = self.live.get_mut(&id).filter(|a| matches!(a.phase, Phase::Launching)) else {
            return;
        };
        attempt.phase = Phase::Running;
        attempt.since = now;
        let task = attempt.task;
        self.size_seen(task, fingerprint.size);
        self.calibration.started(id, now);
        if let Some(control) = &mut self.control {
            control.began(now, id, fingerprint.size);
        }
        self.spawn_backoff = None;
        self.record(Fact::AttemptStarted { attempt: id, task, identity, fingerprint, at: now });
        self.set_timer(id);
    }

    pub(super) fn launch_failed(&mut self, id: AttemptId, reason: FailureReason, now: Timestamp) {
        if !self.live.get(&id).is_some_and(|attempt| matches!(attempt.phase, Phase::Launching)) {
            return;
        }
        self.release_slot(id);
        self.law_forgets(id, now);
        self.calibration.dropped(id);
        match reason {
            FailureReason::Spawn(fault @ SpawnFault::Config { .. }) => {
                let detail = fault.to_string();
                self.abandon(fault);
                self.terminate(id, TerminationReason::NotStarted { detail }, now);
            }
            FailureReason::Spawn(SpawnFault::Machine { detail }) => {
                self.machine_refused(now);
                self.terminate(id, TerminationReason::NotStarted { detail }, now);
            }
            reason => self.fail(id, reason, now),
        }
    }

    pub(super) fn attempt_exited(
        &mut self,
        id: AttemptId,
        status: ExitStatus,
        usage: Usage,
        oom: bool,
        leaked: bool,
        now: Timestamp,
    ) {
        let Some(attempt) = self.live.get_mut(&id).filter(|attempt| attempt.holds_process()) else { return };
        let learned = attempt.learned_from(usage, self.system.own_peak);
        attempt.usage = Some(learned);
        if let Some(from) = attempt.frozen.take() {
            attempt.still += now.since(from);
        }
        let (task, stop) = (attempt.task, attempt.stop.take());
        self.release_slot(id);
        self.law_hears_exit(id, stop.is_some(), status, oom, &learned, now);
        if oom && stop.is_none() {
            self.raise_reservation(id, task, usage.peak_rss, false, now);
        }
        self.record(Fact::AttemptExited { attempt: id, task, status, usage, at: now });
        let succeeded =
            stop.is_none() && status == ExitStatus::Code(0) && !(leaked && self.policy.leak_fails());
        match &stop {
            Some(stop) if matches!(stop.cause, StopCause::Terminate(_)) => self.calibration.dropped(id),
            _ => {
                if self.calibration.exited(id, &learned, succeeded) {
                    self.note_baseline();
                }
            }
        }
        match (stop.map(|stop| stop.cause), status) {
            (Some(StopCause::Terminate(reason)), _) => self.terminate(id, reason, now),
            (Some(StopCause::Timeout(limit)), _) => self.fail(id, FailureReason::Timeout { limit }, now),
            (Some(StopCause::Stuck(idle)), _) => self.fail(id, FailureReason::Stuck { idle }, now),
            (None, _) if oom => self.fail(id, FailureReason::OutOfMemory, now),
            (None, ExitStatus::Signal(signal)) => self.fail(id, FailureReason::Signal(signal), now),
            (None, ExitStatus::Code(0)) if leaked && self.policy.leak_fails() => {
                self.fail(id, FailureReason::Leak, now);
            }
            (None, ExitStatus::Code(0)) => self.exited_well(id, now),
            (None, ExitStatus::Code(code)) => self.fail(id, FailureReason::ExitCode(code), now),
        }
    }

    fn exited_well(&mut self, id: AttemptId, now: Timestamp) {
        if !self.policy.has_output {
            return self.complete(id, now);
        }
        let Some(attempt) = self.live.get_mut(&id) else { return };
        attempt.phase = Phase::Validating;
        self.unpublished += 1;
        let path = self.tasks.path(attempt.task);
        self.commands.push(Command::Validate { attempt: id, path });
    }

    pub(super) fn output_validated(
        &mut self,
        id: AttemptId,
        verdict: Result<Vec<OutputRecord>, OutputFault>,
        now: Timestamp,
    ) {
        let Some(attempt) = self.live.get_mut(&id).filter(|a| matches!(a.phase, Phase::Validating)) else {
            return;
        };
        let task = attempt.task;
        attempt.output = verdict.as_ref().ok().map(|outputs| outputs.iter().map(|one| one.size).sum());
        match verdict {
            Err(fault) => {
                self.unpublished -= 1;
                self.fail(id, FailureReason::InvalidOutput(fault), now);
            }
            Ok(outputs) if outputs.is_empty() => {
                self.unpublished -= 1;
                self.complete(id, now);
            }
            Ok(outputs) => {
                attempt.phase = Phase::Publishing;
                self.record(Fact::OutputAccepted { attempt: id, task, outputs: outputs.clone() });
                self.commands.push(Command::Publish { attempt: id, outputs });
            }
        }
    }

    pub(super) fn output_published(&mut self, id: AttemptId, now: Timestamp) {
        if self.is_publishing(id) {
            self.unpublished -= 1;
            self.complete(id, now);
        }
    }

    pub(super) fn publish_failed(&mut self, id: AttemptId, reason: FailureReason, now: Timestamp) {
        if !self.is_publishing(id) {
            return;
        }
        self.unpublished -= 1;
        if self.live.get(&id).is_some_and(|attempt| attempt.usage.is_none()) {
            // It ended in an earlier run, which died before its output was in place: nobody's fault.
            return self.terminate(id, TerminationReason::Lost, now);
        }
        self.fail(id, reason, now);
    }

    fn is_publishing(&self, id: AttemptId) -> bool {
        self.live.get(&id).is_some_and(|attempt| matches!(attempt.phase, Phase::Publishing))
    }

    fn complete(&mut self, id: AttemptId, now: Timestamp) {
        let Some(attempt) = self.live.remove(&id) else { return };
        if self.tasks.detail(attempt.task).is_some_and(|detail| detail.failures > 0) {
            self.flaky += 1;
        }
        if let Some(usage) = attempt.usage {
            let ran = usage.wall.saturating_sub(attempt.still);
            self.run_times.add(ran);
            self.learn_from(&attempt, &usage, now);
            if self.watched < WATCHED {
                self.watched += 1;
                let features = self.features(attempt.task);
                let peak = usage.peak_rss.0 as f64;
                self.watches.observe(&features, ran.as_secs_f64(), peak, attempt.pause);
            }
        }
        self.completed_here += 1;
        self.record(Fact::TaskCompleted { task: attempt.task, attempt: id, at: now });
        self.commands.push(Command::Discard { attempt: id });
        self.check_halt(now);
    }

    /// The attempt ends without fault; its task waits again and comes next.
    pub(super) fn terminate(&mut self, id: AttemptId, reason: TerminationReason, now: Timestamp) {
        let Some(attempt) = self.live.remove(&id) else { return };
        self.drop_timer(&attempt, id);
        self.terminated_here += 1;
        self.record(Fact::AttemptTerminated { attempt: id, task: attempt.task, reason, at: now });
        self.requeue(attempt.task, None);
        self.commands.push(Command::Discard { attempt: id });
    }

    /// A task waits again. It counts as found: one whose publication was taken up from an earlier run may come here
    /// before the scan has come to its input, and must not be queued twice; if its input is gone, its launch will tell.
    fn requeue(&mut self, task: TaskId, until: Option<Timestamp>) {
        self.tasks.see(task);
        self.foresee(task);
        match until {
            Some(at) => self.queue.delay(task, at),
            None => self.queue.put_back(task),
        }
    }

    /// The attempt failed by its own fault; the retry policy decides about its task.
    fn fail(&mut self, id: AttemptId, reason: FailureReason, now: Timestamp) {
        let Some(attempt) = self.live.remove(&id) else { return };
        self.drop_timer(&attempt, id);
        let task = attempt.task;
        let failures = self.tasks.detail(task).map_or(0, |detail| detail.failures) + 1;
        match judge(&self.policy.retry, &reason, failures, id) {
            Verdict::Again(delay) => {
                let retry_at = now + delay;
                self.retried_here += 1;
                self.record(Fact::AttemptFailed { attempt: id, task, reason, retry_at });
                self.requeue(task, Some(retry_at));
            }
            Verdict::GiveUp => {
                self.failed_here += 1;
                let ran = attempt.usage.map_or(0.0, |usage| usage.wall.as_secs_f64());
                self.outlook.done(attempt.promise.as_ref(), ran);
                self.forget_reservation(task);
                self.record(Fact::TaskFailed { task, attempt: id, reason, at: now });
            }
        }
        self.commands.push(Command::Discard { attempt: id });
        self.check_halt(now);
    }

    fn drop_timer(&mut self, attempt: &super::attempt::Attempt, id: AttemptId) {
        if let Some(at) = attempt.timer {
            self.timers.remove(&(at, id));
        }
    }

    /// The attempt's process is gone (or never came): its slot is free.
    fn release_slot(&mut self, id: AttemptId) {
        let Some(attempt) = self.live.get_mut(&id) else { return };
        if let Some(at) = attempt.timer.take() {
            self.timers.remove(&(at, id));
        }
        if let Some(slot) = attempt.slot.take() {
            self.slots.give_back(slot);
            self.placer.release(id);
            self.holding -= 1;
        }
    }
}
