//! The runner's way to the host.

use super::link::{self, Inbox};
use super::wire::{Order, Report};
use crate::instance::context::Stamp;
use crate::instance::facts::{Fact, Question};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// The runner's end of the socket. Threads of the plugin may use it as well as the one that calls it.
pub(crate) struct Upward {
    socket: OwnedFd,
    /// Held while a message is sent.
    sending: Mutex<Vec<u8>>,
    /// Held from a question to its answer.
    asking: Mutex<Inbox>,
}

impl Upward {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket, sending: Mutex::new(Vec::new()), asking: Mutex::new(Inbox::new()) }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn report(&self, report: &Report<'_>) -> io::Result<()> {
        let mut buffer = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = link::encode(report, std::mem::take(&mut buffer))?;
        let sent = link::send(self.socket.as_fd(), &bytes, None);
        *buffer = bytes;
        sent
    }

    /// Sends a log record.
    pub(crate) fn say(&self, level: u8, message: &str) {
        // Where the host is gone, nobody listens.
        let _ = self.report(&Report::Said { level, message });
    }

    /// Asks the host; there is an answer only while a call is under way.
    pub(crate) fn ask(&self, call: &Stamp, pid: u32, question: Question) -> Option<Fact> {
        let mut inbox = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        call.elapsed()?;
        self.report(&Report::Asked { pid, question }).ok()?;
        match link::decode(inbox.next(&self.socket).ok()??).ok()? {
            Order::Answer(fact) => fact,
            _ => None,
        }
    }

    /// Does something that must not happen between a question and its answer.
    pub(crate) fn between_questions(&self, act: impl FnOnce()) {
        let _inbox = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        act();
    }
}
