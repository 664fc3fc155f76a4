//! Moving accepted outputs into place: a thread that gathers jobs, and the group that it publishes at once.

mod copy;
mod group;
mod place;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::FailureReason;
use orchestrator_ports::{FilesEvent, PublishJob, Sink};

use crate::durability::OutputFileSystem;
use crate::layout::FilesHandle;
use crate::options::Durability;

/// Jobs that one sync serves at most.
const FULL: usize = 512;
/// A job waits at most this long for others.
const GATHER: Duration = Duration::from_secs(1);

/// What the publishing thread hears.
#[derive(Debug)]
pub(crate) enum Message {
    /// An attempt's output.
    Job(PublishJob),
    /// Publish what is gathered at once.
    Flush,
}

/// The publishing thread's state.
pub(crate) struct Publisher {
    handle: FilesHandle,
    file_system: OutputFileSystem,
    sink: Sink<FilesEvent>,
    gathered: Vec<PublishJob>,
    due: Option<Instant>,
}

impl Publisher {
    pub(crate) fn new(handle: FilesHandle, file_system: OutputFileSystem, sink: Sink<FilesEvent>) -> Self {
        Self { handle, file_system, sink, gathered: Vec::new(), due: None }
    }

    /// Works until the sender is gone; what is gathered then is left to a resumed run.
    pub(crate) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            match self.next(messages) {
                Ok(Message::Job(job)) => self.gather(job),
                Ok(Message::Flush) | Err(RecvTimeoutError::Timeout) => self.publish(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn next(&self, messages: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        match self.due {
            Some(due) => messages.recv_timeout(due.saturating_duration_since(Instant::now())),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn gather(&mut self, job: PublishJob) {
        self.gathered.push(job);
        self.due.get_or_insert_with(|| Instant::now() + GATHER);
        if self.handle.options.durability != Durability::Batch || self.gathered.len() >= FULL {
            self.publish();
        }
    }

    fn publish(&mut self) {
        self.due = None;
        let jobs = std::mem::take(&mut self.gathered);
        if jobs.is_empty() {
            return;
        }
        let mut unanswered: BTreeSet<AttemptId> = jobs.iter().map(|job| job.attempt).collect();
        let done = catch_unwind(AssertUnwindSafe(|| {
            for (attempt, result) in group::publish(&self.handle, &self.file_system, &jobs) {
                (self.sink)(match result {
                    Ok(()) => FilesEvent::Published { attempt },
                    Err(reason) => FilesEvent::PublishFailed { attempt, reason },
                });
                unanswered.remove(&attempt);
            }
        }));
        if done.is_err() {
            for attempt in unanswered {
                let detail = "the publication panicked".to_owned();
                let reason = FailureReason::Publish { detail };
                (self.sink)(FilesEvent::PublishFailed { attempt, reason });
            }
        }
    }
}
