//! Calibration (3.1 of the design): one measured instance per calibration input, a few inputs spread over the sizes.
//!
//! Calibration attempts are ordinary work whose results count. An attempt is measured from the end of its warm-up for
//! the calibration duration; then it simply goes on as RUNNING. One that ends earlier gives a baseline from its whole
//! life. Where the control law decides several are measured at once, beside other work, so that it costs nothing.

use std::time::Duration;

use super::Baseline;
use crate::metrics::{ProcessSample, Usage};
use crate::{AttemptId, Timestamp};

/// What the user asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CalibrationPlan {
    /// Inputs to measure; 0 = no calibration.
    pub inputs: u32,
    /// Not measured at the start of each attempt.
    pub warmup: Duration,
    /// Measured after the warm-up.
    pub duration: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Timestamp,
    cpu: Duration,
    rss: u64,
    read: u64,
    write: u64,
}

/// The attempt under measurement.
#[derive(Clone, Debug)]
struct Measured {
    attempt: AttemptId,
    started: Timestamp,
    first: Option<Reading>,
    last: Option<Reading>,
    rss_peak: u64,
}

/// Progress of calibration: which attempt is measured now, and what has been learned.
#[derive(Clone, Debug)]
pub struct Calibration {
    plan: CalibrationPlan,
    measured: Vec<Measured>,
    done: u32,
    total: Baseline,
    ended_walls: (f64, u32),
    reused: bool,
}

impl Calibration {
    /// Starts with nothing known, or with a stored baseline that is reused as it is.
    #[must_use]
    pub fn new(plan: CalibrationPlan, stored: Option<Baseline>) -> Self {
        Self {
            plan,
            measured: Vec::new(),
            done: 0,
            total: stored.unwrap_or_default(),
            ended_walls: (0.0, 0),
            reused: stored.is_some(),
        }
    }

