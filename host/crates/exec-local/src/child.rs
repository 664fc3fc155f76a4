//! One attempt's process and what the loop knows about it.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use orchestrator_core::AttemptId;
use orchestrator_core::metrics::Usage;
use orchestrator_core::scheduler::ProcessIdentity;
use orchestrator_ports::{ExecutorEvent, Launch};
use rustix::process::Signal;

use crate::capture::Capture;
use crate::nursery::Occupied;
use crate::pidlog::Mark;
use crate::proctable::TreeKey;
use crate::signal;
use crate::spawn::Spawned;
use crate::stat::Stat;

/// Environment entries that, together, only one attempt's processes have.
const MARKS: [&str; 3] = ["ORCHESTRATOR_STATE_ID", "ORCHESTRATOR_RUN_ID", ATTEMPT];
const ATTEMPT: &str = "ORCHESTRATOR_ATTEMPT_ID";

/// How long processes that got SIGKILL may take to go (one that hangs in the kernel never does).
pub(crate) const UNKILLABLE: Duration = Duration::from_secs(5);

/// Where an attempt's process stands.
#[derive(Debug)]
pub(crate) enum Phase {
    /// The main process runs.
    Running,
    /// The main process has ended and is kept unreaped, so that its number still names its group, until its
    /// descendants are gone and its pipes are closed.
    Lingering(Lingering),
}

/// After the main process's end.
#[derive(Debug)]
pub(crate) struct Lingering {
    /// From launch to the main process's end.
    pub(crate) wall: Duration,
    /// Open pipes are given up then, unless descendants of ours still hold them.
    pub(crate) leak_at: Instant,
    /// Descendants get SIGKILL then.
    pub(crate) kill_at: Instant,
    /// They got it.
    pub(crate) killing: bool,
    /// They lived until they were killed, though nobody had asked them to end.
    pub(crate) outlived: bool,
    /// Those that live.
    pub(crate) strays: Vec<Stray>,
}

impl Lingering {
    /// The next moment at which something is to be done if nothing happens.
    pub(crate) fn deadline(&self) -> Instant {
        match (self.strays.is_empty(), self.killing) {
            (true, _) => self.leak_at,
            (false, false) => self.kill_at,
            (false, true) => self.kill_at + UNKILLABLE,
        }
    }
}

/// A descendant that outlives the main process.
#[derive(Debug)]
pub(crate) struct Stray {
    /// As it was seen.
    pub(crate) stat: Stat,
    /// Exactly it.
    pub(crate) pidfd: OwnedFd,
}

/// What we sent to it so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Orders {
    /// Main process or tree were asked to end or killed.
    pub(crate) end: bool,
    /// The whole tree was asked to end.
    pub(crate) end_tree: bool,
    /// SIGKILL was sent.
    pub(crate) kill: bool,
    /// SIGKILL was sent to the whole tree.
    pub(crate) kill_tree: bool,
    /// The tree was suspended and not resumed.
    pub(crate) suspended: bool,
}

impl Orders {
    /// Notes a signal before it is sent. True when a suspended process must be resumed after it, to hear it.
    pub(crate) fn note(&mut self, wanted: Signal, tree: bool) -> bool {
        let kill = wanted == Signal::KILL;
        let asks = signal::asks_to_end(wanted);
        let resume = self.suspended && asks;
        self.end |= kill || asks;
        self.end_tree |= tree && asks;
        self.kill |= kill;
        self.kill_tree |= tree && kill;
        self.suspended = signal::suspends(wanted) || (self.suspended && wanted != Signal::CONT && !resume);
        resume
    }
}

/// One attempt's process.
#[derive(Debug)]
pub(crate) struct Child {
    /// Whose.
    pub(crate) attempt: AttemptId,
    /// Main process and number of its group.
    pub(crate) pid: u32,
    /// Exactly the main process.
    pub(crate) pidfd: OwnedFd,
    /// Just before it was started.
    pub(crate) born: Instant,
    /// Its descendants' numbers were given after this.
    pub(crate) mark: Mark,
    /// What its descendants' environments hold.
    marker: Vec<Vec<u8>>,
    /// Captured standard output and error, until they are closed.
    pub(crate) captures: [Option<Capture>; 2],
    /// Where it stands.
    pub(crate) phase: Phase,
    /// Its start, until that is told: a short task ends before it is worth its cost.
    untold: Option<ProcessIdentity>,
    /// Until it is known to have become its program.
    pub(crate) birth: Option<Occupied>,
    /// What we sent to it.
    pub(crate) orders: Orders,
    /// What descendants used that we reaped.
    pub(crate) extra: Usage,
}

impl Child {
    /// A process that was just started.
    pub(crate) fn new(launch: Box<Launch>, spawned: Spawned, born: Instant, mark: Mark) -> Self {
        let identity = ProcessIdentity { pid: spawned.pid, start_ticks: spawned.start_ticks };
        Self {
            attempt: launch.attempt,
            pid: spawned.pid,
            pidfd: spawned.pidfd,
            born,
            mark,
            marker: marker(&launch),
            captures: spawned.captures,
            phase: Phase::Running,
            untold: Some(identity),
            birth: spawned.cradle.map(|cradle| Occupied { cradle, launch }),
            orders: Orders::default(),
            extra: Usage::default(),
        }
    }

    /// For those who look for its descendants.
    pub(crate) fn key(&self) -> TreeKey<'_> {
        TreeKey { main: self.pid, marker: &self.marker }
    }

    /// Its start, if that has not been told yet.
    pub(crate) fn untold(&mut self) -> Option<ExecutorEvent> {
        self.untold.take().map(|identity| ExecutorEvent::Started { attempt: self.attempt, identity })
    }

    /// Signals its group, which is made first where the child may not have got so far.
    pub(crate) fn signal_group(&self, wanted: Signal) {
        if self.birth.is_some() {
            let pid = signal::as_pid(self.pid);
            // Refused when the child is its program already: then it has done it itself.
            let _ = rustix::process::setpgid(pid, pid);
        }
        signal::to_group(self.pid, wanted);
    }

    /// Whether somebody still holds a captured stream.
    pub(crate) fn is_captured(&self) -> bool {
        self.captures.iter().any(Option::is_some)
    }
}

/// The entries of the environment that name the attempt; none when the attempt's own is missing.
fn marker(launch: &Launch) -> Vec<Vec<u8>> {
    let shared = |wanted: &str| {
        let found = launch.settings.env.iter().rfind(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_os_str())
    };
    let value = |name: &str| launch.env.get(name).or_else(|| shared(name));
    if value(ATTEMPT).is_none() {
        return Vec::new();
    }
    let entry =
        |name: &str| value(name).map(|value| [name.as_bytes(), b"=", value.as_encoded_bytes()].concat());
    MARKS.into_iter().filter_map(entry).collect()
}
