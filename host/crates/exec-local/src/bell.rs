//! Ends the sleep of the thread that looks after the children.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;

use crate::error::ExecError;

/// Rung from any thread. Only a sleeper is woken: who is awake will look before it goes to sleep, so that a ring costs
/// one atomic exchange. The eventfd is watched for edges: each write is one, and nobody needs to read it.
#[derive(Debug)]
pub(crate) struct Bell {
    /// Becomes readable anew with every ring that is heard.
    pub(crate) eventfd: OwnedFd,
    /// Nobody needs to ring: the thread is awake, or was rung for.
    rung: AtomicBool,
}

impl Bell {
    /// Its thread is awake.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(crate) fn new() -> Result<Self, ExecError> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let eventfd = eventfd(0, flags).map_err(ExecError::setup("eventfd"))?;
        Ok(Self { eventfd, rung: AtomicBool::new(true) })
    }

    /// Ends the sleep, if there is one.
    pub(crate) fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            let _ = rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes());
        }
    }

    /// From now on rings are heard: to be called before the last look at what may have arrived.
    pub(crate) fn listen(&self) {
        self.rung.store(false, Ordering::SeqCst);
    }

    /// The thread is awake.
    pub(crate) fn awake(&self) {
        self.rung.store(true, Ordering::SeqCst);
    }
}
