//! All defaults in one place. (Those that are an empty list, false, none or the first choice of an enum come from
//! `derive(Default)`.)

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::isolation::Grants;
use super::lifecycle::{Backoff, KillMode, LeakPolicy, Retry, Shutdown, Timeouts};
use super::records::{KeepOutput, LogFormat, LogLevel, Logging, Metrics, Retention};
use super::resources::{Calibration, Concurrency, ConcurrencyMode, Plugin, Plugins, ResourceLimits};
use super::trust::Trust;
use super::work::{Binary, Durability, Input, Output, Validation};
use crate::config::signal::Signal;
use crate::config::units::{ByteSize, HumanDuration, Percent};
use crate::config::values::{GlobPattern, Limit, RetryCause};
use crate::placement::Placement;
use crate::scheduler::FailureCategory;

impl Default for Binary {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            flags: Vec::new(),
            env: BTreeMap::new(),
            clear_env: false,
            working_directory: None,
            stdin: None,
            stdout: None,
            stderr: None,
            shell: false,
        }
    }
}

impl Default for Input {
    fn default() -> Self {
        Self {
            files_directory: PathBuf::new(),
            file_pattern: GlobPattern::any(),
            recursive: false,
            follow_symlinks: false,
            exclude: Vec::new(),
        }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self {
            directory: PathBuf::new(),
            file_suffix: ".output".to_owned(),
            validation: Validation::default(),
            durability: Durability::Batch,
        }
    }
}

impl Default for ResourceLimits {
    fn default() -> Self {
        Self {
            cpu_threshold_percent: const { Percent::constant(80.0) },
            memory_threshold_percent: const { Percent::constant(75.0) },
            disk_usage_threshold_percent: const { Percent::constant(90.0) },
        }
    }
}

impl Default for Calibration {
    fn default() -> Self {
        Self {
            enabled: true,
            warmup_time_seconds: HumanDuration::from_secs(2),
            calibration_duration: HumanDuration::from_secs(5),
            inputs: 3,
        }
    }
}

impl Default for Plugins {
    fn default() -> Self {
        Self {
            directories: Vec::new(),
            trust: Trust::default(),
            metrics: vec![Plugin::new("system_metrics", "SystemMetricsCollector")],
            capacity: vec![Plugin::new("resource_capacity", "SystemResourceCapacity")],
        }
    }
}

impl Plugin {
    /// The least `max_memory` that is accepted.
    pub const LEAST_MEMORY: ByteSize = ByteSize::new(64 << 20);

    /// An enabled plugin with an empty configuration of its own.
    pub fn new(name: &str, class: &str) -> Self {
        Self {
            name: name.to_owned(),
            enabled: Self::default_enabled(),
            class: class.to_owned(),
            config: serde_json::Map::new(),
            required: false,
            deadline_ms: Self::default_deadline_ms(),
            interval: None,
            isolation: None,
            grants: Grants::default(),
            max_memory: Self::default_max_memory(),
        }
    }

    pub(super) fn default_enabled() -> bool {
        true
    }

    pub(super) fn default_deadline_ms() -> u64 {
        1_000
    }

    pub(super) fn default_max_memory() -> ByteSize {
        ByteSize::new(512 << 20)
    }
}

impl Default for Concurrency {
    fn default() -> Self {
        Self {
            min: 1,
            max: Limit::AUTO,
            mode: ConcurrencyMode::Auto,
            caution: 2.0,
            freeze: true,
            evict: true,
            placement: Placement::Auto,
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        use FailureCategory::{DiskFull, ExitCode, InvalidOutput, Oom, Signal, Spawn, Stuck, Timeout};
        Self {
            max_attempts: 3,
            backoff: Backoff::Exponential,
            delay: HumanDuration::from_secs(1),
            max_delay: HumanDuration::from_secs(60),
            jitter: 0.1,
            retry_on: [ExitCode, Signal, Oom, Timeout, Stuck, InvalidOutput, Spawn, DiskFull]
                .map(RetryCause::Kind)
                .to_vec(),
            never_on: Vec::new(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            attempt: None,
            slow_after: None,
            stuck: None,
            leak_after: HumanDuration::from_millis(100),
            on_leak: LeakPolicy::Pass,
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            drain_seconds: HumanDuration::from_secs(30),
            grace_seconds: HumanDuration::from_secs(10),
            signal: Signal::TERM,
            kill_mode: KillMode::Tree,
        }
    }
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            format: LogFormat::Human,
            capture: true,
            max_bytes: ByteSize::new(10 << 20),
            keep: KeepOutput::Always,
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self { interval: HumanDuration::from_secs(1), retention: Retention::default() }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { max_rows: 1_000_000, max_age: HumanDuration::from_secs(7 * 86_400) }
    }
}
