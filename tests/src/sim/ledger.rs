//! The store's model: an independent fold of facts, which also knows which transitions are lawful.

use std::collections::BTreeMap;

use orchestrator_core::capacity::Baseline;
use orchestrator_core::scheduler::{
    Fact, Fingerprint, InputPath, OutputRecord, ProcessIdentity, StoredAttempt, StoredState, StoredTask,
    TaskState,
};
use orchestrator_core::{AttemptId, Bytes, TaskId, Timestamp};

/// Leaves the function with a sentence unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err(format!($($words)+));
        }
    };
}
pub(super) use ensure;

/// What a check says: nothing, or the law that was broken.
pub(super) type Check = Result<(), String>;

/// The attempt of a task that has no end yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Open {
    pub(super) attempt: AttemptId,
    pub(super) number: u32,
    pub(super) identity: Option<ProcessIdentity>,
    pub(super) accepted: Option<Vec<OutputRecord>>,
    pub(super) exited: bool,
}

/// One task.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) path: InputPath,
    pub(super) state: TaskState,
    pub(super) attempts: u32,
    pub(super) failures: u32,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) retry_at: Option<Timestamp>,
    pub(super) reserved: Option<Bytes>,
    pub(super) open: Option<Open>,
    pub(super) completed_by: Option<AttemptId>,
    /// How often the task was new work again.
    pub(super) epoch: u32,
}

/// All that is recorded.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub(super) rows: BTreeMap<TaskId, Row>,
    pub(super) last_attempt: u64,
    pub(super) baseline: Option<Baseline>,
}

impl Ledger {
    /// Applies a fact.
    pub(super) fn apply(&mut self, fact: &Fact) -> Check {
        match fact {
            Fact::TaskNamed { task, path } => self.name(*task, path),
            Fact::AttemptPlanned { attempt, task, number, calibrating, .. } => {
                ensure!(attempt.0 > self.last_attempt, "attempt id {attempt} was given out before");
                self.last_attempt = attempt.0;
                let row = self.row(*task)?;
                ensure!(row.state == TaskState::Pending, "task {task} was planned in state {:?}", row.state);
                ensure!(row.open.is_none(), "task {task} was planned while an attempt is open");
                ensure!(*number == row.attempts + 1, "attempt number {number} after {}", row.attempts);
                row.attempts = *number;
                row.retry_at = None;
                let (identity, accepted) = (None, None);
                row.open =
                    Some(Open { attempt: *attempt, number: *number, identity, accepted, exited: false });
                row.state = if *calibrating { TaskState::Calibrating } else { TaskState::Running };
                Ok(())
            }
            Fact::AttemptStarted { attempt, task, identity, fingerprint, .. } => {
                let row = self.opened(*task, *attempt)?;
                row.fingerprint = Some(*fingerprint);
                let Some(open) = &mut row.open else { return Ok(()) };
                ensure!(open.identity.is_none() && !open.exited, "attempt {attempt} started twice");
                open.identity = Some(*identity);
                Ok(())
            }
            Fact::AttemptCalibrated { attempt, task } => {
                let row = self.opened(*task, *attempt)?;
                ensure!(row.state == TaskState::Calibrating, "attempt {attempt} was not calibrating");
                row.state = TaskState::Running;
                Ok(())
            }
            Fact::AttemptFrozen { attempt, task, .. } | Fact::AttemptThawed { attempt, task, .. } => {
                let open = self.opened(*task, *attempt)?.open.as_ref();
                let runs = open.is_some_and(|open| open.identity.is_some() && !open.exited);
                ensure!(runs, "attempt {attempt}, which does not run, stands still or goes on");
                Ok(())
            }
            Fact::ReservationRaised { attempt, task, reserved, used, .. } => {
                ensure!(reserved > used, "a reservation raised to no more than was used");
                let row = self.opened(*task, *attempt)?;
                ensure!(row.reserved < Some(*reserved), "a reservation raised to no more than it was");
                row.reserved = Some(*reserved);
                Ok(())
            }
            Fact::Relearned { .. } => Ok(()),
            Fact::AttemptExited { attempt, task, .. } => {
                let Some(open) = &mut self.opened(*task, *attempt)?.open else { return Ok(()) };
                ensure!(!open.exited, "attempt {attempt} exited twice");
                open.exited = true;
                Ok(())
            }
            Fact::OutputAccepted { attempt, task, outputs } => {
                let Some(open) = &mut self.opened(*task, *attempt)?.open else { return Ok(()) };
                ensure!(open.exited && open.accepted.is_none(), "attempt {attempt} accepted out of turn");
                ensure!(!outputs.is_empty(), "attempt {attempt} accepted without outputs");
                open.accepted = Some(outputs.clone());
                Ok(())
            }
            Fact::TaskCompleted { task, attempt, .. } => {
                let row = self.opened(*task, *attempt)?;
                let exited = row.open.as_ref().is_some_and(|open| open.exited);
                ensure!(exited, "task {task} completed by attempt {attempt}, which has not exited");
                row.completed_by = Some(*attempt);
                row.reserved = None;
                row.end(TaskState::Completed);
                Ok(())
            }
            Fact::AttemptFailed { attempt, task, retry_at, .. } => {
                let row = self.opened(*task, *attempt)?;
                row.failures += 1;
                row.retry_at = Some(*retry_at);
                row.end(TaskState::Pending);
                Ok(())
            }
            Fact::AttemptTerminated { attempt, task, .. } => {
                self.opened(*task, *attempt)?.end(TaskState::Pending);
                Ok(())
            }
            Fact::TaskFailed { task, attempt, .. } => {
                let row = if *attempt == AttemptId(0) {
                    self.waiting(*task)?
                } else {
                    self.opened(*task, *attempt)?
                };
                row.failures += 1;
                row.reserved = None;
                row.end(TaskState::Failed);
                Ok(())
            }
            Fact::TaskReset { task, .. } => {
                let row = self.row(*task)?;
                let is_final = matches!(row.state, TaskState::Completed | TaskState::Failed);
                ensure!(is_final, "task {task} was reset in state {:?}", row.state);
                row.failures = 0;
                row.fingerprint = None;
                row.retry_at = None;
                row.reserved = None;
                row.completed_by = None;
                row.epoch += 1;
                row.state = TaskState::Pending;
                Ok(())
            }
            Fact::Calibrated { baseline } => {
                ensure!(baseline.samples > 0, "a baseline of nothing was recorded");
                self.baseline = Some(*baseline);
                Ok(())
            }
        }
    }

