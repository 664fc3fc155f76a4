//! Readings as metrics: for the plugins' rounds and for the history.

use orchestrator_core::Timestamp;
use orchestrator_core::metrics::{Metrics, ProcessSample, names};
use orchestrator_core::scheduler::Scheduler;
use orchestrator_ports::SampleRow;

/// Thresholds of the configuration, percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// `resource_limits.cpu_threshold_percent`.
    pub cpu: f64,
    /// `resource_limits.memory_threshold_percent`.
    pub memory: f64,
    /// `resource_limits.disk_usage_threshold_percent`.
    pub disk: f64,
}

/// Rows of the history that attempts may fill in a second, however many they are and however often they are read: the
/// scheduler and the plugins see every reading, the history the more of them the fewer attempts run.
const ROWS_PER_SECOND: f64 = 1_000.0;

/// Decides which rounds of readings the history keeps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Thinning {
    last: Option<(Timestamp, usize)>,
}

impl Thinning {
    /// Whether a round of so many rows is kept, `now`.
    pub(crate) fn keeps(&mut self, now: Timestamp, rows: usize) -> bool {
        let paid = self.last.is_none_or(|(at, rows)| {
            // A tenth less, lest a round that comes a little early every second be dropped every other time.
            now.since(at).as_secs_f64() >= 0.9 * rows as f64 / ROWS_PER_SECOND
        });
        if paid {
            self.last = Some((now, rows));
        }
        paid
    }
}

/// Built-in metrics of the moment, as capacity plugins see them.
pub(crate) fn current(scheduler: &Scheduler, now: Timestamp, thresholds: Thresholds) -> Metrics {
    let snapshot = scheduler.snapshot(now);
    let mut metrics = Metrics::new();
    snapshot.system.write_to(&mut metrics);
    let own = [
        (names::RUNNING, f64::from(snapshot.running)),
        (names::OWN_CPU_CORES, snapshot.own_cpu_cores),
        (names::OWN_RSS, snapshot.own_rss_bytes as f64),
        (names::QUEUE_LENGTH, snapshot.counts.pending as f64),
        (names::CONCURRENCY, f64::from(snapshot.capacity.target)),
        (names::LIMIT_CPU, thresholds.cpu),
        (names::LIMIT_MEMORY, thresholds.memory),
        (names::LIMIT_DISK, thresholds.disk),
    ];
    metrics.extend(own.map(|(name, value)| (name.to_owned(), value)));
    metrics
}

/// One attempt's reading as a row of the history.
pub(crate) fn process_row(at: Timestamp, sample: &ProcessSample) -> SampleRow {
    let values = [
        ("process.cpu.seconds", sample.cpu_time.as_secs_f64()),
        ("process.memory.rss_bytes", sample.rss.0 as f64),
        ("process.memory.virtual_bytes", sample.virtual_memory.0 as f64),
        ("process.io.read_bytes", sample.read_bytes.0 as f64),
        ("process.io.write_bytes", sample.write_bytes.0 as f64),
        ("process.io.read_ops", sample.read_ops as f64),
        ("process.io.write_ops", sample.write_ops as f64),
        ("process.count", f64::from(sample.processes)),
        ("process.threads", f64::from(sample.threads)),
        ("process.state.running", f64::from(sample.states[0])),
        ("process.state.sleeping", f64::from(sample.states[1])),
        ("process.state.uninterruptible", f64::from(sample.states[2])),
        ("process.state.stopped", f64::from(sample.states[3])),
        ("process.state.zombie", f64::from(sample.states[4])),
    ];
    let metrics = values.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    SampleRow { at, attempt: Some(sample.attempt), metrics }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds kept in ten seconds.
    fn kept(rows: usize, every_ms: u64) -> u64 {
        let mut thinning = Thinning::default();
        let rounds = (0..10_000 / every_ms).map(|round| Timestamp(1_000_000 + round * every_ms * 1_000));
        rounds.filter(|at| thinning.keeps(*at, rows)).count() as u64
    }

    #[test]
    fn few_attempts_are_kept_in_full_and_many_at_a_bounded_rate() {
        assert_eq!(kept(10, 100), 100);
        assert_eq!(kept(100, 100), 100);
        assert!((10..=12).contains(&kept(1_000, 100)), "{}", kept(1_000, 100));
        assert_eq!(kept(1_000, 1_000), 10);
        assert!(kept(10_000, 1_000) <= 2);
    }
}
