//! What everybody may read about the instances while they work.

use crate::instance::{InstanceState, InstanceStats, LibraryFacts};
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_api::PluginKind;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The instances in the order of the configuration, and how the last reload went.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) instances: Vec<Arc<Mutex<InstanceStats>>>,
    /// Reloads asked for so far.
    pub(super) reloads: u64,
    pub(super) reload: Option<ReloadReport>,
}

pub(super) type SharedBoard = Arc<Mutex<Board>>;

impl Board {
    pub(super) fn stats(board: &SharedBoard) -> Vec<InstanceStats> {
        let instances = board.lock().unwrap_or_else(PoisonError::into_inner).instances.clone();
        instances.iter().map(|stats| stats.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }
}

/// An instance as `live.json`, `plugin list` and the report show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Its name in the configuration.
    pub instance: String,
    /// `metrics` or `capacity`.
    pub kind: String,
    /// Its class.
    pub class: String,
    /// How it fares.
    pub state: InstanceState,
    /// Why it is restarting or failed.
    pub sentence: Option<String>,
    /// `in_process`, `process` or `sandbox`.
    pub isolation: String,
    /// Its library, once that is known.
    pub library: Option<LibraryFacts>,
    /// Calls made, one per process and one for the machine in every round.
    pub calls: u64,
    /// Calls that ended with an error.
    pub errors: u64,
    /// Calls that missed their deadline.
    pub deadline_misses: u64,
    /// Times that it was started again after it broke.
    pub restarts: u64,
    /// Times that another configuration or library took its place.
    pub reloads: u64,
    /// Seconds that passed in calls.
    pub wall_seconds: f64,
    /// Seconds of CPU time used in calls.
    pub cpu_seconds: f64,
    /// Half of the calls took less, in seconds (at most an eighth too large).
    pub p50_seconds: Option<f64>,
    /// 99 % of the calls took less, in seconds (at most an eighth too large).
    pub p99_seconds: Option<f64>,
    /// Resident memory of its process in bytes; absent where it shares the host's.
    pub memory_bytes: Option<u64>,
    /// Values that were dropped.
    pub dropped_values: u64,
    /// Seconds between two rounds, where its slowness made them more than configured.
    pub slowed_to_seconds: Option<f64>,
    /// The last error in its own words.
    pub last_error: Option<String>,
}

impl From<&InstanceStats> for InstanceStatus {
    fn from(stats: &InstanceStats) -> Self {
        let quantile = |share| stats.latency.quantile(share).as_ref().map(Duration::as_secs_f64);
        Self {
            instance: stats.instance.clone(),
            kind: stats.kind.to_string(),
            class: stats.class.clone(),
            state: stats.state,
            sentence: stats.sentence.clone(),
            isolation: stats.isolation.clone(),
            library: stats.library.clone(),
            calls: stats.calls,
            errors: stats.errors,
            deadline_misses: stats.deadline_misses,
            restarts: stats.restarts,
            reloads: stats.reloads,
            wall_seconds: stats.wall.as_secs_f64(),
            cpu_seconds: stats.cpu.as_secs_f64(),
            p50_seconds: quantile(0.5),
            p99_seconds: quantile(0.99),
            memory_bytes: stats.memory,
            dropped_values: stats.dropped_values,
            slowed_to_seconds: stats.slowed_to.as_ref().map(Duration::as_secs_f64),
            last_error: stats.last_error.clone(),
        }
    }
}

/// What came of a reload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// Counts the reloads of a run from 1.
    pub number: u64,
    /// Why nothing was reloaded at all; the lines are empty then.
    pub refused: Option<String>,
    /// One line an instance, in the order of the configuration; those that are gone come last.
    pub lines: Vec<ReloadLine>,
}

/// What a reload did to an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReloadLine {
    /// The instance.
    pub instance: String,
    /// What became of it.
    pub outcome: ReloadOutcome,
    /// The same in one sentence.
    pub sentence: String,
}

/// What became of an instance in a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// Nothing about it has changed: it goes on.
    Unchanged,
    /// It goes on with another interval, or is required or no longer required.
    Adjusted,
    /// Another object took its place.
    Replaced,
    /// It is new, or was down and works again.
    Started,
    /// The configuration does not want it any more.
    Disabled,
    /// The new one cannot be used: the old one goes on.
    Kept,
    /// It cannot be started, and there is no old one.
    Failed,
}

impl ReloadOutcome {
    /// Whether the instance is as the configuration wants it.
    #[must_use]
    pub fn is_good(self) -> bool {
        !matches!(self, Self::Kept | Self::Failed)
    }
}

/// The instances' cost as metrics: `orchestrator.plugin.NAME.calls` and its kin. A capacity instance that bears the name
/// of a metrics instance appears as `NAME.capacity`.
pub(super) fn cost_metrics(board: &SharedBoard) -> Metrics {
    let all = Board::stats(board);
    let twice = |one: &InstanceStats| {
        one.kind == PluginKind::Capacity
            && all.iter().any(|other| other.kind == PluginKind::Metrics && other.instance == one.instance)
    };
    let mut metrics = Metrics::new();
    for stats in &all {
        let more = if twice(stats) { ".capacity" } else { "" };
        let mut put = |name: &str, value: f64| {
            metrics.insert(format!("orchestrator.plugin.{}{more}.{name}", stats.instance), value);
        };
        put("calls", stats.calls as f64);
        put("errors", stats.errors as f64);
        put("cpu_seconds", stats.cpu.as_secs_f64());
        put("wall_seconds", stats.wall.as_secs_f64());
        put("deadline_misses", stats.deadline_misses as f64);
        put("restarts", stats.restarts as f64);
        if let Some(memory) = stats.memory {
            put("memory_bytes", memory as f64);
        }
    }
    metrics
}
