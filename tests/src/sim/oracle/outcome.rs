//! What an event must lead to: the facts expected of it, no more and no fewer.

use orchestrator_core::config::model::{HaltWhen, ResumeKey};
use orchestrator_core::placement::CpuSet;
use orchestrator_core::scheduler::{
    Event, ExitStatus, Fact, FailureReason, Fingerprint, OutputRecord, ProcessIdentity, Scheduler,
    SpawnFault, TerminationReason,
};
use orchestrator_core::{AttemptId, TaskId, Timestamp};

use super::rules::{retry_band, struck};
use super::shadow::{Cause, Phase, Shadow};
use super::{Ceiling, Check, Mode, Oracle, Refusal, ensure};

/// A fact that must be among those of the step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expect {
    Started(AttemptId, ProcessIdentity, Fingerprint),
    Exited(AttemptId, ExitStatus),
    Accepted(AttemptId, Vec<OutputRecord>),
    Completed(AttemptId),
    Failed(AttemptId, FailureReason),
    /// It was being stopped, for one of these causes.
    Stopped(AttemptId, Vec<Cause>),
    NotStarted(AttemptId),
    Lost(AttemptId),
    Reset(TaskId),
}

impl Expect {
    fn is(&self, fact: &Fact) -> bool {
        match (self, fact) {
            (
                Self::Started(id, process, print),
                Fact::AttemptStarted { attempt, identity, fingerprint, .. },
            ) => id == attempt && process == identity && print == fingerprint,
            (Self::Exited(id, end), Fact::AttemptExited { attempt, status, .. }) => {
                id == attempt && end == status
            }
            (Self::Accepted(id, files), Fact::OutputAccepted { attempt, outputs, .. }) => {
                id == attempt && files == outputs
            }
            (Self::Completed(id), Fact::TaskCompleted { attempt, .. }) => id == attempt,
            (
                Self::Failed(id, why),
                Fact::AttemptFailed { attempt, reason, .. } | Fact::TaskFailed { attempt, reason, .. },
            ) => id == attempt && why == reason,
            (
                Self::Stopped(id, causes),
                Fact::AttemptFailed { attempt, reason: FailureReason::Timeout { .. }, .. }
                | Fact::TaskFailed { attempt, reason: FailureReason::Timeout { .. }, .. },
            ) => id == attempt && causes.contains(&Cause::Timeout),
            (
                Self::Stopped(id, causes),
                Fact::AttemptFailed { attempt, reason: FailureReason::Stuck { .. }, .. }
                | Fact::TaskFailed { attempt, reason: FailureReason::Stuck { .. }, .. },
            ) => id == attempt && causes.contains(&Cause::Stuck),
            (Self::Stopped(id, causes), Fact::AttemptTerminated { attempt, reason, .. }) => {
                id == attempt && causes.iter().any(|cause| cause.is(reason))
            }
            (Self::NotStarted(id), Fact::AttemptTerminated { attempt, reason, .. }) => {
                id == attempt && matches!(reason, TerminationReason::NotStarted { .. })
            }
            (Self::Lost(id), Fact::AttemptTerminated { attempt, reason, .. }) => {
                id == attempt && *reason == TerminationReason::Lost
            }
            (Self::Reset(id), Fact::TaskReset { task, .. }) => id == task,
            _ => false,
        }
    }
}

