//! All recorded paths, for those who look for a name.

use orchestrator_core::TaskId;

use super::StateReader;
use crate::error::StoreError;

impl StateReader {
    /// Calls `each` with every recorded task and its path relative to the input directory, in order of task id. One
    /// pass: a fraction of a second per million.
    ///
    /// # Errors
    /// As any reading.
    pub fn each_path(&self, mut each: impl FnMut(TaskId, &[u8])) -> Result<(), StoreError> {
        let wrong = self.wrong();
        let mut statement =
            self.connection.prepare("SELECT id, path FROM tasks ORDER BY id").map_err(wrong)?;
        let mut rows = statement.query([]).map_err(wrong)?;
        while let Some(row) = rows.next().map_err(wrong)? {
            let task = TaskId(row.get(0).map_err(wrong)?);
            each(task, row.get_ref(1).map_err(wrong)?.as_blob().unwrap_or_default());
        }
        Ok(())
    }
}
