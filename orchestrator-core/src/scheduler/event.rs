//! What the scheduler hears. Past tense.

use super::policy::Policy;
use super::{ExitStatus, FailureReason, Fingerprint, InputPath, OutputFault, OutputRecord, ProcessIdentity};
use crate::AttemptId;
use crate::metrics::{ProcessSample, SystemSample, Usage};
use crate::placement::Topology;

/// One file that a scan found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Discovered {
    /// Path relative to the input directory.
    pub path: InputPath,
    /// Its fingerprint, where the scan had a reason to look (a known task, an early file for calibration).
    pub fingerprint: Option<Fingerprint>,
}

/// How a scan went.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ScanReport {
    /// Files that matched.
    pub matched: u64,
    /// Entries that could not be read, with the operating system's words (the first few).
    pub unreadable: Vec<(InputPath, String)>,
    /// How many could not be read in all.
    pub unreadable_total: u64,
}

/// How hard to stop. Each Ctrl-C goes one further.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum StopLevel {
    /// No new work; running attempts may end within `shutdown.drain_seconds`, then get the stop sequence.
    Drain,
    /// The stop sequence now.
    Now,
}

/// One capacity plugin's word.
#[derive(Clone, Debug, PartialEq)]
pub struct CapacityAnswer {
    /// The instance's name in the configuration.
    pub instance: String,
    /// How many may run; `None` when the plugin failed: its last good answer stays an upper bound.
    pub capacity: Option<u32>,
    /// In its own words, where it gives any; the failure otherwise.
    pub reason: String,
}

/// What the scheduler hears.
#[derive(Clone, Debug)]
pub enum Event {
    /// The run begins (or goes on after a crash): open attempts of earlier runs are settled.
    RunStarted,
    /// A scan found files.
    InputsDiscovered(Vec<Discovered>),
    /// The scan is over; a run without watch ends when its queue is empty.
    ScanFinished(ScanReport),
    /// The attempt's process runs.
    AttemptStarted {
        /// The attempt.
        attempt: AttemptId,
        /// The process.
        identity: ProcessIdentity,
        /// The version of the input that it works on.
        fingerprint: Fingerprint,
    },
    /// The attempt's process could not be started.
    LaunchFailed {
        /// The attempt.
        attempt: AttemptId,
        /// Why.
        reason: FailureReason,
    },
    /// The attempt's process ended and was reaped.
    AttemptExited {
        /// The attempt.
        attempt: AttemptId,
        /// How.
        status: ExitStatus,
        /// What it used.
        usage: Usage,
        /// Whether the kernel's out-of-memory killer ended it.
        oom: bool,
        /// Whether a process of its tree held its output pipes open afterwards.
        leaked: bool,
    },
    /// The attempt's private output was inspected.
    OutputValidated {
        /// The attempt.
        attempt: AttemptId,
        /// The files found, or what is wrong.
        verdict: Result<Vec<OutputRecord>, OutputFault>,
    },
    /// The attempt's output is in place (and durable, unless relaxed).
    OutputPublished {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The attempt's output could not be moved into place; its main output is not visible.
    PublishFailed {
        /// The attempt.
        attempt: AttemptId,
        /// Why.
        reason: FailureReason,
    },
    /// The machine and the running attempts were sampled.
    Sampled {
        /// The machine.
        system: SystemSample,
        /// The attempts' process trees.
        processes: Vec<ProcessSample>,
        /// CPU cores that all our attempts kept busy since the previous sample, ended ones included.
        own_cpu_cores: f64,
    },
    /// The capacity plugins answered one round.
    CapacityAnswered(Vec<CapacityAnswer>),
    /// A moment asked for by [`super::Command::WakeAt`] came.
    Ticked,
    /// Somebody asked to stop.
    StopRequested(StopLevel),
    /// The processors that may be used were read: just after `RunStarted`, or because they have changed.
    TopologyRead(Topology),
    /// The configuration was read again: limits, retry, timeouts and halt policy change at once.
    PolicyChanged(Box<Policy>),
}
