//! The state of a run at one moment.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::capacity::bottleneck::BoundShare;
use crate::capacity::{Baseline, CapacityDecision};
use crate::metrics::SystemSample;
use crate::outlook::{Eta, Forecast};
use crate::placement::Place;
use crate::predict::AmountPrediction;
use crate::scheduler::{Counts, InputPath, Scheduler};
use crate::{AttemptId, SlotId, Timestamp};

/// One attempt that holds a slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunningAttempt {
    /// Its id.
    pub attempt: AttemptId,
    /// The slot it holds.
    pub slot: SlotId,
    /// Input, relative to the input directory.
    pub path: InputPath,
    /// How long it has run.
    pub running_for: Duration,
    /// What was expected of its run time when it was admitted, s; absent while nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_seconds: Option<AmountPrediction>,
    /// Whether it measures.
    pub calibrating: bool,
    /// Whether it is being stopped.
    pub stopping: bool,
    /// Whether it stands still for now.
    #[serde(default)]
    pub frozen: bool,
    /// Where it runs; absent where it may use all that the host may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// The state of a run at one moment: what the progress view, `status` and the JSON stream show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When.
    pub at: Timestamp,
    /// Since the start of this run.
    pub elapsed: Duration,
    /// Tasks by state, earlier runs included.
    pub counts: Counts,
    /// Whether the scan is over, so that the counts are complete.
    pub scan_finished: bool,
    /// Tasks completed in this run.
    pub completed: u64,
    /// Tasks that failed for good in this run.
    pub failed: u64,
    /// Failures in this run that were or will be tried again.
    pub retried: u64,
    /// Attempts stopped without fault in this run.
    pub terminated: u64,
    /// Tasks that passed only after a failure.
    pub flaky: u64,
    /// Attempts that hold a slot now.
    pub running: u32,
    /// The longest-running attempts, at most [`Snapshot::SHOWN`].
    pub attempts: Vec<RunningAttempt>,
    /// Capacity and what limits it.
    pub capacity: CapacityDecision,
    /// The machine.
    pub system: SystemSample,
    /// Cores that our attempts keep busy.
    pub own_cpu_cores: f64,
    /// Resident memory of our attempts, bytes.
    pub own_rss_bytes: u64,
    /// One instance's needs.
    pub baseline: Baseline,
    /// Time that is left, once it can be said.
    pub eta: Option<Eta>,
    /// What is expected of a task, and how right that was so far.
    #[serde(default)]
    pub forecast: Forecast,
    /// What the run was bound by so far, the largest share of time first.
    #[serde(default)]
    pub bound_by: Vec<BoundShare>,
    /// Whether the run is being ended early (drain, halt, stop).
    pub stopping: bool,
}

impl Snapshot {
    /// Attempts that a snapshot lists at most.
    pub const SHOWN: usize = 16;
}

impl Scheduler {
    /// The state of things at `now`. Costs O(running attempts).
    #[must_use]
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        let attempts = self.running_attempts(now);
        let counts = self.counts();
        let capacity = self.capacity();
        let elapsed = now.since(self.started_at);
        let eta = self.scan_report().and_then(|_| self.outlook.eta(elapsed, self.under_way(now)));
        let forecast = self.outlook.forecast(self.under_way(now));
        Snapshot {
            at: now,
            elapsed,
            counts,
            scan_finished: self.scan_report().is_some(),
            completed: self.completed_here,
            failed: self.failed_here,
            retried: self.retried_here,
            terminated: self.terminated_here,
            flaky: self.flaky,
            running: self.holding,
            attempts,
            capacity,
            system: self.system,
            own_cpu_cores: self.own_cpu_cores,
            own_rss_bytes: self.own_rss,
            baseline: self.baseline(),
            eta,
            forecast,
            bound_by: self.bottleneck.shares(),
            stopping: self.fault().is_some(),
        }
    }
}
