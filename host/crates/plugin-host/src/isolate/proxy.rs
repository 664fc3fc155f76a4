//! The proxy: an isolated instance's worker in the host.
//!
//! # Invariants
//! - Nothing that the runner says is believed without a check: messages are bounded, what is no message ends it, values
//!   are judged by the same [`Collector`] as those of a plugin in this process, places outside the batch are passed over,
//!   costs and counts are cut to what is possible.
//! - Whatever the runner does or leaves undone, the proxy waits for it no longer than the call's deadline, and for a batch
//!   no longer than its time and one call: then it kills.
//! - Only what the batch under way is about is told.

use super::Runner;
use super::launch::{Ending, Process as Child};
use super::link::{self, Inbox, Taken};
use super::page::Page;
use super::wire::{
    BATCH, Begin, Measured, Order, Process, Refusal, Report, SYSTEM, Spent, add_dropped, values,
};
use crate::instance::collect::{Collector, Declared, Dropped};
use crate::instance::engine::Call;
use crate::instance::failure::InstanceFault;
use crate::instance::jobs::JobReceiver;
use crate::instance::worker::{Collected, Job, Outcome, Worker, start_fault};
use crate::library::{FileFault, FileProblem, PluginFile, VerifiedFile, audit};
use orchestrator_core::config::model::Isolation;
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_api::PluginKind;
use orchestrator_plugin_api::abi::Fault;
use orchestrator_ports::{PluginRound, ProcessFacts};
use rustix::event::PollFlags;
use rustix::net::{RecvFlags, Shutdown, shutdown};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lateness of the host itself that says nothing about a plugin.
const FORGIVEN: Duration = Duration::from_millis(100);
/// What a batch may take beyond its time and one call.
const SLACK: Duration = Duration::from_secs(2);
/// A runner that closed its socket is ending; it may take so long.
const LAST_BREATH: Duration = Duration::from_secs(1);
/// Packets that a runner may send for a job, log records and questions included.
const PACKETS: u32 = 200_000;
/// Least time between two readings of what a runner has used.
const BOOKED_EVERY: Duration = Duration::from_millis(500);
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
    /// When it was last read what the runner has used.
    booked: Option<Instant>,
    /// Nothing is overdue before: we ourselves were late.
    grace: Instant,
}

impl<'w> Proxy<'w> {
    /// Starts a runner and waits until its object stands.
    pub(crate) fn start(
        worker: &'w Worker,
        runner: &Runner,
        restore: Option<&[u8]>,
        jobs: &'w JobReceiver,
    ) -> Result<Self, Stop> {
        let file = held(&worker.file).map_err(InstanceFault::Library)?;
        audit(file.file(), &worker.spec);
        let bell = jobs.bell().map_err(InstanceFault::Runner)?;
        let page = Page::new().map_err(InstanceFault::Runner)?;
        let (child, socket) = runner.start().map_err(InstanceFault::Runner)?;
        let described = file.file().class(worker.spec.kind, &worker.spec.class);
        let mut proxy = Self {
            worker,
            jobs,
            bell,
            declared: described.map(Declared::new).unwrap_or_default(),
            child,
            socket,
            page,
            inbox: Inbox::new(),
            sent: Vec::new(),
            waiting: VecDeque::new(),
            budget: PACKETS,
            booked: None,
            grace: Instant::now(),
        };
        worker.context.hand_out_only(&worker.spec.grants.environment);
        proxy.begin(&file, restore)?;
        proxy.born()?;
        proxy.book_runner();
        Ok(proxy)
    }

    fn begin(&mut self, file: &VerifiedFile, restore: Option<&[u8]>) -> Result<(), Stop> {
        let spec = &self.worker.spec;
        let handed =
            link::send_descriptors(self.socket.as_fd(), &[file.sealed().as_fd(), self.page.descriptor()]);
        if handed.is_err() {
            return Err(self.obituary());
        }
        let config = serde_json::Value::Object(spec.config.clone()).to_string();
        let begin = Begin {
            path: file.file().path.as_os_str().as_bytes(),
            hash: *file.file().hash.as_bytes(),
            capacity: spec.kind == PluginKind::Capacity,
            class: &spec.class,
            config: &config,
            deadline: spec.deadline,
            restore,
            max_memory: spec.max_memory,
            sandbox: (spec.isolation == Isolation::Sandbox).then(|| spec.grants.clone()),
        };
        self.send(&Order::Begin(begin))
    }