    /// Whether another measurement is wanted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.reused && self.done < self.plan.inputs
    }

    /// Inputs that were measured (or tried to no avail) or are being measured.
    #[must_use]
    pub fn begun(&self) -> u32 {
        self.done + self.measured.len() as u32
    }

    /// Whether an input more is to be measured than have been begun.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        self.is_open() && self.begun() < self.plan.inputs
    }

    /// Whether any attempt is under measurement.
    #[must_use]
    pub fn is_measuring(&self) -> bool {
        !self.measured.is_empty()
    }

    fn of(&mut self, attempt: AttemptId) -> Option<&mut Measured> {
        self.measured.iter_mut().find(|measured| measured.attempt == attempt)
    }

    /// Takes an attempt out of measurement.
    fn take(&mut self, attempt: AttemptId) -> Option<Measured> {
        let at = self.measured.iter().position(|measured| measured.attempt == attempt)?;
        Some(self.measured.remove(at))
    }

    /// The baseline as far as it is known; `samples` is 0 before the first measurement has ended.
    #[must_use]
    pub fn baseline(&self) -> Baseline {
        self.total
    }

    /// An attempt begins to be measured.
    pub fn begin(&mut self, attempt: AttemptId, now: Timestamp) {
        self.measured.push(Measured { attempt, started: now, first: None, last: None, rss_peak: 0 });
    }

    /// The process of the measured attempt runs from now on.
    pub fn started(&mut self, attempt: AttemptId, now: Timestamp) {
        if let Some(measured) = self.of(attempt) {
            measured.started = now;
        }
    }

    /// A sample of the measured attempt. Returns the attempt when its measurement is complete: it goes on as RUNNING.
    pub fn sampled(&mut self, now: Timestamp, sample: &ProcessSample) -> Option<AttemptId> {
        let plan = self.plan;
        let measured = self.of(sample.attempt)?;
        measured.rss_peak = measured.rss_peak.max(sample.rss.0);
        if now.since(measured.started) < plan.warmup {
            return None;
        }
        let reading = Reading {
            at: now,
            cpu: sample.cpu_time,
            rss: sample.rss.0,
            read: sample.read_bytes.0,
            write: sample.write_bytes.0,
        };
        measured.last = Some(reading);
        let first = *measured.first.get_or_insert(reading);
        if now.since(first.at) < plan.duration {
            return None;
        }
        let attempt = measured.attempt;
        self.conclude_window(attempt);
        Some(attempt)
    }

    /// The measured attempt ended. With two or more readings after the warm-up, and no successful end, those count;
    /// otherwise its whole life does. Returns whether it was the measured one.
    pub fn exited(&mut self, attempt: AttemptId, usage: &Usage, succeeded: bool) -> bool {
        let Some(measured) = self.take(attempt) else { return false };
        let rss_peak = measured.rss_peak.max(usage.peak_rss.0);
        if !succeeded {
            // A failure says little about what a good run needs: the next input is measured instead. It still
            // counts as tried, so that a binary that always fails does not stay in calibration for ever.
            self.done += 1;
            return true;
        }
        let wall = usage.wall.as_secs_f64().max(1e-6);
        self.ended_walls = (self.ended_walls.0 + wall, self.ended_walls.1 + 1);
        self.add(Baseline {
            samples: 1,
            cpu_cores: usage.cpu().as_secs_f64() / wall,
            rss_peak_bytes: rss_peak as f64,
            rss_growth_bytes_per_second: 0.0,
            read_bytes_per_second: usage.read_bytes.0 as f64 / wall,
            write_bytes_per_second: usage.write_bytes.0 as f64 / wall,
            wall_seconds: 0.0,
        });
        true
    }

    /// The measured attempt never ran, or was stopped without fault: its measurement is dropped, another input is
    /// measured instead.
    pub fn dropped(&mut self, attempt: AttemptId) {
        self.take(attempt);
    }

    fn conclude_window(&mut self, attempt: AttemptId) {
        let Some(measured) = self.take(attempt) else { return };
        let (Some(first), Some(last)) = (measured.first, measured.last) else { return };
        let span = last.at.since(first.at).as_secs_f64().max(1e-6);
        let rate = |from: u64, to: u64| to.saturating_sub(from) as f64 / span;
        self.add(Baseline {
            samples: 1,
            cpu_cores: last.cpu.saturating_sub(first.cpu).as_secs_f64() / span,
            rss_peak_bytes: measured.rss_peak as f64,
            rss_growth_bytes_per_second: rate(first.rss, last.rss),
            read_bytes_per_second: rate(first.read, last.read),
            write_bytes_per_second: rate(first.write, last.write),
            wall_seconds: 0.0,
        });
    }

    fn add(&mut self, one: Baseline) {
        self.done += 1;
        let old = self.total;
        let n = f64::from(old.samples);
        let mean = |a: f64, b: f64| (a * n + b) / (n + 1.0);
        self.total = Baseline {
            samples: old.samples + 1,
            cpu_cores: mean(old.cpu_cores, one.cpu_cores),
            rss_peak_bytes: old.rss_peak_bytes.max(one.rss_peak_bytes),
            rss_growth_bytes_per_second: old.rss_growth_bytes_per_second.max(one.rss_growth_bytes_per_second),
            read_bytes_per_second: mean(old.read_bytes_per_second, one.read_bytes_per_second),
            write_bytes_per_second: mean(old.write_bytes_per_second, one.write_bytes_per_second),
            wall_seconds: if self.ended_walls.1 == 0 {
                0.0
            } else {
                self.ended_walls.0 / f64::from(self.ended_walls.1)
            },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bytes;

    const PLAN: CalibrationPlan =
        CalibrationPlan { inputs: 2, warmup: Duration::from_secs(2), duration: Duration::from_secs(4) };

    fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    fn sample(attempt: u64, cpu: u64, rss: u64) -> ProcessSample {
        ProcessSample {
            attempt: AttemptId(attempt),
            cpu_time: Duration::from_secs(cpu),
            rss: Bytes(rss),
            virtual_memory: Bytes(0),
            read_bytes: Bytes(cpu * 10),
            write_bytes: Bytes(0),
            read_ops: 0,
            write_ops: 0,
            processes: 1,
            threads: 1,
            states: [1, 0, 0, 0, 0],
        }
    }

    #[test]
    fn the_warm_up_is_left_out_and_the_attempt_goes_on() {
        let mut calibration = Calibration::new(PLAN, None);
        calibration.begin(AttemptId(1), at(0));
        assert_eq!(calibration.sampled(at(1), &sample(1, 100, 9_000)), None);
        assert_eq!(calibration.sampled(at(2), &sample(1, 101, 1_000)), None);
        assert_eq!(calibration.sampled(at(6), &sample(1, 103, 5_000)), Some(AttemptId(1)));
        let baseline = calibration.baseline();
        assert_eq!((baseline.samples, baseline.cpu_cores), (1, 0.5));
        assert_eq!((baseline.rss_peak_bytes, baseline.rss_growth_bytes_per_second), (9_000.0, 1_000.0));
        assert!(calibration.is_open());
    }

    #[test]
    fn a_short_life_gives_a_baseline_from_the_whole_of_it() {
        let mut calibration = Calibration::new(PLAN, None);
        calibration.begin(AttemptId(1), at(0));
        let usage = Usage {
            wall: Duration::from_millis(500),
            cpu_user: Duration::from_millis(250),
            peak_rss: Bytes(77),
            ..Usage::default()
        };
        assert!(calibration.exited(AttemptId(1), &usage, true));
        let baseline = calibration.baseline();
        assert_eq!((baseline.cpu_cores, baseline.rss_peak_bytes, baseline.wall_seconds), (0.5, 77.0, 0.5));
    }

    #[test]
    fn failures_count_as_tried_but_teach_nothing() {
        let mut calibration = Calibration::new(PLAN, None);
        for attempt in [1, 2] {
            calibration.begin(AttemptId(attempt), at(0));
            assert!(calibration.exited(AttemptId(attempt), &Usage::default(), false));
        }
        assert!(!calibration.is_open());
        assert_eq!(calibration.baseline().samples, 0);
        assert!(calibration.baseline().to_metrics().is_empty());
    }

    #[test]
    fn a_stored_baseline_is_reused() {
        let stored = Baseline { samples: 3, cpu_cores: 1.0, ..Baseline::default() };
        let calibration = Calibration::new(PLAN, Some(stored));
        assert!(!calibration.is_open());
        assert_eq!(calibration.baseline(), stored);
    }
}
