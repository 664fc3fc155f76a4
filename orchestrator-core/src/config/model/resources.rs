//! How much of the machine is used, how it is measured, and who decides.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::isolation::{Grants, Isolation};
use super::trust::Trust;
use crate::config::units::{ByteSize, HumanDuration, Percent};
use crate::config::values::Limit;
use crate::placement::Placement;

/// Shares of the machine that are not exceeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResourceLimits {
    /// Busy share of all processors, in percent.
    pub cpu_threshold_percent: Percent,
    /// Used share of memory, in percent of the machine's memory or of the container's limit.
    pub memory_threshold_percent: Percent,
    /// Used share of the file system that holds the output directory, in percent.
    pub disk_usage_threshold_percent: Percent,
}

/// How the needs of one process are measured before many are started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Calibration {
    /// Whether to calibrate; without it, the needs are learnt as the run goes on.
    pub enabled: bool,
    /// Time a process is given to settle before it is measured; seconds unless a unit is given.
    pub warmup_time_seconds: HumanDuration,
    /// Time it is measured for; seconds unless a unit is given.
    pub calibration_duration: HumanDuration,
    /// How many inputs are used, spread over the sizes found. They are ordinary tasks whose results count.
    #[schemars(range(min = 1, max = 1000))]
    pub inputs: u32,
}

/// Plugins that measure and that decide how many processes may run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Plugins {
    /// Directories that are searched for plugin libraries, besides `--plugins-dir`, ORCHESTRATOR_PLUGINS_DIR and the
    /// directory beside the program.
    #[schemars(extend("items" = {"type": "string", "format": "path"}))]
    pub directories: Vec<PathBuf>,
    /// Which plugin libraries are trusted.
    pub trust: Trust,
    /// Plugins that measure. SystemMetricsCollector if the key is absent; an empty list means none.
    pub metrics: Vec<Plugin>,
    /// Plugins that say how many processes may run; the smallest answer counts. SystemResourceCapacity if the key is
    /// absent; an empty list means none.
    pub capacity: Vec<Plugin>,
}

/// One plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// Name of this instance, unique within its list.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Whether it is used.
    #[serde(default = "Plugin::default_enabled")]
    pub enabled: bool,
    /// The class that a plugin library exports.
    #[schemars(length(min = 1))]
    pub class: String,
    /// Its own configuration, checked by the plugin.
    #[serde(default)]
    #[schemars(extend("x-free" = true))]
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Whether the run ends when the plugin fails; otherwise it goes on without it.
    #[serde(default)]
    pub required: bool,
    /// Milliseconds that a call may take before it counts as failed.
    #[serde(default = "Plugin::default_deadline_ms")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub deadline_ms: u64,
    /// Time between two calls; `metrics.interval` if absent.
    #[serde(default)]
    pub interval: Option<HumanDuration>,
    /// Where it runs; if absent, in_process for libraries that came with the program, sandbox for others.
    #[serde(default)]
    pub isolation: Option<Isolation>,
    /// What it may do in a sandbox.
    #[serde(default)]
    pub grants: Grants,
    /// Address space that its own process may use, where it has one.
    #[serde(default = "Plugin::default_max_memory")]
    pub max_memory: ByteSize,
}

/// Bounds on the number of processes at a time, and how it follows the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Concurrency {
    /// The least number: so many run even if the capacity plugins say fewer.
    #[schemars(range(min = 1))]
    pub min: u32,
    /// The largest number; auto leaves it to the capacity plugins and the machine.
    pub max: Limit,
    /// Who says how many run between `min` and `max`.
    pub mode: ConcurrencyMode,
    /// With `mode: auto`, how much memory is kept in reserve for what running processes may need beyond what is
    /// expected of them, in standard deviations: less is faster, more is safer.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub caution: f64,
    /// With `mode: auto`, whether processes may be stopped for a while (SIGSTOP) when too many run or memory runs short.
    pub freeze: bool,
    /// With `mode: auto`, whether the youngest processes may be ended when memory runs out; their files come again, and no
    /// try is lost.
    pub evict: bool,
    /// Which of the CPUs that the orchestrator may use each process is given: `auto` (one NUMA node each where there are
    /// several, once it is known what they need), `none` (all: the kernel decides), `node`, `core` (one of its own as far
    /// as they go round; `core:2` two).
    pub placement: Placement,
}

/// Who says how many processes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConcurrencyMode {
    /// The capacity plugins are upper bounds; below them the number follows CPU, memory and throughput as the work goes on.
    #[default]
    Auto,
    /// The capacity plugins alone, by what calibration measured.
    Calibrated,
    /// Always `max`.
    Fixed,
}

/// What is learned from finished files about those to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Learn {
    /// Nothing: as `concurrency.mode: calibrated`.
    Off,
    /// Memory, run time and CPU by input size, anew in every run.
    Run,
    /// The same, kept for later runs of the same program with the same flags.
    #[default]
    AcrossRuns,
}
