//! What must hold after every step.

use std::time::Duration;

use orchestrator_core::scheduler::{Counts, Event, Scheduler, TaskState};
use orchestrator_core::{TaskId, Timestamp};

use super::rules::absolute;
use super::shadow::Phase;
use super::{Ceiling, Check, Mode, Oracle, Surroundings, ensure};

impl Oracle {
    pub(super) fn check_after(&mut self, at: Surroundings, event: &Event, scheduler: &Scheduler) -> Check {
        self.check_replay(scheduler)?;
        self.check_counts(at.now, scheduler)?;
        self.check_limits(at.now, event)?;
        self.check_wake(at)?;
        self.check_work_conserved(at.now, scheduler)?;
        if !self.waits(at.now)
            && let Some(refusal) = &mut self.refused
        {
            refusal.over = true;
        }
        self.check_end()
    }

    /// Replay = live: the fold of the facts is what the scheduler holds.
    fn check_replay(&self, scheduler: &Scheduler) -> Check {
        let mut rows = self.ledger.rows.iter();
        for live in scheduler.recorded() {
            let Some((task, row)) = rows.next() else { return Err(format!("{live:?} is in no record")) };
            let replayed = row.stored(*task);
            let same = if row.state == TaskState::Completed {
                (live.task, &live.path, live.state) == (*task, &row.path, row.state)
            } else {
                live == replayed
            };
            ensure!(same, "live {live:?} is not what a replay gives: {replayed:?}");
        }
        let rest = rows.next();
        ensure!(rest.is_none(), "{rest:?} is recorded and not live");
        Ok(())
    }

    fn check_counts(&self, now: Timestamp, scheduler: &Scheduler) -> Check {
        let mut counts = Counts { pending: self.fresh.len() as u64, ..Counts::default() };
        for row in self.ledger.rows.values() {
            match row.state {
                TaskState::Pending | TaskState::Terminated => counts.pending += 1,
                TaskState::Calibrating => counts.calibrating += 1,
                TaskState::Running => counts.running += 1,
                TaskState::Completed => counts.completed += 1,
                TaskState::Failed => counts.failed += 1,
            }
        }
        ensure!(scheduler.counts() == counts, "counts {:?} should be {counts:?}", scheduler.counts());
        let holding = self.holding();
        ensure!(scheduler.holding() == holding, "{} hold a slot, should be {holding}", scheduler.holding());
        if self.steps.is_multiple_of(8) {
            let shown = scheduler.snapshot(now);
            ensure!(shown.running == holding && shown.counts == counts, "the snapshot shows other numbers");
            let (completed, failed) = (shown.completed, shown.failed);
            ensure!(
                completed == self.completed && failed == self.failed,
                "shown: {completed} done, {failed} failed"
            );
        }
        Ok(())
    }

    /// Nothing runs above its limits, and every stop is escalated in time.
    fn check_limits(&self, now: Timestamp, event: &Event) -> Check {
        // Limits that follow the median are looked at with every sample.
        let looked = matches!(event, Event::Sampled { .. } | Event::PolicyChanged(_));
        let stops = matches!(self.mode, Mode::Stopping(_));
        let checked = self.live.iter().find(|(_, shadow)| shadow.phase == Phase::Validating);
        if let Some((id, _)) = checked.filter(|_| stops) {
            return Err(format!("the check of attempt {id} goes on although the run stops"));
        }
        for (id, shadow) in self.live.iter().filter(|(_, shadow)| shadow.holds_process()) {
            if let Some(stop) = &shadow.stop {
                ensure!(stop.killed || now < stop.kill_at, "attempt {id} should have been killed by now");
                continue;
            }
            ensure!(!stops, "attempt {id} goes on although the run stops");
            if !shadow.runs_unstopped() {
                continue;
            }
            let over = absolute(self.policy.timeouts.attempt, shadow.since).is_some_and(|limit| limit <= now)
                || looked && self.walls.is_due(self.policy.timeouts.attempt, shadow.since, now);
            ensure!(!over, "attempt {id} runs above its limit");
            let slow =
                absolute(self.policy.timeouts.slow_after, shadow.since).is_some_and(|limit| limit <= now);
            ensure!(!slow || shadow.warned, "nobody was told that attempt {id} is slow");
        }
        Ok(())
    }