    fn name(&mut self, task: TaskId, path: &InputPath) -> Check {
        ensure!(!self.rows.contains_key(&task), "task {task} was named twice");
        ensure!(self.rows.values().all(|row| row.path != *path), "{path} has two tasks");
        let row = Row {
            path: path.clone(),
            state: TaskState::Pending,
            attempts: 0,
            failures: 0,
            fingerprint: None,
            retry_at: None,
            reserved: None,
            open: None,
            completed_by: None,
            epoch: 0,
        };
        self.rows.insert(task, row);
        Ok(())
    }

    fn row(&mut self, task: TaskId) -> Result<&mut Row, String> {
        self.rows.get_mut(&task).ok_or_else(|| format!("task {task} has no name"))
    }

    /// The row, whose open attempt must be this one.
    fn opened(&mut self, task: TaskId, attempt: AttemptId) -> Result<&mut Row, String> {
        let row = self.row(task)?;
        let open = row.open.as_ref().map(|open| open.attempt);
        ensure!(open == Some(attempt), "attempt {attempt} of task {task} is not its open one ({open:?})");
        Ok(row)
    }

    /// The row, which must be waiting.
    fn waiting(&mut self, task: TaskId) -> Result<&mut Row, String> {
        let row = self.row(task)?;
        let waits = row.state == TaskState::Pending && row.open.is_none();
        ensure!(waits, "task {task} failed without an attempt in state {:?}", row.state);
        Ok(row)
    }

    /// What a store would load.
    pub(super) fn restored(&self) -> Vec<StoredTask> {
        self.rows.iter().map(|(task, row)| row.stored(*task)).collect()
    }

    /// The open attempt's id, if the task has one.
    pub(super) fn open_attempt(&self, task: TaskId) -> Option<&Open> {
        self.rows.get(&task).and_then(|row| row.open.as_ref())
    }
}

impl Row {
    fn end(&mut self, state: TaskState) {
        self.open = None;
        self.state = state;
    }

    /// Whether nothing more will happen to it.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.state, TaskState::Completed | TaskState::Failed)
    }

    /// The row as a store would load it.
    pub(super) fn stored(&self, task: TaskId) -> StoredTask {
        let open = self.open.as_ref().map(|open| StoredAttempt {
            attempt: open.attempt,
            number: open.number,
            identity: open.identity,
            accepted: open.accepted.clone(),
        });
        let detail = StoredState {
            attempts: self.attempts,
            failures: self.failures,
            fingerprint: self.fingerprint,
            retry_at: self.retry_at,
            reserved: self.reserved,
            open,
        };
        StoredTask { task, path: self.path.clone(), state: self.state, detail }
    }
}
