//! The numbers that a run is governed by, derived from the configuration; may change live.

use std::time::Duration;

use super::{HaltPolicy, RetryPolicy};
use crate::capacity::{CalibrationPlan, CapacityLimits};

/// A time limit: absolute, or as a multiple of the running median of successful attempts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TimeLimit {
    /// So long.
    Absolute(Duration),
    /// So many times the median run time; in force from five successes on.
    OfMedian(f64),
}

/// When a file that is known to the state counts as changed, and therefore as new work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ResumeKey {
    /// Size or modification time differ.
    Metadata,
    /// Size differs (for file systems and copies that do not keep modification times).
    Lenient,
}

/// What a run is governed by.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The user's limits on concurrency.
    pub limits: CapacityLimits,
    /// Enabled capacity plugins; with none, the user's limits alone decide.
    pub capacity_plugins: usize,
    /// Calibration.
    pub calibration: CalibrationPlan,
    /// Retry.
    pub retry: RetryPolicy,
    /// When to stop the whole run.
    pub halt: Option<HaltPolicy>,
    /// Longest run time of an attempt.
    pub timeout: Option<TimeLimit>,
    /// Warn when an attempt runs longer.
    pub slow_after: Option<TimeLimit>,
    /// After a first request to stop, running attempts may end within this time.
    pub drain: Duration,
    /// Between the stop signal and SIGKILL.
    pub grace: Duration,
    /// Completed attempts that may wait for publication before admission pauses (backpressure).
    pub max_unpublished: usize,
    /// Pipes held open after exit fail the attempt.
    pub leak_fails: bool,
    /// When a known file counts as changed.
    pub resume_key: ResumeKey,
    /// Whether attempts write a private output that must be validated and published. Without one, exit code 0 is
    /// completion.
    pub has_output: bool,
}