    /// Waits for the object. How long, the supervisor decides.
    fn born(&mut self) -> Result<(), Stop> {
        loop {
            self.hear(None)?;
            match self.report()? {
                None => {}
                Some(Report::Ready(spent)) => {
                    let spent = bounded(spent);
                    self.worker.book(&Call { result: Ok(()), wall: spent.wall, cpu: spent.cpu });
                    return Ok(());
                }
                Some(Report::Refused(refusal)) => return Err(self.refused(refusal).into()),
                Some(_) => return Err(self.nonsense("an answer to what it was not asked")),
            }
        }
    }

    fn refused(&self, refusal: Refusal) -> InstanceFault {
        let worker = self.worker;
        let library = |fault| InstanceFault::Library(FileProblem::new(&worker.file.path, fault));
        match refusal {
            Refusal::Sandbox(reason) => InstanceFault::Sandbox { reason },
            Refusal::Library(reason) => library(FileFault::Isolated { reason }),
            Refusal::NoConstructor => {
                let reason = format!("it has no constructor of the kind {}", worker.spec.kind);
                library(FileFault::Header { reason })
            }
            Refusal::Constructor(spent, fault) => {
                let (spent, fault) = (bounded(spent), Fault::from(fault));
                worker.book(&Call::<()> { result: Err(fault.clone()), wall: spent.wall, cpu: spent.cpu });
                start_fault(fault)
            }
        }
    }

