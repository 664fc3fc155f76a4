//! Durations, counted in buckets of a fixed number: a quantile of any stretch of time for 2 KB and no allocation.

use std::time::Duration;

/// Buckets per doubling: a quantile is at most an eighth too large.
const STEPS: usize = 8;
/// Everything below 2⁷ ns is one bucket, everything from 2³⁸ ns (275 s) on another.
const FIRST: usize = 7;
const LAST: usize = 37;
const BUCKETS: usize = (LAST - FIRST + 1) * STEPS + 2;

/// How often which duration was seen, by logarithmic buckets (eight a doubling, from 128 ns to 275 s).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]), count: 0, max: Duration::ZERO }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        self.record_many(duration, 1);
    }

    /// Counts a duration that was seen `times` times.
    pub fn record_many(&mut self, duration: Duration, times: u64) {
        if times > 0 {
            self.counts[bucket(duration)] += times;
            self.count += times;
            self.max = self.max.max(duration);
        }
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest; zero where none was counted.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The least bound of a bucket below which `share` (0 to 1) of all lie, and never more than the longest; `None`
    /// where none was counted.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (share.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        let found = self.counts.iter().position(|count| {
            below += count;
            below >= rank
        })?;
        Some(bound(found).min(self.max))
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts.iter()) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }
}

fn bucket(duration: Duration) -> usize {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let Some(exponent) = nanos.checked_ilog2().map(|exponent| exponent as usize) else { return 0 };
    if exponent < FIRST {
        return 0;
    }
    let step = (nanos >> (exponent - 3)) as usize & (STEPS - 1);
    ((exponent - FIRST) * STEPS + step + 1).min(BUCKETS - 1)
}

/// What every duration of a bucket is below.
fn bound(bucket: usize) -> Duration {
    match bucket {
        0 => Duration::from_nanos(1 << FIRST),
        last if last == BUCKETS - 1 => Duration::MAX,
        other => {
            let (exponent, step) = (FIRST + (other - 1) / STEPS, (other - 1) % STEPS);
            Duration::from_nanos(((STEPS + step + 1) as u64) << (exponent - 3))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_below_the_bound_of_its_bucket_and_an_eighth_below_at_most() {
        for exponent in 0..62 {
            for nanos in [1_u64 << exponent, (1 << exponent) + (1 << exponent) / 3, (2 << exponent) - 1] {
                let duration = Duration::from_nanos(nanos);
                let bound = bound(bucket(duration));
                assert!(duration < bound, "{nanos}");
                let exact = (1 << FIRST..1 << (LAST + 1)).contains(&nanos);
                assert!(!exact || bound.as_nanos() * 8 <= u128::from(nanos) * 9, "{nanos}: {bound:?}");
            }
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.99), None);
        for micros in 1..=1000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (share, micros) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0), (0.0, 1.0)] {
            let found = histogram.quantile(share).unwrap().as_secs_f64() * 1e6;
            assert!(found >= micros && found <= micros * 1.13, "{share}: {found}");
        }
        assert_eq!((histogram.count(), histogram.max()), (1000, Duration::from_millis(1)));
    }

    #[test]
    fn two_are_added_up() {
        let (mut one, mut two) = (Histogram::default(), Histogram::default());
        one.record_many(Duration::from_micros(3), 99);
        two.record(Duration::from_secs(1000));
        one.merge(&two);
        assert_eq!(one.quantile(1.0), Some(Duration::from_secs(1000)));
        assert_eq!(one.quantile(0.99), Some(Duration::from_nanos(3072)));
    }
}
