//! What tasks reserve whose attempts had too little memory: a line each in `meta`, since few tasks ever have one.
//!
//! A line that cannot be read counts as none: the worst that follows is an attempt that has too little again.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_core::scheduler::Fact;
use orchestrator_core::{Bytes, TaskId};
use rusqlite::{Connection, Result, params};

use crate::sql::{signed, unsigned};

const KEY: &str = "reserved ";

/// Raised reservations by task.
#[derive(Default)]
pub(crate) struct Reserved {
    known: BTreeMap<TaskId, Bytes>,
    /// Tasks whose line has to be written or removed.
    changed: BTreeSet<TaskId>,
}

impl Reserved {
    pub(crate) fn read(connection: &Connection) -> Result<Self> {
        let sql = "SELECT CAST(substr(key, ?2) AS INTEGER), CAST(value AS INTEGER) FROM meta WHERE key GLOB ?1 || '*'";
        let mut statement = connection.prepare(sql)?;
        let first_digit = i64::try_from(KEY.len()).unwrap_or(0) + 1;
        let rows =
            statement.query_map(params![KEY, first_digit], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
        let known = rows.map(|row| row.map(|(task, bytes)| (TaskId(task), Bytes(unsigned(bytes)))));
        Ok(Self { known: known.collect::<Result<_>>()?, changed: BTreeSet::new() })
    }

    /// What a task's next attempt reserves at least.
    pub(crate) fn of(&self, task: TaskId) -> Option<Bytes> {
        self.known.get(&task).copied()
    }

    /// The same fold as the scheduler's.
    pub(crate) fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::ReservationRaised { task, reserved, .. } => {
                self.known.insert(*task, *reserved);
                self.changed.insert(*task);
            }
            Fact::TaskCompleted { task, .. }
            | Fact::TaskFailed { task, .. }
            | Fact::TaskReset { task, .. }
                if self.known.remove(task).is_some() =>
            {
                self.changed.insert(*task);
            }
            _ => {}
        }
    }

    /// Writes what changed; within the caller's transaction. Returns how many rows were written.
    pub(crate) fn write(&mut self, connection: &Connection) -> Result<usize> {
        let changed = std::mem::take(&mut self.changed);
        for task in &changed {
            let key = format!("{KEY}{}", task.0);
            match self.known.get(task) {
                Some(bytes) => connection.execute(
                    "INSERT OR REPLACE INTO meta VALUES (?1, ?2)",
                    params![key, signed(bytes.0).to_string()],
                )?,
                None => connection.execute("DELETE FROM meta WHERE key = ?1", [key])?,
            };
        }
        Ok(changed.len())
    }
}
