//! What completed tasks took: the work of a simulation.

use std::time::Duration;

use super::StateReader;
use crate::error::StoreError;

/// A completed task as its last attempt was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasuredTask {
    /// Size of its input, bytes; `None` if it was never seen.
    pub input: Option<u64>,
    /// Run time.
    pub wall: Duration,
    /// CPU time, user and system.
    pub cpu: Duration,
    /// Largest resident memory, bytes.
    pub peak_rss: u64,
    /// Bytes read and written.
    pub moved: u64,
}

impl StateReader {
    /// Calls `each` with every completed task whose last attempt was measured, in order of attempt id.
    ///
    /// # Errors
    /// As any reading.
    pub fn measured(&self, mut each: impl FnMut(MeasuredTask)) -> Result<(), StoreError> {
        let wrong = self.wrong();
        let sql = "SELECT t.size, a.wall, a.cpu_user + a.cpu_system, a.peak_rss, a.read_bytes + a.write_bytes
                   FROM attempts a JOIN tasks t ON t.id = a.task
                   WHERE a.outcome = 1 AND a.wall IS NOT NULL ORDER BY a.id";
        let mut statement = self.connection.prepare(sql).map_err(wrong)?;
        let mut rows = statement.query([]).map_err(wrong)?;
        while let Some(row) = rows.next().map_err(wrong)? {
            let number = |at: usize| -> Result<u64, StoreError> {
                Ok(row
                    .get::<_, Option<i64>>(at)
                    .map_err(wrong)?
                    .map_or(0, |value| value.max(0).cast_unsigned()))
            };
            each(MeasuredTask {
                input: row.get::<_, Option<i64>>(0).map_err(wrong)?.map(|size| size.max(0).cast_unsigned()),
                wall: Duration::from_micros(number(1)?),
                cpu: Duration::from_micros(number(2)?),
                peak_rss: number(3)?,
                moved: number(4)?,
            });
        }
        Ok(())
    }
}
