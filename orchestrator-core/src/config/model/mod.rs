//! The configuration as the program reads it: every key with its meaning, its unit and its default.

mod defaults;
mod isolation;
mod lifecycle;
mod records;
mod resources;
mod trust;
mod work;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use isolation::{Grants, Isolation};
pub use lifecycle::{Backoff, Halt, HaltWhen, KillMode, LeakPolicy, Retry, Shutdown, Timeouts};
pub use records::{KeepOutput, LogFormat, LogLevel, Logging, Metrics, Resume, ResumeKey, Retention, State};
pub use resources::{Calibration, Concurrency, ConcurrencyMode, Learn, Plugin, Plugins, ResourceLimits};
pub use trust::{Sha256, Trust, is_public_key};
pub use work::{Binary, Durability, Input, Output, Validation};

use crate::plan::template::{Placeholder, Template};

/// Configuration of Process Orchestrator. `binary.path`, `input.files_directory` and `output.directory` alone suffice.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What is run for each input file.
    pub binary: Binary,
    /// Which files are worked on.
    pub input: Input,
    /// Where results go and when they count.
    pub output: Output,
    /// Shares of the machine that are not exceeded.
    pub resource_limits: ResourceLimits,
    /// How the needs of one process are measured before many are started.
    pub calibration: Calibration,
    /// Plugins that measure and that decide how many processes may run.
    pub plugins: Plugins,
    /// Bounds on the number of processes at a time.
    pub concurrency: Concurrency,
    /// What is learned from finished files about those to come.
    pub learn: Learn,
    /// What happens after a failure.
    pub retry: Retry,
    /// How long a process may take.
    pub timeouts: Timeouts,
    /// How a run is stopped.
    pub shutdown: Shutdown,
    /// When a run gives up, or has enough.
    pub halt: Halt,
    /// Where the state of runs is kept.
    pub state: State,
    /// What is written about the run, and what is kept of the output of processes.
    pub logging: Logging,
    /// How often is measured and how long measurements are kept.
    pub metrics: Metrics,
    /// How finished work is recognised when a run goes on.
    pub resume: Resume,
}

impl Config {
    /// Where the state lives: `state.directory`, else `.orchestrator` in the output directory.
    pub fn state_directory(&self) -> PathBuf {
        self.state.directory.clone().unwrap_or_else(|| self.output.directory.join(".orchestrator"))
    }

    /// Whether an attempt without an output file has failed: `output.validation.required`, by default true exactly
    /// when the command names `{output_file}` or its standard output is written to a file.
    pub fn output_required(&self) -> bool {
        self.output.validation.required.unwrap_or_else(|| self.writes_output())
    }

    /// Whether the command is told where to write: a template names `{output_file}`, or `binary.stdout` is set.
    pub fn writes_output(&self) -> bool {
        let binary = &self.binary;
        let named = |template: &Template| template.mentions(Placeholder::OutputFile);
        binary.stdout.is_some()
            || binary.flags.iter().chain(binary.env.values()).any(named)
            || [&binary.stdin, &binary.stderr, &binary.working_directory].into_iter().flatten().any(named)
    }
}
