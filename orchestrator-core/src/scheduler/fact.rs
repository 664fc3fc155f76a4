//! What became true. Facts of one step form one all-or-nothing record; a task's durable state is the fold of its facts.

use serde::{Deserialize, Serialize};

use super::{ExitStatus, FailureReason, InputPath, TerminationReason};
use crate::capacity::Baseline;
use crate::capacity::control::FrozenFor;
use crate::metrics::Usage;
use crate::outlook::Drifted;
use crate::{AttemptId, Bytes, SlotId, TaskId, Timestamp};

/// Tells one version of an input file from another.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Size in bytes.
    pub size: u64,
    /// Modification time, nanoseconds since the Unix epoch; with `resume.key: content` a hash of the content.
    pub version: i64,
}

/// Names a process across pid reuse.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Process id; also the id of its process group.
    pub pid: u32,
    /// Start time in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start_ticks: u64,
}

/// One file that a task published.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// Path relative to the output directory.
    pub path: InputPath,
    /// Size in bytes.
    pub size: u64,
}

/// What became true in a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// A task is known by this path from now on (recorded with its first attempt).
    TaskNamed {
        /// The task.
        task: TaskId,
        /// Path relative to the input directory.
        path: InputPath,
    },
    /// An attempt was admitted; its launch follows.
    AttemptPlanned {
        /// The attempt.
        attempt: AttemptId,
        /// Its task.
        task: TaskId,
        /// Counted from 1 within the task.
        number: u32,
        /// The slot it holds.
        slot: SlotId,
        /// Whether it measures (CALIBRATING) or simply runs (RUNNING).
        calibrating: bool,
        /// When.
        at: Timestamp,
    },
    /// Its process runs.
    AttemptStarted {
        /// The attempt.
        attempt: AttemptId,
        /// Its task.
        task: TaskId,
        /// The process.
        identity: ProcessIdentity,
        /// The version of the input that it works on.
        fingerprint: Fingerprint,
        /// When.
        at: Timestamp,
    },
    /// Its calibration ended while it goes on as an ordinary RUNNING attempt.
    AttemptCalibrated {
        /// The attempt.
        attempt: AttemptId,
        /// Its task.
        task: TaskId,
    },
    /// Its process tree is made to stand still for a while; that time counts against no limit.
    AttemptFrozen {
        /// The attempt.
        attempt: AttemptId,
        /// Its task.
        task: TaskId,
        /// Why.
        why: FrozenFor,
        /// When.
        at: Timestamp,
    },
    /// It goes on.
    AttemptThawed {
        /// The attempt.
        attempt: AttemptId,
        /// Its task.
        task: TaskId,
        /// When.
        at: Timestamp,
    },
    /// Its process ended.
    AttemptExited {
        /// The attempt.
        attempt: AttemptId,
        /// Its task.
        task: TaskId,
        /// How.
        status: ExitStatus,
        /// What it used.
        usage: Usage,
        /// When.
        at: Timestamp,
    },
    /// Its output passed validation; what follows is the move into place.
    OutputAccepted {
        /// The attempt.
        attempt: AttemptId,
        /// Its task.
        task: TaskId,
        /// The files to be published.
        outputs: Vec<OutputRecord>,
    },
    /// The task's output is in place (and durable, unless `durability: relaxed`).
    TaskCompleted {
        /// The task.
        task: TaskId,
        /// The attempt that did it.
        attempt: AttemptId,
        /// When.
        at: Timestamp,
    },
    /// An attempt failed and the task will be tried again.
    AttemptFailed {
        /// The attempt.
        attempt: AttemptId,
        /// Its task.
        task: TaskId,
        /// Why.
        reason: FailureReason,
        /// Not before this moment.
        retry_at: Timestamp,
    },
    /// An attempt was stopped without being at fault; the task is PENDING again.
    AttemptTerminated {
        /// The attempt.
        attempt: AttemptId,
        /// Its task.
        task: TaskId,
        /// Why.
        reason: TerminationReason,
        /// When.
        at: Timestamp,
    },
    /// The task failed for good.
    TaskFailed {
        /// The task.
        task: TaskId,
        /// The last attempt.
        attempt: AttemptId,
        /// Why.
        reason: FailureReason,
        /// When.
        at: Timestamp,
    },
    /// The task is new work again: its input or the command changed, or `--retry-failed` asked for it.
    TaskReset {
        /// The task.
        task: TaskId,
        /// When.
        at: Timestamp,
    },
    /// An attempt died for want of memory, or was evicted: the task's next one reserves more.
    ReservationRaised {
        /// The attempt.
        attempt: AttemptId,
        /// Its task.
        task: TaskId,
        /// What it had used.
        used: Bytes,
        /// What the next one reserves.
        reserved: Bytes,
        /// Whether it was ended to keep memory below its threshold, rather than killed for want of it.
        #[serde(default)]
        evicted: bool,
        /// When.
        at: Timestamp,
    },
    /// Tasks have begun to take another multiple of what was expected of them: what was learned before is forgotten.
    Relearned {
        /// What of, and by how much.
        what: Drifted,
        /// When.
        at: Timestamp,
    },
    /// A baseline was measured for the present binary and flags.
    Calibrated {
        /// What one instance needs.
        baseline: Baseline,
    },
}
