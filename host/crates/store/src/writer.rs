//! The one writer: a thread that puts everything that waits into one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use orchestrator_ports::{Record, SampleRow, Sink, Store, StoreEvent, SyncMode};
use rusqlite::{Connection, TransactionBehavior};

use crate::book::Book;
use crate::error::StoreError;
use crate::lock::{StateLock, io_error};
use crate::runs::{self, RunEnd};
use crate::samples::Samples;
use crate::sql::translate;
use crate::state_dir::keep_log_on_close;

/// Records that wait at most; then `append` blocks.
const QUEUE: usize = 4096;
/// Sample rows that wait at most; more are dropped.
const SAMPLES: usize = 4096;
/// Written rows after which an idle writer makes a checkpoint.
const IDLE_ROWS: usize = 1_000;
/// Written rows after which a busy one does (about 30 MB of log).
const BUSY_ROWS: usize = 8_000;
/// Without a record for so long, the writer is idle.
const IDLE: Duration = Duration::from_millis(200);

enum Message {
    Record(Record),
    Samples,
    Finish(RunEnd, Sender<Result<(), StoreError>>),
    Stop,
}

/// Sample rows on their way.
#[derive(Default)]
struct Waiting {
    rows: Vec<SampleRow>,
    dropped: u64,
}

/// Appends to the record of a run. Cheap to clone; may be used from any thread.
#[derive(Clone)]
pub struct SqliteStore {
    messages: SyncSender<Message>,
    waiting: Arc<Mutex<Waiting>>,
}

/// Ends the run and keeps the state directory locked until it is gone. Dropping it without [`StoreGuard::finish`]
/// writes what was queued and leaves the run marked as not ended in order.
pub struct StoreGuard {
    messages: SyncSender<Message>,
    path: PathBuf,
    thread: Option<JoinHandle<()>>,
    _lock: StateLock,
}

impl Store for SqliteStore {
    fn append(&self, record: Record) {
        if self.messages.send(Message::Record(record)).is_err() {
            tracing::debug!("a record came after the end of the writer");
        }
    }

    fn samples(&self, rows: Vec<SampleRow>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.rows.len() + rows.len() > SAMPLES {
            waiting.dropped += rows.len() as u64;
            return;
        }
        waiting.rows.extend(rows);
        drop(waiting);
        // A full queue means that the writer is awake anyway.
        drop(self.messages.try_send(Message::Samples));
    }
}

impl StoreGuard {
    /// Writes what is queued, marks the run as ended in order, folds the log into the file and gives the lock back.
    ///
    /// # Errors
    /// `Closed` when the writer had failed before; else as any writing.
    pub fn finish(mut self, end: RunEnd) -> Result<(), StoreError> {
        let (answer, result) = channel();
        let closed = || StoreError::Closed { path: self.path.clone() };
        self.messages.send(Message::Finish(end, answer)).map_err(|_| closed())?;
        let done = result.recv().map_err(|_| closed())?;
        self.join();
        done
    }

    fn join(&mut self) {
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the state's writer panicked");
        }
    }
}

impl Drop for StoreGuard {
    fn drop(&mut self) {
        if self.thread.is_some() {
            drop(self.messages.send(Message::Stop));
            self.join();
        }
    }
}

/// What a round of the writer ends with.
enum Next {
    Go,
    Finish(RunEnd, Sender<Result<(), StoreError>>),
    Stop,
}

/// The writer's thread.
pub(crate) struct Writer {
    connection: Connection,
    path: PathBuf,
    run: i64,
    book: Book,
    samples: Samples,
    sink: Sink<StoreEvent>,
    waiting: Arc<Mutex<Waiting>>,
    mode: SyncMode,
    rows: usize,
}

impl Writer {
    pub(crate) fn new(
        connection: Connection,
        path: PathBuf,
        run: i64,
        book: Book,
        samples: Samples,
        sink: Sink<StoreEvent>,
    ) -> Self {
        let waiting = Arc::default();
        Self { connection, path, run, book, samples, sink, waiting, mode: SyncMode::Written, rows: 0 }
    }

