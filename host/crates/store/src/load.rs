//! Reading everything back, and holding it against its checksums.

use std::path::Path;

use orchestrator_core::scheduler::{
    InputPath, OutputRecord, StoredAttempt, StoredState, StoredTask, TaskState,
};
use orchestrator_core::{Bytes, TaskId};
use rusqlite::{Connection, OptionalExtension};

use crate::book::Totals;
use crate::crc::share;
use crate::error::StoreError;
use crate::outputs;
use crate::reserved::Reserved;
use crate::rows::{ATTEMPT_COLUMNS, AttemptRow, Outcome, TASK_COLUMNS, TaskRow};
use crate::runs::find_command;
use crate::sql::translate;

/// What the scheduler starts from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Loaded {
    /// Final tasks (COMPLETED or FAILED) whose last attempt was made under another command: new work.
    pub stale: Vec<TaskId>,
    /// The first attempt id never given out.
    pub next_attempt: u64,
}

/// Hands out all tasks that were ever launched, in order of id. An open attempt that was made under another command than
/// `command_hash` comes without its accepted outputs, so that it is settled as lost instead of being published.
pub(crate) fn load(
    connection: &Connection,
    path: &Path,
    command_hash: &str,
    mut each: impl FnMut(StoredTask),
) -> Result<Loaded, StoreError> {
    let wrong = translate(path);
    let damaged = |what: String| StoreError::Damaged { path: path.to_path_buf(), what };
    let totals = Totals::read(connection, path)?;
    let command = find_command(connection, command_hash).map_err(wrong)?;
    let mut loaded = Loaded { next_attempt: totals.next_attempt, ..Loaded::default() };
    let reserved = Reserved::read(connection).map_err(wrong)?;
    let (mut count, mut digest) = (0_u64, 0_u64);
    let sql = format!("SELECT {TASK_COLUMNS} FROM tasks ORDER BY id");
    let mut statement = connection.prepare(&sql).map_err(wrong)?;
    let mut rows = statement.query([]).map_err(wrong)?;
    while let Some(row) = rows.next().map_err(wrong)? {
        let (Some(task), crc) = TaskRow::read(row).map_err(wrong)? else {
            return Err(damaged(format!("the row of task {count} is broken")));
        };
        digest = digest.wrapping_add(share(task.id.0, crc));
        let same_command = task.command.is_some() && task.command == command;
        if !same_command && matches!(task.state, TaskState::Completed | TaskState::Failed) {
            loaded.stale.push(task.id);
        }
        let open = match task.state {
            TaskState::Calibrating | TaskState::Running => {
                open_attempt(connection, path, &task, same_command)?
            }
            _ => None,
        };
        let reserved = reserved.of(task.id);
        each(stored(task, open, reserved));
        count += 1;
    }
    if (count, digest) != (totals.tasks, totals.digest) {
        return Err(damaged(format!(
            "{} tasks are recorded, {count} were found, or not as recorded",
            totals.tasks
        )));
    }
    Ok(loaded)
}

fn stored(row: TaskRow, open: Option<StoredAttempt>, reserved: Option<Bytes>) -> StoredTask {
    let detail = StoredState {
        attempts: row.attempts,
        failures: row.failures,
        fingerprint: row.fingerprint,
        retry_at: row.retry_at,
        reserved,
        open,
    };
    StoredTask { task: row.id, path: InputPath::new(&row.path), state: row.state, detail }
}

fn open_attempt(
    connection: &Connection,
    path: &Path,
    task: &TaskRow,
    same_command: bool,
) -> Result<Option<StoredAttempt>, StoreError> {
    let wrong = translate(path);
    let broken = || StoreError::Damaged {
        path: path.to_path_buf(),
        what: format!("the open attempt of task {} is missing or broken", task.id),
    };
    let sql = format!("SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE task = ?1 ORDER BY id DESC LIMIT 1");
    let mut statement = connection.prepare_cached(&sql).map_err(wrong)?;
    let found = statement.query_row([task.id.0], AttemptRow::read).optional().map_err(wrong)?;
    let row = found.flatten().filter(|row| row.outcome == Outcome::Open).ok_or_else(broken)?;
    let accepted = match row.outputs.as_ref().filter(|_| same_command) {
        Some(blob) => Some(outputs::decode(blob, &task.path).ok_or_else(broken)?),
        None => None,
    };
    Ok(Some(StoredAttempt { attempt: row.id, number: row.number, identity: row.identity, accepted }))
}

/// Holds every attempt against its checksum; after an unclean end.
pub(crate) fn verify_attempts(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let wrong = translate(path);
    let mut statement =
        connection.prepare(&format!("SELECT {ATTEMPT_COLUMNS} FROM attempts")).map_err(wrong)?;
    let mut rows = statement.query([]).map_err(wrong)?;
    while let Some(row) = rows.next().map_err(wrong)? {
        if AttemptRow::read(row).map_err(wrong)?.is_none() {
            let what = format!("the row of attempt {} is broken", row.get::<_, i64>(1).map_err(wrong)?);
            return Err(StoreError::Damaged { path: path.to_path_buf(), what });
        }
    }
    Ok(())
}

/// Calls `each` with the published files of every COMPLETED task that has any, in order of id.
pub(crate) fn published(
    connection: &Connection,
    path: &Path,
    mut each: impl FnMut(TaskId, Vec<OutputRecord>),
) -> Result<(), StoreError> {
    let wrong = translate(path);
    // One pass over the attempts, in their own order; only for those with outputs the task is looked up.
    let sql = "SELECT task, outputs FROM attempts WHERE outcome = ?1 ORDER BY task, id";
    let mut statement = connection.prepare(sql).map_err(wrong)?;
    let mut rows = statement.query([Outcome::Completed as i64]).map_err(wrong)?;
    let mut last: Option<(u32, Option<Vec<u8>>)> = None;
    loop {
        let row = rows.next().map_err(wrong)?;
        let next = row.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose().map_err(wrong)?;
        // A task that was done again has several completed attempts: the last one counts.
        let same = matches!((&last, &next), (Some((before, _)), Some((task, _))) if before == task);
        let over = next.is_none();
        if let Some((task, Some(blob))) = std::mem::replace(&mut last, next)
            && !same
            && let Some(outputs) = outputs_of(connection, path, task, &blob)?
        {
            each(TaskId(task), outputs);
        }
        if over {
            return Ok(());
        }
    }
}

/// What a COMPLETED task published; `None` for one that is to be done again.
fn outputs_of(
    connection: &Connection,
    path: &Path,
    task: u32,
    blob: &[u8],
) -> Result<Option<Vec<OutputRecord>>, StoreError> {
    let wrong = translate(path);
    let sql = "SELECT path FROM tasks WHERE id = ?1 AND state = ?2";
    let mut statement = connection.prepare_cached(sql).map_err(wrong)?;
    let mut rows = statement.query([i64::from(task), TaskState::Completed as i64]).map_err(wrong)?;
    let Some(row) = rows.next().map_err(wrong)? else { return Ok(None) };
    let input = row.get_ref(0).map_err(wrong)?.as_blob().unwrap_or_default();
    let damaged = || StoreError::Damaged {
        path: path.to_path_buf(),
        what: format!("the outputs of task {task} are broken"),
    };
    outputs::decode(blob, input).map(Some).ok_or_else(damaged)
}
