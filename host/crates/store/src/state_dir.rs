//! A state directory, opened and locked by the one run that may write to it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use orchestrator_core::capacity::Baseline;
use orchestrator_core::scheduler::{OutputRecord, StoredTask};
use orchestrator_core::{RunId, TaskId};
use orchestrator_ports::{Sink, StoreEvent};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::book::{Book, Totals};
use crate::damage::{self, Recovery};
use crate::error::StoreError;
use crate::identity::HostIdentity;
use crate::journal::{self, Appender};
use crate::load::{self, Loaded};
use crate::lock::{StateLock, io_error};
use crate::options::OpenOptions;
use crate::queue::SqliteStore;
use crate::runs::{self, RunInfo};
use crate::samples::Samples;
use crate::schema;
use crate::sql::{signed, translate, unsigned};
use crate::writer::{self, StoreGuard, Writer};

/// No row of a task takes fewer bytes.
const LEAST_ROW: u64 = 16;

/// A locked state directory, before its run's records begin to flow.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    state_id: String,
    me: HostIdentity,
    options: OpenOptions,
    recovery: Recovery,
    connection: Connection,
    lock: StateLock,
}

impl StateDir {
    /// Takes the lock, makes what is missing, and checks what is there.
    ///
    /// # Errors
    /// `Locked` while another run is live; `Damaged`, `NewerFormat`; `DiskFull`, `Io` and `Database` for what the
    /// operating system refuses. With `options.fresh` a damaged or newer file is no error: it is removed.
    pub fn open(directory: &Path, options: &OpenOptions) -> Result<Self, StoreError> {
        // What lies above (the output directory, as a rule) is the user's: made as their umask says.
        if let Some(parent) = directory.parent() {
            std::fs::create_dir_all(parent).map_err(io_error("make", parent))?;
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(io_error("make", directory))?;
        let me = HostIdentity::of_this_process().map_err(io_error("read", Path::new("/proc")))?;
        let lock = StateLock::take(directory, &me)?;
        let path = directory.join(schema::NAME);
        if options.fresh {
            schema::remove(&path)?;
            journal::remove_all(directory)?;
        }
        make_if_missing(directory, &path)?;
        damage::check_header(&path)?;
        let frames = damage::log_frames(&path);
        let mut connection = schema::open_writer(&path)?;
        // Whatever is found wrong below must leave the file and its log as they are.
        keep_log_on_close(&connection, &path, true)?;
        let mut recovery = look_back(&connection, &path, &me, frames, lock.killed.as_ref())?;
        damage::check(&connection, &path, recovery.unclean)?;
        recovery.cut_pages = frames.saturating_sub(damage::whole_frames(&connection, &path)?);
        let last_run = recovery.last_run.map(|run| signed(run.0));
        let folded = journal::replay(&mut connection, &path, directory, last_run)?;
        if folded > 0 {
            tracing::debug!(records = folded, "the database was brought up to date from the journal");
        }
        if writer::checkpoint(&connection, &path)? {
            journal::remove_all(directory)?;
        }
        let state_id = connection
            .query_row("SELECT value FROM meta WHERE key = 'state_id'", [], |row| row.get(0))
            .map_err(translate(&path))?;
        Ok(Self { path, state_id, me, options: *options, recovery, connection, lock })
    }

    /// 128 random bits in hexadecimal, made with the directory and kept for its whole life (`--fresh` included): marks
    /// the processes that belong to it.
    #[must_use]
    pub fn state_id(&self) -> &str {
        &self.state_id
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the end of the previous run left.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// How many tasks it says it holds, but no more than the file has room for: what to make room for before
    /// [`StateDir::load`], which finds out whether that is true.
    ///
    /// # Errors
    /// As any reading.
    pub fn tasks(&self) -> Result<u64, StoreError> {
        let bytes = fs::metadata(&self.path).map_err(io_error("inspect", &self.path))?.len();
        let totals = Totals::read(&self.connection, &self.path)?;
        Ok(totals.tasks.min(bytes / LEAST_ROW))
    }

    /// Reads all tasks back, in order of id, and holds them against their checksums; `each` gets one at a time, so that
    /// millions of them are never in memory twice. To be called before [`StateDir::start`].
    ///
    /// # Errors
    /// `Damaged` when a row is broken, missing or too many.
    pub fn load(&self, command_hash: &str, each: impl FnMut(StoredTask)) -> Result<Loaded, StoreError> {
        load::load(&self.connection, &self.path, command_hash, each)
    }

    /// Calls `each` with the published files of every COMPLETED task, in order of id, so that the caller can make
    /// tasks whose output is gone new work.
    ///
    /// # Errors
    /// `Damaged`.
    pub fn published(&self, each: impl FnMut(TaskId, Vec<OutputRecord>)) -> Result<(), StoreError> {
        load::published(&self.connection, &self.path, each)
    }

    /// The baseline stored under a key (hash of binary and flags); `None` when there is none.
    ///
    /// # Errors
    /// As any reading.
    pub fn baseline(&self, key: &str) -> Result<Option<Baseline>, StoreError> {
        let sql = "SELECT baseline FROM calibration WHERE key = ?1";
        let text: Option<String> = self
            .connection
            .query_row(sql, [key], |row| row.get(0))
            .optional()
            .map_err(translate(&self.path))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Forgets the baseline under a key (`calibrate --force`).
    ///
    /// # Errors
    /// As any writing.
    pub fn forget_baseline(&self, key: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM calibration WHERE key = ?1";
        self.connection.execute(sql, [key]).map(drop).map_err(translate(&self.path))
    }

    /// Records that a run begins and hands over to the writer's thread. Facts are recorded through the
    /// [`SqliteStore`]; the [`StoreGuard`] ends the run and keeps the lock until it is gone.
    ///
    /// # Errors
    /// As any writing.
    pub fn start(
        self,
        info: &RunInfo,
        sink: Sink<StoreEvent>,
    ) -> Result<(RunId, SqliteStore, StoreGuard), StoreError> {
        let wrong = translate(&self.path);
        let command = runs::command_id(&self.connection, &info.command_hash).map_err(wrong)?;
        // On the device, and in the file rather than its log, before the journal names it.
        self.connection.execute_batch("PRAGMA synchronous = FULL").map_err(wrong)?;
        let run = runs::begin(&self.connection, info, command, &self.me).map_err(wrong)?;
        self.connection.execute_batch("PRAGMA synchronous = NORMAL").map_err(wrong)?;
        writer::checkpoint(&self.connection, &self.path)?;
        let samples = Samples::open(&self.connection, self.options.retention).map_err(wrong)?;
        let key = info.calibration_key.clone();
        let book = Book::open(&self.connection, &self.path, run, command, key, 0)?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let header = journal::Header::new(run, command, &info.calibration_key);
        let appender =
            Appender::begin(directory, header).map_err(io_error("make a journal in", directory))?;
        let writer = Writer::new(self.connection, self.path, run, book, samples, sink, appender);
        let (store, guard) = writer.start(self.lock)?;
        Ok((RunId(unsigned(run)), store, guard))
    }
}

fn make_if_missing(directory: &Path, path: &Path) -> Result<(), StoreError> {
    if path.try_exists().map_err(io_error("inspect", path))? {
        return Ok(());
    }
    let log = directory.join(format!("{}-wal", schema::NAME));
    if fs::metadata(&log).is_ok_and(|meta| meta.len() > 0) {
        let what = "it is gone, but its log state.db-wal is there".to_owned();
        return Err(StoreError::Damaged { path: path.to_path_buf(), what });
    }
    // Attempts are counted from 1 again: what earlier ones of these numbers wrote is not theirs.
    remove_logs(directory)?;
    schema::create(directory, &state_id(directory)?)
}

/// Removes what captured streams were kept.
fn remove_logs(directory: &Path) -> Result<(), StoreError> {
    let path = directory.join("logs");
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &path)(error)),
        _ => Ok(()),
    }
}

