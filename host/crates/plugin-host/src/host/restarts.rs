//! When an instance that broke is started again.

use std::time::{Duration, Instant};

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);
/// Good rounds in a row after which earlier failures are forgotten.
const GOOD_ROUNDS: u32 = 5;
/// Failures in a row after which a required instance ends the run.
pub(super) const REQUIRED_FAILURES: u32 = 5;
/// Least time between two states that are kept for a restart.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(10);

/// Failures in a row, and what a restart goes on from.
#[derive(Debug)]
pub(super) struct Restarts {
    /// Wait before the first restart; it doubles with every failure in a row.
    first_wait: Duration,
    failures: u32,
    good: u32,
    /// Whether the user was told that it broke.
    pub(super) told: bool,
    /// The state that it last handed out.
    pub(super) snapshot: Option<Vec<u8>>,
    snapshot_asked: Option<Instant>,
    /// It said that it has no state.
    stateless: bool,
}

impl Restarts {
    pub(super) fn new(first_wait: Duration) -> Self {
        Self {
            first_wait,
            failures: 0,
            good: 0,
            told: false,
            snapshot: None,
            snapshot_asked: None,
            stateless: false,
        }
    }

    /// Counts a failure; how many there were in a row, and how long to wait.
    pub(super) fn failed(&mut self) -> (u32, Duration) {
        self.good = 0;
        self.failures = self.failures.saturating_add(1);
        let doubled = self.first_wait.saturating_mul(1 << (self.failures - 1).min(16));
        (self.failures, doubled.min(LONGEST))
    }

    /// Counts a round without a fault.
    pub(super) fn worked(&mut self) {
        self.good = self.good.saturating_add(1);
        if self.good >= GOOD_ROUNDS {
            self.failures = 0;
        }
    }

    /// Whether it is time to ask for the state.
    pub(super) fn wants_snapshot(&self, now: Instant) -> bool {
        !self.stateless && self.snapshot_asked.is_none_or(|asked| asked + SNAPSHOT_EVERY <= now)
    }

    pub(super) fn asked(&mut self, now: Instant) {
        self.snapshot_asked = Some(now);
    }

    /// Keeps what it handed out.
    pub(super) fn keep(&mut self, snapshot: Option<Vec<u8>>) {
        self.stateless = snapshot.is_none();
        self.snapshot = snapshot;
    }

    /// Another object takes over, without a state: what its predecessor did counts no more.
    pub(super) fn begin_anew(&mut self) {
        *self = Self::new(self.first_wait);
    }

    /// A state that could not be gone on from is not tried again.
    pub(super) fn forget(&mut self) {
        let fresh = Self::new(self.first_wait);
        *self = Self { failures: self.failures, told: self.told, ..fresh };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_are_short_again_after_good_rounds() {
        let mut restarts = Restarts::new(Duration::from_secs(1));
        let waits: Vec<u64> = (0..9).map(|_| restarts.failed().1.as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        (0..GOOD_ROUNDS - 1).for_each(|_| restarts.worked());
        assert_eq!(restarts.failed().0, 10, "too few good rounds");
        (0..GOOD_ROUNDS).for_each(|_| restarts.worked());
        assert_eq!(restarts.failed(), (1, Duration::from_secs(1)));
    }

    #[test]
    fn a_state_is_asked_for_now_and_then_and_only_where_there_is_one() {
        let (mut restarts, now) = (Restarts::new(Duration::from_secs(1)), Instant::now());
        assert!(restarts.wants_snapshot(now));
        restarts.asked(now);
        restarts.keep(Some(vec![1]));
        assert!(!restarts.wants_snapshot(now + SNAPSHOT_EVERY / 2));
        assert!(restarts.wants_snapshot(now + SNAPSHOT_EVERY));
        restarts.keep(None);
        assert!(!restarts.wants_snapshot(now + 2 * SNAPSHOT_EVERY));
    }
}
