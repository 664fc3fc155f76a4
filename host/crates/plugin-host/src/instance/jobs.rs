//! The way of a job from the supervisor to a worker.
//!
//! A worker that waits for its runner waits for the kernel, not for a channel: it gives its sender a descriptor that
//! wakes it.

use super::worker::Job;
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, SendError, Sender, TryRecvError, channel};
use std::sync::{Arc, OnceLock};

/// A worker's letter box.
pub(crate) fn job_channel() -> (JobSender, JobReceiver) {
    let (sender, receiver) = channel();
    let wake = Arc::new(OnceLock::new());
    (JobSender { jobs: Some(sender), wake: Arc::clone(&wake) }, JobReceiver { jobs: receiver, wake })
}

/// The supervisor's end. When it goes, the worker ends.
pub(crate) struct JobSender {
    /// Nothing only while it is dropped.
    jobs: Option<Sender<Job>>,
    wake: Arc<OnceLock<OwnedFd>>,
}

impl JobSender {
    /// Hands a job over; an error where the worker is gone.
    pub(crate) fn send(&self, job: Job) -> Result<(), SendError<Job>> {
        match &self.jobs {
            Some(jobs) => jobs.send(job)?,
            None => return Err(SendError(job)),
        }
        self.ring();
        Ok(())
    }

    fn ring(&self) {
        if let Some(wake) = self.wake.get() {
            // It cannot fail but by a full counter, which wakes as well.
            let _ = rustix::io::write(wake, &1_u64.to_ne_bytes());
        }
    }
}

impl Drop for JobSender {
    fn drop(&mut self) {
        self.jobs = None;
        self.ring();
    }
}

/// The worker's end.
pub(crate) struct JobReceiver {
    jobs: Receiver<Job>,
    wake: Arc<OnceLock<OwnedFd>>,
}

impl JobReceiver {
    /// The next job; nothing when there will be none.
    pub(crate) fn next(&self) -> Option<Job> {
        self.jobs.recv().ok()
    }

    /// The job that waits, if one does; an error when there will be none.
    pub(crate) fn waiting(&self) -> Result<Option<Job>, TryRecvError> {
        if let Some(wake) = self.wake.get() {
            let _ = rustix::io::read(wake, &mut [0_u8; 8]);
        }
        match self.jobs.try_recv() {
            Ok(job) => Ok(Some(job)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(gone) => Err(gone),
        }
    }

    /// A descriptor that can be read when there may be a job: look at once, and then whenever it can be read.
    pub(crate) fn bell(&self) -> io::Result<BorrowedFd<'_>> {
        if self.wake.get().is_none() {
            let _ = self.wake.set(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        }
        self.wake.get().map(AsFd::as_fd).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

#[cfg(test)]
mod tests {
    use super::job_channel;
    use crate::instance::worker::Job;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn rings(receiver: &super::JobReceiver) -> bool {
        let bell = receiver.bell().unwrap();
        poll(&mut [PollFd::new(&bell, PollFlags::IN)], Some(&Timespec::default())).unwrap() > 0
    }

    #[test]
    fn the_bell_rings_for_jobs_and_for_the_end() {
        let (sender, receiver) = job_channel();
        assert!(!rings(&receiver));
        sender.send(Job::Snapshot).unwrap();
        assert!(rings(&receiver));
        assert!(matches!(receiver.waiting(), Ok(Some(Job::Snapshot))));
        assert!(!rings(&receiver));
        assert!(matches!(receiver.waiting(), Ok(None)));
        drop(sender);
        assert!(rings(&receiver));
        assert!(receiver.waiting().is_err());
    }
}
