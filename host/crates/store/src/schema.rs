//! The tables, and the making and opening of the file.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::StoreError;
use crate::lock::io_error;
use crate::sql::translate;

/// The format that this version writes, and the newest that it reads (`PRAGMA user_version`).
pub const FORMAT: i64 = 1;
/// `PRAGMA application_id`: "PrOr".
pub(crate) const APPLICATION: i64 = 0x5072_4f72;
/// The database's name in the state directory.
pub(crate) const NAME: &str = "state.db";

/// Lean on purpose: a finished task with its one attempt takes less than 250 bytes. So there is no index beside the
/// primary keys (paths are unique because the scheduler knows them all), attempts lie in the order of their tasks,
/// and moments within an attempt are kept as microseconds since it was planned.
const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE totals (
  one INTEGER PRIMARY KEY CHECK (one = 1), tasks INTEGER NOT NULL, digest INTEGER NOT NULL,
  next_attempt INTEGER NOT NULL
) STRICT;
CREATE TABLE commands (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE runs (
  id INTEGER PRIMARY KEY, command INTEGER NOT NULL, started_at INTEGER NOT NULL, ended_at INTEGER,
  process TEXT NOT NULL, boot_id TEXT NOT NULL, config_digest TEXT NOT NULL,
  clean INTEGER NOT NULL, exit INTEGER, counts TEXT
) STRICT;
CREATE TABLE tasks (
  id INTEGER PRIMARY KEY, path BLOB NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL,
  failures INTEGER NOT NULL, size INTEGER, version INTEGER, command INTEGER, retry_at INTEGER, ended_at INTEGER,
  crc INTEGER NOT NULL
) STRICT;
CREATE TABLE attempts (
  task INTEGER NOT NULL, id INTEGER NOT NULL, run INTEGER NOT NULL, number INTEGER NOT NULL, slot INTEGER NOT NULL,
  calibrating INTEGER NOT NULL, pid INTEGER, start_ticks INTEGER, planned_at INTEGER NOT NULL, started INTEGER,
  ended INTEGER, exit INTEGER, outcome INTEGER NOT NULL, reason TEXT, wall INTEGER, cpu_user INTEGER,
  cpu_system INTEGER, peak_rss INTEGER, read_bytes INTEGER, write_bytes INTEGER, outputs BLOB, crc INTEGER NOT NULL,
  PRIMARY KEY (task, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE calibration (key TEXT PRIMARY KEY, baseline TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE metrics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE samples (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, attempt INTEGER, data BLOB NOT NULL) STRICT;
";

/// Makes the file whole or not at all: under another name first, then renamed.
pub(crate) fn create(directory: &Path, state_id: &str) -> Result<(), StoreError> {
    let (path, new) = (directory.join(NAME), directory.join("state.db.new"));
    remove(&new)?;
    let wrong = translate(&new);
    let connection = Connection::open(&new).map_err(wrong)?;
    // Synced once, when it is whole and before it gets its name.
    let script = format!(
        "PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT};
         BEGIN; {TABLES} INSERT INTO totals VALUES (1, 0, 0, 1); COMMIT;"
    );
    connection.execute_batch(&script).map_err(wrong)?;
    let meta = "INSERT INTO meta VALUES ('state_id', ?1), ('created_by', ?2)";
    connection.execute(meta, [state_id, env!("CARGO_PKG_VERSION")]).map_err(wrong)?;
    // Closing the only connection moves the log into the file and removes it.
    connection.close().map_err(|(_, error)| wrong(error))?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(io_error("sync", &new))?;
    fs::rename(&new, &path).map_err(io_error("make", &path))?;
    File::open(directory).and_then(|file| file.sync_all()).map_err(io_error("sync", directory))
}

/// Removes the file and its log.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    // The log goes first: without it the file is older, but whole; a log without its file would be garbage.
    for ending in ["-wal", "-shm", ""] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io_error("remove", Path::new(&name))(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Opens the file for the one writer.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let wrong = translate(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(wrong)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(wrong)?;
    connection.set_prepared_statement_cache_capacity(64);
    check_format(&connection, path)?;
    // Checkpoints are made by the writer when it is idle, not in the middle of a commit.
    let script = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = NORMAL;
                  PRAGMA cache_size = -4096; PRAGMA cell_size_check = ON;";
    connection.execute_batch(script).map_err(wrong)?;
    Ok(connection)
}

/// Opens the file for looking only.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let wrong = translate(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(wrong)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(wrong)?;
    check_format(&connection, path)?;
    Ok(connection)
}

fn check_format(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let pragma = |name: &str| {
        connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(translate(path))
    };
    let damaged = |what: &str| StoreError::Damaged { path: path.to_path_buf(), what: what.to_owned() };
    if pragma("application_id")? != APPLICATION {
        return Err(damaged("it is a database, but not one of process orchestrator"));
    }
    match pragma("user_version")? {
        FORMAT => Ok(()),
        found if found > FORMAT => {
            Err(StoreError::NewerFormat { path: path.to_path_buf(), found, supported: FORMAT })
        }
        _ => Err(damaged("its format number is none that ever was")),
    }
}