impl Oracle {
    /// The facts that this event must lead to.
    pub(super) fn expect(
        &mut self,
        now: Timestamp,
        event: &Event,
        scheduler: &Scheduler,
    ) -> Result<Vec<Expect>, String> {
        let phase = |attempt: &AttemptId| self.live.get(attempt).map(|shadow| shadow.phase);
        Ok(match event {
            Event::RunStarted => self.expect_start(),
            Event::InputsDiscovered(found) => {
                let mut expected = Vec::new();
                for one in found {
                    expected.extend(self.discover(now, one, scheduler)?);
                }
                expected
            }
            Event::AttemptStarted { attempt, identity, fingerprint }
                if phase(attempt) == Some(Phase::Launching) =>
            {
                vec![Expect::Started(*attempt, *identity, *fingerprint)]
            }
            Event::LaunchFailed { attempt, reason } if phase(attempt) == Some(Phase::Launching) => {
                vec![match reason {
                    FailureReason::Spawn(SpawnFault::Config { .. } | SpawnFault::Machine { .. }) => {
                        Expect::NotStarted(*attempt)
                    }
                    reason => Expect::Failed(*attempt, reason.clone()),
                }]
            }
            Event::AttemptExited { attempt, status, oom, leaked, .. } => match self.live.get(attempt) {
                Some(shadow) if shadow.holds_process() => {
                    let mut expected = vec![Expect::Exited(*attempt, *status)];
                    expected.extend(self.expect_exit(*attempt, shadow, *status, *oom, *leaked));
                    expected
                }
                _ => vec![],
            },
            Event::OutputValidated { attempt, verdict } if phase(attempt) == Some(Phase::Validating) => {
                vec![match verdict {
                    Err(fault) => Expect::Failed(*attempt, FailureReason::InvalidOutput(fault.clone())),
                    Ok(outputs) if outputs.is_empty() => Expect::Completed(*attempt),
                    Ok(outputs) => Expect::Accepted(*attempt, outputs.clone()),
                }]
            }
            Event::OutputPublished { attempt } if phase(attempt) == Some(Phase::Publishing) => {
                vec![Expect::Completed(*attempt)]
            }
            Event::PublishFailed { attempt, reason } if phase(attempt) == Some(Phase::Publishing) => {
                // Who ended in an earlier run, which died before the output was in place, is not at fault.
                let here = self.live.get(attempt).is_some_and(|shadow| shadow.wall.is_some());
                vec![if here { Expect::Failed(*attempt, reason.clone()) } else { Expect::Lost(*attempt) }]
            }
            _ => vec![],
        })
    }

    /// What follows an exit.
    fn expect_exit(
        &self,
        id: AttemptId,
        shadow: &Shadow,
        status: ExitStatus,
        oom: bool,
        leaked: bool,
    ) -> Option<Expect> {
        if let Some(stop) = &shadow.stop {
            return Some(Expect::Stopped(id, stop.causes.clone()));
        }
        let reason = match status {
            _ if oom => FailureReason::OutOfMemory,
            ExitStatus::Signal(signal) => FailureReason::Signal(signal),
            ExitStatus::Code(0) if leaked && self.policy.leak_fails() => FailureReason::Leak,
            ExitStatus::Code(0) if self.policy.has_output => return None,
            ExitStatus::Code(0) => return Some(Expect::Completed(id)),
            ExitStatus::Code(code) => FailureReason::ExitCode(code),
        };
        Some(Expect::Failed(id, reason))
    }

    /// What is left of earlier runs is settled.
    fn expect_start(&mut self) -> Vec<Expect> {
        let mut expected = Vec::new();
        for (task, row) in &self.ledger.rows {
            let Some(open) = &row.open else { continue };
            if open.accepted.is_none() {
                expected.push(Expect::Lost(open.attempt));
                continue;
            }
            let shadow = Shadow {
                task: *task,
                slot: None,
                cpus: CpuSet::default(),
                phase: Phase::Publishing,
                since: Timestamp(0),
                began: Timestamp(0),
                frozen: None,
                still: std::time::Duration::ZERO,
                stop: None,
                warned: false,
                progress: None,
                wall: None,
            };
            self.live.insert(open.attempt, shadow);
        }
        expected
    }

    /// A retry of an earlier run waits no longer than the longest back-off, should the wall clock have been set back.
    fn hurry(&mut self, task: TaskId, now: Timestamp) {
        let retry = &self.policy.retry;
        let longest = now + retry.max_delay.get().mul_f64(1.0 + retry.jitter);
        let stored = self.ledger.rows.get(&task).and_then(|row| row.retry_at);
        if stored.is_some_and(|at| at > longest) {
            self.hurried.insert(task, longest);
            self.tally.count("retry of an earlier run hurried");
        }
    }

