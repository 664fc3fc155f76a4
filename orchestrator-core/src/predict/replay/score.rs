//! What predictions were worth.

use serde::Serialize;

use super::TraceOutcome;
use crate::Bytes;
use crate::predict::fit::median;

/// Bytes · seconds in a gigabyte-hour (GB = 10⁹ bytes).
const GB_HOUR: f64 = 3.6e12;

/// What ladders cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// Reserved in vain, byte-seconds.
    pub wasted: f64,
    /// Used, byte-seconds.
    pub used: f64,
    /// Attempts that failed.
    pub failures: u64,
    /// Rows scored.
    pub rows: u64,
    /// |p50 − true| / true of the run time of each scored row that had a prediction.
    pub run_time_errors: Vec<f64>,
}

/// The figures of a whole replay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Totals {
    /// Reserved in vain, GB·h.
    pub cost_gbh: f64,
    /// Attempts that failed.
    pub failures: u64,
    /// Rows scored.
    pub n: u64,
    /// Used over reserved, failed attempts included; absent if nothing was scored.
    pub maq: Option<f64>,
    /// Median of |p50 − true| / true; absent if nothing was scored.
    pub runtime_median_error: Option<f64>,
}

/// What one row costs with this ladder: (byte-seconds reserved in vain, attempts that failed).
#[must_use]
pub fn charge(ladder: &[Bytes], outcome: &TraceOutcome) -> (f64, u64) {
    let peak = outcome.peak.0 as f64;
    let (mut wasted, mut failures) = (0.0, 0);
    let mut rungs = ladder.iter().map(|bytes| bytes.0 as f64);
    let mut rung = rungs.next().unwrap_or(1.0).max(1.0);
    while rung < peak {
        wasted += rung * outcome.seconds;
        failures += 1;
        rung = rungs.next().unwrap_or(2.0 * rung);
    }
    (wasted + (rung - peak) * outcome.seconds, failures)
}

impl Score {
    /// Scores one row.
    pub fn add(&mut self, ladder: &[Bytes], run_time: Option<f64>, outcome: &TraceOutcome) {
        let (wasted, failures) = charge(ladder, outcome);
        self.wasted += wasted;
        self.failures += failures;
        self.used += outcome.peak.0 as f64 * outcome.seconds;
        self.rows += 1;
        if let Some(p50) = run_time.filter(|_| outcome.seconds > 0.0) {
            self.run_time_errors.push((p50 - outcome.seconds).abs() / outcome.seconds);
        }
    }

    /// Adds what another stream scored.
    pub fn merge(&mut self, other: &Score) {
        self.wasted += other.wasted;
        self.used += other.used;
        self.failures += other.failures;
        self.rows += other.rows;
        self.run_time_errors.extend_from_slice(&other.run_time_errors);
    }

    /// The figures.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let reserved = self.used + self.wasted;
        let mut errors = self.run_time_errors.clone();
        Totals {
            cost_gbh: self.wasted / GB_HOUR,
            failures: self.failures,
            n: self.rows,
            maq: (reserved > 0.0).then(|| self.used / reserved),
            runtime_median_error: (!errors.is_empty()).then(|| median(&mut errors)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_rungs_are_paid_and_the_end_doubles() {
        let outcome = TraceOutcome { peak: Bytes(35), seconds: 2.0 };
        assert_eq!(charge(&[Bytes(35)], &outcome), (0.0, 0));
        assert_eq!(charge(&[Bytes(10), Bytes(40)], &outcome), (30.0, 1));
        assert_eq!(charge(&[Bytes(10)], &outcome), (70.0, 2));
    }
}
