//! What is kept: state, logs, measurements.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{ByteSize, HumanDuration};

/// Where the state of runs is kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct State {
    /// Directory of the state; `.orchestrator` in the output directory if absent.
    #[schemars(extend("format" = "path"))]
    pub directory: Option<PathBuf>,
}

/// What is written about the run, and what is kept of the output of processes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Logging {
    /// The least severity that is written.
    pub level: LogLevel,
    /// How it is written.
    pub format: LogFormat,
    /// Whether standard output and standard error of processes are captured.
    pub capture: bool,
    /// How much is kept of each stream of each attempt; its beginning stays, the rest goes.
    pub max_bytes: ByteSize,
    /// Whose captured output is kept.
    pub keep: KeepOutput,
}

/// The least severity that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What went wrong.
    Error,
    /// What may go wrong.
    Warn,
    /// What happens.
    #[default]
    Info,
    /// How it happens.
    Debug,
    /// Everything.
    Trace,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Whose captured output is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeepOutput {
    /// That of every attempt.
    #[default]
    Always,
    /// That of attempts that failed.
    Failed,
}

/// How often is measured and how long measurements are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Time between two measurements.
    pub interval: HumanDuration,
    /// How long measurements are kept.
    pub retention: Retention,
}

/// How long measurements are kept: the oldest go first when either bound is passed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// The largest number of stored values.
    #[schemars(range(min = 1))]
    pub max_rows: u64,
    /// The greatest age.
    pub max_age: HumanDuration,
}

/// How finished work is recognised when a run goes on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resume {
    /// What makes an input the same as before.
    pub key: ResumeKey,
}

/// What makes an input the same as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResumeKey {
    /// Path, size, time of modification and command.
    #[default]
    Metadata,
    /// Path, content and command.
    Content,
    /// Path and command: changed contents are not looked at.
    Lenient,
}
