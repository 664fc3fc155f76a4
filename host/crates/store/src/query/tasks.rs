//! One task and its attempts; failed tasks page by page.

use orchestrator_core::metrics::Usage;
use orchestrator_core::scheduler::{
    ExitStatus, FailureReason, Fingerprint, InputPath, OutputRecord, ProcessIdentity, TaskState,
    TerminationReason,
};
use orchestrator_core::{AttemptId, RunId, SlotId, TaskId, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::StateReader;
use crate::error::StoreError;
use crate::outputs;
use crate::rows::{ATTEMPT_COLUMNS, AttemptRow, Outcome, TASK_COLUMNS, TaskRow};
use crate::sql::unsigned;

/// How a user names a task.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TaskRef {
    /// By its id.
    Id(TaskId),
    /// By its path relative to the input directory.
    Path(InputPath),
}

/// A task as recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskView {
    /// Its id.
    pub task: TaskId,
    /// Its path relative to the input directory.
    pub path: InputPath,
    /// Its state.
    pub state: TaskState,
    /// Failed attempts since it was last new.
    pub failures: u32,
    /// The version of the input that the last attempt worked on.
    pub fingerprint: Option<Fingerprint>,
    /// Not to be tried before.
    pub retry_at: Option<Timestamp>,
    /// When it became COMPLETED or FAILED.
    pub ended_at: Option<Timestamp>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptView>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptOutcome {
    /// It runs, or it is being validated or published.
    Open,
    /// Its output is in place.
    Completed,
    /// By its own fault.
    Failed(FailureReason),
    /// Stopped without being at fault.
    Terminated(TerminationReason),
}

/// An attempt as recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptView {
    /// Its id.
    pub attempt: AttemptId,
    /// The run it belongs to.
    pub run: RunId,
    /// Counted from 1 within the task.
    pub number: u32,
    /// The slot it held.
    pub slot: SlotId,
    /// Whether it measured (CALIBRATING).
    pub calibrating: bool,
    /// Its process, once it had started.
    pub identity: Option<ProcessIdentity>,
    /// When it was admitted.
    pub planned_at: Timestamp,
    /// When its process started.
    pub started_at: Option<Timestamp>,
    /// When its process ended.
    pub ended_at: Option<Timestamp>,
    /// How its process ended.
    pub exit: Option<ExitStatus>,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// What it used.
    pub usage: Option<Usage>,
    /// Its accepted outputs.
    pub outputs: Option<Vec<OutputRecord>>,
}

/// A task that failed for good.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedTask {
    /// Its id.
    pub task: TaskId,
    /// Its path relative to the input directory.
    pub path: InputPath,
    /// Attempts made.
    pub attempts: u32,
    /// The last attempt that failed: its output is captured under this id.
    pub attempt: AttemptId,
    /// Why.
    pub reason: FailureReason,
    /// When.
    pub ended_at: Option<Timestamp>,
}

impl StateReader {
    /// A task with all its attempts; `None` when it is not recorded (never launched).
    ///
    /// # Errors
    /// As any reading.
    pub fn task(&self, wanted: &TaskRef) -> Result<Option<TaskView>, StoreError> {
        let wrong = self.wrong();
        let query = |filter: &str, value: &dyn rusqlite::ToSql| {
            let sql = format!("SELECT {TASK_COLUMNS} FROM tasks WHERE {filter} = ?1");
            self.connection.query_row(&sql, [value], TaskRow::read).optional().map_err(wrong)
        };
        let found = match wanted {
            TaskRef::Id(task) => query("id", &task.0)?,
            TaskRef::Path(path) => query("path", &path.as_bytes())?,
        };
        let row = match found {
            None => return Ok(None),
            Some((None, _)) => return Err(self.damaged("the row of this task is broken".to_owned())),
            Some((Some(row), _)) => row,
        };
        Ok(Some(TaskView {
            task: row.id,
            path: InputPath::new(&row.path),
            state: row.state,
            failures: row.failures,
            fingerprint: row.fingerprint,
            retry_at: row.retry_at,
            ended_at: row.ended_at,
            attempts: self.attempts(&row)?,
        }))
    }

