//! Run times of successful attempts: count, mean, spread (Welford 1962) and the median of the most recent ones.

use std::time::Duration;

/// Attempts whose run time is kept for the median.
const WINDOW: usize = 101;
/// Successes before a median is given.
const ENOUGH: usize = 5;

/// Run times of successful attempts. Memory is bounded; a median costs a sort of at most 101 numbers.
#[derive(Clone, Debug, Default)]
pub struct RunTimes {
    count: u64,
    mean: f64,
    m2: f64,
    recent: std::collections::VecDeque<f64>,
}

impl RunTimes {
    /// Adds one.
    pub fn add(&mut self, wall: Duration) {
        let seconds = wall.as_secs_f64();
        self.count += 1;
        let delta = seconds - self.mean;
        self.mean += delta / self.count as f64;
        self.m2 += delta * (seconds - self.mean);
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(seconds);
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Mean, seconds; 0 before the first.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Standard deviation, seconds; 0 before the second.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        if self.count < 2 { 0.0 } else { (self.m2 / (self.count - 1) as f64).sqrt() }
    }

    /// The median of the last 101; `None` before the fifth.
    #[must_use]
    pub fn median(&self) -> Option<Duration> {
        if self.recent.len() < ENOUGH {
            return None;
        }
        let mut sorted: Vec<f64> = self.recent.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        Some(Duration::from_secs_f64(sorted[sorted.len() / 2]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_spread_and_median() {
        let mut times = RunTimes::default();
        for seconds in [1, 2, 3, 4] {
            times.add(Duration::from_secs(seconds));
        }
        assert_eq!(times.median(), None);
        times.add(Duration::from_secs(100));
        assert_eq!((times.count(), times.mean(), times.median()), (5, 22.0, Some(Duration::from_secs(3))));
        assert!((times.deviation() - 43.617).abs() < 0.01);
    }
}
