//! The history of metrics: names are kept once, a row is `(varint name, f64)*`.

use std::collections::HashMap;
use std::time::Duration;

use orchestrator_core::Timestamp;
use orchestrator_core::metrics::Metrics;
use orchestrator_ports::SampleRow;
use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::options::Retention;
use crate::outputs::{put, take};
use crate::rows::instant;
use crate::sql::{signed, unsigned};

/// Rows between two looks at the retention.
const PRUNE_EVERY: u64 = 512;

/// Writes samples, and removes old ones.
pub(crate) struct Samples {
    retention: Retention,
    names: HashMap<String, i64>,
    since_prune: u64,
}

impl Samples {
    pub(crate) fn open(connection: &Connection, retention: Retention) -> Result<Self> {
        let names = names(connection)?.into_iter().map(|(id, name)| (name, id)).collect();
        // What is left from earlier is pruned with the first rows.
        Ok(Self { retention, names, since_prune: PRUNE_EVERY })
    }

    /// Writes rows; within the caller's transaction.
    pub(crate) fn write(&mut self, connection: &Connection, rows: &[SampleRow]) -> Result<()> {
        for row in rows {
            let data = self.encode(connection, &row.metrics)?;
            let attempt = row.attempt.map(|attempt| signed(attempt.0));
            let sql = "INSERT INTO samples (at, attempt, data) VALUES (?1, ?2, ?3)";
            connection.prepare_cached(sql)?.execute(params![instant(row.at), attempt, data])?;
        }
        self.since_prune += rows.len() as u64;
        match rows.last() {
            Some(last) if self.since_prune >= PRUNE_EVERY => self.prune(connection, last.at),
            _ => Ok(()),
        }
    }

    fn encode(&mut self, connection: &Connection, metrics: &Metrics) -> Result<Vec<u8>> {
        let mut data = Vec::with_capacity(metrics.len() * 10);
        for (name, value) in metrics {
            let id = match self.names.get(name) {
                Some(id) => *id,
                None => {
                    connection.execute("INSERT INTO metrics (name) VALUES (?1)", [name])?;
                    let id = connection.last_insert_rowid();
                    self.names.insert(name.clone(), id);
                    id
                }
            };
            put(&mut data, unsigned(id));
            data.extend_from_slice(&value.to_le_bytes());
        }
        Ok(data)
    }

    /// Rows come in the order of their ids, and so do (nearly) their moments.
    fn prune(&mut self, connection: &Connection, now: Timestamp) -> Result<()> {
        self.since_prune = 0;
        let sql = "DELETE FROM samples WHERE id <= (SELECT max(id) FROM samples) - ?1";
        connection.execute(sql, [signed(self.retention.max_rows)])?;
        let cutoff = instant(now - self.retention.max_age.min(Duration::from_micros(now.0)));
        let oldest = "SELECT id, at FROM samples ORDER BY id LIMIT 1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        while let Some((id, at)) = connection.query_row(oldest, [], read).optional()?
            && at < cutoff
        {
            let sql = "DELETE FROM samples WHERE id >= ?1 AND id < ?1 + 1024 AND at < ?2";
            connection.execute(sql, [id, cutoff])?;
        }
        Ok(())
    }
}

/// Metric names by their number.
pub(crate) fn names(connection: &Connection) -> Result<HashMap<i64, String>> {
    let mut statement = connection.prepare("SELECT id, name FROM metrics")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The value of one metric in a row; `None` when it is not there (or the row is broken).
pub(crate) fn find(mut data: &[u8], wanted: i64) -> Option<f64> {
    while !data.is_empty() {
        let id = take(&mut data)?;
        let (value, rest) = data.split_first_chunk::<8>()?;
        data = rest;
        if id == unsigned(wanted) {
            return Some(f64::from_le_bytes(*value));
        }
    }
    None
}