    /// Tasks that failed for good, by id: those after `after`, `limit` at most.
    ///
    /// # Errors
    /// As any reading.
    pub fn failed(&self, after: Option<TaskId>, limit: u32) -> Result<Vec<FailedTask>, StoreError> {
        let wrong = self.wrong();
        let sql = "SELECT t.id, t.path, t.attempts, a.id, a.reason, t.ended_at
                   FROM tasks t JOIN attempts a ON a.task = t.id AND a.id = (
                     SELECT max(b.id) FROM attempts b WHERE b.task = t.id AND b.outcome = ?2)
                   WHERE t.state = ?1 AND t.id > ?3 ORDER BY t.id LIMIT ?4";
        let mut statement = self.connection.prepare(sql).map_err(wrong)?;
        let after = after.map_or(-1, |task| i64::from(task.0));
        let parameters = params![TaskState::Failed as i64, Outcome::Failed as i64, after, limit];
        let mut rows = statement.query(parameters).map_err(wrong)?;
        let mut failed = Vec::new();
        while let Some(row) = rows.next().map_err(wrong)? {
            let text: Option<String> = row.get(4).map_err(wrong)?;
            let task = TaskId(row.get(0).map_err(wrong)?);
            let Some(reason) = text.and_then(|text| serde_json::from_str(&text).ok()) else {
                return Err(self.damaged(format!("the reason of task {task} is broken")));
            };
            failed.push(FailedTask {
                task,
                path: InputPath::new(row.get_ref(1).map_err(wrong)?.as_blob().unwrap_or_default()),
                attempts: row.get(2).map_err(wrong)?,
                attempt: AttemptId(unsigned(row.get(3).map_err(wrong)?)),
                reason,
                ended_at: row.get::<_, Option<i64>>(5).map_err(wrong)?.map(|at| Timestamp(unsigned(at))),
            });
        }
        Ok(failed)
    }

    fn attempts(&self, task: &TaskRow) -> Result<Vec<AttemptView>, StoreError> {
        let wrong = self.wrong();
        let sql = format!("SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE task = ?1 ORDER BY id");
        let mut statement = self.connection.prepare(&sql).map_err(wrong)?;
        let mut rows = statement.query([task.id.0]).map_err(wrong)?;
        let mut attempts = Vec::new();
        while let Some(row) = rows.next().map_err(wrong)? {
            let read = AttemptRow::read(row).map_err(wrong)?;
            let view = read.and_then(|attempt| view(attempt, &task.path));
            attempts
                .push(view.ok_or_else(|| self.damaged(format!("an attempt of task {} is broken", task.id)))?);
        }
        Ok(attempts)
    }
}

fn view(row: AttemptRow, path: &[u8]) -> Option<AttemptView> {
    let reason = row.reason.as_deref();
    let outcome = match row.outcome {
        Outcome::Open => AttemptOutcome::Open,
        Outcome::Completed => AttemptOutcome::Completed,
        Outcome::Failed => AttemptOutcome::Failed(serde_json::from_str(reason?).ok()?),
        Outcome::Terminated => AttemptOutcome::Terminated(serde_json::from_str(reason?).ok()?),
    };
    let outputs = match &row.outputs {
        Some(blob) => Some(outputs::decode(blob, path)?),
        None => None,
    };
    Some(AttemptView {
        attempt: row.id,
        run: RunId(unsigned(row.run)),
        number: row.number,
        slot: SlotId(row.slot),
        calibrating: row.calibrating,
        identity: row.identity,
        planned_at: row.planned_at,
        started_at: row.started_at,
        ended_at: row.ended_at,
        exit: row.exit,
        outcome,
        usage: row.usage,
        outputs,
    })
}
