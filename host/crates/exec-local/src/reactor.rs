//! What owns all children, and the turns in which it looks after them.
//!
//! It waits for four kinds of things: the bell, ends of main processes, captured output, ends of descendants. Keys are
//! made of attempt ids, never of descriptor numbers, which may live on as duplicates in a child between its birth and
//! its exec.

use std::collections::{BTreeSet, HashMap};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::SpawnFault;
use orchestrator_ports::{ExecutorEvent, Launch, Sink};
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::bell::Bell;
use crate::capture::Pumped;
use crate::child::{Child, Phase};
use crate::error::ExecError;
use crate::executor::Options;
use crate::oom::OomWatch;
use crate::pidlog::{Mark, PidLog};
use crate::proctable::ProcTable;
use crate::spawn::{Settled, Spawned, Spawner};
use crate::young::Young;
use crate::{reap, sweep};

const EVENTS_A_TURN: usize = 256;
/// Looks after the births that happened during a look.
const LOOKS: usize = 4;
const BUFFER: usize = 64 * 1024;
/// Counters are read and orphans reaped this often while attempts run.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// After a shutdown was ordered, processes that cannot be killed are given up.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// What an epoll key names besides the attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Watch {
    /// The main process's end.
    Main,
    /// Captured stream 0 or 1.
    Stream(usize),
    /// The end of a descendant that outlives the main process.
    Stray,
}

const BELL: u64 = u64::MAX;

/// Where a child's birth stands.
#[derive(Debug)]
pub(crate) enum Birth {
    /// It has not become its program yet.
    Pending,
    /// It has (or is gone).
    Done,
    /// It could not.
    Failed(SpawnFault),
}

impl Watch {
    fn key(self, attempt: AttemptId) -> epoll::EventData {
        let kind = match self {
            Self::Main => 0,
            Self::Stream(index) => 1 + index as u64,
            Self::Stray => 3,
        };
        epoll::EventData::new_u64(attempt.0 << 2 | kind)
    }

    fn from_key(key: u64) -> (AttemptId, Self) {
        let watch = match key & 3 {
            0 => Self::Main,
            3 => Self::Stray,
            stream => Self::Stream(stream as usize - 1),
        };
        (AttemptId(key >> 2), watch)
    }
}

/// All children and how they are looked after.
pub(crate) struct Reactor {
    sink: Sink<ExecutorEvent>,
    pub(crate) options: Options,
    spawner: Spawner,
    bell: Arc<Bell>,
    epoll: OwnedFd,
    pub(crate) children: HashMap<AttemptId, Child>,
    /// Those whose main process has ended.
    pub(crate) lingering: BTreeSet<AttemptId>,
    young: Young,
    /// The attempt whose launch is neither refused nor among `children` yet.
    pub(crate) launching: Option<AttemptId>,
    pub(crate) pids: PidLog,
    /// Orphans that nobody claims were born after this.
    pub(crate) epoch: Option<Mark>,
    pub(crate) oom: OomWatch,
    buffer: Vec<u8>,
    housekeeping_at: Instant,
    /// Nothing is launched any more.
    ending: bool,
}