    /// The next job. What the runner says meanwhile is heard.
    pub(crate) fn next(&mut self) -> Result<Job, Stop> {
        loop {
            if let Some(job) = self.waiting.pop_front() {
                self.budget = PACKETS;
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
        let outcome = match job {
            Job::Collect { round, first } => {
                let _desk = self.worker.context.open_desk(&round);
                Outcome::Collected(Box::new(self.collect(&round, first)?))
            }
            Job::Calculate { round, current } => {
                let _desk = self.worker.context.open_desk(&round);
                Outcome::Calculated(self.calculate(&round, &current)?)
            }
            Job::Snapshot => Outcome::Snapshot(self.snapshot()?),
        };
        self.book_runner();
        Ok(outcome)
    }

    /// As [`Worker::collect`] does it: one call per process, beginning with number `first`, then one for the machine.
    fn collect(&mut self, round: &Arc<PluginRound>, first: usize) -> Result<Collected, Stop> {
        let deadline = self.worker.spec.deadline;
        let end = Instant::now() + deadline;
        let count = round.processes.len();
        let order: Vec<&ProcessFacts> =
            (0..count).map(|index| &round.processes[(first + index) % count]).collect();
        let mut tally = Tally::default();
        let mut rest = order.as_slice();
        loop {
            let within = end.saturating_duration_since(Instant::now());
            let batch = if within.is_zero() { &[] } else { &rest[..rest.len().min(BATCH)] };
            let system = within.is_zero() || batch.len() == rest.len();
            let processes = batch.iter().map(|facts| Process::new(facts)).collect();
            self.send(&Order::Collect { processes, within, system })?;
            let asked = self.batch(batch, &round.current, within, &mut tally)?;
            tally.collected.asked += asked;
            rest = &rest[asked..];
            if system || tally.dead {
                break;
            }
        }
        if !tally.dead {
            tally.collected.left_out = rest.len();
        }
        tally.collected.dropped = tally.dropped;
        Ok(tally.collected)
    }

    /// Hears the answers of a batch; how many of its processes were asked about.
    fn batch(
        &mut self,
        batch: &[&ProcessFacts],
        built_in: &Metrics,
        within: Duration,
        tally: &mut Tally,
    ) -> Result<usize, Stop> {
        let end = Instant::now() + within + self.worker.spec.deadline + SLACK;
        let mut next = 0;
        loop {
            self.hear(Some(end))?;
            // Borrowed by hand: the message stays in the inbox while its values are judged.
            let report = match link::decode(self.inbox.message()) {
                Ok(Report::Measured(measured)) => {
                    for one in measured {
                        let judges = (&self.declared, built_in);
                        judge(one, batch, &mut next, judges, tally, |call| self.worker.booked(call));
                    }
                    continue;
                }
                Ok(_) => self.report()?,
                Err(_) => return Err(self.nonsense("what is no message")),
            };
            match report {
                None => {}
                Some(Report::Done { asked, dropped, lost_records }) => {
                    add_dropped(&mut tally.dropped, dropped);
                    self.worker.context.count_lost_records(lost_records);
                    // Who was not asked is asked next; a runner that asks nobody costs its own instance only.
                    return Ok((asked as usize).min(batch.len()));
                }
                Some(_) => return Err(self.nonsense("an answer to what it was not asked")),
            }
        }
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

    /// The message that was heard, unless it was a record or a question, which are dealt with here.
    fn report(&mut self) -> Result<Option<Report<'static>>, Stop> {
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

    /// Waits until a message is there. With `end`, the deadline of the call under way is kept, and that moment at last.
    fn hear(&mut self, end: Option<Instant>) -> Result<(), Stop> {
        loop {
            let check = end.map(|end| self.next_check(end));
            let left = check.map(|check| check.saturating_duration_since(Instant::now()));
            let both = [(self.socket.as_fd(), PollFlags::IN), (self.bell, PollFlags::IN)];
            match link::wait_for(&both, left).map_err(InstanceFault::Runner)? {
                Some([spoken, rung]) => {
                    if rung {
                        self.collect_jobs()?;
                    }
                    if spoken && self.take()? {
                        return Ok(());
                    }
                }
                None => {
                    if let (Some(check), Some(end)) = (check, end) {
                        self.expire(check, end)?;
                    }
                }
            }
        }
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
    fn take(&mut self) -> Result<bool, Stop> {
        if self.budget == 0 {
            return Err(self.nonsense("more messages than any job needs"));
        }
        self.budget -= 1;
        match self.inbox.take(self.socket.as_fd(), RecvFlags::DONTWAIT) {
            Ok(Taken::Message) => Ok(true),
            Ok(Taken::Part | Taken::Nothing) => Ok(false),
            Ok(Taken::Gone) => Err(self.obituary()),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                Err(self.nonsense("a message that is too long"))
            }
            Err(_) => Err(self.nonsense("what is no message")),
        }
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

    fn send(&mut self, order: &Order<'_>) -> Result<(), Stop> {
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
    fn obituary(&mut self) -> Stop {
        let ending = self.child.end(LAST_BREATH);
        let isolation = self.worker.spec.isolation;
        let memory = self.worker.spec.max_memory;
        InstanceFault::Ended { ending, isolation, memory }.into()
    }

    fn nonsense(&mut self, what: &'static str) -> Stop {
        self.child.end(Duration::ZERO);
        InstanceFault::Nonsense { what }.into()
    }

    /// Lets the object go: its destructor has as long as a call.
    pub(crate) fn dismiss(mut self) {
        let _ = shutdown(&self.socket, Shutdown::Write);
        let patience = self.worker.spec.deadline.min(LAST_BREATH);
        let idle = self.page.stamp().elapsed().is_none();
        let _: Ending = self.child.end(if idle { patience } else { Duration::ZERO });
    }

    fn book_runner(&mut self) {
        if self.booked.is_none_or(|booked| booked.elapsed() >= BOOKED_EVERY) {
            self.booked = Some(Instant::now());
            self.worker.book_runner(self.child.id());
        }
    }
}

impl From<InstanceFault> for Stop {
    fn from(fault: InstanceFault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

/// The bytes that were verified when an instance of the library was first started: it is started again from them,
/// whatever has become of the file. They are kept to the end of the process, as those of libraries in this process are.
fn held(file: &PluginFile) -> Result<VerifiedFile, FileProblem> {
    static HELD: Mutex<BTreeMap<[u8; 32], VerifiedFile>> = Mutex::new(BTreeMap::new());
    let key = *file.hash.as_bytes();
    if let Some(known) = HELD.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(known.clone());
    }
    let verified = file.verified()?;
    HELD.lock().unwrap_or_else(PoisonError::into_inner).insert(key, verified.clone());
    Ok(verified)
}

/// What has come of a round so far.
#[derive(Default)]
struct Tally {
    collected: Collected,
    dropped: Dropped,
    /// The instance can answer no more.
    dead: bool,
}

/// Judges one answer of a batch. Answers come in the order of the batch, each place once.
fn judge(
    one: Measured<'_>,
    batch: &[&ProcessFacts],
    next: &mut usize,
    (declared, built_in): (&Declared, &Metrics),
    tally: &mut Tally,
    booked: impl FnOnce(Call<Metrics>) -> Result<Metrics, Fault>,
) {
    let place = one.place as usize;
    let process = batch.get(place);
    let known = if one.place == SYSTEM { *next <= batch.len() } else { process.is_some() && place >= *next };
    if !known || tally.dead {
        return;
    }
    *next = if one.place == SYSTEM { usize::MAX } else { place + 1 };
    let collector = Collector::new(declared, built_in, &mut tally.dropped);
    let result = one.answer.map(|values| collector.judged(values)).map_err(Fault::from);
    let spent = bounded(one.spent);
    let result = booked(Call { result, wall: spent.wall, cpu: spent.cpu });
    tally.dead = match process {
        Some(facts) => tally.collected.take(facts.attempt, result),
        None => tally.collected.take_system(result),
    };
}

fn bounded(spent: Spent) -> Spent {
    Spent { wall: spent.wall.min(LONGEST_CALL), cpu: spent.cpu.min(LONGEST_CALL) }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_CALL, Measured, SYSTEM, Spent, Tally, judge};
    use crate::instance::collect::Declared;
    use crate::instance::engine::Call;
    use orchestrator_core::metrics::Metrics;
    use orchestrator_core::{AttemptId, TaskId};
    use orchestrator_ports::ProcessFacts;
    use std::time::Duration;

    fn process(attempt: u64) -> ProcessFacts {
        ProcessFacts {
            attempt: AttemptId(attempt),
            task: TaskId(0),
            input_file: "/in".into(),
            running_for: None,
            pid: 1,
            start_ticks: 1,
            tree: Vec::new(),
            sample: None,
        }
    }

    #[test]
    fn a_lying_runner_speaks_for_nobody_it_was_not_asked_about_and_for_nobody_twice() {
        let processes = [process(10), process(11)];
        let batch: Vec<&ProcessFacts> = processes.iter().collect();
        let built_in = Metrics::from([("system.cpu.percent".to_owned(), 1.0)]);
        let (mut tally, mut next, mut longest) = (Tally::default(), 0, Duration::ZERO);
        let says: [(u32, &str, f64); 9] = [
            (2, "beyond", 1.0),
            (u32::MAX - 1, "far.beyond", 1.0),
            (1, "good", 1.0),
            (1, "twice", 1.0),
            (0, "backwards", 1.0),
            (SYSTEM, "system.cpu.percent", 99.0),
            (SYSTEM, "again", 1.0),
            (0, "after.the.end", 1.0),
            (1, "nan", f64::NAN),
        ];
        for (place, name, value) in says {
            let spent = Spent { wall: Duration::MAX, cpu: Duration::MAX };
            let one = Measured { place, spent, answer: Ok(vec![(name, value)]) };
            let booked = |call: Call<Metrics>| {
                longest = longest.max(call.wall).max(call.cpu);
                call.result
            };
            judge(one, &batch, &mut next, (&Declared::default(), &built_in), &mut tally, booked);
        }
        let good = Metrics::from([("good".to_owned(), 1.0)]);
        assert_eq!(tally.collected.processes, [(AttemptId(11), good)]);
        assert!(tally.collected.system.is_empty(), "it overrode the host's own metric");
        assert_eq!((tally.dropped.reserved.count, tally.dropped.total()), (1, 1));
        assert_eq!(longest, LONGEST_CALL);
    }
}
