//! What an instance costs, and how it fares.

use super::facts::field_of_stat;
use crate::library::PluginFile;
use orchestrator_plugin_api::PluginKind;
use orchestrator_ports::Histogram;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How an instance fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// It is being loaded and constructed.
    Starting,
    /// It works.
    Running,
    /// It broke and is started again soon.
    Restarting,
    /// It was given up.
    Failed,
    /// The configuration does not want it any more.
    Disabled,
}

impl std::fmt::Display for InstanceState {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.pad(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Failed => "failed",
            Self::Disabled => "disabled",
        })
    }
}

/// The library that an instance is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryFacts {
    /// Where its file lay when it was loaded.
    pub path: PathBuf,
    /// BLAKE3 hash of the file's content, in hexadecimal digits.
    pub blake3: String,
    /// Its package.
    pub package: String,
    /// The package's version.
    pub version: String,
    /// The version of the contract that it was built with.
    pub contract: String,
    /// Who signed it, where that is known.
    pub signer: Option<String>,
}

impl LibraryFacts {
    pub(crate) fn of(file: &PluginFile) -> Self {
        let about = &file.descriptor;
        Self {
            path: file.path.clone(),
            blake3: file.hash.to_hex().as_str().to_owned(),
            package: about.name.clone(),
            version: about.version.clone(),
            contract: about.api.clone(),
            signer: Some(file.signer.to_string()),
        }
    }
}

/// What an instance has cost since the run began, over all its restarts and reloads, and how it fares.
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
    /// CPU time of its thread in calls (`CLOCK_THREAD_CPUTIME_ID`); threads of its own are not in it, what the
    /// host spends on the answers of an isolated one is.
    pub cpu: Duration,
    /// Calls that missed their deadline.
    pub deadline_misses: u64,
    /// Values that were dropped: not finite, negative, badly named, or too many.
    pub dropped_values: u64,
    /// The last error.
    pub last_error: Option<String>,
    /// Wall time of each call.
    pub latency: Histogram,
    /// Times that it was started again after it broke.
    pub restarts: u64,
    /// Times that another configuration or library took its place.
    pub reloads: u64,
    /// Resident memory of its process in bytes; `None` where it shares ours.
    pub memory: Option<u64>,
    /// Its process; `None` where it shares ours.
    pub runner: Option<RunnerUsage>,
    /// How it fares.
    pub state: InstanceState,
    /// Why it is restarting or failed.
    pub sentence: Option<String>,
    /// The longer interval at which it is asked since its rounds are slow.
    pub slowed_to: Option<Duration>,
    /// `in_process`, `process` or `sandbox`.
    pub isolation: String,
    /// Its library, once that is known.
    pub library: Option<LibraryFacts>,
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
            latency: Histogram::default(),
            restarts: 0,
            reloads: 0,
            memory: None,
            runner: None,
            state: InstanceState::Starting,
            sentence: None,
            slowed_to: None,
            isolation: "in_process".to_owned(),
            library: None,
        }
    }

    /// Books one call: time that passed, CPU time, and the words of its error.
    pub(crate) fn book(&mut self, wall: Duration, cpu: Duration, error: Option<&str>) {
        self.calls += 1;
        self.wall += wall;
        self.cpu += cpu;
        self.latency.record(wall);
        if let Some(error) = error {
            self.errors += 1;
            self.last_error = Some(error.to_owned());
        }
    }

    /// Books what its own process has used so far.
    pub(crate) fn book_runner(&mut self, usage: RunnerUsage) {
        self.memory = Some(usage.memory);
        self.runner = Some(usage);
    }
}

/// What an instance's own process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerUsage {
    /// Its process identifier.
    pub pid: u32,
    /// CPU time of all its threads, user and system (`/proc/PID/stat`).
    pub cpu: Duration,
    /// Resident memory in bytes (`/proc/PID/stat`).
    pub memory: u64,
    /// Its threads (`/proc/PID/stat`), the runner's own among them.
    #[serde(default)]
    pub threads: u32,
}

impl RunnerUsage {
    /// Reads it; nothing where the process is gone.
    pub(crate) fn read(pid: u32) -> Option<Self> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let ticks = field_of_stat::<u64>(&stat, 14)? + field_of_stat::<u64>(&stat, 15)?;
        let cpu = Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64);
        let memory = field_of_stat::<u64>(&stat, 24)? * page_size() as u64;
        let threads = field_of_stat::<u32>(&stat, 20)?;
        Some(Self { pid, cpu, memory, threads })
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