    /// A file was found.
    fn discover(
        &mut self,
        now: Timestamp,
        found: &orchestrator_core::scheduler::Discovered,
        scheduler: &Scheduler,
    ) -> Result<Option<Expect>, String> {
        let path = &found.path;
        let Some(task) = scheduler.find(path.as_bytes()) else {
            return Err(format!("{path} was found and forgotten"));
        };
        let known = self.ledger.rows.iter().find(|(_, row)| row.path == *path).map(|(task, _)| *task);
        let Some(known) = known else {
            let named = self.ledger.rows.get(&task).map(|row| &row.path).or(self.fresh.get(&task));
            ensure!(named.is_none_or(|named| named == path), "{path} got the id of {named:?}");
            self.fresh.insert(task, path.clone());
            self.seen.insert(task);
            return Ok(None);
        };
        ensure!(known == task, "{path} is task {known}, not {task}");
        let first = self.seen.insert(task);
        if first && !self.touched.contains(&task) {
            self.hurry(task, now);
        }
        let Some(row) = self.ledger.rows.get(&task).filter(|row| first && row.is_final()) else {
            return Ok(None);
        };
        let failed = row.completed_by.is_none();
        let changed = match (found.fingerprint, row.fingerprint, self.policy.resume_key) {
            (Some(new), Some(old), ResumeKey::Metadata | ResumeKey::Content) => new != old,
            (Some(_), None, _) => failed,
            _ => false,
        };
        let asked = self.stale.contains(&task) || failed && self.retry_failed;
        let reset = (asked || changed) && self.finals.contains(&task);
        if reset {
            self.tally.count("changed input is new work");
        }
        Ok(reset.then_some(Expect::Reset(task)))
    }

    /// Holds the facts against what was expected. Returns the attempts that ended.
    pub(super) fn check_outcome(
        &mut self,
        now: Timestamp,
        event: &Event,
        mut expected: Vec<Expect>,
        facts: &[Fact],
    ) -> Result<Vec<AttemptId>, String> {
        let was_open = self.calibration.is_open();
        let mut announced = 0;
        let mut ended = Vec::new();
        self.note_exit(event, facts);
        for fact in facts {
            match fact {
                Fact::Calibrated { .. } => announced += 1,
                Fact::ReservationRaised { .. } | Fact::Relearned { .. } => {}
                Fact::AttemptCalibrated { attempt, .. } => self.check_calibrated(now, event, *attempt)?,
                Fact::AttemptFrozen { attempt, .. } => self.check_frozen(now, event, *attempt)?,
                Fact::AttemptThawed { attempt, .. } => self.check_thawed(now, *attempt)?,
                fact => {
                    match expected.iter().position(|expect| expect.is(fact)) {
                        Some(at) => {
                            expected.remove(at);
                        }
                        None if self.is_given_up(fact) => {}
                        None => return Err(format!("unexpected {fact:?}; expected were {expected:?}")),
                    }
                    ended.extend(self.follow(now, event, fact)?);
                }
            }
            self.ledger.apply(fact)?;
            self.check_halt(fact);
        }
        ensure!(expected.is_empty(), "missing facts: {expected:?}");
        let concluded = was_open && !self.calibration.is_open() && self.calibration.samples > 0;
        ensure!(
            announced == usize::from(concluded),
            "{announced} baselines recorded; concluded: {concluded}"
        );
        Ok(ended)
    }

    /// Whether an attempt whose output is being checked ends by this, since nobody waits for the check. Whether the run
    /// stops so is seen once all facts are known.
    fn is_given_up(&mut self, fact: &Fact) -> bool {
        let Fact::AttemptTerminated { attempt, reason, .. } = fact else { return false };
        let checked = self.live.get(attempt).is_some_and(|shadow| shadow.phase == Phase::Validating);
        if checked {
            self.given_up.push((*attempt, reason.clone()));
        }
        checked
    }

    /// Calibration learns from an exit, unless the attempt was stopped without fault.
    fn note_exit(&mut self, event: &Event, facts: &[Fact]) {
        match event {
            Event::AttemptExited { attempt, status, oom: _, leaked, .. } => {
                let Some(shadow) = self.live.get(attempt).filter(|shadow| shadow.holds_process()) else {
                    return;
                };
                let well = *status == ExitStatus::Code(0) && !(*leaked && self.policy.leak_fails());
                let counts = shadow.stop.is_none() && well;
                let is_its_end = |fact: &Fact| matches!(fact, Fact::AttemptTerminated { attempt: other, .. } if other == attempt);
                if facts.iter().any(is_its_end) {
                    self.calibration.dropped(*attempt);
                } else {
                    self.calibration.tried(*attempt, counts);
                }
            }
            Event::LaunchFailed { attempt, .. } => {
                let launching = |shadow: &&Shadow| shadow.phase == Phase::Launching;
                if self.live.get(attempt).filter(launching).is_some() {
                    self.calibration.dropped(*attempt);
                }
            }
            _ => {}
        }
    }

