//! The proxy: an isolated instance's worker in the host.
//!
//! # Invariants
//! - Nothing that the runner says is believed without a check: messages are bounded, what is no message ends it, values
//!   are judged by the same [`Collector`] as those of a plugin in this process, a place outside the batch or told twice ends
//!   it, costs and counts are cut to what is possible.
//! - Whatever the runner does, says or leaves undone, the proxy waits for it no longer than the call's deadline, and for a
//!   batch no longer than its time and one call: then it kills. It looks at the clock before it reads, not only when there is
//!   nothing to read.
//! - Only what the batch under way is about is told.

mod birth;
mod line;
mod measure;

use super::launch::{Ending, Process as Child};
use super::link::{self, Inbox};
use super::page::Page;
use super::wire::{Order, Report, Spent, values};
use crate::instance::collect::Declared;
use crate::instance::context::words;
use crate::instance::engine::Call;
use crate::instance::failure::InstanceFault;
use crate::instance::jobs::JobReceiver;
use crate::instance::stats::Meter;
use crate::instance::worker::{Job, Outcome, Worker};
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_api::abi::Fault;
use orchestrator_ports::PluginRound;
use rustix::event::PollFlags;
use rustix::net::{Shutdown, shutdown};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Lateness of the host itself that says nothing about a plugin.
const FORGIVEN: Duration = Duration::from_millis(100);
/// What a batch may take beyond its time and one call.
const SLACK: Duration = Duration::from_secs(2);
/// A runner that closed its socket is ending; it may take so long.
const LAST_BREATH: Duration = Duration::from_secs(1);
/// Packets that a runner may send for a job, log records and questions included.
const PACKETS: u32 = 200_000;
/// Bytes that it may send for a job: a round's values are 5 MB, a state is 8 MiB, and a fault has 4 KiB.
const BYTES: usize = 64 << 20;
/// Least time between two readings of what a runner has used.
const BOOKED_EVERY: Duration = Duration::from_millis(500);
/// Threads that a runner may have, whenever it is looked at.
const THREADS: u32 = 256;
/// No call is booked with more.
const LONGEST_CALL: Duration = Duration::from_secs(86_400);

/// Why a proxy goes no further.
pub(crate) enum Stop {
    /// The supervisor wants no more of it.
    Dismissed,
    /// The runner is gone, or was ended.
    Fault(Box<InstanceFault>),
}

/// The way to a runner, from its start to its end.
pub(crate) struct Proxy<'w> {
    worker: &'w Worker,
    jobs: &'w JobReceiver,
    bell: BorrowedFd<'w>,
    declared: Declared,
    child: Child,
    socket: OwnedFd,
    page: Page,
    inbox: Inbox,
    /// The last message that was sent, for its room.
    sent: Vec<u8>,
    /// Jobs that came while another was under way.
    waiting: VecDeque<Job>,
    /// Packets that may still come.
    budget: u32,
    /// Bytes that may still come.
    bytes: usize,
    /// When it was last read what the runner has used.
    booked: Option<Instant>,
    /// When the clock is looked at next, while a job is under way.
    check: Option<Instant>,
    /// Nothing is overdue before: we ourselves were late.
    grace: Instant,
}

impl<'w> Proxy<'w> {
    /// The next job. What the runner says meanwhile is heard.
    pub(crate) fn next(&mut self) -> Result<Job, Stop> {
        loop {
            if let Some(job) = self.waiting.pop_front() {
                (self.budget, self.bytes, self.check) = (PACKETS, BYTES, None);
                return Ok(job);
            }
            self.collect_jobs()?;
            if !self.waiting.is_empty() {
                continue;
            }
            let both = [(self.socket.as_fd(), PollFlags::IN), (self.bell, PollFlags::IN)];
            let ready = link::wait_for(&both, None).map_err(InstanceFault::Runner)?;
            if ready.is_some_and(|[spoken, _]| spoken) && self.take()? && self.report()?.is_some() {
                return Err(self.nonsense("an answer though it was asked nothing"));
            }
        }
    }

