//! Which failures are tried again, how often and when.

use std::time::Duration;

use super::{FailureCategory, FailureReason, SpawnFault};
use crate::AttemptId;

/// How the delay grows with the number of failures.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backoff {
    /// `delay · 2^(failures − 1)`.
    Exponential,
    /// `delay`.
    Constant,
    /// `delay · failures`.
    Linear,
}

/// One entry of `retry_on` or `never_on`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RetryRule {
    /// Failures of this category.
    Category(FailureCategory),
    /// This exit code.
    ExitCode(i32),
    /// This signal.
    Signal(i32),
}

impl RetryRule {
    fn matches(self, reason: &FailureReason) -> bool {
        match self {
            Self::Category(category) => reason.category() == category,
            Self::ExitCode(code) => *reason == FailureReason::ExitCode(code),
            Self::Signal(signal) => *reason == FailureReason::Signal(signal),
        }
    }
}

/// Which failures are tried again, how often and when.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included; at least 1.
    pub max_attempts: u32,
    /// How the delay grows.
    pub backoff: Backoff,
    /// The first delay.
    pub delay: Duration,
    /// The longest delay.
    pub max_delay: Duration,
    /// Share of the delay that is spread out, 0–1: the delay is multiplied by a factor in `[1 − jitter, 1 + jitter]`
    /// drawn from the attempt's id, so that many failures do not return at the same moment.
    pub jitter: f64,
    /// Only these are tried again; empty = every failure that another try could mend.
    pub retry_on: Vec<RetryRule>,
    /// These never are.
    pub never_on: Vec<RetryRule>,
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// Try again after this delay.
    Again(Duration),
    /// Final.
    GiveUp,
}

impl RetryPolicy {
    /// Decides about the `failures`-th failure of a task (counted from 1).
    pub(super) fn judge(&self, reason: &FailureReason, failures: u32, attempt: AttemptId) -> Verdict {
        let listed = |rules: &[RetryRule]| rules.iter().any(|rule| rule.matches(reason));
        let wanted = if self.retry_on.is_empty() { mendable(reason) } else { listed(&self.retry_on) };
        if failures >= self.max_attempts.max(1) || !wanted || listed(&self.never_on) {
            return Verdict::GiveUp;
        }
        Verdict::Again(self.delay_after(failures, attempt))
    }

    /// The delay after the `failures`-th failure. Monotone in `failures` up to `max_delay` (before jitter).
    pub(super) fn delay_after(&self, failures: u32, attempt: AttemptId) -> Duration {
        let factor = match self.backoff {
            Backoff::Constant => 1.0,
            Backoff::Linear => f64::from(failures.max(1)),
            Backoff::Exponential => 2f64.powi(i32::try_from(failures.clamp(1, 63)).unwrap_or(63) - 1),
        };
        let base = (self.delay.as_secs_f64() * factor).min(self.max_delay.as_secs_f64());
        let spread = 1.0 + self.jitter.clamp(0.0, 1.0) * (2.0 * unit_from(attempt) - 1.0);
        Duration::from_secs_f64((base * spread).clamp(0.0, 1e9))
    }
}

/// Failures that another try could mend: all but a vanished input and a configuration that cannot work.
fn mendable(reason: &FailureReason) -> bool {
    !matches!(
        reason,
        FailureReason::InputVanished
            | FailureReason::Spawn(SpawnFault::Config { .. } | SpawnFault::Input { .. })
    )
}

/// A number in [0, 1) from an attempt's id (splitmix64 finaliser, Steele et al. 2014): jitter without randomness.
fn unit_from(attempt: AttemptId) -> f64 {
    let mut z = attempt.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(backoff: Backoff) -> RetryPolicy {
        RetryPolicy {
            max_attempts: 4,
            backoff,
            delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(5),
            jitter: 0.0,
            retry_on: vec![],
            never_on: vec![RetryRule::ExitCode(3)],
        }
    }

    #[test]
    fn delays_grow_as_told_and_stop_at_the_maximum() {
        let delays = |backoff| {
            [1, 2, 3, 4].map(|failures| policy(backoff).delay_after(failures, AttemptId(1)).as_secs())
        };
        assert_eq!(delays(Backoff::Exponential), [1, 2, 4, 5]);
        assert_eq!(delays(Backoff::Linear), [1, 2, 3, 4]);
        assert_eq!(delays(Backoff::Constant), [1, 1, 1, 1]);
    }

    #[test]
    fn jitter_stays_in_its_band_and_differs() {
        let policy = RetryPolicy { jitter: 0.5, ..policy(Backoff::Constant) };
        let delays: Vec<_> = (0..50).map(|id| policy.delay_after(1, AttemptId(id)).as_secs_f64()).collect();
        assert!(delays.iter().all(|delay| (0.5..1.5).contains(delay)));
        assert!(delays.iter().any(|delay| (delay - delays[0]).abs() > 0.1));
    }

    #[test]
    fn limits_and_lists_are_kept() {
        let policy = policy(Backoff::Constant);
        let again = Verdict::Again(Duration::from_secs(1));
        assert_eq!(policy.judge(&FailureReason::ExitCode(1), 3, AttemptId(1)), again);
        assert_eq!(policy.judge(&FailureReason::ExitCode(1), 4, AttemptId(1)), Verdict::GiveUp);
        assert_eq!(policy.judge(&FailureReason::ExitCode(3), 1, AttemptId(1)), Verdict::GiveUp);
        assert_eq!(policy.judge(&FailureReason::InputVanished, 1, AttemptId(1)), Verdict::GiveUp);
        let only_oom = RetryPolicy { retry_on: vec![RetryRule::Category(FailureCategory::Oom)], ..policy };
        assert_eq!(only_oom.judge(&FailureReason::ExitCode(1), 1, AttemptId(1)), Verdict::GiveUp);
        assert_eq!(only_oom.judge(&FailureReason::OutOfMemory, 1, AttemptId(1)), again);
    }
}