    pub(crate) fn start(self, lock: StateLock) -> Result<(SqliteStore, StoreGuard), StoreError> {
        let (messages, receiver) = sync_channel(QUEUE);
        let store = SqliteStore { messages: messages.clone(), waiting: Arc::clone(&self.waiting) };
        let path = self.path.clone();
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || self.work(&receiver))
            .map_err(io_error("start a thread for", &path))?;
        Ok((store, StoreGuard { messages, path, thread: Some(thread), _lock: lock }))
    }

    fn work(mut self, messages: &Receiver<Message>) {
        loop {
            // A writer that is gone without a word would leave the run waiting for ever.
            let round = catch_unwind(AssertUnwindSafe(|| self.round(messages)));
            let round = round.unwrap_or_else(|_| Err(StoreError::WriterPanicked { path: self.path.clone() }));
            match round {
                Ok(Next::Go) => {}
                Ok(Next::Stop) => return,
                Ok(Next::Finish(end, answer)) => {
                    // Nobody waits any more: then nobody wants to know.
                    drop(answer.send(self.finish(&end)));
                    return;
                }
                Err(error) => {
                    (self.sink)(StoreEvent::Failed { detail: error.to_string() });
                    return;
                }
            }
        }
    }

    /// Takes everything that waits, commits it, tells.
    fn round(&mut self, messages: &Receiver<Message>) -> Result<Next, StoreError> {
        let Some(first) = self.wait(messages)? else { return Ok(Next::Go) };
        let mut records = Vec::new();
        let mut next = Next::Go;
        for message in std::iter::once(first).chain(messages.try_iter()) {
            match message {
                Message::Record(record) => records.push(record),
                Message::Samples => {}
                Message::Finish(end, answer) => next = Next::Finish(end, answer),
                Message::Stop => next = Next::Stop,
            }
            if records.len() >= QUEUE || !matches!(next, Next::Go) {
                break;
            }
        }
        if let Some(last) = records.last() {
            let through = last.number;
            self.commit(&records)?;
            (self.sink)(StoreEvent::Committed { through });
        }
        self.commit_samples()?;
        if self.rows >= BUSY_ROWS {
            self.checkpoint()?;
        }
        Ok(next)
    }

    /// The next message; `None` after a checkpoint made while nothing came.
    fn wait(&mut self, messages: &Receiver<Message>) -> Result<Option<Message>, StoreError> {
        if self.rows < IDLE_ROWS {
            return Ok(Some(messages.recv().unwrap_or(Message::Stop)));
        }
        match messages.recv_timeout(IDLE) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Disconnected) => Ok(Some(Message::Stop)),
            Err(RecvTimeoutError::Timeout) => self.checkpoint().map(|()| None),
        }
    }

    /// One transaction for all: each record whole, in order.
    fn commit(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let synced = records.iter().any(|record| record.sync == SyncMode::Synced);
        self.set_mode(if synced { SyncMode::Synced } else { SyncMode::Written })?;
        let wrong = translate(&self.path);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrong)?;
        for fact in records.iter().flat_map(|record| &record.facts) {
            self.book.apply(&transaction, fact)?;
        }
        self.rows += self.book.write(&transaction)?;
        transaction.commit().map_err(wrong)
    }

    fn commit_samples(&mut self) -> Result<(), StoreError> {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.dropped > 0 {
            tracing::warn!(rows = waiting.dropped, "metric samples were dropped: the state cannot keep up");
        }
        if waiting.rows.is_empty() {
            return Ok(());
        }
        self.set_mode(SyncMode::Written)?;
        let wrong = translate(&self.path);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrong)?;
        self.samples.write(&transaction, &waiting.rows).map_err(wrong)?;
        self.rows += waiting.rows.len();
        transaction.commit().map_err(wrong)
    }

    /// `FULL` syncs the log with every commit, and with it everything that was only written before; `NORMAL` leaves
    /// that to checkpoints.
    fn set_mode(&mut self, mode: SyncMode) -> Result<(), StoreError> {
        if mode != self.mode {
            let level = if mode == SyncMode::Synced { "FULL" } else { "NORMAL" };
            self.connection
                .execute_batch(&format!("PRAGMA synchronous = {level}"))
                .map_err(translate(&self.path))?;
            self.mode = mode;
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.rows = 0;
        checkpoint(&self.connection, &self.path)
    }

    fn finish(self, end: &RunEnd) -> Result<(), StoreError> {
        let wrong = translate(&self.path);
        self.connection.execute_batch("PRAGMA synchronous = FULL").map_err(wrong)?;
        runs::end(&self.connection, self.run, end).map_err(wrong)?;
        keep_log_on_close(&self.connection, &self.path, false)?;
        self.connection.close().map_err(|(_, error)| wrong(error))
    }
}

/// Folds the log into the file and empties it. A log that is folded in but not emptied would be the older truth, should
/// it be torn afterwards; so it is emptied at once, unless a reader is just looking: then it is left for the next time.
pub(crate) fn checkpoint(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let wrong = translate(path);
    connection.busy_timeout(Duration::ZERO).map_err(wrong)?;
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(wrong)?;
    if busy != 0 {
        tracing::debug!("a reader holds up a checkpoint");
    }
    connection.busy_timeout(Duration::from_secs(5)).map_err(wrong)
}
