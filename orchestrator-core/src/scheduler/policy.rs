//! The numbers that a run is governed by, derived from the configuration; may change live.

use std::time::Duration;

use crate::capacity::control::ControlRules;
use crate::capacity::{CalibrationPlan, CapacityLimits};
use crate::config::model::{
    ConcurrencyMode, Config, Durability, Halt, LeakPolicy, ResumeKey, Retry, Timeouts,
};
use crate::placement::Placement;

/// The class of the bundled capacity plugin.
const SYSTEM_RESOURCE_CAPACITY: &str = "SystemResourceCapacity";
/// Completed attempts that may wait for publication before admission pauses (backpressure).
const MAX_UNPUBLISHED: usize = 4096;

/// What a run is governed by.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The user's limits on concurrency.
    pub limits: CapacityLimits,
    /// The control law's rules, where it decides (`concurrency.mode: auto`); its `min` and `max` are those of `limits`.
    pub law: Option<ControlRules>,
    /// Which processors an attempt is given.
    pub placement: Placement,
    /// Share of the output file system that may be filled, 0–1 (`resource_limits.disk_usage_threshold_percent`).
    pub disk_threshold: f64,
    /// Instances of the bundled plugin that looks at CPU, memory and disk, as the control law does: their surplus stops no
    /// work where the law decides.
    pub covered: Vec<String>,
    /// Enabled capacity plugins; with none, the user's limits alone decide.
    pub capacity_plugins: usize,
    /// Calibration.
    pub calibration: CalibrationPlan,
    /// End the run as soon as calibration is complete (`orchestrator calibrate`).
    pub calibrate_only: bool,
    /// Retry.
    pub retry: Retry,
    /// When to stop the whole run.
    pub halt: Halt,
    /// Time limits of an attempt.
    pub timeouts: Timeouts,
    /// After a first request to stop, running attempts may end within this time.
    pub drain: Duration,
    /// Between the stop signal and SIGKILL.
    pub grace: Duration,
    /// Completed attempts that may wait for publication before admission pauses (backpressure).
    pub max_unpublished: usize,
    /// When a known file counts as changed.
    pub resume_key: ResumeKey,
    /// Whether attempts write a private output that must be validated and published. Without one, exit code 0 is
    /// completion.
    pub has_output: bool,
    /// When a completion must be durable.
    pub durability: Durability,
}

impl Policy {
    /// The numbers of a configuration. `has_output` and the calibration plan hold for a whole run.
    #[must_use]
    pub fn from_config(config: &Config) -> Self {
        let calibration = &config.calibration;
        Self {
            limits: CapacityLimits {
                min: config.concurrency.min,
                max: config.concurrency.max.get(),
                fixed: config.concurrency.mode == ConcurrencyMode::Fixed,
            },
            law: ControlRules::in_force(config),
            placement: config.concurrency.placement,
            disk_threshold: ControlRules::of(config).disk_threshold,
            covered: config
                .plugins
                .capacity
                .iter()
                .filter(|plugin| plugin.class == SYSTEM_RESOURCE_CAPACITY)
                .map(|plugin| plugin.name.clone())
                .collect(),
            capacity_plugins: config.plugins.capacity.iter().filter(|plugin| plugin.enabled).count(),
            calibration: CalibrationPlan {
                inputs: if calibration.enabled { calibration.inputs } else { 0 },
                warmup: calibration.warmup_time_seconds.get(),
                duration: calibration.calibration_duration.get(),
            },
            calibrate_only: false,
            retry: config.retry.clone(),
            halt: config.halt.clone(),
            timeouts: config.timeouts.clone(),
            drain: config.shutdown.drain_seconds.get(),
            grace: config.shutdown.grace_seconds.get(),
            max_unpublished: MAX_UNPUBLISHED,
            resume_key: config.resume.key,
            has_output: crate::plan::uses_private_output(config),
            durability: config.output.durability,
        }
    }

    /// Whether a leak fails the attempt.
    #[must_use]
    pub fn leak_fails(&self) -> bool {
        self.timeouts.on_leak == LeakPolicy::Fail
    }
}
