//! What the control law is governed by.

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::config::model::{ConcurrencyMode, Learn};

/// Numbers that the user may set, and the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlRules {
    /// Share of the cores that may be busy, 0–1 (`resource_limits.cpu_threshold_percent`).
    pub cpu_threshold: f64,
    /// Share of the memory that may be in use, 0–1 (`resource_limits.memory_threshold_percent`).
    pub memory_threshold: f64,
    /// Share of the output file system that may be filled, 0–1 (`resource_limits.disk_usage_threshold_percent`).
    pub disk_threshold: f64,
    /// `concurrency.min`, at least 1.
    pub min: u32,
    /// `concurrency.max`; `None` = none.
    pub max: Option<u32>,
    /// Caution about memory: multiples of the standard deviation of what the running tasks will need together.
    pub caution: f64,
    /// Caution about what is common to all of them: multiples of the error of the size law itself.
    pub common_caution: f64,
    /// Whether surplus may be frozen (SIGSTOP or a control group's freezer) rather than let run.
    pub freeze: bool,
    /// Whether running tasks may be evicted (ended and requeued) when memory runs out.
    pub evict: bool,
}

impl Default for ControlRules {
    fn default() -> Self {
        Self {
            cpu_threshold: 0.80,
            memory_threshold: 0.75,
            disk_threshold: 0.90,
            min: 1,
            max: None,
            caution: 2.0,
            common_caution: 0.5,
            freeze: true,
            evict: true,
        }
    }
}

impl ControlRules {
    /// The rules of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let limits = &config.resource_limits;
        Self {
            cpu_threshold: limits.cpu_threshold_percent.get() / 100.0,
            memory_threshold: limits.memory_threshold_percent.get() / 100.0,
            disk_threshold: limits.disk_usage_threshold_percent.get() / 100.0,
            min: config.concurrency.min,
            max: config.concurrency.max.get(),
            caution: config.concurrency.caution,
            freeze: config.concurrency.freeze,
            evict: config.concurrency.evict,
            ..Self::default()
        }
    }

    /// The rules of a configuration that lets the law decide; `None` where a fixed number or the plugins alone do.
    #[must_use]
    pub fn in_force(config: &Config) -> Option<Self> {
        let auto = config.concurrency.mode == ConcurrencyMode::Auto && config.learn != Learn::Off;
        auto.then(|| Self::of(config))
    }
}