    fn check_calibrated(&mut self, now: Timestamp, event: &Event, attempt: AttemptId) -> Check {
        ensure!(matches!(event, Event::Sampled { .. }), "attempt {attempt} was calibrated without a sample");
        ensure!(self.calibration.measuring.contains(&attempt), "attempt {attempt} was not being measured");
        let plan = self.calibration.plan;
        let ran = self.live.get(&attempt).map_or_else(Default::default, |shadow| now.since(shadow.began));
        ensure!(ran >= plan.warmup + plan.duration, "attempt {attempt} was measured for {ran:?} only");
        self.calibration.tried(attempt, true);
        self.tally.count("calibration window completed");
        Ok(())
    }

    /// Only the control law makes anything stand still, at a sample, and never the oldest.
    fn check_frozen(&mut self, now: Timestamp, event: &Event, attempt: AttemptId) -> Check {
        ensure!(matches!(event, Event::Sampled { .. }), "attempt {attempt} was frozen without a sample");
        let may = self.law_decides() && self.policy.law.is_some_and(|law| law.freeze);
        ensure!(may, "attempt {attempt} was frozen although nothing may be");
        let oldest = self.live.iter().find(|(_, shadow)| shadow.holds_process()).map(|(id, _)| *id);
        ensure!(oldest != Some(attempt), "attempt {attempt} was frozen, the oldest");
        let Some(shadow) = self.live.get_mut(&attempt) else {
            return Err(format!("attempt {attempt} was frozen, which is not live"));
        };
        ensure!(shadow.runs_unstopped(), "attempt {attempt} was frozen, which does not simply run");
        shadow.frozen = Some(now);
        self.tally.count("attempt frozen");
        Ok(())
    }

    /// What stood still counts against no limit.
    fn check_thawed(&mut self, now: Timestamp, attempt: AttemptId) -> Check {
        let Some(shadow) = self.live.get_mut(&attempt) else {
            return Err(format!("attempt {attempt} was thawed, which is not live"));
        };
        let Some(from) = shadow.frozen.take() else {
            return Err(format!("attempt {attempt} was thawed, but it was not frozen"));
        };
        shadow.still += now.since(from);
        shadow.since = shadow.since + now.since(from);
        shadow.progress = None;
        self.tally.count("attempt thawed");
        Ok(())
    }

