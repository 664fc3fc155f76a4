//! The rows that are being worked on: read once, folded in memory, written once a commit.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use orchestrator_core::scheduler::{Fact, TaskState};
use orchestrator_core::{AttemptId, TaskId};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use crate::crc::share;
use crate::error::StoreError;
use crate::fold;
use crate::reserved::Reserved;
use crate::rows::{ATTEMPT_COLUMNS, AttemptRow, Outcome, TASK_COLUMNS, TaskRow};
use crate::sql::{signed, translate, unsigned};

/// A task's row as it was read (`None` where it is broken), and its checksum.
type Found = (Option<TaskRow>, u32);

/// A task in work.
struct Entry {
    row: TaskRow,
    /// Checksum of the row as it stands in the file; `None` for a new one.
    stored: Option<u32>,
    attempts: Vec<AttemptRow>,
    changed: bool,
}

/// Totals over all tasks, kept in the same transaction as the rows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Totals {
    pub(crate) tasks: u64,
    pub(crate) digest: u64,
    pub(crate) next_attempt: u64,
}

impl Totals {
    pub(crate) fn read(connection: &Connection, path: &Path) -> Result<Self, StoreError> {
        let query = "SELECT tasks, digest, next_attempt FROM totals WHERE one = 1";
        let read = connection.query_row(query, [], |row| {
            let number = |index| row.get::<_, i64>(index).map(unsigned);
            Ok(Self { tasks: number(0)?, digest: number(1)?, next_attempt: number(2)? })
        });
        read.map_err(translate(path))
    }
}

/// The rows in work of one run.
pub(crate) struct Book {
    path: PathBuf,
    run: i64,
    command: i64,
    calibration_key: String,
    totals: Totals,
    entries: HashMap<TaskId, Entry>,
    /// Tasks whose entries changed since the last commit, in order of their first change.
    changed: Vec<TaskId>,
    baselines: Vec<String>,
    reserved: Reserved,
    /// The last record of the run that is folded in; kept in the same transaction as the rows.
    recorded: u64,
    /// No task of this number or a higher one was in the file when the book was opened.
    first_new: i64,
}

/// The number of the run's last record that the database has.
pub(crate) fn recorded(connection: &Connection, run: i64) -> rusqlite::Result<u64> {
    let sql = "SELECT value FROM meta WHERE key = 'recorded'";
    let text: Option<String> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
    let (of_run, number) = text.as_deref().and_then(|text| text.split_once(' ')).unwrap_or_default();
    Ok(if of_run == run.to_string() { number.parse().unwrap_or(0) } else { 0 })
}

impl Book {
    pub(crate) fn open(
        connection: &Connection,
        path: &Path,
        run: i64,
        command: i64,
        calibration_key: String,
        recorded: u64,
    ) -> Result<Self, StoreError> {
        let wrong = translate(path);
        let totals = Totals::read(connection, path)?;
        let reserved = Reserved::read(connection).map_err(wrong)?;
        let sql = "SELECT coalesce(max(id), -1) + 1 FROM tasks";
        let first_new = connection.query_row(sql, [], |row| row.get(0)).map_err(wrong)?;
        Ok(Self {
            path: path.to_path_buf(),
            run,
            command,
            calibration_key,
            totals,
            entries: HashMap::new(),
            changed: Vec::new(),
            baselines: Vec::new(),
            reserved,
            recorded,
            first_new,
        })
    }

    /// The last record that is folded in.
    pub(crate) fn recorded(&self) -> u64 {
        self.recorded
    }

    /// All facts of this record have been applied.
    pub(crate) fn note(&mut self, number: u64) {
        self.recorded = number;
    }

    /// Folds a fact into the rows.
    pub(crate) fn apply(&mut self, connection: &Connection, fact: &Fact) -> Result<(), StoreError> {
        if let Fact::Calibrated { baseline } = fact {
            self.baselines.extend(serde_json::to_string(baseline).ok());
        }
        self.reserved.apply(fact);
        let Some((task, attempt)) = fold::subject(fact) else { return Ok(()) };
        self.fetch(connection, task, fact)?;
        if let (Some(attempt), false) = (attempt, matches!(fact, Fact::AttemptPlanned { .. })) {
            self.fetch_attempt(connection, task, attempt)?;
        }
        let Some(entry) = self.entries.get_mut(&task) else { return Ok(()) };
        fold::task(&mut entry.row, fact, self.command);
        if let Some(row) = fold::planned(fact, self.run) {
            self.totals.next_attempt = self.totals.next_attempt.max(row.id.0 + 1);
            entry.attempts.push(row);
        } else if let Some(row) = entry.attempts.iter_mut().find(|row| Some(row.id) == attempt) {
            fold::attempt(row, fact, &entry.row.path);
        }
        if !std::mem::replace(&mut entry.changed, true) {
            self.changed.push(task);
        }
        Ok(())
    }