/// The directory's id: kept in a file of its own, so that it outlives `--fresh` and marks processes of before.
fn state_id(directory: &Path) -> Result<String, StoreError> {
    let path = directory.join("id");
    let is_id = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(id) = fs::read_to_string(&path).ok().filter(|text| is_id(text)) {
        return Ok(id);
    }
    let mut bytes = [0_u8; 16];
    getrandom(&mut bytes[..], GetRandomFlags::empty())
        .map_err(|error| io_error("make", &path)(io::Error::from(error)))?;
    let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(&path, &id).map_err(io_error("write", &path))?;
    Ok(id)
}

/// How the last run ended: from its row, from its log, and from a lock that was never given back (which alone is left
/// of it after `--fresh`).
fn look_back(
    connection: &Connection,
    path: &Path,
    me: &HostIdentity,
    frames: u64,
    killed: Option<&HostIdentity>,
) -> Result<Recovery, StoreError> {
    let last = runs::last(connection).map_err(translate(path))?;
    let boot = last.as_ref().map(|run| &run.boot_id).or(killed.map(|killed| &killed.boot_id));
    Ok(Recovery {
        unclean: last.as_ref().is_some_and(|run| !run.clean) || frames > 0 || killed.is_some(),
        rebooted: boot.is_some_and(|boot| *boot != me.boot_id),
        last_run: last.map(|run| run.run),
        cut_pages: 0,
    })
}

/// Whether closing the connection leaves the write-ahead log alone.
pub(crate) fn keep_log_on_close(connection: &Connection, path: &Path, keep: bool) -> Result<(), StoreError> {
    let set = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep);
    set.map(drop).map_err(translate(path))
}
