//! The supervisor: every instance's state, every round, every deadline.

use super::board::SharedBoard;
use super::life::Launcher;
use super::reload::{Reloading, Wanted};
use super::round::Phase;
use super::slot::{Slot, Speaker};
use super::state::State;
use super::{Message, StartOptions};
use crate::instance::{InstanceFailure, InstanceFault, InstanceSpec};
use crate::library::{Catalog, Trust};
use orchestrator_ports::{PluginEvent, PluginHealth, PluginRound, Sink};
use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(super) const WARN: u8 = 2;
pub(super) const INFO: u8 = 3;

pub(super) struct Supervisor {
    /// Every instance that ever was wanted; a number stays with its name.
    pub(super) slots: Vec<Slot>,
    /// Those that are wanted now, in the order of the configuration.
    pub(super) order: Vec<usize>,
    pub(super) phase: Phase,
    /// A round that was begun while the previous one was open.
    pub(super) next: Option<Arc<PluginRound>>,
    /// When the last round was opened.
    pub(super) opened: Option<Instant>,
    /// Whether somebody was taken out since: that there are no more answers of theirs is for the next round to tell,
    /// though it may ask nobody.
    pub(super) missed: bool,
    /// Metrics instances that had no turn in the last round.
    pub(super) owed: BTreeSet<usize>,
    pub(super) launcher: Launcher,
    /// Whom libraries are trusted by, as it was read last.
    pub(super) rules: Arc<Trust>,
    /// Time between two rounds, as a rule.
    pub(super) interval: Duration,
    pub(super) patience: Duration,
    /// Metrics instances that measure at a time.
    pub(super) permits: usize,
    /// When there first were processes to be measured.
    pub(super) processes_since: Option<Instant>,
    /// When the instances' cost was last told.
    pub(super) costs_told: Option<Instant>,
    pub(super) reloading: Option<Reloading>,
    pub(super) next_reload: Option<Box<Wanted>>,
    /// The latest reload that was asked for and heard of.
    pub(super) reload_asked: u64,
    pub(super) board: SharedBoard,
    /// When a round would ask somebody, or tell that somebody is gone; `None` = never, as things are.
    due: SharedDue,
    /// To be told as soon as somebody listens.
    pub(super) outbox: Vec<PluginEvent>,
    /// Instances given up since the last look.
    pub(super) failures: Vec<InstanceFailure>,
    pub(super) phase_of_life: Life,
    messages: Receiver<Message>,
    events: Sink<PluginEvent>,
}

/// When a round has something to ask or to tell, for whoever begins rounds.
pub(super) type SharedDue = Arc<Mutex<Option<Instant>>>;

/// The supervisor's own life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Life {
    /// Instances start, nobody listens yet.
    Settling,
    /// Rounds come.
    Working,
    /// The host is gone.
    Over,
}