    /// Writes what changed; within the caller's transaction. Returns how many rows were written.
    pub(crate) fn write(&mut self, connection: &Connection) -> Result<usize, StoreError> {
        let wrong = translate(&self.path);
        let mut rows = 0;
        let mut statements = Statements::prepare(connection).map_err(wrong)?;
        for task in std::mem::take(&mut self.changed) {
            let Some(entry) = self.entries.get_mut(&task) else { continue };
            rows += statements.write(entry, &mut self.totals).map_err(wrong)?;
            entry.attempts.retain(|row| row.outcome == Outcome::Open);
            let idle = entry.attempts.is_empty()
                && !matches!(entry.row.state, TaskState::Running | TaskState::Calibrating);
            if idle {
                self.entries.remove(&task);
            }
        }
        for baseline in self.baselines.drain(..) {
            let sql = "INSERT OR REPLACE INTO calibration VALUES (?1, ?2)";
            connection.execute(sql, params![self.calibration_key, baseline]).map_err(wrong)?;
            rows += 1;
        }
        rows += self.reserved.write(connection).map_err(wrong)?;
        let sql = "UPDATE totals SET tasks = ?1, digest = ?2, next_attempt = ?3 WHERE one = 1";
        let mut statement = connection.prepare_cached(sql).map_err(wrong)?;
        let Totals { tasks, digest, next_attempt } = self.totals;
        statement.execute(params![signed(tasks), signed(digest), signed(next_attempt)]).map_err(wrong)?;
        let sql = "INSERT OR REPLACE INTO meta VALUES ('recorded', ?1)";
        let mut statement = connection.prepare_cached(sql).map_err(wrong)?;
        statement.execute([format!("{} {}", self.run, self.recorded)]).map_err(wrong)?;
        Ok(rows + 2)
    }

    /// Makes sure that the task is among the entries.
    fn fetch(&mut self, connection: &Connection, task: TaskId, fact: &Fact) -> Result<(), StoreError> {
        if self.entries.contains_key(&task) {
            return Ok(());
        }
        let found = match fact {
            // A task is named once, before anything else is said of it.
            Fact::TaskNamed { .. } if i64::from(task.0) >= self.first_new => None,
            _ => self.find(connection, task)?,
        };
        let entry = match (found, fact) {
            (Some((Some(row), crc)), _) => {
                Entry { row, stored: Some(crc), attempts: Vec::new(), changed: false }
            }
            (None, Fact::TaskNamed { path, .. }) => {
                let row = TaskRow {
                    id: task,
                    path: path.as_bytes().into(),
                    state: TaskState::Pending,
                    attempts: 0,
                    failures: 0,
                    fingerprint: None,
                    command: None,
                    retry_at: None,
                    ended_at: None,
                };
                Entry { row, stored: None, attempts: Vec::new(), changed: false }
            }
            (None, _) => return Err(self.damaged(format!("task {task} is not recorded"))),
            (Some((None, _)), _) => return Err(self.damaged(format!("the row of task {task} is broken"))),
        };
        self.entries.insert(task, entry);
        Ok(())
    }

    fn find(&self, connection: &Connection, task: TaskId) -> Result<Option<Found>, StoreError> {
        let wrong = translate(&self.path);
        let sql = format!("SELECT {TASK_COLUMNS} FROM tasks WHERE id = ?1");
        let mut statement = connection.prepare_cached(&sql).map_err(wrong)?;
        statement.query_row([task.0], TaskRow::read).optional().map_err(wrong)
    }

    /// Makes sure that the attempt is among its task's open ones.
    fn fetch_attempt(
        &mut self,
        connection: &Connection,
        task: TaskId,
        attempt: AttemptId,
    ) -> Result<(), StoreError> {
        let Some(entry) = self.entries.get(&task) else { return Ok(()) };
        if entry.attempts.iter().any(|row| row.id == attempt) {
            return Ok(());
        }
        let wrong = translate(&self.path);
        let sql = format!("SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE task = ?1 AND id = ?2");
        let mut statement = connection.prepare_cached(&sql).map_err(wrong)?;
        let found = statement.query_row(params![task.0, signed(attempt.0)], AttemptRow::read);
        let row = match found.optional().map_err(wrong)? {
            Some(Some(row)) => row,
            Some(None) => return Err(self.damaged(format!("the row of attempt {attempt} is broken"))),
            None => return Err(self.damaged(format!("attempt {attempt} of task {task} is not recorded"))),
        };
        if let Some(entry) = self.entries.get_mut(&task) {
            entry.attempts.push(row);
        }
        Ok(())
    }

    fn damaged(&self, what: String) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), what }
    }
}

/// What writes the rows of one commit.
struct Statements<'c> {
    task: CachedStatement<'c>,
    attempt: CachedStatement<'c>,
}

impl<'c> Statements<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let task = connection
            .prepare_cached("INSERT OR REPLACE INTO tasks VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)")?;
        let attempt = connection.prepare_cached(
            "INSERT OR REPLACE INTO attempts VALUES \
             (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22)",
        )?;
        Ok(Self { task, attempt })
    }

    /// Writes an entry's rows and counts them.
    fn write(&mut self, entry: &mut Entry, totals: &mut Totals) -> rusqlite::Result<usize> {
        let crc = entry.row.crc();
        let mut rows = 0;
        if entry.stored != Some(crc) {
            entry.row.write(&mut self.task)?;
            rows += 1;
        }
        let id = entry.row.id.0;
        match entry.stored.replace(crc) {
            Some(old) => totals.digest = totals.digest.wrapping_sub(share(id, old)),
            None => totals.tasks += 1,
        }
        totals.digest = totals.digest.wrapping_add(share(id, crc));
        for attempt in &entry.attempts {
            attempt.write(&mut self.attempt)?;
        }
        entry.changed = false;
        Ok(rows + entry.attempts.len())
    }
}
