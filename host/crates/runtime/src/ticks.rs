//! What the turns of the loop take: nothing else, plugins least of all, may hold them up.

use std::time::Duration;

use orchestrator_core::metrics::Metrics;
use orchestrator_ports::Histogram;

/// Turns of the loop: how many, and what they took from the moment that they were due to their end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TickTimes {
    /// How many.
    pub count: u64,
    /// Half of them took less (at most an eighth too large).
    pub p50: Duration,
    /// 99 % of them took less (at most an eighth too large).
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

/// Keeps the times of all turns of a run.
#[derive(Debug, Default)]
pub(crate) struct Ticks(Histogram);

impl Ticks {
    pub(crate) fn took(&mut self, time: Duration) {
        self.0.record(time);
    }

    pub(crate) fn times(&self) -> TickTimes {
        let quantile = |share| self.0.quantile(share).unwrap_or_default();
        TickTimes { count: self.0.count(), p50: quantile(0.5), p99: quantile(0.99), max: self.0.max() }
    }

    /// Adds `orchestrator.tick.p99_seconds` and `orchestrator.tick.max_seconds`, once there were turns.
    pub(crate) fn write_to(&self, metrics: &mut Metrics) {
        let times = self.times();
        if times.count > 0 {
            metrics.insert("orchestrator.tick.p99_seconds".to_owned(), times.p99.as_secs_f64());
            metrics.insert("orchestrator.tick.max_seconds".to_owned(), times.max.as_secs_f64());
        }
    }
}
