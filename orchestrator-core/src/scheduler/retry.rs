//! Which failures are tried again, how often and when.

use std::time::Duration;

use super::{FailureReason, SpawnFault};
use crate::AttemptId;
use crate::config::model::{Backoff, Retry};

/// What to do about a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// Try again after this delay.
    Again(Duration),
    /// Final.
    GiveUp,
}

/// Decides about the `failures`-th failure of a task (counted from 1).
pub(super) fn judge(policy: &Retry, reason: &FailureReason, failures: u32, attempt: AttemptId) -> Verdict {
    if failures >= policy.max_attempts.max(1) || !policy.covers(reason) || !mendable(reason) {
        return Verdict::GiveUp;
    }
    Verdict::Again(delay_after(policy, failures, attempt))
}

/// The delay after the `failures`-th failure: monotone in `failures` up to `max_delay`, then multiplied by a factor in
/// `[1 − jitter, 1 + jitter]` drawn from the attempt's id, so that many failures do not return at the same moment.
pub(super) fn delay_after(policy: &Retry, failures: u32, attempt: AttemptId) -> Duration {
    let factor = match policy.backoff {
        Backoff::Constant => 1.0,
        Backoff::Linear => f64::from(failures.max(1)),
        Backoff::Exponential => 2f64.powi(i32::try_from(failures.clamp(1, 63)).unwrap_or(63) - 1),
    };
    let base = (policy.delay.as_secs_f64() * factor).min(policy.max_delay.as_secs_f64());
    let spread = 1.0 + policy.jitter.clamp(0.0, 1.0) * (2.0 * unit_from(attempt) - 1.0);
    Duration::from_secs_f64((base * spread).clamp(0.0, 1e9))
}

/// Failures that another try could mend, whatever `retry_on` says: all but a vanished input and a configuration that
/// cannot work.
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
    use crate::config::units::HumanDuration;
    use crate::config::values::RetryCause;
    use crate::scheduler::FailureCategory;

    fn policy(backoff: Backoff) -> Retry {
        Retry {
            max_attempts: 4,
            backoff,
            delay: HumanDuration::from_secs(1),
            max_delay: HumanDuration::from_secs(5),
            jitter: 0.0,
            never_on: vec![RetryCause::ExitCode(3)],
            ..Retry::default()
        }
    }

    #[test]
    fn delays_grow_as_told_and_stop_at_the_maximum() {
        let delays = |backoff| {
            [1, 2, 3, 4].map(|failures| delay_after(&policy(backoff), failures, AttemptId(1)).as_secs())
        };
        assert_eq!(delays(Backoff::Exponential), [1, 2, 4, 5]);
        assert_eq!(delays(Backoff::Linear), [1, 2, 3, 4]);
        assert_eq!(delays(Backoff::Constant), [1, 1, 1, 1]);
    }

    #[test]
    fn jitter_stays_in_its_band_and_differs() {
        let policy = Retry { jitter: 0.5, ..policy(Backoff::Constant) };
        let delays: Vec<_> = (0..50).map(|id| delay_after(&policy, 1, AttemptId(id)).as_secs_f64()).collect();
        assert!(delays.iter().all(|delay| (0.5..1.5).contains(delay)));
        assert!(delays.iter().any(|delay| (delay - delays[0]).abs() > 0.1));
    }

    #[test]
    fn limits_and_lists_are_kept() {
        let policy = policy(Backoff::Constant);
        let again = Verdict::Again(Duration::from_secs(1));
        assert_eq!(judge(&policy, &FailureReason::ExitCode(1), 3, AttemptId(1)), again);
        assert_eq!(judge(&policy, &FailureReason::ExitCode(1), 4, AttemptId(1)), Verdict::GiveUp);
        assert_eq!(judge(&policy, &FailureReason::ExitCode(3), 1, AttemptId(1)), Verdict::GiveUp);
        assert_eq!(judge(&policy, &FailureReason::InputVanished, 1, AttemptId(1)), Verdict::GiveUp);
        let only_oom = Retry { retry_on: vec![RetryCause::Kind(FailureCategory::Oom)], ..policy };
        assert_eq!(judge(&only_oom, &FailureReason::ExitCode(1), 1, AttemptId(1)), Verdict::GiveUp);
        assert_eq!(judge(&only_oom, &FailureReason::OutOfMemory, 1, AttemptId(1)), again);
    }
}
