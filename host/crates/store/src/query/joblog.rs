//! Attempts in the columns of GNU Parallel's joblog.

use std::time::Duration;

use orchestrator_core::scheduler::{ExitStatus, InputPath};
use orchestrator_core::{AttemptId, TaskId, Timestamp};

use super::StateReader;
use crate::error::StoreError;
use crate::identity::HostIdentity;
use crate::outputs;
use crate::rows::{ATTEMPT_COLUMNS, AttemptRow};

/// One attempt whose process ended: the columns `Seq Host Starttime JobRuntime Send Receive Exitval Signal Command`.
#[derive(Clone, Debug, PartialEq)]
pub struct JoblogRow {
    /// `Seq`.
    pub attempt: AttemptId,
    /// Its task.
    pub task: TaskId,
    /// Input path, from which the caller writes `Command`.
    pub path: InputPath,
    /// `Host`.
    pub host: String,
    /// `Starttime`.
    pub started_at: Timestamp,
    /// `JobRuntime`.
    pub runtime: Duration,
    /// `Send`: bytes of the input.
    pub send: u64,
    /// `Receive`: bytes of the accepted outputs.
    pub receive: u64,
    /// `Exitval` and `Signal`.
    pub exit: ExitStatus,
}

impl StateReader {
    /// Calls `each` with every attempt whose process ended, in order of attempt id.
    ///
    /// # Errors
    /// As any reading.
    pub fn joblog(&self, mut each: impl FnMut(JoblogRow)) -> Result<(), StoreError> {
        let wrong = self.wrong();
        let columns = ATTEMPT_COLUMNS.split(", ").map(|column| format!("a.{}", column.trim()));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT {columns}, t.path, t.size, r.process FROM attempts a
             JOIN tasks t ON t.id = a.task LEFT JOIN runs r ON r.id = a.run
             WHERE a.exit IS NOT NULL ORDER BY a.id"
        );
        let mut statement = self.connection.prepare(&sql).map_err(wrong)?;
        let mut rows = statement.query([]).map_err(wrong)?;
        while let Some(row) = rows.next().map_err(wrong)? {
            let Some(attempt) = AttemptRow::read(row).map_err(wrong)? else {
                return Err(self.damaged("the row of an attempt is broken".to_owned()));
            };
            let path = row.get_ref(22).map_err(wrong)?.as_blob().unwrap_or_default();
            let size: Option<i64> = row.get(23).map_err(wrong)?;
            let process: Option<String> = row.get(24).map_err(wrong)?;
            let outputs = attempt.outputs.as_ref().and_then(|blob| outputs::decode(blob, path));
            let Some(exit) = attempt.exit else { continue };
            let started_at = attempt.started_at.unwrap_or(attempt.planned_at);
            each(JoblogRow {
                attempt: attempt.id,
                task: attempt.task,
                path: InputPath::new(path),
                host: process.map_or_else(String::new, |text| host(&text)),
                started_at,
                runtime: attempt.ended_at.unwrap_or(started_at).since(started_at),
                send: size.map_or(0, i64::cast_unsigned),
                receive: outputs.unwrap_or_default().iter().map(|output| output.size).sum(),
                exit,
            });
        }
        Ok(())
    }
}

fn host(process: &str) -> String {
    serde_json::from_str::<HostIdentity>(process).map_or_else(|_| String::new(), |process| process.host)
}
