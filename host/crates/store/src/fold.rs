//! What a fact means for the rows: the same fold as the scheduler's own table of tasks, with the history beside it.

use orchestrator_core::scheduler::{Fact, TaskState};
use orchestrator_core::{AttemptId, TaskId};
use serde::Serialize;

use crate::outputs;
use crate::rows::{AttemptRow, Outcome, TaskRow};

/// The task that a fact is about, and its attempt.
pub(crate) fn subject(fact: &Fact) -> Option<(TaskId, Option<AttemptId>)> {
    match fact {
        Fact::TaskNamed { task, .. } | Fact::TaskReset { task, .. } => Some((*task, None)),
        Fact::AttemptPlanned { attempt, task, .. }
        | Fact::AttemptStarted { attempt, task, .. }
        | Fact::AttemptCalibrated { attempt, task }
        | Fact::AttemptExited { attempt, task, .. }
        | Fact::OutputAccepted { attempt, task, .. }
        | Fact::TaskCompleted { attempt, task, .. }
        | Fact::AttemptFailed { attempt, task, .. }
        | Fact::AttemptTerminated { attempt, task, .. }
        | Fact::TaskFailed { attempt, task, .. } => Some((*task, Some(*attempt))),
        // What stands still for a while is not kept: its process ends with us.
        Fact::AttemptFrozen { .. }
        | Fact::AttemptThawed { .. }
        | Fact::ReservationRaised { .. }
        | Fact::Relearned { .. }
        | Fact::Calibrated { .. } => None,
    }
}

/// The row of an attempt that is being planned.
pub(crate) fn planned(fact: &Fact, run: i64) -> Option<AttemptRow> {
    let Fact::AttemptPlanned { attempt, task, number, slot, calibrating, at } = fact else { return None };
    Some(AttemptRow {
        task: *task,
        id: *attempt,
        run,
        number: *number,
        slot: slot.0,
        calibrating: *calibrating,
        identity: None,
        planned_at: *at,
        started_at: None,
        ended_at: None,
        exit: None,
        outcome: Outcome::Open,
        reason: None,
        usage: None,
        outputs: None,
    })
}

/// Applies a fact to its task; `command` is the present run's.
pub(crate) fn task(row: &mut TaskRow, fact: &Fact, command: i64) {
    match fact {
        Fact::AttemptPlanned { number, calibrating, .. } => {
            row.attempts = *number;
            row.retry_at = None;
            row.ended_at = None;
            row.command = Some(command);
            row.state = if *calibrating { TaskState::Calibrating } else { TaskState::Running };
        }
        Fact::AttemptStarted { fingerprint, .. } => row.fingerprint = Some(*fingerprint),
        Fact::AttemptCalibrated { .. } => row.state = TaskState::Running,
        Fact::TaskCompleted { at, .. } => {
            row.state = TaskState::Completed;
            row.ended_at = Some(*at);
        }
        Fact::AttemptFailed { retry_at, .. } => {
            row.failures += 1;
            row.retry_at = Some(*retry_at);
            row.state = TaskState::Pending;
        }
        Fact::AttemptTerminated { .. } => row.state = TaskState::Pending,
        Fact::TaskFailed { at, .. } => {
            row.failures += 1;
            row.state = TaskState::Failed;
            row.ended_at = Some(*at);
        }
        Fact::TaskReset { .. } => {
            row.failures = 0;
            row.fingerprint = None;
            row.retry_at = None;
            row.ended_at = None;
            row.state = TaskState::Pending;
        }
        Fact::TaskNamed { .. }
        | Fact::AttemptExited { .. }
        | Fact::OutputAccepted { .. }
        | Fact::AttemptFrozen { .. }
        | Fact::AttemptThawed { .. }
        | Fact::ReservationRaised { .. }
        | Fact::Relearned { .. }
        | Fact::Calibrated { .. } => {}
    }
}

/// Applies a fact to its attempt. `path` is the task's.
pub(crate) fn attempt(row: &mut AttemptRow, fact: &Fact, path: &[u8]) {
    match fact {
        Fact::AttemptStarted { identity, at, .. } => {
            row.identity = Some(*identity);
            row.started_at = Some(*at);
        }
        Fact::AttemptCalibrated { .. } => row.calibrating = true,
        Fact::AttemptExited { status, usage, at, .. } => {
            row.exit = Some(*status);
            row.usage = Some(*usage);
            row.ended_at = Some(*at);
        }
        Fact::OutputAccepted { outputs, .. } => row.outputs = Some(outputs::encode(outputs, path)),
        Fact::TaskCompleted { .. } => row.outcome = Outcome::Completed,
        Fact::AttemptFailed { reason, .. } | Fact::TaskFailed { reason, .. } => {
            row.outcome = Outcome::Failed;
            row.reason = json(reason);
        }
        Fact::AttemptTerminated { reason, at, .. } => {
            row.outcome = Outcome::Terminated;
            row.reason = json(reason);
            row.ended_at.get_or_insert(*at);
        }
        Fact::TaskNamed { .. }
        | Fact::AttemptPlanned { .. }
        | Fact::TaskReset { .. }
        | Fact::AttemptFrozen { .. }
        | Fact::AttemptThawed { .. }
        | Fact::ReservationRaised { .. }
        | Fact::Relearned { .. }
        | Fact::Calibrated { .. } => {}
    }
}

fn json(reason: &impl Serialize) -> Option<String> {
    // Plain data of our own: it always has a JSON form.
    serde_json::to_string(reason).ok()
}
