//! The plugin instances of a run.
//!
//! One supervisor thread owns every instance's state and hears everything as a [`Message`]; it never calls into a plugin
//! itself, so that nothing a plugin does can hold it up.

mod board;
mod complaints;
mod control;
mod life;
mod pace;
mod reload;
mod restarts;
mod round;
mod rounds;
mod slot;
mod state;
mod supervisor;

use crate::instance::worker::Outcome;
use crate::instance::{InstanceFailure, InstanceFault, InstanceSpec, InstanceStats};
use crate::isolate::Runner;
use crate::library::{Catalog, Probe};
use board::{Board, SharedBoard};
use orchestrator_ports::{PluginEvent, PluginRound, Plugins, Sink};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use supervisor::{SharedDue, Supervisor};

pub use board::{InstanceStatus, ReloadLine, ReloadOutcome, ReloadReport};
pub use control::{PluginControl, ReloadTicket};

/// What the supervisor hears.
#[derive(Debug)]
pub(crate) enum Message {
    /// A round is asked for.
    Begin(Arc<PluginRound>),
    /// Other instances are wanted.
    Reload(Box<reload::Wanted>),
    /// An instance is ready, or is not.
    Started { slot: usize, generation: u32, result: Result<(), InstanceFault> },
    /// An instance has done a job.
    Answered { slot: usize, generation: u32, outcome: Outcome },
    /// An instance wrote to the log.
    Log { slot: usize, generation: u32, level: u8, message: String },
    /// An instance's thread is over; where its runner died, how.
    Ended { slot: usize, generation: u32, fault: Option<InstanceFault> },
    /// The host goes away.
    Stop,
}

/// How instances are started, and at what pace they are asked.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// How a library is tried out in a process of its own before it is loaded; `None` = not at all.
    pub probe: Option<Probe>,
    /// How a process of its own is started for an instance that is to be isolated; `None` = it cannot be.
    pub runner: Option<Runner>,
    /// How long loading and constructing an instance may take.
    pub deadline: Duration,
    /// Time between two rounds, as a rule: what an instance's slowness is measured by, and what the instances of a
    /// round are spread over.
    pub interval: Duration,
    /// A round goes on without instances that have not answered after so long.
    pub patience: Duration,
    /// Wait before an isolated instance that broke is started again; it doubles with every failure in a row, up to a
    /// minute.
    pub first_wait: Duration,
}

impl Default for StartOptions {
    /// Unhurried: rounds a minute apart that wait for a minute.
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            probe: None,
            runner: None,
            deadline: Duration::from_secs(30),
            interval: minute,
            patience: minute,
            first_wait: Duration::from_secs(1),
        }
    }
}

impl StartOptions {
    /// Rounds every `interval`, which wait for half of it and for a second at most.
    #[must_use]
    pub fn paced(self, interval: Duration) -> Self {
        Self { interval, patience: (interval / 2).min(Duration::from_secs(1)), ..self }
    }
}

/// The running plugin instances. Dropping it ends them; a call under way is abandoned.
pub struct PluginHost {
    messages: Sender<Message>,
    board: SharedBoard,
    due: SharedDue,
}

impl PluginHost {
    /// Starts all instances and waits until each is ready, has failed, or has used up `options.deadline`.
    ///
    /// The failures are returned and not repeated as events. The run can go on without a failed instance unless it is
    /// [`required`](InstanceFailure::required) or its class is [unknown](InstanceFailure::is_unknown_class); a failed
    /// capacity instance answers every round with "no capacity known". An isolated instance that is not required is
    /// started again instead. `events` is called from one thread only, after this function has returned.
    pub fn start(
        catalog: &Catalog,
        specs: &[InstanceSpec],
        options: &StartOptions,
        events: Sink<PluginEvent>,
    ) -> (Self, Vec<InstanceFailure>) {
        let (sender, receiver) = channel();
        let board = SharedBoard::default();
        let due = SharedDue::new(Mutex::new(Some(Instant::now())));
        let shown = (Arc::clone(&board), Arc::clone(&due));
        let mut supervisor = Supervisor::new(options, (sender.clone(), receiver), events, shown);
        for spec in specs {
            supervisor.add(spec, catalog);
        }
        let failures = supervisor.settle();
        let host = Self { messages: sender, board, due };
        let thread = std::thread::Builder::new().name("plugins".to_owned());
        match thread.spawn(move || supervisor.run()) {
            Ok(_) => (host, failures),
            // Without its thread nobody would answer a round.
            Err(error) => (host, specs.iter().map(|spec| slot::without_thread(spec, &error)).collect()),
        }
    }

    /// What every instance has cost so far, in the order of the configuration.
    pub fn stats(&self) -> Vec<InstanceStats> {
        Board::stats(&self.board)
    }

    /// A way to look at the instances and to reload them, from any thread.
    pub fn control(&self) -> PluginControl {
        PluginControl::new(self.messages.clone(), Arc::clone(&self.board))
    }
}

impl Plugins for PluginHost {
    fn begin_round(&self, round: Arc<PluginRound>) {
        let _ = self.messages.send(Message::Begin(round));
    }

    fn is_due(&self) -> bool {
        let due = *self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.is_some_and(|at| at <= Instant::now())
    }
}

impl Drop for PluginHost {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Stop);
    }
}
