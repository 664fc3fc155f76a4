//! The one writer of the database: a thread that folds what waits into one transaction after another.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use orchestrator_ports::{Record, SampleRow, Sink, StoreEvent, SyncMode};
use rusqlite::{Connection, TransactionBehavior};

use crate::book::Book;
use crate::error::StoreError;
use crate::journal::{self, Appender, Segment};
use crate::lock::{StateLock, io_error};
use crate::queue::{BATCH, Ending, Queue, SqliteStore, Waiting};
use crate::runs::{self, RunEnd};
use crate::samples::Samples;
use crate::sql::translate;
use crate::state_dir::keep_log_on_close;

/// The database follows the journal at this distance: readers see the world so long ago at most.
const DELAY: Duration = Duration::from_millis(20);
/// Written rows after which an idle writer makes a checkpoint.
const IDLE_ROWS: usize = 1_000;
/// Written rows after which a busy one does (some 20 MB of log).
const BUSY_ROWS: usize = 64_000;
/// Without anything to do for so long, the writer is idle.
const IDLE: Duration = Duration::from_millis(200);
/// A segment of the journal that is larger is ended with the next checkpoint.
const SEGMENT: u64 = 4 << 20;

/// Ends the run and keeps the state directory locked until it is gone. Dropping it without [`StoreGuard::finish`]
/// writes what was queued and leaves the run marked as not ended in order.
pub struct StoreGuard {
    queue: Arc<Queue>,
    path: PathBuf,
    thread: Option<JoinHandle<()>>,
    _lock: StateLock,
}

impl StoreGuard {
    /// Writes what is queued, marks the run as ended in order, folds the log into the file and gives the lock back.
    ///
    /// # Errors
    /// `Closed` when the writer had failed before; else as any writing.
    pub fn finish(mut self, end: RunEnd) -> Result<(), StoreError> {
        let (answer, result) = channel();
        let closed = || StoreError::Closed { path: self.path.clone() };
        if !self.queue.end(Ending::Finish(end, answer)) {
            return Err(closed());
        }
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
            self.queue.end(Ending::Stop);
            self.join();
        }
    }
}

/// What a round of the writer ends with.
enum Next {
    Go,
    End(Ending),
}

