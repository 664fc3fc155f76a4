//! What tasks reserve whose attempts had too little memory: a line each in `meta`, since few tasks ever have one.
//!
//! A line that cannot be read counts as none: the worst that follows is an attempt that has too little again.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_core::scheduler::Fact;
use orchestrator_core::{Bytes, TaskId};
use rusqlite::{Connection, Result, params};

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
        let mut statement = connection.prepare("SELECT key, value FROM meta WHERE key GLOB ?1 || '*'")?;
        let rows =
            statement.query_map([KEY], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        let mut known = BTreeMap::new();
        for row in rows {
            let (key, value) = row?;
            known.extend(line(&key, &value));
        }
        Ok(Self { known, changed: BTreeSet::new() })
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
                    params![key, bytes.0.to_string()],
                )?,
                None => connection.execute("DELETE FROM meta WHERE key = ?1", [key])?,
            };
        }
        Ok(changed.len())
    }
}

/// What a line says; `None` when it is none that we write.
fn line(key: &str, value: &str) -> Option<(TaskId, Bytes)> {
    let task = key.strip_prefix(KEY)?.parse().ok()?;
    Some((TaskId(task), Bytes(value.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_cannot_be_read_counts_as_none() {
        assert_eq!(line("reserved 7", "1000"), Some((TaskId(7), Bytes(1000))));
        for (key, value) in [
            ("reserved x", "1000"),
            ("reserved 99999999999", "1000"),
            ("reserved 7", "many"),
            ("reserved 7", "-1"),
            ("reserved ", "1"),
        ] {
            assert_eq!(line(key, value), None, "{key} {value}");
        }
    }
}
