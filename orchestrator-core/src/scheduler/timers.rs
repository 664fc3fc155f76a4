//! Deadlines of live attempts: at most one set timer each, so that a step costs O(log n) however many run.

use std::collections::BTreeSet;
use std::time::Duration;

use super::attempt::{Attempt, Phase, Stop, StopCause};
use super::{Command, Policy, Scheduler, StopHow};
use crate::config::units::HumanDuration;
use crate::config::values::TimeLimit;
use crate::metrics::ProcessSample;
use crate::predict::{Features, RunTimes};
use crate::{AttemptId, Bytes, TaskId, Timestamp};

/// Set timers by moment.
pub(super) type Timers = BTreeSet<(Timestamp, AttemptId)>;

/// A limit as a duration; `None` while it depends on a median that is not known yet. Rounded up to the microseconds
/// that timestamps count, so that a timer never comes due before its limit.
pub(super) fn resolve(limit: Option<TimeLimit>, run_times: &RunTimes) -> Option<Duration> {
    match limit? {
        TimeLimit::Absolute(limit) => Some(limit.get()),
        TimeLimit::OfMedian(percent) => {
            let limit = run_times.median()?.mul_f64(percent.clamp(0.0, 1e8) / 100.0);
            let micros = limit.as_nanos().div_ceil(1_000);
            Some(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)))
        }
    }
}

/// When the attempt needs a look.
fn next_look(attempt: &Attempt, policy: &Policy, run_times: &RunTimes) -> Option<Timestamp> {
    if let Some(stop) = &attempt.stop {
        return stop.kill_at;
    }
    if !matches!(attempt.phase, Phase::Running) || attempt.frozen.is_some() {
        return None;
    }
    let timeout = resolve(policy.timeouts.attempt, run_times);
    let slow = if attempt.warned_slow { None } else { resolve(policy.timeouts.slow_after, run_times) };
    [timeout, slow].into_iter().flatten().min().map(|limit| attempt.since + limit)
}

impl Scheduler {
    /// Sets the attempt's timer anew after something about it has changed.
    pub(super) fn set_timer(&mut self, id: AttemptId) {
        let Some(attempt) = self.live.get_mut(&id) else { return };
        let wanted = next_look(attempt, &self.policy, &self.run_times);
        if attempt.timer == wanted {
            return;
        }
        if let Some(old) = attempt.timer.take() {
            self.timers.remove(&(old, id));
        }
        if let Some(at) = wanted {
            attempt.timer = Some(at);
            self.timers.insert((at, id));
        }
    }

    /// Limits that are multiples of the median move with it: looked at once a sample.
    pub(super) fn refresh_relative_limits(&mut self) {
        let relative = |limit| matches!(limit, Some(TimeLimit::OfMedian(_)));
        if relative(self.policy.timeouts.attempt) || relative(self.policy.timeouts.slow_after) {
            self.reset_all_timers();
        }
    }

    /// Sets every timer anew (the policy has changed).
    pub(super) fn reset_all_timers(&mut self) {
        let ids: Vec<_> = self.live.keys().copied().collect();
        for id in ids {
            self.set_timer(id);
        }
    }

    /// Looks for signs of progress in a sample; an attempt without any for `timeouts.stuck` is stopped as stuck.
    /// Progress is CPU time, bytes of I/O or calls of I/O (context switches alone are a poller's, not progress).
    pub(super) fn watch_progress(&mut self, sample: &ProcessSample, now: Timestamp) {
        let limit = self.policy.timeouts.stuck.map(HumanDuration::get);
        let Some(attempt) = self.live.get_mut(&sample.attempt) else { return };
        attempt.held = attempt.held.max(Some(sample.rss));
        if attempt.frozen.is_some() {
            return;
        }
        let io = sample.read_bytes.0 + sample.write_bytes.0 + sample.read_ops + sample.write_ops;
        match attempt.progress {
            Some((cpu, seen, since)) if cpu == sample.cpu_time && seen == io => {
                let idle = now.since(since);
                attempt.pause = attempt.pause.max(idle);
                if limit.is_some_and(|limit| idle >= limit) {
                    self.stop_attempt(sample.attempt, StopCause::Stuck(idle), now);
                }
            }
            _ => attempt.progress = Some((sample.cpu_time, io, now)),
        }
        self.suspect(sample, now);
    }

    /// Says once of an attempt that it runs, grows or stands idle far beyond what is usual.
    fn suspect(&mut self, sample: &ProcessSample, now: Timestamp) {
        let Some(attempt) = self.live.get(&sample.attempt) else { return };
        let Some((_, _, since)) = attempt.progress else { return };
        if attempt.suspected || attempt.stop.is_some() || !matches!(attempt.phase, Phase::Running) {
            return;
        }
        let (features, running, idle) =
            (self.features(attempt.task), now.since(attempt.since), now.since(since));
        let Some(suspicion) = self.watches.suspect(&features, running, sample.rss.0, idle) else { return };
        if let Some(attempt) = self.live.get_mut(&sample.attempt) {
            attempt.suspected = true;
        }
        self.commands.push(Command::Suspect { attempt: sample.attempt, suspicion });
    }

    /// What is known of a task that runs or ran.
    pub(super) fn features(&self, task: TaskId) -> Features {
        let print = self.tasks.detail(task).and_then(|detail| detail.fingerprint);
        let kind = self.tasks.kind(task);
        Features { input: print.map(|print| Bytes(print.size)), kind, ..Features::default() }
    }

    /// Handles all timers that are due.
    pub(super) fn fire_timers(&mut self, now: Timestamp) {
        while let Some((at, id)) = self.timers.first().copied() {
            if at > now {
                return;
            }
            self.timers.pop_first();
            let Some(attempt) = self.live.get_mut(&id) else { continue };
            attempt.timer = None;
            if let Some(Stop { kill_at: kill_at @ Some(_), .. }) = &mut attempt.stop {
                *kill_at = None;
                self.commands.push(Command::Stop { attempt: id, how: StopHow::Kill });
                continue;
            }
            let running_for = now.since(attempt.since);
            if let Some(limit) =
                resolve(self.policy.timeouts.attempt, &self.run_times).filter(|limit| running_for >= *limit)
            {
                self.stop_attempt(id, StopCause::Timeout(limit), now);
            } else if !attempt.warned_slow
                && resolve(self.policy.timeouts.slow_after, &self.run_times)
                    .is_some_and(|limit| running_for >= limit)
            {
                attempt.warned_slow = true;
                self.commands.push(Command::WarnSlow { attempt: id, running_for });
            }
            self.set_timer(id);
        }
    }

    /// The next moment at which something is to be looked at. A retry that is due and waits for room alone needs no
    /// moment of its own, and must not stand before the others' moments.
    pub(super) fn next_wake(&self, now: Timestamp) -> Option<Timestamp> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let admits = self.mode.admits();
        let due = self.queue.next_due_after(now).filter(|_| admits);
        let spawn = self.spawn_backoff.map(|backoff| backoff.until).filter(|_| admits);
        let waits = || self.queue.peek(&self.tasks, now).is_some();
        let ceiling = self.spawn_ceiling.map(|ceiling| ceiling.raise_at).filter(|_| admits && waits());
        [timer, due, spawn, ceiling, self.mode.drain_deadline()].into_iter().flatten().min()
    }
}
