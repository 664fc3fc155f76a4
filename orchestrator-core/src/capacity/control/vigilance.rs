//! How much more cautious than the user's `caution` about memory, from what caution was worth so far.
//!
//! Margins rest on log-normal errors; where tails are heavier they would be too thin for ever. So the margin is moved by its
//! own failures (adaptive conformal inference, Gibbs and Candès 2021): up in every second above the threshold in which our
//! own tasks use more than they were given room for, down by so little in every other one that in the long run
//! [`WANTED`] of all time is above. Memory that other people took is no failure of a margin. What the kernel kills, or what
//! has to be evicted, weighs more.

/// Share of the time that may be above the threshold.
const WANTED: f64 = 0.006;
/// Step up, as a multiple of the user's caution, in a second above the threshold …
const ABOVE: f64 = 0.1;
/// … for an eviction, and for a task that the kernel killed.
const EVICTED: f64 = 0.2;
const KILLED: f64 = 1.0;
/// One reading stands for so many seconds at most.
const LONGEST: f64 = 5.0;
/// Never more than this multiple; only what the kernel kills takes it beyond the other.
const MOST: f64 = 6.0;
const MOST_ALIVE: f64 = 2.5;

/// The multiple.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vigilance(f64);

impl Default for Vigilance {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Vigilance {
    /// Multiple of the user's caution that is in force.
    pub(super) fn factor(self) -> f64 {
        self.0
    }

    fn raise(&mut self, step: f64, most: f64) {
        self.0 = self.0.max((self.0 + step).min(most));
    }

    /// A reading of the memory, made while tasks ran, so many seconds after the one before: whether the margins failed.
    pub(super) fn read(&mut self, failed: bool, seconds: f64) {
        let seconds = seconds.clamp(0.0, LONGEST);
        if failed {
            self.raise(ABOVE * seconds, MOST_ALIVE);
        } else {
            self.0 = (self.0 - ABOVE * WANTED / (1.0 - WANTED) * seconds).max(1.0);
        }
    }

    pub(super) fn evicted(&mut self) {
        self.raise(EVICTED, MOST_ALIVE);
    }

    pub(super) fn killed(&mut self) {
        self.raise(KILLED, MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_that_fail_grow_and_shrink_again() {
        let mut vigilance = Vigilance::default();
        vigilance.read(false, 1.0);
        assert_eq!(vigilance.factor(), 1.0);
        vigilance.killed();
        (0..4).for_each(|_| vigilance.read(true, 0.25));
        assert!((vigilance.factor() - 2.1).abs() < 1e-9);
        (0..10_000).for_each(|_| vigilance.read(false, 1.0));
        assert_eq!(vigilance.factor(), 1.0);
        (0..100).for_each(|_| vigilance.killed());
        assert_eq!(vigilance.factor(), MOST);
    }
}