/// The writer's thread.
pub(crate) struct Writer {
    connection: Connection,
    path: PathBuf,
    run: i64,
    book: Book,
    samples: Samples,
    sink: Sink<StoreEvent>,
    queue: Arc<Queue>,
    /// The journal's present file.
    journal: Arc<File>,
    /// Segments that the database does not yet have on the device.
    segments: Vec<Segment>,
    /// Records taken from the queue and not yet folded.
    records: Vec<Record>,
    rows_waiting: Vec<SampleRow>,
    /// When they must be.
    due: Option<Instant>,
    /// Rows written since the last checkpoint.
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
        appender: Appender,
    ) -> Self {
        let journal = appender.file();
        let queue = Arc::new(Queue::new(appender, path.clone()));
        let (segments, records, rows_waiting) = (Vec::new(), Vec::new(), Vec::new());
        let (due, rows) = (None, 0);
        Self {
            connection,
            path,
            run,
            book,
            samples,
            sink,
            queue,
            journal,
            segments,
            records,
            rows_waiting,
            due,
            rows,
        }
    }

    pub(crate) fn start(self, lock: StateLock) -> Result<(SqliteStore, StoreGuard), StoreError> {
        let (queue, path) = (Arc::clone(&self.queue), self.path.clone());
        let store = SqliteStore { queue: Arc::clone(&queue), sink: Arc::clone(&self.sink) };
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || self.work())
            .map_err(io_error("start a thread for", &path))?;
        Ok((store, StoreGuard { queue, path, thread: Some(thread), _lock: lock }))
    }

    fn work(mut self) {
        let queue = Arc::clone(&self.queue);
        let sink = Arc::clone(&self.sink);
        loop {
            // A writer that is gone without a word would leave the run waiting for ever.
            let round = catch_unwind(AssertUnwindSafe(|| self.round()));
            let round = round.unwrap_or_else(|_| Err(StoreError::WriterPanicked { path: self.path.clone() }));
            match round {
                Ok(Next::Go) => {}
                Ok(Next::End(ending)) => {
                    queue.close();
                    if let Ending::Finish(end, answer) = ending {
                        // Nobody waits any more: then nobody wants to know.
                        drop(answer.send(self.finish(&end)));
                    }
                    return;
                }
                Err(error) => {
                    queue.close();
                    sink(StoreEvent::Failed { detail: error.to_string() });
                    return;
                }
            }
        }
    }

    /// Syncs and acknowledges what waits for it; commits what is due.
    fn round(&mut self) -> Result<Next, StoreError> {
        let Some(taken) = self.wait() else {
            self.checkpoint()?;
            return Ok(Next::Go);
        };
        let Waiting { records, rows, dropped, flushes, ending, .. } = taken;
        if dropped > 0 {
            tracing::warn!(rows = dropped, "metric samples were dropped: the state cannot keep up");
        }
        self.acknowledge(&records)?;
        self.records.extend(records);
        self.rows_waiting.extend(rows);
        let now = Instant::now();
        let due = *self.due.get_or_insert(now + DELAY);
        if now >= due || self.records.len() >= BATCH || !flushes.is_empty() || ending.is_some() {
            self.commit()?;
        }
        // Whoever waits learns of it when its sender goes.
        drop(flushes);
        if self.rows >= BUSY_ROWS {
            self.checkpoint()?;
        }
        Ok(ending.map_or(Next::Go, Next::End))
    }

    /// Waits for something that cannot wait itself, or for the moment when what has come must be committed. `None` when
    /// nothing came for a while and a checkpoint is worth it.
    fn wait(&mut self) -> Option<Waiting> {
        let mut waiting = self.queue.lock();
        let idle_at = Instant::now() + IDLE;
        loop {
            let now = Instant::now();
            if waiting.is_urgent() || self.due.is_some_and(|due| due <= now) {
                return Some(self.queue.take(waiting));
            }
            if self.due.is_none() && !waiting.is_empty() {
                self.due = Some(now + DELAY);
            }
            let until = match self.due {
                Some(due) => due,
                None if self.rows >= IDLE_ROWS && idle_at <= now => return None,
                None if self.rows >= IDLE_ROWS => idle_at,
                None => {
                    waiting = self.queue.work.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            let woken = self.queue.work.wait_timeout(waiting, until.saturating_duration_since(now));
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes the journal to the device where a record asks for it. All before it goes along.
    fn acknowledge(&self, records: &[Record]) -> Result<(), StoreError> {
        let Some(last) = records.last() else { return Ok(()) };
        if records.iter().any(|record| record.sync == SyncMode::Synced) {
            self.journal.sync_data().map_err(io_error("sync the journal beside", &self.path))?;
        }
        if let Some(through) = self.queue.settled(last.number) {
            (self.sink)(StoreEvent::Committed { through });
        }
        Ok(())
    }

    /// One transaction for all: each record whole, in order.
    fn commit(&mut self) -> Result<(), StoreError> {
        self.due = None;
        let (records, rows) = (std::mem::take(&mut self.records), std::mem::take(&mut self.rows_waiting));
        if records.is_empty() && rows.is_empty() {
            return Ok(());
        }
        let wrong = translate(&self.path);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrong)?;
        for record in &records {
            record.facts.iter().try_for_each(|fact| self.book.apply(&transaction, fact))?;
            self.book.note(record.number);
        }
        if !records.is_empty() {
            self.rows += self.book.write(&transaction)?;
        }
        if !rows.is_empty() {
            self.samples.write(&transaction, &rows).map_err(wrong)?;
            self.rows += rows.len();
        }
        transaction.commit().map_err(wrong)
    }

    /// Folds the log into the file, on the device; then the journal up to there is no longer needed.
    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.rows = 0;
        let recorded = self.book.recorded();
        if checkpoint(&self.connection, &self.path)? {
            let (done, left) = self.segments.drain(..).partition(|segment| segment.last <= recorded);
            self.segments = left;
            let done: Vec<Segment> = done;
            for segment in done {
                std::fs::remove_file(&segment.path).map_err(io_error("remove", &segment.path))?;
            }
        }
        self.rotate().map_err(io_error("make a journal beside", &self.path))
    }

    fn rotate(&mut self) -> std::io::Result<()> {
        let appender = self.queue.appender();
        if appender.bytes() < SEGMENT {
            return Ok(());
        }
        let successor = appender.successor();
        drop(appender);
        let next = successor.make()?;
        self.journal = Arc::clone(&next);
        let (old, file) = self.queue.appender().rotate(next);
        self.segments.push(old);
        // What is synced later in the new one must not lack what came before it.
        file.sync_data()
    }

    fn finish(self, end: &RunEnd) -> Result<(), StoreError> {
        let wrong = translate(&self.path);
        self.connection.execute_batch("PRAGMA synchronous = FULL").map_err(wrong)?;
        runs::end(&self.connection, self.run, end).map_err(wrong)?;
        let whole = checkpoint(&self.connection, &self.path)?;
        keep_log_on_close(&self.connection, &self.path, false)?;
        self.connection.close().map_err(|(_, error)| wrong(error))?;
        match self.path.parent().filter(|_| whole) {
            Some(directory) => journal::remove_all(directory),
            None => Ok(()),
        }
    }
}

/// Folds the log into the file and empties it; false when a reader was just looking. A log that is folded in but not
/// emptied would be the older truth, should it be torn afterwards; so it is emptied at once, or left for the next time.
pub(crate) fn checkpoint(connection: &Connection, path: &Path) -> Result<bool, StoreError> {
    let wrong = translate(path);
    connection.busy_timeout(Duration::ZERO).map_err(wrong)?;
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(wrong)?;
    if busy != 0 {
        tracing::debug!("a reader holds up a checkpoint");
    }
    connection.busy_timeout(Duration::from_secs(5)).map_err(wrong)?;
    Ok(busy == 0)
}
