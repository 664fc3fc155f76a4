//! Retry, halt and time limits: an independent reading of the policy.

use std::collections::VecDeque;
use std::time::Duration;

use orchestrator_core::Timestamp;
use orchestrator_core::config::model::{Backoff, Halt, Retry};
use orchestrator_core::config::values::{RetryCause, Threshold, TimeLimit};
use orchestrator_core::scheduler::{FailureReason, SpawnFault};

/// When a failed task is tried again: not before and not after; `None` = it has failed for good.
pub(super) fn retry_band(
    policy: &Retry,
    reason: &FailureReason,
    failures: u32,
) -> Option<(Duration, Duration)> {
    let listed = |causes: &[RetryCause]| {
        causes.iter().any(|cause| match cause {
            RetryCause::Kind(category) => reason.category() == *category,
            RetryCause::ExitCode(code) => {
                matches!(reason, FailureReason::ExitCode(found) if *found == i32::from(*code))
            }
            RetryCause::SignalNamed(signal) => {
                matches!(reason, FailureReason::Signal(found) if *found == signal.number())
            }
        })
    };
    let hopeless = matches!(
        reason,
        FailureReason::InputVanished
            | FailureReason::Spawn(SpawnFault::Input { .. } | SpawnFault::Config { .. })
    );
    if failures >= policy.max_attempts || hopeless || !listed(&policy.retry_on) || listed(&policy.never_on) {
        return None;
    }
    let delay = policy.delay.as_secs_f64();
    let grown = match policy.backoff {
        Backoff::Constant => delay,
        Backoff::Linear => delay * f64::from(failures),
        Backoff::Exponential => (1..failures).fold(delay, |delay, _| delay * 2.0),
    };
    let base = grown.min(policy.max_delay.as_secs_f64());
    let seconds = |factor: f64| Duration::from_secs_f64((base * factor).max(0.0));
    Some((seconds(1.0 - policy.jitter), seconds(1.0 + policy.jitter)))
}

/// Whether the halt policy strikes.
pub(super) fn struck(halt: &Halt, completed: u64, failed: u64, all: u64) -> bool {
    let done = completed + failed;
    let reached = |threshold, counted: u64, base: u64| match threshold {
        None => false,
        Some(Threshold::Count(limit)) => counted >= limit,
        Some(Threshold::Share(percent)) => {
            done >= 3 && counted > 0 && counted as f64 * 100.0 >= percent * base as f64
        }
    };
    reached(halt.fail, failed, done)
        || reached(halt.success, completed, done)
        || reached(halt.done, done, all)
}

/// Run times of the attempts that succeeded while this scheduler lived.
#[derive(Clone, Debug, Default)]
pub(super) struct Walls(VecDeque<Duration>);

impl Walls {
    pub(super) fn add(&mut self, wall: Duration) {
        self.0.push_back(wall);
        if self.0.len() > 101 {
            self.0.pop_front();
        }
    }

    /// The limit as it stands; relative ones from the fifth success on.
    pub(super) fn resolve(&self, limit: Option<TimeLimit>) -> Option<Duration> {
        match limit? {
            TimeLimit::Absolute(limit) => Some(limit.get()),
            TimeLimit::OfMedian(percent) => {
                let mut sorted: Vec<_> = self.0.iter().map(Duration::as_secs_f64).collect();
                sorted.sort_by(f64::total_cmp);
                let median = (sorted.len() >= 5).then(|| sorted[sorted.len() / 2])?;
                Some(Duration::from_secs_f64(median).mul_f64(percent / 100.0))
            }
        }
    }

    /// Whether something that has run since `since` has reached the limit.
    pub(super) fn is_due(&self, limit: Option<TimeLimit>, since: Timestamp, now: Timestamp) -> bool {
        self.resolve(limit).is_some_and(|limit| now.since(since) >= limit)
    }
}

/// The moment at which an absolute limit is reached.
pub(super) fn absolute(limit: Option<TimeLimit>, since: Timestamp) -> Option<Timestamp> {
    match limit? {
        TimeLimit::Absolute(limit) => Some(since + limit.get()),
        TimeLimit::OfMedian(_) => None,
    }
}
