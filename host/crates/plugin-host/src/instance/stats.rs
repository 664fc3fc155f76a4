//! What an instance costs.

use orchestrator_plugin_api::PluginKind;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// What an instance has cost since it was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceStats {
    /// The instance's name in the configuration.
    pub instance: String,
    /// Its kind.
    pub kind: PluginKind,
    /// Its class.
    pub class: String,
    /// Calls made, one per process and one for the machine in every round.
    pub calls: u64,
    /// Calls that ended with an error.
    pub errors: u64,
    /// Time that passed in calls.
    pub wall: Duration,
    /// CPU time of its thread in calls (`CLOCK_THREAD_CPUTIME_ID`); threads of its own are not in it.
    pub cpu: Duration,
    /// Calls that missed their deadline.
    pub deadline_misses: u64,
    /// Values that were dropped: not finite, negative, badly named, or too many.
    pub dropped_values: u64,
    /// The last error.
    pub last_error: Option<String>,
}

impl InstanceStats {
    pub(crate) fn new(instance: &str, kind: PluginKind, class: &str) -> Self {
        Self {
            instance: instance.to_owned(),
            kind,
            class: class.to_owned(),
            calls: 0,
            errors: 0,
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
            deadline_misses: 0,
            dropped_values: 0,
            last_error: None,
        }
    }

    /// Books one call: time that passed, CPU time, and the words of its error.
    pub(crate) fn book(&mut self, wall: Duration, cpu: Duration, error: Option<&str>) {
        self.calls += 1;
        self.wall += wall;
        self.cpu += cpu;
        if let Some(error) = error {
            self.errors += 1;
            self.last_error = Some(error.to_owned());
        }
    }
}

/// Measures one call on the thread that makes it.
pub(crate) struct Meter {
    wall: Instant,
    cpu: Duration,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { wall: Instant::now(), cpu: thread_cpu() }
    }

    /// Wall and CPU time since the start.
    pub(crate) fn stop(self) -> (Duration, Duration) {
        (self.wall.elapsed(), thread_cpu().saturating_sub(self.cpu))
    }
}

fn thread_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
