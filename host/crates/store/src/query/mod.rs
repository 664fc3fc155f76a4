//! What commands ask of a state directory, live or not: on a connection that only reads and takes no lock.

mod history;
mod joblog;
mod measured;
mod overview;
mod paths;
mod tasks;

use std::path::{Path, PathBuf};

use orchestrator_core::capacity::Baseline;
use rusqlite::{Connection, OptionalExtension};

use crate::error::StoreError;
use crate::lock::{Holder, live_holder};
use crate::runs::{self, RunView};
use crate::schema;
use crate::sql::translate;

pub use history::{HistoryPoint, HistoryQuery};
pub use joblog::JoblogRow;
pub use measured::MeasuredTask;
pub use overview::Overview;
pub use tasks::{AttemptOutcome, AttemptView, FailedTask, TaskRef, TaskView};

/// Reads a state directory without disturbing a live run.
#[derive(Debug)]
pub struct StateReader {
    directory: PathBuf,
    path: PathBuf,
    connection: Connection,
}

impl StateReader {
    /// Opens the state of a directory for reading.
    ///
    /// # Errors
    /// `Missing` when nothing was ever run there; `Damaged`, `NewerFormat` and the operating system's refusals.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(schema::NAME);
        if !path.is_file() {
            return Err(StoreError::Missing { path: directory.to_path_buf() });
        }
        let connection = schema::open_reader(&path)?;
        Ok(Self { directory: directory.to_path_buf(), path, connection })
    }

    /// The run that is live in the directory now; `None` when there is none.
    #[must_use]
    pub fn live(&self) -> Option<Holder> {
        live_holder(&self.directory)
    }

    /// All runs, the last first.
    ///
    /// # Errors
    /// As any reading.
    pub fn runs(&self) -> Result<Vec<RunView>, StoreError> {
        runs::all(&self.connection).map_err(self.wrong())
    }

    /// The directory's id, which marks its processes.
    ///
    /// # Errors
    /// As any reading.
    pub fn state_id(&self) -> Result<String, StoreError> {
        let sql = "SELECT value FROM meta WHERE key = 'state_id'";
        self.connection.query_row(sql, [], |row| row.get(0)).map_err(self.wrong())
    }

    /// The baseline under a key; `None` when there is none.
    ///
    /// # Errors
    /// As any reading.
    pub fn baseline(&self, key: &str) -> Result<Option<Baseline>, StoreError> {
        let sql = "SELECT baseline FROM calibration WHERE key = ?1";
        let text: Option<String> =
            self.connection.query_row(sql, [key], |row| row.get(0)).optional().map_err(self.wrong())?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn wrong(&self) -> impl Fn(rusqlite::Error) -> StoreError + Copy {
        translate(&self.path)
    }

    fn damaged(&self, what: String) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), what }
    }
}