    /// Does a job.
    pub(crate) fn perform(&mut self, job: Job) -> Result<Outcome, Stop> {
        let meter = Meter::start();
        let outcome = self.performed(job);
        self.worker.book_judging(meter.stop().1);
        let outcome = outcome?;
        self.book_runner()?;
        Ok(outcome)
    }

    fn performed(&mut self, job: Job) -> Result<Outcome, Stop> {
        Ok(match job {
            Job::Collect { round, first } => {
                let _desk = self.worker.context.open_desk(&round);
                Outcome::Collected(Box::new(self.collect(&round, first)?))
            }
            Job::Calculate { round, current } => {
                let _desk = self.worker.context.open_desk(&round);
                Outcome::Calculated(self.calculate(&round, &current)?)
            }
            Job::Snapshot => Outcome::Snapshot(self.snapshot()?),
        })
    }

    fn calculate(
        &mut self,
        round: &PluginRound,
        current: &Metrics,
    ) -> Result<Result<(u32, String), Fault>, Stop> {
        self.send(&Order::Calculate { calibration: values(&round.calibration), current: values(current) })?;
        let end = self.end_of_call();
        loop {
            self.hear(Some(end))?;
            match self.report()? {
                None => {}
                Some(Report::Calculated { spent, answer, lost_records }) => {
                    self.worker.context.count_lost_records(lost_records);
                    let answer = answer.map(|(processes, reason)| (processes, words(&reason)));
                    return Ok(self.booked(spent, answer.map_err(Fault::from)));
                }
                Some(_) => return Err(self.nonsense("an answer to what it was not asked")),
            }
        }
    }

    fn snapshot(&mut self) -> Result<Result<Option<Vec<u8>>, Fault>, Stop> {
        self.send(&Order::Snapshot)?;
        let end = self.end_of_call();
        loop {
            self.hear(Some(end))?;
            match self.report()? {
                None => {}
                Some(Report::Snapshot { spent, answer }) => {
                    return Ok(self.booked(spent, answer.map_err(Fault::from)));
                }
                Some(_) => return Err(self.nonsense("an answer to what it was not asked")),
            }
        }
    }

    fn booked<T>(&self, spent: Spent, result: Result<T, Fault>) -> Result<T, Fault> {
        let spent = bounded(spent);
        self.worker.booked(Call { result, wall: spent.wall, cpu: spent.cpu })
    }

    fn end_of_call(&self) -> Instant {
        Instant::now() + self.worker.spec.deadline + SLACK
    }

    fn collect_jobs(&mut self) -> Result<(), Stop> {
        loop {
            match self.jobs.waiting() {
                Ok(Some(job)) => self.waiting.push_back(job),
                Ok(None) => return Ok(()),
                Err(_) => return Err(Stop::Dismissed),
            }
        }
    }

    /// Lets the object go: its destructor has as long as a call.
    pub(crate) fn dismiss(mut self) {
        let _ = shutdown(&self.socket, Shutdown::Write);
        let patience = self.worker.spec.deadline.min(LAST_BREATH);
        let idle = self.page.stamp().elapsed().is_none();
        let _: Ending = self.child.end(if idle { patience } else { Duration::ZERO });
    }

    /// Reads now and then what the runner has used, and ends one that has too many threads.
    fn book_runner(&mut self) -> Result<(), Stop> {
        if self.booked.is_some_and(|booked| booked.elapsed() < BOOKED_EVERY) {
            return Ok(());
        }
        self.booked = Some(Instant::now());
        match self.worker.book_runner(self.child.id()) {
            Some(usage) if usage.threads > THREADS => {
                self.child.end(Duration::ZERO);
                Err(InstanceFault::Threads { threads: usage.threads, most: THREADS }.into())
            }
            _ => Ok(()),
        }
    }
}

impl From<InstanceFault> for Stop {
    fn from(fault: InstanceFault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

fn bounded(spent: Spent) -> Spent {
    Spent { wall: spent.wall.min(LONGEST_CALL), cpu: spent.cpu.min(LONGEST_CALL) }
}
