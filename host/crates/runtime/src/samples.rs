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
