//! Metrics over time.

use orchestrator_core::{AttemptId, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::StateReader;
use crate::error::StoreError;
use crate::rows::instant;
use crate::samples::{self, find};
use crate::sql::{signed, unsigned};

/// What to look up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HistoryQuery {
    /// The metric's name.
    pub metric: String,
    /// Whose; `None` for the machine.
    pub attempt: Option<AttemptId>,
    /// Not before.
    pub since: Timestamp,
    /// The last so many points.
    pub limit: u32,
}

/// A value at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistoryPoint {
    /// When.
    pub at: Timestamp,
    /// The value.
    pub value: f64,
}

impl StateReader {
    /// Names of all metrics that were ever recorded, sorted.
    ///
    /// # Errors
    /// As any reading.
    pub fn metric_names(&self) -> Result<Vec<String>, StoreError> {
        let mut names: Vec<String> =
            samples::names(&self.connection).map_err(self.wrong())?.into_values().collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Recorded values of one metric, oldest first. Rows without that metric do not count against the limit.
    ///
    /// # Errors
    /// As any reading.
    pub fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryPoint>, StoreError> {
        let wrong = self.wrong();
        let sql = "SELECT id FROM metrics WHERE name = ?1";
        let id: Option<i64> =
            self.connection.query_row(sql, [&query.metric], |row| row.get(0)).optional().map_err(wrong)?;
        let Some(id) = id else { return Ok(Vec::new()) };
        let sql = "SELECT at, data FROM samples WHERE attempt IS ?1 AND at >= ?2 ORDER BY id DESC";
        let mut statement = self.connection.prepare(sql).map_err(wrong)?;
        let attempt = query.attempt.map(|attempt| signed(attempt.0));
        let mut rows = statement.query(params![attempt, instant(query.since)]).map_err(wrong)?;
        let mut points = Vec::new();
        while let Some(row) = rows.next().map_err(wrong)? {
            let data = row.get_ref(1).map_err(wrong)?.as_blob().unwrap_or_default();
            if let Some(value) = find(data, id) {
                points.push(HistoryPoint { at: Timestamp(unsigned(row.get(0).map_err(wrong)?)), value });
            }
            if points.len() >= query.limit as usize {
                break;
            }
        }
        points.reverse();
        Ok(points)
    }
}
