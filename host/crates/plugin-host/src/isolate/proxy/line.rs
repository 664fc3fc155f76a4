//! What is said over the socket, and how long it is waited for.

use super::super::link::{self, Taken};
use super::super::wire::{Order, Report};
use super::{FORGIVEN, LAST_BREATH, Proxy, Stop};
use crate::instance::failure::InstanceFault;
use rustix::event::PollFlags;
use rustix::net::RecvFlags;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

impl Proxy<'_> {
    /// The message that was heard, unless it was a record or a question, which are dealt with here.
    pub(super) fn report(&mut self) -> Result<Option<Report<'static>>, Stop> {
        let question = match link::decode(self.inbox.message()) {
            Ok(Report::Said { level, message }) => {
                self.worker.context.say(u32::from(level), message);
                return Ok(None);
            }
            Ok(Report::Asked { pid, question }) => (pid, question),
            Ok(Report::Ready(spent)) => return Ok(Some(Report::Ready(spent))),
            Ok(Report::Refused(refusal)) => return Ok(Some(Report::Refused(refusal))),
            Ok(Report::Done { asked, dropped, lost_records }) => {
                return Ok(Some(Report::Done { asked, dropped, lost_records }));
            }
            Ok(Report::Calculated { spent, answer, lost_records }) => {
                return Ok(Some(Report::Calculated { spent, answer, lost_records }));
            }
            Ok(Report::Snapshot { spent, answer }) => return Ok(Some(Report::Snapshot { spent, answer })),
            Ok(Report::Measured(_)) => return Err(self.nonsense("measurements though it was asked for none")),
            Err(_) => return Err(self.nonsense("what is no message")),
        };
        let (pid, question) = question;
        let answer = self.worker.context.answer(pid, &question);
        self.send(&Order::Answer(answer)).map(|()| None)
    }

    /// Waits until a message is there. With `end`, the deadline of the call under way is kept, and that moment at last,
    /// however much the runner has to say meanwhile.
    pub(super) fn hear(&mut self, end: Option<Instant>) -> Result<(), Stop> {
        loop {
            let left = match end {
                Some(end) => Some(self.look_at_the_clock(end)?),
                None => None,
            };
            let both = [(self.socket.as_fd(), PollFlags::IN), (self.bell, PollFlags::IN)];
            if let Some([spoken, rung]) = link::wait_for(&both, left).map_err(InstanceFault::Runner)? {
                if rung {
                    self.collect_jobs()?;
                }
                if spoken && self.take()? {
                    return Ok(());
                }
            }
        }
    }

    /// Kills where something is overdue; how long until the clock must be looked at again.
    fn look_at_the_clock(&mut self, end: Instant) -> Result<Duration, Stop> {
        if let Some(planned) = self.check.filter(|check| Instant::now() >= *check) {
            self.expire(planned, end)?;
        }
        let check = self.next_check(end);
        self.check = Some(check);
        Ok(check.saturating_duration_since(Instant::now()))
    }

    /// When to look whether something is overdue.
    fn next_check(&self, end: Instant) -> Instant {
        let (now, deadline) = (Instant::now(), self.worker.spec.deadline);
        let left = self.page.stamp().elapsed().map_or(deadline, |elapsed| deadline.saturating_sub(elapsed));
        (now + left).min(end).max(self.grace)
    }

    /// Kills when the call under way, or the batch, is overdue.
    fn expire(&mut self, planned: Instant, end: Instant) -> Result<(), Stop> {
        let (now, deadline) = (Instant::now(), self.worker.spec.deadline);
        // When we ourselves were stopped or starved, the plugin was so as well: it gets a fresh allowance.
        if now.saturating_duration_since(planned) > FORGIVEN.max(deadline / 2) {
            self.grace = now + deadline;
            return Ok(());
        }
        let overdue = self.page.stamp().elapsed().is_some_and(|elapsed| elapsed >= deadline);
        if !overdue && now < end {
            return Ok(());
        }
        self.child.end(Duration::ZERO);
        self.worker.book_deadline_miss();
        Err(InstanceFault::Hung { deadline }.into())
    }

    /// Takes a packet; whether it made a message whole.
    pub(super) fn take(&mut self) -> Result<bool, Stop> {
        if self.budget == 0 {
            return Err(self.nonsense("more messages than any job needs"));
        }
        self.budget -= 1;
        let taken = self.inbox.take(self.socket.as_fd(), RecvFlags::DONTWAIT);
        match self.bytes.checked_sub(self.inbox.packet_bytes()) {
            Some(left) => self.bytes = left,
            None => return Err(self.nonsense("more bytes than any job needs")),
        }
        match taken {
            Ok(Taken::Message) => Ok(true),
            Ok(Taken::Part | Taken::Nothing) => Ok(false),
            Ok(Taken::Gone) => Err(self.obituary()),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                Err(self.nonsense("a message that is too long"))
            }
            Err(_) => Err(self.nonsense("what is no message")),
        }
    }

    pub(super) fn send(&mut self, order: &Order<'_>) -> Result<(), Stop> {
        let bytes = link::encode(order, std::mem::take(&mut self.sent)).map_err(InstanceFault::Runner)?;
        let sent = link::send(self.socket.as_fd(), &bytes, Some(self.end_of_call()));
        self.sent = bytes;
        match sent {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                self.child.end(Duration::ZERO);
                self.worker.book_deadline_miss();
                Err(InstanceFault::Hung { deadline: self.worker.spec.deadline }.into())
            }
            Err(_) => Err(self.obituary()),
        }
    }

    /// What became of a runner that speaks no more.
    pub(super) fn obituary(&mut self) -> Stop {
        let ending = self.child.end(LAST_BREATH);
        let memory = self.worker.spec.max_memory;
        InstanceFault::Ended { ending, memory }.into()
    }

    pub(super) fn nonsense(&mut self, what: &'static str) -> Stop {
        self.child.end(Duration::ZERO);
        InstanceFault::Nonsense { what }.into()
    }
}