impl Reactor {
    pub(crate) fn new(
        sink: Sink<ExecutorEvent>,
        options: Options,
        spawner: Spawner,
        bell: Arc<Bell>,
    ) -> Result<Self, ExecError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(ExecError::setup("epoll"))?;
        let key = epoll::EventData::new_u64(BELL);
        let edges = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &bell.eventfd, key, edges).map_err(ExecError::setup("epoll"))?;
        Ok(Self {
            sink,
            options,
            spawner,
            bell,
            epoll,
            children: HashMap::new(),
            lingering: BTreeSet::new(),
            young: Young::new(Instant::now()),
            launching: None,
            pids: PidLog::new(),
            epoch: None,
            oom: OomWatch::new(),
            buffer: vec![0; BUFFER],
            housekeeping_at: Instant::now(),
            ending: false,
        })
    }

    /// Waits, no longer than until `deadline`, for something to happen and sees to it. It does not sleep where something
    /// waits for the caller.
    pub(crate) fn turn(&mut self, deadline: Option<Instant>, nothing_waits: &mut dyn FnMut() -> bool) {
        self.bell.listen();
        let timeout = if nothing_waits() { self.patience(deadline) } else { Some(Duration::ZERO) };
        let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
        let mut space = [const { MaybeUninit::uninit() }; EVENTS_A_TURN];
        let waited = epoll::wait(&self.epoll, &mut space, timeout.as_ref());
        self.bell.awake();
        match waited {
            Ok((events, _)) => {
                let touched = events.iter().filter_map(|event| self.hear(event.data.u64())).collect();
                sweep::advance(self, &touched);
            }
            Err(Errno::INTR) => {}
            Err(error) => tracing::error!(%error, "the executor cannot wait for its children"),
        }
        self.keep_deadlines();
    }

    /// Kills all, reaps all.
    pub(crate) fn end(&mut self) {
        self.ending = true;
        self.kill_trees();
        let deadline = Instant::now() + LAST_WAIT;
        while !self.children.is_empty() && Instant::now() < deadline {
            self.turn(Some(deadline), &mut || true);
        }
    }

    /// How long to wait if nothing happens; for ever when nothing runs and the caller has no deadline.
    fn patience(&self, deadline: Option<Instant>) -> Option<Duration> {
        let now = Instant::now();
        let lingering = self.deadlines().map(|(_, deadline)| deadline);
        let routine = (!self.children.is_empty()).then(|| now + HOUSEKEEPING.min(self.pids.longest_gap()));
        // A millisecond more, lest rounding wake us just before the moment.
        let own = lingering.chain(routine).min().map(|moment| moment + Duration::from_millis(1));
        Some(own.into_iter().chain(self.young.next()).chain(deadline).min()?.saturating_duration_since(now))
    }

    /// The children whose main process has ended, each with the next moment at which something is to be done about it.
    fn deadlines(&self) -> impl Iterator<Item = (AttemptId, Instant)> {
        let children = self.lingering.iter().filter_map(|attempt| self.children.get(attempt));
        children.filter_map(|child| match &child.phase {
            Phase::Lingering(lingering) => Some((child.attempt, lingering.deadline())),
            Phase::Running => None,
        })
    }

    /// Notes what happened. The attempt that goes on by it, if one does: all of a turn are seen to together.
    fn hear(&mut self, key: u64) -> Option<AttemptId> {
        if key == BELL {
            return None;
        }
        let (attempt, watch) = Watch::from_key(key);
        let goes_on = match watch {
            Watch::Main => sweep::main_ended(self, attempt),
            Watch::Stream(index) => self.pump(attempt, index) == Pumped::Closed,
            Watch::Stray => true,
        };
        goes_on.then_some(attempt)
    }

    /// Takes output of one stream, and lets the stream go when it is closed.
    pub(crate) fn pump(&mut self, attempt: AttemptId, index: usize) -> Pumped {
        let Some(child) = self.children.get_mut(&attempt) else { return Pumped::Open };
        let Some(capture) = &mut child.captures[index] else { return Pumped::Closed };
        let pumped = capture.pump(&mut self.buffer);
        if pumped == Pumped::Closed {
            self.let_go(attempt, index);
        }
        pumped
    }

    /// Lets streams go that nobody listened to and that were closed without a word: one call for both.
    pub(crate) fn let_silent_go(&mut self, attempt: AttemptId) {
        let Some(child) = self.children.get(&attempt) else { return };
        let [Some(out), Some(err)] = &child.captures else { return };
        if out.heard || err.heard {
            return;
        }
        let mut ends = [out, err].map(|capture| PollFd::new(capture.pipe(), PollFlags::IN));
        if poll(&mut ends, Some(&Timespec::default())).is_err() {
            return;
        }
        let is_silent = ends.map(|end| end.revents() == PollFlags::HUP);
        for index in (0..2).filter(|index| is_silent[*index]) {
            self.let_go(attempt, index);
        }
    }

    /// Ends the capture of a stream.
    pub(crate) fn let_go(&mut self, attempt: AttemptId, index: usize) {
        let Some(child) = self.children.get_mut(&attempt) else { return };
        if let Some(capture) = child.captures[index].take() {
            if capture.heard {
                let _ = epoll::delete(&self.epoll, capture.pipe());
            }
            self.young.closed(capture.spoke());
            capture.finish();
        }
    }

    /// Starts a process.
    pub(crate) fn launch(&mut self, launch: Box<Launch>) {
        let attempt = launch.attempt;
        if self.children.contains_key(&attempt) {
            tracing::error!(%attempt, "an attempt was launched twice; the second launch is ignored");
            return;
        }
        self.launching = Some(attempt);
        let born = Instant::now();
        let started = if self.ending {
            Err(SpawnFault::Machine { detail: "the executor is ending".to_owned() })
        } else {
            self.spawner.spawn(&launch)
        };
        match started {
            Ok(spawned) => self.watch(launch, spawned, born),
            Err(fault) => {
                self.launching = None;
                (self.sink)(ExecutorEvent::NotStarted { attempt, fault });
            }
        }
    }

    /// From now on the loop hears of the child's end.
    fn watch(&mut self, launch: Box<Launch>, spawned: Spawned, born: Instant) {
        let attempt = launch.attempt;
        let mark = self.pids.launched(spawned.pid);
        if self.children.is_empty() {
            self.epoch = Some(mark);
        }
        let child = Child::new(launch, spawned, born, mark);
        // Once, for it is not taken out of epoll: closed, it is gone from there as soon as no child that is being born
        // holds a duplicate, and tells nothing until then.
        let once = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        let heard = epoll::add(&self.epoll, &child.pidfd, Watch::Main.key(attempt), once);
        self.children.insert(attempt, child);
        self.launching = None;
        self.young.born(attempt, born);
        let heard =
            if self.young.listens_from_birth() { heard.and(self.listen_to_streams(attempt)) } else { heard };
        if let Err(error) = heard {
            self.end_unheard(attempt, error);
        }
    }

    /// The child is nobody's any more but the caller's.
    pub(crate) fn forget(&mut self, attempt: AttemptId) -> Option<Child> {
        self.young.forget(attempt);
        self.children.remove(&attempt)
    }

    /// Children that have lived for a while are told, and their streams listened to.
    fn grow_up(&mut self, now: Instant) {
        for attempt in self.young.due(now) {
            if let Birth::Pending = self.birth(attempt, false) {
                self.young.put_off(attempt);
                continue;
            }
            let Some(child) = self.children.get_mut(&attempt) else { continue };
            let Some(started) = child.untold() else { continue };
            let heard = self.listen_to_streams(attempt);
            self.tell(started);
            if let Err(error) = heard {
                self.end_unheard(attempt, error);
            }
        }
    }

    /// From now on the loop hears of what a child says.
    fn listen_to_streams(&mut self, attempt: AttemptId) -> Result<(), Errno> {
        let Some(child) = self.children.get_mut(&attempt) else { return Ok(()) };
        for (index, capture) in child.captures.iter_mut().enumerate() {
            if let Some(capture) = capture.as_mut().filter(|capture| !capture.heard) {
                let key = Watch::Stream(index).key(attempt);
                epoll::add(&self.epoll, capture.pipe(), key, epoll::EventFlags::IN)?;
                capture.heard = true;
            }
        }
        Ok(())
    }

    /// How the child's birth went; `ended` says that it is known to have ended.
    pub(crate) fn birth(&mut self, attempt: AttemptId, ended: bool) -> Birth {
        let Some(child) = self.children.get_mut(&attempt) else { return Birth::Done };
        let Some(occupied) = child.birth.take() else { return Birth::Done };
        match self.spawner.settle(occupied, ended) {
            Settled::Pending(occupied) => {
                child.birth = Some(occupied);
                Birth::Pending
            }
            Settled::Born => Birth::Done,
            Settled::Failed(fault) => Birth::Failed(fault),
        }
    }

    /// Only when the kernel's limit of epoll watches (per user) is exhausted: without ears a child cannot be kept.
    fn end_unheard(&mut self, attempt: AttemptId, error: Errno) {
        let Some(child) = self.children.get(&attempt) else { return };
        tracing::error!(%attempt, %error, "a process cannot be watched (fs.epoll.max_user_watches); it is ended");
        child.signal_group(Signal::KILL);
        sweep::await_unheard(self, attempt);
    }

    /// Has the loop hear of a descriptor's readiness.
    pub(crate) fn listen(&self, fd: impl AsFd, attempt: AttemptId, watch: Watch) -> Result<(), Errno> {
        epoll::add(&self.epoll, fd, watch.key(attempt), epoll::EventFlags::IN)
    }

    /// The loop hears of it no longer. To be called before it is closed.
    pub(crate) fn ignore(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Tells.
    pub(crate) fn tell(&self, event: ExecutorEvent) {
        (self.sink)(event);
    }

    /// The processes born since the mark, with those born during the look itself, so that none slips through by being
    /// born behind the reader's back. Empty, without a look, when no numbers were given to others.
    pub(crate) fn look(&mut self, since: Mark) -> ProcTable {
        let candidates = self.pids.since(since);
        let mut table = ProcTable::default();
        if candidates.is_empty() {
            return table;
        }
        let mut seen = self.pids.mark();
        table.extend(&candidates);
        for _ in 0..LOOKS {
            self.pids.observe();
            if self.pids.mark() == seen {
                break;
            }
            let more = self.pids.since(seen);
            seen = self.pids.mark();
            table.extend(&more);
        }
        table
    }

    fn keep_deadlines(&mut self) {
        let now = Instant::now();
        self.grow_up(now);
        let due = self.deadlines().filter(|(_, deadline)| *deadline <= now);
        let attempts: BTreeSet<AttemptId> = due.map(|(attempt, _)| attempt).collect();
        sweep::advance(self, &attempts);
        if self.children.is_empty() {
            return;
        }
        self.pids.observe_when_due();
        if now >= self.housekeeping_at {
            self.housekeeping_at = now + HOUSEKEEPING;
            self.oom.observe();
            self.reap_orphans();
        }
    }

    /// Reaps orphans that came to us and ended: init would have done it, were we no subreaper.
    pub(crate) fn reap_orphans(&mut self) {
        if reap::peek_zombie().is_none() {
            return;
        }
        for pid in ProcTable::read_all().ended_orphans() {
            let _ = reap::reap(pid);
        }
    }
}