    /// Follows an expected fact. Returns the attempt when it ended by it.
    fn follow(&mut self, now: Timestamp, event: &Event, fact: &Fact) -> Result<Option<AttemptId>, String> {
        match fact {
            Fact::AttemptStarted { attempt, .. } => {
                self.refused = None;
                if let Some(shadow) = self.live.get_mut(attempt) {
                    shadow.phase = Phase::Running;
                    shadow.since = now;
                    shadow.began = now;
                    if shadow.stop.is_some() {
                        self.tally.count("start heard while being stopped");
                    }
                }
            }
            Fact::AttemptExited { attempt, usage, .. } => {
                if let Some(shadow) = self.live.get_mut(attempt) {
                    shadow.slot = None;
                    shadow.phase = Phase::Validating;
                    let still = shadow.frozen.take().map_or_else(Default::default, |from| now.since(from));
                    shadow.still += still;
                    shadow.wall = Some(usage.wall.saturating_sub(shadow.still));
                }
            }
            Fact::OutputAccepted { attempt, .. } => {
                if let Some(shadow) = self.live.get_mut(attempt) {
                    shadow.phase = Phase::Publishing;
                }
            }
            Fact::TaskCompleted { attempt, task, .. } => {
                self.completed += 1;
                let row = self.ledger.rows.get(task);
                self.tally.count(match row.is_some_and(|row| row.failures > 0) {
                    true => "task completed after a failure",
                    false => "task completed",
                });
                if let Some(wall) = self.live.remove(attempt).and_then(|shadow| shadow.wall) {
                    self.walls.add(wall);
                }
                return Ok(Some(*attempt));
            }
            Fact::AttemptFailed { attempt, task, reason, retry_at } => {
                self.check_verdict(now, *task, reason, Some(*retry_at))?;
                self.end(*attempt, *task);
                self.tally.count("attempt failed, to be tried again");
                return Ok(Some(*attempt));
            }
            Fact::TaskFailed { attempt, task, reason, .. } => {
                self.failed += 1;
                self.check_verdict(now, *task, reason, None)?;
                self.end(*attempt, *task);
                self.tally.count("task failed for good");
                if matches!(reason, FailureReason::Timeout { .. }) {
                    self.tally.count("timeout was final");
                }
                return Ok(Some(*attempt));
            }
            Fact::AttemptTerminated { attempt, task, reason, .. } => {
                let event_fault = match event {
                    Event::LaunchFailed { reason: FailureReason::Spawn(fault), .. } => Some(fault),
                    _ => None,
                };
                match event_fault {
                    Some(SpawnFault::Config { .. }) if self.mode == Mode::Working => {
                        self.mode = Mode::Draining(None)
                    }
                    Some(SpawnFault::Machine { .. }) => {
                        let before = self.refused.filter(|refusal| !refusal.over);
                        let delay =
                            before.map_or(Refusal::FIRST, |old| (old.delay * 2).min(Refusal::LONGEST));
                        self.refused = Some(Refusal { last: now, delay, over: false });
                        let own = self.live.get(attempt).is_some_and(|shadow| shadow.slot.is_some());
                        let holding = self.holding() - u32::from(own);
                        self.ceiling = Some(Ceiling::after(self.ceiling, holding, now));
                    }
                    _ => {}
                }
                self.tally.count(match reason {
                    TerminationReason::Resources { .. } => "terminated: resources",
                    TerminationReason::Shutdown => "terminated: shutdown",
                    TerminationReason::Halted => "terminated: halted",
                    TerminationReason::Lost => "terminated: lost",
                    TerminationReason::NotStarted { .. } => "terminated: not started",
                });
                // Those lost with an earlier run wait for their input to be found.
                if self.live.contains_key(attempt) {
                    self.end(*attempt, *task);
                }
                return Ok(Some(*attempt));
            }
            Fact::TaskReset { .. } => self.tally.count("task reset"),
            _ => {}
        }
        Ok(None)
    }

    fn end(&mut self, attempt: AttemptId, task: TaskId) {
        self.live.remove(&attempt);
        self.touched.insert(task);
    }

    /// Retry or final failure, as the policy says; the retry neither too early nor too late.
    fn check_verdict(
        &self,
        now: Timestamp,
        task: TaskId,
        reason: &FailureReason,
        retry_at: Option<Timestamp>,
    ) -> Check {
        let failures = self.ledger.rows.get(&task).map_or(0, |row| row.failures) + 1;
        match (retry_band(&self.policy.retry, reason, failures), retry_at) {
            (None, None) => Ok(()),
            (Some((low, high)), Some(at)) => {
                let tolerance = std::time::Duration::from_micros(2);
                let inside = at + tolerance >= now + low && at <= now + high + tolerance;
                ensure!(
                    inside,
                    "task {task} is to be tried again at {at:?}, not {low:?} to {high:?} after {now:?}"
                );
                Ok(())
            }
            (None, Some(_)) => {
                Err(format!("task {task} is tried again after failure {failures} ({reason:?})"))
            }
            (Some(_), None) => Err(format!("task {task} is given up after failure {failures} ({reason:?})")),
        }
    }

    /// After a task's failure or completion the halt policy is looked at.
    fn check_halt(&mut self, fact: &Fact) {
        let looks =
            matches!(fact, Fact::TaskCompleted { .. } | Fact::TaskFailed { .. } | Fact::AttemptFailed { .. });
        let halt = &self.policy.halt;
        if looks && self.mode == Mode::Working && struck(halt, self.completed, self.failed, self.total()) {
            self.halted = true;
            self.tally.count("halt policy struck");
            self.mode = match halt.when {
                HaltWhen::Soon => Mode::Draining(None),
                HaltWhen::Now => Mode::Stopping(Cause::Halted),
            };
        }
    }
}
