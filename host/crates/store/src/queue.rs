//! The way of a record: into the journal at once, on the thread that brings it; then into the queue of the writer's
//! thread, which folds it into the database a little later.
//!
//! A record that only has to be written is acknowledged here, unless one before it still waits to be synced: numbers are
//! acknowledged in order. The writer is woken for what cannot wait: a sync, a full queue, the first of many records.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use orchestrator_ports::{Record, SampleRow, Sink, Store, StoreEvent, SyncMode};

use crate::error::StoreError;
use crate::journal::Appender;
use crate::runs::RunEnd;

/// Records that wait at most; then `append` blocks.
const QUEUE: usize = 4096;
/// Sample rows that wait at most; more are dropped.
const SAMPLES: usize = 4096;
/// So many records are worth a transaction.
pub(crate) const BATCH: usize = 512;

/// How the writer is to end.
#[derive(Debug)]
pub(crate) enum Ending {
    /// In order; the answer is how it went.
    Finish(RunEnd, Sender<Result<(), StoreError>>),
    /// The run is not over: write what is queued, and no more.
    Stop,
}

/// What waits for the writer.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) records: Vec<Record>,
    pub(crate) rows: Vec<SampleRow>,
    /// Sample rows that found no room.
    pub(crate) dropped: u64,
    /// Whoever is told when everything queued so far is in the database.
    pub(crate) flushes: Vec<Sender<()>>,
    pub(crate) ending: Option<Ending>,
    /// The last record in the journal.
    last: u64,
    /// The last record acknowledged.
    acknowledged: u64,
    /// One that is not yet acknowledged is to be synced, or stands behind such a one.
    sync_pending: bool,
    /// The writer has failed or ended: nothing is taken any more.
    closed: bool,
}

impl Waiting {
    /// Whether the writer has something to do that cannot wait.
    pub(crate) fn is_urgent(&self) -> bool {
        (self.sync_pending && !self.records.is_empty())
            || self.records.len() >= BATCH
            || !self.flushes.is_empty()
            || self.ending.is_some()
    }

    /// Whether there is anything at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.rows.is_empty() && !self.is_urgent()
    }
}

/// Between those who bring records and the writer.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    /// For the writer.
    pub(crate) work: Condvar,
    /// For who found no room.
    room: Condvar,
    appender: Mutex<Appender>,
    path: PathBuf,
}

impl Queue {
    pub(crate) fn new(appender: Appender, path: PathBuf) -> Self {
        let (waiting, appender) = (Mutex::default(), Mutex::new(appender));
        Self { waiting, work: Condvar::new(), room: Condvar::new(), appender, path }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal's end; held while a record is written, so not for long and never together with [`Self::lock`].
    pub(crate) fn appender(&self) -> MutexGuard<'_, Appender> {
        self.appender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what waits for the writer, and makes room.
    pub(crate) fn take(&self, mut waiting: MutexGuard<'_, Waiting>) -> Waiting {
        let taken = Waiting {
            records: std::mem::take(&mut waiting.records),
            rows: std::mem::take(&mut waiting.rows),
            dropped: std::mem::take(&mut waiting.dropped),
            flushes: std::mem::take(&mut waiting.flushes),
            ending: waiting.ending.take(),
            ..Waiting::default()
        };
        drop(waiting);
        if taken.records.len() >= QUEUE {
            self.room.notify_all();
        }
        taken
    }

    /// The records up to `through` went as far as they asked: the number to acknowledge, if that is news.
    pub(crate) fn settled(&self, through: u64) -> Option<u64> {
        let mut waiting = self.lock();
        if waiting.last == through {
            waiting.sync_pending = false;
        }
        let news = through > waiting.acknowledged;
        waiting.acknowledged = waiting.acknowledged.max(through);
        news.then_some(through)
    }

    /// Nothing is taken any more; who waits for an answer learns of it by its end.
    pub(crate) fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.ending = None;
        waiting.flushes.clear();
        drop(waiting);
        self.room.notify_all();
    }

    /// Asks the writer to end. False when it has ended already.
    pub(crate) fn end(&self, ending: Ending) -> bool {
        let mut waiting = self.lock();
        if waiting.closed {
            return false;
        }
        waiting.ending = Some(ending);
        drop(waiting);
        self.work.notify_one();
        true
    }

    /// Waits for room; false when the writer has ended.
    fn wait_for_room(&self) -> bool {
        let mut waiting = self.lock();
        while waiting.records.len() >= QUEUE && !waiting.closed {
            waiting = self.room.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        !waiting.closed
    }

    /// Queues records that are in the journal: up to which number they are acknowledged with that, and whether to wake
    /// the writer.
    fn push(&self, records: Vec<Record>) -> (Option<u64>, bool) {
        let mut waiting = self.lock();
        let before = waiting.records.len();
        let acknowledged = waiting.acknowledged;
        for record in records {
            waiting.last = record.number;
            waiting.sync_pending |= record.sync == SyncMode::Synced;
            if !waiting.sync_pending {
                waiting.acknowledged = record.number;
            }
            waiting.records.push(record);
        }
        let full = before < BATCH && waiting.records.len() >= BATCH;
        let news = Some(waiting.acknowledged).filter(|number| *number > acknowledged);
        (news, waiting.sync_pending || before == 0 || full)
    }
}

/// Appends to the record of a run. Cheap to clone; records are to come from one thread at a time.
#[derive(Clone)]
pub struct SqliteStore {
    pub(crate) queue: Arc<Queue>,
    pub(crate) sink: Sink<StoreEvent>,
}

impl SqliteStore {
    /// Waits until all that was appended before is in the database, where readers see it.
    pub fn flush(&self) {
        let (answer, done) = std::sync::mpsc::channel();
        let mut waiting = self.queue.lock();
        if waiting.closed {
            return;
        }
        waiting.flushes.push(answer);
        drop(waiting);
        self.queue.work.notify_one();
        // A writer that fails drops its end.
        let _ = done.recv();
    }

    fn fail(&self, source: io::Error) {
        self.queue.close();
        self.queue.work.notify_one();
        let path = self.queue.path.clone();
        let error = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull { path },
            _ => StoreError::Io { action: "append to the journal beside", path, source },
        };
        (self.sink)(StoreEvent::Failed { detail: error.to_string() });
    }
}

impl Store for SqliteStore {
    fn append(&self, record: Record) {
        if let Some(through) = self.append_all(vec![record]) {
            (self.sink)(StoreEvent::Committed { through });
        }
    }

    fn append_all(&self, records: Vec<Record>) -> Option<u64> {
        if records.is_empty() {
            return None;
        }
        if !self.queue.wait_for_room() {
            tracing::debug!("a record came after the end of the writer");
            return None;
        }
        if let Err(error) = self.queue.appender().append(&records) {
            self.fail(error);
            return None;
        }
        let (acknowledged, wake) = self.queue.push(records);
        if wake {
            self.queue.work.notify_one();
        }
        acknowledged
    }

    fn samples(&self, rows: Vec<SampleRow>) {
        let mut waiting = self.queue.lock();
        if waiting.rows.len() + rows.len() > SAMPLES {
            waiting.dropped += rows.len() as u64;
            return;
        }
        let first = waiting.rows.is_empty();
        waiting.rows.extend(rows);
        drop(waiting);
        if first {
            self.queue.work.notify_one();
        }
    }
}