impl Supervisor {
    pub(super) fn new(
        options: &StartOptions,
        (sender, messages): (Sender<Message>, Receiver<Message>),
        events: Sink<PluginEvent>,
        (board, due): (SharedBoard, SharedDue),
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            slots: Vec::new(),
            order: Vec::new(),
            phase: Phase::Rest,
            next: None,
            opened: None,
            missed: false,
            owed: BTreeSet::new(),
            launcher: Launcher::new(options, sender),
            rules: Arc::default(),
            interval: options.interval,
            patience: options.patience,
            permits: cores.min(super::rounds::PERMITS),
            processes_since: None,
            costs_told: None,
            reloading: None,
            next_reload: None,
            reload_asked: 0,
            board,
            due,
            outbox: Vec::new(),
            failures: Vec::new(),
            phase_of_life: Life::Settling,
            messages,
            events,
        }
    }

    /// Starts an instance; how that went comes to light in [`Self::settle`].
    pub(super) fn add(&mut self, spec: &InstanceSpec, catalog: &Catalog) {
        self.rules = Arc::clone(catalog.trust());
        let number = self.slots.len();
        self.slots.push(Slot::new(spec, self.launcher.first_wait));
        self.order.push(number);
        self.show();
        self.start(number, spec, catalog, Instant::now());
    }

    /// Lets everybody see the instances that there are.
    pub(super) fn show(&self) {
        let gone = (0..self.slots.len()).filter(|number| !self.order.contains(number));
        let all = self.order.iter().copied().chain(gone);
        let instances = all.map(|number| self.slots[number].share_stats()).collect();
        self.board.lock().unwrap_or_else(PoisonError::into_inner).instances = instances;
    }

    /// Waits until every instance is ready, has failed, or waits to be started again.
    pub(super) fn settle(&mut self) -> Vec<InstanceFailure> {
        while self.slots.iter().any(|slot| matches!(slot.state(), State::Starting { .. })) {
            self.turn();
        }
        self.phase_of_life = Life::Working;
        std::mem::take(&mut self.failures)
    }

    /// Hears messages until the host goes away.
    pub(super) fn run(mut self) {
        while self.phase_of_life != Life::Over {
            // Who hears that a round is over can rely on what is said of the next.
            self.tell_due(Instant::now());
            self.flush();
            self.turn();
        }
    }

    fn tell_due(&self, now: Instant) {
        let asks = self.order.iter().filter_map(|number| self.slots[*number].due_at(now)).min();
        let due = if self.missed { Some(now) } else { asks };
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = due;
    }

    /// Waits for a message or a moment, and does what is due.
    fn turn(&mut self) {
        let planned = self.next_wake();
        let message = match planned {
            Some(at) => self.messages.recv_timeout(at.saturating_duration_since(Instant::now())),
            None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match message {
            Ok(message) => self.hear(message),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.phase_of_life = Life::Over,
        }
        let now = Instant::now();
        if let Some(planned) = planned.filter(|planned| *planned <= now) {
            // What has arrived meanwhile counts before any verdict.
            while let Ok(message) = self.messages.try_recv() {
                self.hear(message);
            }
            self.look(now, now.saturating_duration_since(planned));
        }
        self.advance(Instant::now());
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Begin(round) => self.begin(round, Instant::now()),
            Message::Reload(wanted) => self.reload(wanted),
            Message::Stop => self.phase_of_life = Life::Over,
            Message::Log { slot, generation, level, message } => {
                if self.slots[slot].speaker(generation) != Speaker::Nobody {
                    self.say(slot, level, message);
                }
            }
            Message::Started { slot, generation, result } => {
                match (self.slots[slot].speaker(generation), result) {
                    (Speaker::Present, Ok(())) => self.ready(slot),
                    (Speaker::Present, Err(fault)) => self.broke(slot, fault),
                    (Speaker::Successor, Ok(())) => self.successor_ready(slot),
                    (Speaker::Successor, Err(fault)) => self.roll_back(slot, fault),
                    (Speaker::Nobody, _) => {}
                }
            }
            Message::Answered { slot, generation, outcome } => {
                if self.slots[slot].speaker(generation) == Speaker::Present {
                    self.answered(slot, outcome);
                }
            }
            Message::Ended { slot, generation, fault } => {
                let fault = fault.unwrap_or(InstanceFault::Vanished);
                match self.slots[slot].speaker(generation) {
                    Speaker::Present => self.broke(slot, fault),
                    Speaker::Successor => self.roll_back(slot, fault),
                    Speaker::Nobody => {}
                }
            }
        }
    }

    /// When something is due though nothing was heard.
    fn next_wake(&self) -> Option<Instant> {
        let states = self.slots.iter().filter_map(|slot| slot.state().wakes());
        let changes = self.slots.iter().filter_map(super::reload::wakes);
        let rounds = self.next_ask().into_iter().chain(self.phase.until());
        states.chain(changes).chain(rounds).min()
    }

    /// Looks at what is due: deadlines of calls and of starts, restarts. We looked so `late` after we meant to.
    fn look(&mut self, now: Instant, late: Duration) {
        for number in 0..self.slots.len() {
            if self.slots[number].is_overdue(now, late) {
                self.slots[number].stats().deadline_misses += 1;
                let deadline = self.slots[number].spec.deadline;
                self.broke(number, InstanceFault::Hung { deadline });
            }
            match self.slots[number].state() {
                State::Starting { until } if *until <= now => {
                    self.broke(number, InstanceFault::Hung { deadline: self.launcher.deadline });
                }
                State::Waiting { until, .. } if *until <= now => self.restart(number, now),
                _ => {}
            }
            self.look_at_successor(number, now);
        }
    }

    /// Tells what there is to tell.
    fn flush(&mut self) {
        for failure in std::mem::take(&mut self.failures) {
            let health = PluginHealth::Failed { sentence: failure.to_string(), required: failure.required };
            (self.events)(PluginEvent::Health { instance: failure.instance, health });
        }
        self.outbox.drain(..).for_each(|event| (self.events)(event));
    }

    pub(super) fn complain(
        &mut self,
        number: usize,
        kind: &'static str,
        more: u64,
        sentence: impl FnOnce(u64) -> String,
    ) {
        if let Some(count) = self.slots[number].complaints.count(kind, more) {
            self.say(number, WARN, sentence(count));
        }
    }

    pub(super) fn say(&mut self, number: usize, level: u8, message: String) {
        let instance = self.slots[number].spec.name.clone();
        self.outbox.push(PluginEvent::Said { instance, level, message });
    }
}
