//! What completed tasks took: the work of a simulation.

use std::time::Duration;

use orchestrator_core::Timestamp;
use orchestrator_core::predict::Kind;

use super::StateReader;
use crate::error::StoreError;
use crate::outputs;
use crate::rows::instant;
use crate::sql::unsigned;

/// A completed task as its last attempt was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasuredTask {
    /// Size of its input, bytes; `None` if it was never seen.
    pub input: Option<u64>,
    /// What sort of file it was, where its path was looked at.
    pub kind: Option<Kind>,
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
            each(measured(row).map_err(wrong)?);
        }
        Ok(())
    }

    /// What tasks took that had completed before a moment, and the bytes that each published: the `limit` of them that were
    /// found last, by attempt id, oldest first. Looks at no more tasks than it takes to find so many.
    ///
    /// # Errors
    /// As any reading.
    pub fn last_measured(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<(MeasuredTask, u64)>, StoreError> {
        let wrong = self.wrong();
        let mut statement = self.connection.prepare(LAST).map_err(wrong)?;
        let mut rows = statement.query(rusqlite::params![instant(before), limit]).map_err(wrong)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(wrong)? {
            let blob =
                row.get_ref(5).map_err(wrong)?.as_blob_or_null().map_err(|error| wrong(error.into()))?;
            let path = row.get_ref(6).map_err(wrong)?.as_blob().unwrap_or_default();
            let outputs = blob.and_then(|blob| outputs::decode(blob, path)).unwrap_or_default();
            let published = outputs.iter().map(|output| output.size).sum();
            let attempt: i64 = row.get(7).map_err(wrong)?;
            let task = MeasuredTask { kind: Kind::of(path), ..measured(row).map_err(wrong)? };
            found.push((attempt, (task, published)));
        }
        found.sort_unstable_by_key(|(attempt, _)| *attempt);
        Ok(found.into_iter().map(|(_, one)| one).collect())
    }
}

/// Down the tasks, each with its last attempt: attempts lie in the order of their tasks, so nothing is sorted and the limit
/// ends it.
const LAST: &str =
    "SELECT t.size, a.wall, a.cpu_user + a.cpu_system, a.peak_rss, a.read_bytes + a.write_bytes,
            a.outputs, t.path, a.id
     FROM tasks t CROSS JOIN attempts a
       ON a.task = t.id AND a.id = (SELECT max(last.id) FROM attempts last WHERE last.task = t.id)
     WHERE a.outcome = 1 AND a.wall IS NOT NULL AND a.planned_at + a.ended <= ?1
     ORDER BY t.id DESC LIMIT ?2";

fn measured(row: &rusqlite::Row<'_>) -> rusqlite::Result<MeasuredTask> {
    let number = |at: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.map_or(0, unsigned));
    Ok(MeasuredTask {
        input: row.get::<_, Option<i64>>(0)?.map(unsigned),
        kind: None,
        wall: Duration::from_micros(number(1)?),
        cpu: Duration::from_micros(number(2)?),
        peak_rss: number(3)?,
        moved: number(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[test]
    fn the_last_results_are_found_by_seeking_and_nothing_is_sorted() {
        let folder = tempfile::tempdir().unwrap();
        schema::create(folder.path(), "state").unwrap();
        let connection = schema::open_reader(&folder.path().join(schema::NAME)).unwrap();
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {LAST}")).unwrap();
        let plan: Vec<String> =
            statement.query_map([0, 300], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        let text = plan.join("\n");
        assert!(!text.contains("TEMP B-TREE"), "{text}");
        assert_eq!(plan.iter().filter(|line| line.starts_with("SCAN")).count(), 1, "{text}");
        assert!(
            text.contains("SCAN t") && text.contains("SEARCH a USING PRIMARY KEY (task=? AND id=?)"),
            "{text}"
        );
    }
}
