//! Readings as metrics: for the plugins' rounds and for the history.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::metrics::{Metrics, ProcessSample, names};
use orchestrator_core::scheduler::Scheduler;
use orchestrator_core::{AttemptId, Timestamp};
use orchestrator_ports::{SampleRow, TreeReading};

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
/// scheduler and the plugins see every reading, the history the more of them the fewer attempts do something.
const ROWS_PER_SECOND: f64 = 1_000.0;

/// An attempt of which nothing changes has a row this often.
const STILL: Duration = Duration::from_secs(10);

/// Whether an attempt without news is due for such a row is looked at so often.
const LOOK_AT_ALL: Duration = Duration::from_secs(5);

/// Decides which readings the history keeps.
#[derive(Debug, Default)]
pub(crate) struct Thinning {
    /// When rows were kept, and how many.
    last: Option<(Timestamp, usize)>,
    /// The last row of each attempt.
    kept: HashMap<AttemptId, (Timestamp, ProcessSample)>,
    /// When all attempts were last looked at, not only those with news; `None` when news were passed over since.
    all_at: Option<Timestamp>,
}

impl Thinning {
    /// The rows to be kept of a round of readings, of which `news` are not as they were in the round before.
    pub(crate) fn rows(
        &mut self,
        now: Timestamp,
        samples: &[ProcessSample],
        news: &[TreeReading],
    ) -> Vec<SampleRow> {
        let all = self.all_at.is_none_or(|at| now.since(at) >= LOOK_AT_ALL);
        let paid = self.last.is_none_or(|(at, rows)| {
            // A tenth less, lest a round that comes a little early every second be dropped every other time.
            now.since(at).as_secs_f64() >= 0.9 * rows as f64 / ROWS_PER_SECOND
        });
        if !paid {
            if !news.is_empty() {
                self.all_at = None;
            }
            return Vec::new();
        }
        let mut row = |sample: &ProcessSample| self.is_news(now, sample).then(|| process_row(now, sample));
        let rows: Vec<_> = if all {
            samples.iter().filter_map(row).collect()
        } else {
            news.iter().filter_map(|(sample, _)| row(sample)).collect()
        };
        if all {
            self.all_at = Some(now);
        }
        self.last = Some((now, rows.len()));
        if self.kept.len() > 2 * samples.len() + 64 {
            let alive: HashSet<_> = samples.iter().map(|sample| sample.attempt).collect();
            self.kept.retain(|attempt, _| alive.contains(attempt));
        }
        rows
    }

    fn is_news(&mut self, now: Timestamp, sample: &ProcessSample) -> bool {
        let (at, before) = match self.kept.entry(sample.attempt) {
            Entry::Vacant(entry) => {
                entry.insert((now, *sample));
                return true;
            }
            Entry::Occupied(entry) => entry.into_mut(),
        };
        if before == sample && now.since(*at) < STILL {
            return false;
        }
        (*at, *before) = (now, *sample);
        true
    }
}

/// Decides which of the plugins' measurements of attempts the history keeps: those that say something new, and of others
/// one in [`STILL`].
#[derive(Debug, Default)]
pub(crate) struct MeasuredRows {
    /// The last row of each attempt, from each of the instances that measure it one by one (known by their first metric).
    kept: HashMap<AttemptId, Vec<(Timestamp, Arc<Metrics>)>>,
}

impl MeasuredRows {
    /// The rows to be kept of what was measured. Attempts that are no longer among those `in_flight` are forgotten now and
    /// then, not those that merely were not measured this time.
    pub(crate) fn rows(
        &mut self,
        now: Timestamp,
        measured: Vec<(AttemptId, Arc<Metrics>)>,
        in_flight: impl ExactSizeIterator<Item = AttemptId>,
    ) -> Vec<SampleRow> {
        if self.kept.len() > 2 * in_flight.len() + 64 {
            let alive: HashSet<_> = in_flight.collect();
            self.kept.retain(|attempt, _| alive.contains(attempt));
        }
        let news = measured.into_iter().filter(|(attempt, metrics)| self.is_news(now, *attempt, metrics));
        news.map(|(attempt, metrics)| SampleRow {
            at: now,
            attempt: Some(attempt),
            metrics: Arc::unwrap_or_clone(metrics),
        })
        .collect()
    }

