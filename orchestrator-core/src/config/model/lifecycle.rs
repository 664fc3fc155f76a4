//! What happens when processes fail, hang or have to stop.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::signal::Signal;
use crate::config::units::HumanDuration;
use crate::config::values::{RetryCause, Threshold, TimeLimit};
use crate::scheduler::FailureReason;

/// What happens after a failure. Stops for want of resources never count as failures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// How often a task is tried in all; 1 means no retry.
    #[schemars(range(min = 1, max = 1000))]
    pub max_attempts: u32,
    /// How the wait grows from try to try.
    pub backoff: Backoff,
    /// The wait before the first retry.
    pub delay: HumanDuration,
    /// The longest wait.
    pub max_delay: HumanDuration,
    /// By what share the wait is varied at random, from 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub jitter: f64,
    /// Failures that are retried.
    pub retry_on: Vec<RetryCause>,
    /// Failures that are never retried; stands above `retry_on`.
    pub never_on: Vec<RetryCause>,
}

impl Retry {
    /// Whether this failure is one that is retried, tries left or not.
    pub fn covers(&self, reason: &FailureReason) -> bool {
        let named = |causes: &[RetryCause]| causes.iter().any(|cause| cause.matches(reason));
        named(&self.retry_on) && !named(&self.never_on)
    }
}

/// How the wait grows: with `delay` d, the wait before retry n (from 1) is d·2ⁿ⁻¹, d or d·n, at most `max_delay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backoff {
    /// Doubles each time.
    #[default]
    Exponential,
    /// Stays the same.
    Constant,
    /// Grows by `delay` each time.
    Linear,
}

/// How long a process may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// How long an attempt may run: a duration, or a part of the median such as 300%. No limit if absent.
    pub attempt: Option<TimeLimit>,
    /// After what time an attempt is reported as slow: a duration or a part of the median. Never if absent.
    pub slow_after: Option<TimeLimit>,
    /// How long an attempt may show no progress (no processor time, no input or output). No limit if absent.
    pub stuck: Option<HumanDuration>,
    /// How long output pipes may stay open after the process has ended before that is reported as a leak.
    pub leak_after: HumanDuration,
    /// Whether a leak fails the attempt.
    pub on_leak: LeakPolicy,
}

/// What a leaked output pipe means for the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LeakPolicy {
    /// It is reported, and the attempt counts as its exit says.
    #[default]
    Pass,
    /// The attempt has failed.
    Fail,
}

/// How a run is stopped. The first Ctrl-C or SIGTERM drains: nothing new is started, and what still runs after
/// `drain_seconds` is stopped. The second stops at once, the third leaves at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shutdown {
    /// How long running processes may go on after the first request to stop; seconds unless a unit is given.
    pub drain_seconds: HumanDuration,
    /// How long a process has between `signal` and SIGKILL; seconds unless a unit is given.
    pub grace_seconds: HumanDuration,
    /// The signal that asks a process to stop.
    pub signal: Signal,
    /// Who is asked first.
    pub kill_mode: KillMode,
}

/// Who gets the stop signal. SIGKILL always goes to the whole tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KillMode {
    /// The process and all its descendants.
    #[default]
    Tree,
    /// The process alone; its descendants when it has ended or the grace is over.
    MainThenTree,
}

/// When a run gives up, or has enough. Without a threshold it never does.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Halt {
    /// What happens to running processes when a threshold is reached.
    pub when: HaltWhen,
    /// Halt when so many tasks have failed for good.
    pub fail: Option<Threshold>,
    /// Halt when so many tasks have succeeded.
    pub success: Option<Threshold>,
    /// Halt when so many tasks have ended either way.
    pub done: Option<Threshold>,
}

/// What a halt does to running processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HaltWhen {
    /// They are stopped.
    Now,
    /// They end in peace; nothing new is started.
    #[default]
    Soon,
}