    /// The scheduler will be woken for everything that is going to be due.
    fn check_wake(&self, at: Surroundings) -> Check {
        let working = self.mode == Mode::Working && !self.finished;
        let of_attempts = self.live.values().filter(|shadow| shadow.holds_process()).flat_map(|shadow| {
            let kill = shadow.stop.as_ref().filter(|stop| !stop.killed).map(|stop| stop.kill_at);
            let runs = shadow.runs_unstopped();
            let timeout = absolute(self.policy.timeouts.attempt, shadow.since).filter(|_| runs);
            let slow =
                absolute(self.policy.timeouts.slow_after, shadow.since).filter(|_| runs && !shadow.warned);
            [kill, timeout, slow]
        });
        let retries =
            self.queued().filter_map(|(_, retry_at)| retry_at).filter(|due| *due > at.now && working);
        let drain = match self.mode {
            Mode::Draining(deadline) => deadline,
            Mode::Working | Mode::Stopping(_) => None,
        };
        let waits = self.waits(at.now);
        let refused = self
            .refused
            .filter(|refusal| working && waits && !refusal.over)
            .map(|_| at.now + Duration::from_secs(5));
        let lifted = self.ceiling.filter(|_| working && waits).map(|ceiling| ceiling.lifted + Ceiling::LIFT);
        let due = of_attempts.flatten().chain(retries).chain(drain).chain(refused).chain(lifted).min();
        let Some(due) = due else { return Ok(()) };
        let woken = at.wish.is_some_and(|wish| wish <= due);
        ensure!(woken, "nothing wakes the scheduler for {due:?} (now {:?}, wish {:?})", at.now, at.wish);
        Ok(())
    }

    /// Whether a task waits that could start now.
    fn waits(&self, now: Timestamp) -> bool {
        self.queued().any(|(_, retry_at)| retry_at.is_none_or(|due| due <= now))
    }

    /// Tasks that wait and may be admitted, each with its moment.
    fn queued(&self) -> impl Iterator<Item = (TaskId, Option<Timestamp>)> + '_ {
        let known = |task: &TaskId| self.seen.contains(task) || self.touched.contains(task);
        let waiting =
            self.ledger.rows.iter().filter(move |(task, row)| row.state == TaskState::Pending && known(task));
        let recorded = waiting.map(|(task, _)| (*task, self.due(*task)));
        recorded.chain(self.fresh.keys().map(|task| (*task, None)))
    }

    /// While there is room, nothing waits that could run; room is at least what the user's minimum says.
    fn check_work_conserved(&mut self, now: Timestamp, scheduler: &Scheduler) -> Check {
        let capacity = scheduler.capacity();
        let target = capacity.target;
        let (holding, upper) = (self.holding(), self.capacity.upper());
        let lower = self.capacity.lower(self.law_decides());
        let lower = self.ceiling.map_or(lower, |ceiling| lower.min(ceiling.limit));
        let measuring = self.measures_alone();
        if self.refused.is_none() && !measuring {
            ensure!((lower..=upper).contains(&target), "{capacity} is not within {lower} to {upper}");
        }
        let room = holding < target && self.unpublished() < self.policy.max_unpublished;
        if self.mode != Mode::Working || self.finished || self.refused.is_some() || !room {
            return Ok(());
        }
        let waits = self.queued().find(|(_, retry_at)| retry_at.is_none_or(|due| due <= now));
        ensure!(waits.is_none(), "{waits:?} waits although {holding} of {capacity} hold a slot");
        let free = measuring && self.calibration.measuring.is_empty();
        ensure!(!measuring || target == holding + u32::from(free), "{capacity} while measuring");
        Ok(())
    }

    /// The end is told when, and only when, nothing is left to do.
    fn check_end(&mut self) -> Check {
        let waits = self.queued().next();
        let done = self.scan_over && waits.is_none();
        let over = self.live.is_empty() && (self.mode != Mode::Working || done);
        ensure!(
            over || !self.finished,
            "the end was told while {waits:?} waits and {:?} live",
            self.live.keys()
        );
        ensure!(!over || self.finished, "nothing is left to do, but the end was not told");
        Ok(())
    }
}
