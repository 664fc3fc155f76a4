//! What is to be done, once the step's facts are recorded. Imperative.

use std::time::Duration;

use super::{InputPath, OutputRecord};
use crate::placement::CpuSet;
use crate::predict::Suspicion;
use crate::{AttemptId, Bytes, SlotId, TaskId, Timestamp};

/// How to stop an attempt's process tree.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StopHow {
    /// The configured signal; the scheduler sends [`StopHow::Kill`] when the grace is over.
    Gracefully,
    /// SIGKILL to the whole tree.
    Kill,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Inspect the input and start the attempt's process. Answer: `AttemptStarted` or `LaunchFailed`.
    Launch {
        /// The attempt.
        attempt: AttemptId,
        /// Its task.
        task: TaskId,
        /// Counted from 1 within the task.
        number: u32,
        /// The slot it holds.
        slot: SlotId,
        /// Path relative to the input directory.
        path: InputPath,
        /// The only processors that it may run on; `None` leaves it all that the host may use.
        cpus: Option<CpuSet>,
    },
    /// Stop the attempt's process tree. Answer: `AttemptExited`.
    Stop {
        /// The attempt.
        attempt: AttemptId,
        /// How.
        how: StopHow,
    },
    /// Stop the attempt's process tree for a while (SIGSTOP). No answer.
    Freeze {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Let a frozen attempt's process tree go on (SIGCONT). No answer.
    Thaw {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Inspect the attempt's private output. Answer: `OutputValidated`.
    Validate {
        /// The attempt.
        attempt: AttemptId,
        /// Path of the task's input relative to the input directory.
        path: InputPath,
    },
    /// Move the attempt's output into place; idempotent, so that a resumed run may say it again.
    /// Answer: `OutputPublished` or `PublishFailed`.
    Publish {
        /// The attempt.
        attempt: AttemptId,
        /// The files.
        outputs: Vec<OutputRecord>,
    },
    /// Remove the attempt's private files. No answer.
    Discard {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Send `Ticked` at this moment (it replaces an earlier wish).
    WakeAt(Timestamp),
    /// Tell the user: this attempt has run for longer than `slow_after`. No answer.
    WarnSlow {
        /// The attempt.
        attempt: AttemptId,
        /// For how long it has run.
        running_for: Duration,
    },
    /// Tell the user that something may be wrong with this attempt. Said once an attempt. No answer.
    Suspect {
        /// The attempt.
        attempt: AttemptId,
        /// What.
        suspicion: Suspicion,
    },
    /// Tell the user, once: the outputs of what is left will need more space than there is. No answer.
    WarnSpace {
        /// What they will need.
        needed: Bytes,
        /// What is left below the threshold.
        room: Bytes,
    },
    /// Nothing is left to do: end the run.
    Finish,
}