    fn is_news(&mut self, now: Timestamp, attempt: AttemptId, metrics: &Arc<Metrics>) -> bool {
        let kept = self.kept.entry(attempt).or_default();
        let first = metrics.keys().next();
        let Some((at, before)) = kept.iter_mut().find(|(_, before)| before.keys().next() == first) else {
            kept.push((now, Arc::clone(metrics)));
            return true;
        };
        if before == metrics && now.since(*at) < STILL {
            return false;
        }
        (*at, *before) = (now, Arc::clone(metrics));
        true
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
fn process_row(at: Timestamp, sample: &ProcessSample) -> SampleRow {
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
    use orchestrator_core::Bytes;

    use super::*;

    fn sample(attempt: u64, cpu: u64) -> ProcessSample {
        ProcessSample {
            attempt: AttemptId(attempt),
            cpu_time: Duration::from_millis(cpu),
            rss: Bytes(1 << 20),
            virtual_memory: Bytes(1 << 21),
            read_bytes: Bytes(0),
            write_bytes: Bytes(0),
            read_ops: 0,
            write_ops: 0,
            processes: 1,
            threads: 1,
            states: [0, 1, 0, 0, 0],
        }
    }

    /// Rows of each round kept in so many seconds, of attempts of which each has used `used(round)` of CPU.
    fn kept(seconds: u64, attempts: u64, every_ms: u64, used: impl Fn(u64) -> u64) -> Vec<usize> {
        let mut thinning = Thinning::default();
        let rounds = 0..seconds * 1000 / every_ms;
        let round = |round: u64| {
            let samples: Vec<_> = (1..=attempts).map(|attempt| sample(attempt, used(round))).collect();
            let changed = round == 0 || used(round) != used(round - 1);
            let news: Vec<TreeReading> =
                samples.iter().filter(|_| changed).map(|one| (*one, vec![1].into())).collect();
            thinning.rows(Timestamp(1_000_000 + round * every_ms * 1_000), &samples, &news).len()
        };
        rounds.map(round).filter(|rows| *rows > 0).collect()
    }

    #[test]
    fn few_busy_attempts_are_kept_in_full_and_many_at_a_bounded_rate() {
        let busy = |round| round;
        assert_eq!(kept(10, 10, 100, busy), [10; 100]);
        assert_eq!(kept(10, 100, 100, busy).len(), 100);
        let many = kept(10, 1_000, 100, busy);
        assert!((10..=12).contains(&many.len()), "{many:?}");
        assert_eq!(kept(10, 1_000, 1_000, busy).len(), 10);
        assert!(kept(10, 10_000, 1_000, busy).len() <= 2);
    }

    #[test]
    fn attempts_that_do_nothing_have_a_row_now_and_then() {
        assert_eq!(kept(30, 1_000, 1_000, |_| 7), [1_000; 3]);
        // One that wakes is seen at once.
        let woken = kept(10, 1, 1_000, |round| u64::from(round >= 5));
        assert_eq!(woken.len(), 2);
    }

    #[test]
    fn news_that_came_too_early_for_a_row_are_in_the_next() {
        let mut thinning = Thinning::default();
        let mut rows = |millisecond: u64, used: u64, news: bool| {
            let samples: Vec<_> = (1..=1_000).map(|attempt| sample(attempt, used)).collect();
            let news: Vec<TreeReading> =
                samples.iter().filter(|_| news).map(|one| (*one, vec![1].into())).collect();
            thinning.rows(Timestamp(1_000_000 + millisecond * 1_000), &samples, &news).len()
        };
        assert_eq!((rows(0, 0, true), rows(100, 7, true), rows(200, 7, false)), (1_000, 0, 0));
        assert_eq!((rows(1_000, 7, false), rows(2_000, 7, false)), (1_000, 0));
    }

    fn measured(attempt: u64, name: &str, value: f64) -> (AttemptId, Arc<Metrics>) {
        (AttemptId(attempt), Arc::new(Metrics::from([(name.to_owned(), value), ("~".to_owned(), 0.0)])))
    }

    #[test]
    fn measurements_are_kept_when_they_are_new_and_now_and_then() {
        let mut rows = MeasuredRows::default();
        let mut kept = |second: u64, measured: &[(AttemptId, Arc<Metrics>)]| {
            let rows = rows.rows(Timestamp(1_000_000 * (100 + second)), measured.to_vec(), in_flight(1..3));
            rows.into_iter().map(|row| row.attempt.unwrap().0).collect::<Vec<_>>()
        };
        let still = measured(1, "a", 7.0);
        assert_eq!(kept(0, &[still.clone(), measured(2, "a", 0.0)]), [1, 2]);
        assert_eq!(kept(1, &[still.clone(), measured(2, "a", 1.0)]), [2]);
        // Another instance measures the same attempt after the round.
        assert_eq!(kept(1, &[measured(1, "b", 1.0)]), [1]);
        assert_eq!(kept(2, &[still.clone(), measured(2, "a", 1.0)]), Vec::<u64>::new());
        assert_eq!(kept(2, &[measured(1, "b", 1.0)]), Vec::<u64>::new());
        assert_eq!(kept(10, &[still]), [1]);
    }

    fn in_flight(attempts: std::ops::Range<u64>) -> impl ExactSizeIterator<Item = AttemptId> {
        attempts.collect::<Vec<_>>().into_iter().map(AttemptId)
    }

    #[test]
    fn who_was_not_measured_this_time_is_not_forgotten() {
        let mut rows = MeasuredRows::default();
        let mut kept = |millisecond: u64, attempts: std::ops::RangeInclusive<u64>| {
            let measured = attempts.map(|attempt| measured(attempt, "a", 1.0)).collect();
            rows.rows(Timestamp(1_000_000 + 1_000 * millisecond), measured, in_flight(1..1_001)).len()
        };
        assert_eq!((kept(0, 1..=1_000), kept(100, 1..=300), kept(1_000, 1..=1_000)), (1_000, 0, 0));
    }

    #[test]
    fn measurements_of_attempts_that_are_gone_are_forgotten() {
        let mut rows = MeasuredRows::default();
        for round in 0..1_000 {
            let now = Timestamp(1_000_000 * (round + 1));
            let alive = || in_flight(round..round + 1);
            assert_eq!(rows.rows(now, vec![measured(round, "a", 1.0)], alive()).len(), 1);
            assert_eq!(rows.rows(now, Vec::new(), alive()).len(), 0);
        }
        assert!(rows.kept.len() < 100, "{}", rows.kept.len());
    }

    #[test]
    fn attempts_that_are_gone_are_forgotten() {
        let mut thinning = Thinning::default();
        for round in 0..10_000 {
            let sample = sample(round, 1);
            let news = [(sample, vec![1].into())];
            let rows = thinning.rows(Timestamp(1_000_000 * (round + 1)), &[sample], &news);
            assert_eq!(rows.len(), 1);
        }
        assert!(thinning.kept.len() < 100, "{}", thinning.kept.len());
    }
}
