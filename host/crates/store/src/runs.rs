//! Runs: one row for every start of the host over a state directory.

use orchestrator_core::scheduler::Counts;
use orchestrator_core::{RunId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use crate::identity::HostIdentity;
use crate::rows::instant;
use crate::sql::unsigned;

/// What is known about a run when it begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunInfo {
    /// When.
    pub started_at: Timestamp,
    /// Hash of what decides about results: binary, command line templates, output naming. Tasks that became final
    /// under another one are new work.
    pub command_hash: String,
    /// Under what the baseline is kept: hash of binary and flags.
    pub calibration_key: String,
    /// Hash of the whole configuration, for the history.
    pub config_digest: String,
}

/// What is known about a run when it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RunEnd {
    /// When.
    pub ended_at: Timestamp,
    /// The host's exit code.
    pub exit: i32,
    /// Tasks by state.
    pub counts: Counts,
}

/// A run as recorded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunView {
    /// Which.
    pub run: RunId,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it is live or when it was killed.
    pub ended_at: Option<Timestamp>,
    /// Its host process; `None` when the row is not readable.
    pub process: Option<HostIdentity>,
    /// Its exit code.
    pub exit: Option<i32>,
    /// Tasks by state at its end.
    pub counts: Option<Counts>,
    /// Whether it ended in order.
    pub clean: bool,
    /// Hash of its configuration.
    pub config_digest: String,
    pub(crate) boot_id: String,
}

/// The number of a command hash, given out on first sight.
pub(crate) fn command_id(connection: &Connection, hash: &str) -> Result<i64> {
    connection.execute("INSERT OR IGNORE INTO commands (hash) VALUES (?1)", [hash])?;
    find_command(connection, hash).map(|found| found.unwrap_or(0))
}

pub(crate) fn find_command(connection: &Connection, hash: &str) -> Result<Option<i64>> {
    connection.query_row("SELECT id FROM commands WHERE hash = ?1", [hash], |row| row.get(0)).optional()
}

pub(crate) fn begin(
    connection: &Connection,
    info: &RunInfo,
    command: i64,
    process: &HostIdentity,
) -> Result<i64> {
    connection.execute(
        "INSERT INTO runs (command, started_at, process, boot_id, config_digest, clean) VALUES (?1, ?2, ?3, ?4, ?5, 0)",
        params![
            command,
            instant(info.started_at),
            serde_json::to_string(process).unwrap_or_default(),
            process.boot_id,
            info.config_digest
        ],
    )?;
    Ok(connection.last_insert_rowid())
}

pub(crate) fn end(connection: &Connection, run: i64, end: &RunEnd) -> Result<()> {
    let counts = serde_json::to_string(&end.counts).ok();
    let sql = "UPDATE runs SET ended_at = ?2, exit = ?3, counts = ?4, clean = 1 WHERE id = ?1";
    connection.execute(sql, params![run, instant(end.ended_at), end.exit, counts])?;
    Ok(())
}

const COLUMNS: &str = "id, started_at, ended_at, process, exit, counts, clean, config_digest, boot_id";

/// The last run.
pub(crate) fn last(connection: &Connection) -> Result<Option<RunView>> {
    let sql = format!("SELECT {COLUMNS} FROM runs ORDER BY id DESC LIMIT 1");
    connection.query_row(&sql, [], read).optional()
}

/// All runs, the last first.
pub(crate) fn all(connection: &Connection) -> Result<Vec<RunView>> {
    let sql = format!("SELECT {COLUMNS} FROM runs ORDER BY id DESC");
    connection.prepare(&sql)?.query_map([], read)?.collect()
}

fn read(row: &Row<'_>) -> Result<RunView> {
    let moment = |number: i64| Timestamp(unsigned(number));
    Ok(RunView {
        run: RunId(unsigned(row.get(0)?)),
        started_at: moment(row.get(1)?),
        ended_at: row.get::<_, Option<i64>>(2)?.map(moment),
        process: serde_json::from_str(&row.get::<_, String>(3)?).ok(),
        exit: row.get(4)?,
        counts: row.get::<_, Option<String>>(5)?.and_then(|text| serde_json::from_str(&text).ok()),
        clean: row.get::<_, i64>(6)? != 0,
        config_digest: row.get(7)?,
        boot_id: row.get(8)?,
    })
}
