//! The plugin instances of a run.
//!
//! One supervisor thread owns every instance's state and hears everything as a [`Message`]; it never calls into a plugin
//! itself, so that nothing a plugin does can hold it up.

mod complaints;
mod round;
mod slot;
mod supervisor;

use crate::instance::worker::Outcome;
use crate::instance::{InstanceFailure, InstanceFault, InstanceSpec, InstanceStats};
use crate::library::{Catalog, Probe};
use orchestrator_ports::{PluginEvent, PluginRound, Plugins, Sink};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use supervisor::Supervisor;

/// What the supervisor hears.
#[derive(Debug)]
pub(crate) enum Message {
    /// A round is asked for.
    Begin(Arc<PluginRound>),
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

/// How instances are started.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// How a library is tried out in a process of its own before it is loaded; `None` = not at all.
    pub probe: Option<Probe>,
    /// How long loading and constructing an instance may take.
    pub deadline: Duration,
}

impl Default for StartOptions {
    fn default() -> Self {
        Self { probe: None, deadline: Duration::from_secs(30) }
    }
}

/// The running plugin instances. Dropping it ends them; a call under way is abandoned.
pub struct PluginHost {
    messages: Sender<Message>,
    stats: Vec<Arc<Mutex<InstanceStats>>>,
}

impl PluginHost {
    /// Starts all instances and waits until each is ready, has failed, or has used up `options.deadline`.
    ///
    /// The failures are returned and not repeated as events. The run can go on without a failed instance unless it is
    /// [`required`](InstanceFailure::required) or its class is [unknown](InstanceFailure::is_unknown_class); a failed
    /// capacity instance answers every round with "no capacity known". `events` is called from one thread only, after
    /// this function has returned.
    pub fn start(
        catalog: &Catalog,
        specs: &[InstanceSpec],
        options: &StartOptions,
        events: Sink<PluginEvent>,
    ) -> (Self, Vec<InstanceFailure>) {
        let (sender, receiver) = channel();
        let mut supervisor = Supervisor::new(receiver, events);
        for spec in specs {
            supervisor.add(spec, catalog, options, &sender);
        }
        let failures = supervisor.settle(options.deadline);
        let host = Self { messages: sender, stats: supervisor.stats() };
        let thread = std::thread::Builder::new().name("plugins".to_owned());
        match thread.spawn(move || supervisor.run()) {
            Ok(_) => (host, failures),
            // Without its thread nobody would answer a round.
            Err(error) => (host, specs.iter().map(|spec| slot::without_thread(spec, &error)).collect()),
        }
    }

    /// What every instance has cost so far, in the order of the configuration.
    pub fn stats(&self) -> Vec<InstanceStats> {
        self.stats.iter().map(|stats| stats.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }
}

impl Plugins for PluginHost {
    fn begin_round(&self, round: Arc<PluginRound>) {
        let _ = self.messages.send(Message::Begin(round));
    }
}

impl Drop for PluginHost {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Stop);
    }
}
