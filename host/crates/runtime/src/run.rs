//! One run, from its start to its end.

use std::time::Duration;

use orchestrator_core::capacity::control::ControlState;
use orchestrator_core::config::model::{Durability, KeepOutput};
use orchestrator_core::placement::Topology;
use orchestrator_core::scheduler::{RunFault, ScanReport, Scheduler};
use orchestrator_core::view::Snapshot;
use orchestrator_ports::{Clock, Executor, Files, Plugins, Probe, Store, Subscriber};

use crate::collector::Collector;
use crate::hands::LaunchSettings;
use crate::inbox::Inbox;
use crate::samples::Thresholds;
use crate::ticks::TickTimes;
use crate::turn::Turner;

/// Messages heard before what follows from them is recorded and performed. While a large directory is scanned each may be
/// a thousand files: the first launches are not to wait for many of them.
const MESSAGES_A_TURN: usize = 32;

/// The rooms of a run.
pub struct Rooms {
    /// Starts and stops processes.
    pub executor: Box<dyn Executor>,
    /// Scans, validates, publishes.
    pub files: Box<dyn Files>,
    /// Records facts.
    pub store: Box<dyn Store>,
    /// Metrics and capacity plugins.
    pub plugins: Box<dyn Plugins>,
    /// Samples.
    pub probe: Box<dyn Probe>,
    /// Time.
    pub clock: Box<dyn Clock>,
    /// Those who watch.
    pub subscribers: Vec<Box<dyn Subscriber>>,
}

/// What a run is told beyond the scheduler's policy.
pub struct Settings {
    /// How attempts are launched.
    pub launch: LaunchSettings,
    /// Between two readings.
    pub interval: Duration,
    /// Thresholds, handed to capacity plugins.
    pub thresholds: Thresholds,
    /// When completions must be durable.
    pub durability: Durability,
    /// Whether captured output of successes is kept.
    pub keep_output: KeepOutput,
    /// The processors that may be used, where the first attempts need a place; else the first reading brings them.
    pub topology: Topology,
    /// Suspends this very process until SIGCONT (after our children were suspended).
    pub suspend_self: Box<dyn Fn() + Send>,
}

/// How a run ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ended {
    /// The queue is empty, or the scheduler stopped early for this reason.
    Finished(Option<RunFault>),
    /// Left at once; attempts that ran are lost and will be run again.
    Left,
    /// The store could not go on.
    StoreFailed(String),
    /// The input directory could not be scanned.
    ScanFailed(String),
    /// A required plugin failed.
    PluginFailed(String),
}

/// How a run ended, and the last state of things.
#[derive(Debug)]
pub struct RunEnd {
    /// How.
    pub ended: Ended,
    /// The last state.
    pub snapshot: Snapshot,
    /// How the scan went; `None` when it was not over.
    pub scan: Option<ScanReport>,
    /// What the turns of the loop took.
    pub ticks: TickTimes,
    /// What the control law learned; `None` where it did not decide.
    pub learned: Option<ControlState>,
}

/// Runs the scheduler over the rooms until nothing is left to do, on this thread, which is the executor's as well:
/// between an end and the next launch there is no other to be woken.
///
/// # Errors
/// The sampling thread cannot be started.
pub fn run(rooms: Rooms, scheduler: Scheduler, inbox: Inbox, settings: Settings) -> std::io::Result<RunEnd> {
    let Inbox { receiver, post } = inbox;
    let Rooms { executor, files, store, plugins, probe, clock, subscribers } = rooms;
    post.wakes(executor.waker());
    let collector = Collector::start(probe, post)?;
    let mut turner =
        Turner::new(executor, files, store, plugins, clock, subscribers, collector, scheduler, settings);
    turner.begin();
    let mut messages = Vec::with_capacity(MESSAGES_A_TURN);
    loop {
        if let Some(ended) = turner.ended() {
            return Ok(turner.end(ended));
        }
        let due = turner.next_deadline();
        turner.wait(due, &mut || {
            messages.extend(receiver.try_recv());
            messages.is_empty()
        });
        messages.extend(receiver.try_iter().take(MESSAGES_A_TURN));
        turner.tick(due, messages.drain(..));
    }
}
