//! How often an instance is asked.
//!
//! An instance whose rounds take more than [`SHARE`] of its interval is asked less often, so that it is busy for that share
//! of the time at most; once its rounds are quick again, as often as before.

use std::time::{Duration, Instant};

/// Most of its time that an instance is busy.
const SHARE: f64 = 0.25;
/// The longest interval that slowness leads to, unless the configured one is longer.
const LONGEST: Duration = Duration::from_secs(60);
/// Weight of the newest round in the mean of a round's time.
const WEIGHT: f64 = 0.3;
/// Rounds before a judgement: the first ones fill caches.
const LEAST: u32 = 3;
/// Intervals after which a value that was not measured anew no longer counts.
const STALE: u32 = 3;

/// The pace of an instance.
#[derive(Debug)]
pub(super) struct Pace {
    /// `interval` of its configuration; `None` = every round.
    configured: Option<Duration>,
    /// The longer interval that its slowness asks for.
    stretched: Option<Duration>,
    asked: Option<Instant>,
    /// Not asked before: its own wish after an error.
    wish: Option<Instant>,
    /// Moving mean of a round's time, in seconds.
    mean: f64,
    rounds: u32,
}

/// A change of pace that is worth a word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum PaceChange {
    /// Its rounds take `mean`: it is asked every `every` only.
    Slowed { mean: Duration, every: Duration },
    /// Its rounds are quick again.
    Recovered { every: Duration },
}

impl Pace {
    pub(super) fn new(configured: Option<Duration>) -> Self {
        Self { configured, stretched: None, asked: None, wish: None, mean: 0.0, rounds: 0 }
    }

    /// Takes another configured interval.
    pub(super) fn configure(&mut self, configured: Option<Duration>) {
        self.configured = configured;
    }

    /// The interval in force where rounds come every `usual`.
    pub(super) fn every(&self, usual: Duration) -> Duration {
        self.stretched.unwrap_or_else(|| self.usual(usual))
    }

    /// The longer interval that slowness led to.
    pub(super) fn stretched(&self) -> Option<Duration> {
        self.stretched
    }

    fn usual(&self, rounds: Duration) -> Duration {
        self.configured.unwrap_or_default().max(rounds)
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due_at().is_none_or(|at| at <= now)
    }

    /// The earliest moment at which it is asked; `None` = any.
    pub(super) fn due_at(&self) -> Option<Instant> {
        // Rounds are no clockwork: one that comes a tenth early is meant.
        let every = self.stretched.or(self.configured).unwrap_or_default().mul_f64(0.9);
        self.asked.map(|asked| asked + every).max(self.wish)
    }

    /// Whether it may be asked before its interval is over.
    pub(super) fn may_hurry(&self, now: Instant) -> bool {
        self.stretched.is_none() && self.wish_passed(now)
    }

    fn wish_passed(&self, now: Instant) -> bool {
        self.wish.is_none_or(|wish| wish <= now)
    }

    pub(super) fn last_asked(&self) -> Option<Instant> {
        self.asked
    }

    pub(super) fn asked(&mut self, now: Instant) {
        self.asked = Some(now);
    }

    /// Heeds the plugin's advice when to ask again.
    pub(super) fn put_off(&mut self, wish: Instant) {
        self.wish = Some(wish);
    }

    /// A round took so long, where rounds come every `usual`.
    pub(super) fn answered(&mut self, took: Duration, usual: Duration) -> Option<PaceChange> {
        let took = took.as_secs_f64();
        self.mean = if self.rounds == 0 { took } else { self.mean + WEIGHT * (took - self.mean) };
        self.rounds = self.rounds.saturating_add(1);
        let usual = self.usual(usual);
        let needed = Duration::from_secs_f64(self.mean / SHARE);
        match self.stretched {
            None if self.rounds >= LEAST && needed > usual => {
                let every = needed.min(LONGEST.max(usual));
                self.stretched = Some(every);
                Some(PaceChange::Slowed { mean: Duration::from_secs_f64(self.mean), every })
            }
            Some(_) if needed * 2 < usual => {
                self.stretched = None;
                Some(PaceChange::Recovered { every: usual })
            }
            Some(_) => {
                self.stretched = Some(needed.clamp(usual, LONGEST.max(usual)));
                None
            }
            None => None,
        }
    }

    /// How long a value counts that is not measured anew.
    pub(super) fn lifetime(&self, usual: Duration, deadline: Duration) -> Duration {
        self.every(usual) * STALE + deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_slow_one_is_asked_less_often_and_a_quick_one_as_before() {
        let mut pace = Pace::new(None);
        let slow = Duration::from_millis(900);
        assert_eq!((pace.answered(slow, SECOND), pace.answered(slow, SECOND)), (None, None));
        let Some(PaceChange::Slowed { every, .. }) = pace.answered(slow, SECOND) else { panic!("{pace:?}") };
        assert_eq!(every, Duration::from_millis(3600));
        assert_eq!(pace.answered(slow, SECOND), None, "told once");
        let told: Vec<_> = (0..20).filter_map(|_| pace.answered(SECOND / 1000, SECOND)).collect();
        assert_eq!(told, [PaceChange::Recovered { every: SECOND }]);
        assert_eq!(pace.every(SECOND), SECOND);
    }

    #[test]
    fn the_interval_of_a_slow_one_is_bounded() {
        let mut pace = Pace::new(Some(Duration::from_secs(5)));
        for _ in 0..10 {
            pace.answered(Duration::from_secs(3000), SECOND);
        }
        assert_eq!(pace.every(SECOND), LONGEST);
        let mut rare = Pace::new(Some(Duration::from_secs(600)));
        for _ in 0..10 {
            assert_eq!(rare.answered(Duration::from_secs(30), SECOND), None, "a twentieth of its time");
        }
    }

    #[test]
    fn it_is_due_by_its_interval_and_not_before_its_wish() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(10 * SECOND));
        assert!(pace.is_due(start));
        pace.asked(start);
        assert!(!pace.is_due(start + 8 * SECOND) && pace.is_due(start + 9 * SECOND));
        pace.put_off(start + 30 * SECOND);
        assert!(!pace.is_due(start + 29 * SECOND) && pace.is_due(start + 30 * SECOND));
        assert_eq!(pace.due_at(), Some(start + 30 * SECOND));
        let every_round = Pace::new(None);
        assert!(every_round.is_due(start));
    }
}
