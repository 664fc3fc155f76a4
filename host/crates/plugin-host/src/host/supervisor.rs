//! The supervisor: every instance's state, every round, every deadline.

use super::Message;
use super::StartOptions;
use super::round::{Measured, Phase};
use super::slot;
use super::slot::{FAILED_ROUNDS, Slot, State};
use crate::instance::context::Context;
use crate::instance::engine::is_final;
use crate::instance::jobs::job_channel;
use crate::instance::worker::{Collected, Job, Outcome, Worker};
use crate::instance::{InstanceFailure, InstanceFault, InstanceSpec, InstanceStats};
use crate::library::Catalog;
use orchestrator_plugin_api::PluginKind;
use orchestrator_plugin_api::abi::{Fault, FaultCode};
use orchestrator_ports::{PluginEvent, PluginHealth, PluginRound, Sink};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const WARN: u8 = 2;

pub(super) struct Supervisor {
    slots: Vec<Slot>,
    phase: Phase,
    messages: Receiver<Message>,
    events: Sink<PluginEvent>,
    /// What was heard while the instances started: told once the run listens.
    early: Vec<Message>,
}

impl Supervisor {
    pub(super) fn new(messages: Receiver<Message>, events: Sink<PluginEvent>) -> Self {
        Self { slots: Vec::new(), phase: Phase::Rest, messages, events, early: Vec::new() }
    }

    pub(super) fn stats(&self) -> Vec<Arc<Mutex<InstanceStats>>> {
        self.slots.iter().map(|slot| Arc::clone(&slot.stats)).collect()
    }

    /// Starts the thread of an instance; a failure comes to light in [`Self::settle`].
    pub(super) fn add(
        &mut self,
        spec: &InstanceSpec,
        catalog: &Catalog,
        options: &StartOptions,
        messages: &Sender<Message>,
    ) {
        let number = self.slots.len();
        let started = |result| Message::Started { slot: number, generation: slot::FIRST, result };
        let file = match catalog.resolve(spec.kind, &spec.class) {
            Ok(file) => file,
            Err(error) => {
                self.slots.push(Slot::new(spec, None));
                return self.early.push(started(Err(InstanceFault::Class(error))));
            }
        };
        let mut slot = Slot::new(spec, Some(file.path.clone()));
        let (sender, jobs) = job_channel();
        let context = Context::leak((number, slot::FIRST), spec.deadline, messages.clone());
        slot.attach(sender, context);
        let worker = Worker {
            slot: number,
            generation: slot::FIRST,
            spec: spec.clone(),
            file: file.clone(),
            probe: options.probe.clone(),
            restore: None,
            context,
            stats: Arc::clone(&slot.stats),
            messages: messages.clone(),
        };
        self.slots.push(slot);
        if let Err(error) = worker.spawn(jobs) {
            self.early.push(started(Err(InstanceFault::Thread(error))));
        }
    }

    /// Waits until every instance is ready or has failed.
    pub(super) fn settle(&mut self, deadline: Duration) -> Vec<InstanceFailure> {
        let end = Instant::now() + deadline;
        let mut failures = Vec::new();
        let mut heard = std::mem::take(&mut self.early);
        loop {
            for message in heard.drain(..) {
                match message {
                    Message::Started { slot, result: Ok(()), .. } => self.slots[slot].state = State::Idle,
                    Message::Started { slot, result: Err(fault), .. } => {
                        failures.push(self.slots[slot].give_up(fault))
                    }
                    Message::Ended { slot, generation, fault } if self.is_live(slot, generation) => {
                        failures.push(self.slots[slot].give_up(fault.unwrap_or(InstanceFault::Vanished)));
                    }
                    other => self.early.push(other),
                }
            }
            if !self.slots.iter().any(|slot| matches!(slot.state, State::Starting)) {
                return failures;
            }
            match self.messages.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(message) => heard.push(message),
                Err(_) => break,
            }
        }
        let late = self.slots.iter_mut().filter(|slot| matches!(slot.state, State::Starting));
        failures.extend(late.map(|slot| slot.give_up(InstanceFault::Hung { deadline })));
        failures
    }

    /// Hears messages until the host goes away.
    pub(super) fn run(mut self) {
        for message in std::mem::take(&mut self.early) {
            self.hear(message);
        }
        loop {
            let check = self.next_check();
            let wait = check.map(|check| check.saturating_duration_since(Instant::now()));
            let message = match wait {
                Some(wait) => self.messages.recv_timeout(wait),
                None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match message {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(message) => self.hear(message),
                Err(RecvTimeoutError::Timeout) => self.expire(check),
            }
            self.advance();
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Begin(round) => self.begin(round),
            Message::Answered { slot, generation, outcome } if self.is_live(slot, generation) => {
                self.answered(slot, outcome);
            }
            Message::Ended { slot, generation, fault } if self.is_live(slot, generation) => {
                self.fail(slot, fault.unwrap_or(InstanceFault::Vanished));
            }
            Message::Log { slot, level, message, .. } => self.say(slot, level, message),
            // Late voices of instances that were given up.
            Message::Answered { .. } | Message::Ended { .. } | Message::Started { .. } | Message::Stop => {}
        }
    }

    fn begin(&mut self, round: Arc<PluginRound>) {
        if !matches!(self.phase, Phase::Rest) {
            return;
        }
        for slot in 0..self.slots.len() {
            let dropped = self.slots[slot].renew_allowance();
            self.complain(slot, "log", u64::from(dropped), |count| {
                format!("{count} of its log records were dropped: it writes more than 100 a round")
            });
        }
        let pending = self.hand_out(PluginKind::Metrics, |slot| Job::Collect {
            round: Arc::clone(&round),
            first: slot.first,
        });
        self.phase = Phase::Collecting { round, pending };
    }

    /// Gives every instance of a kind that is due a job; returns their numbers.
    fn hand_out(
        &mut self,
        kind: PluginKind,
        job: impl Fn(&Slot) -> Job,
    ) -> std::collections::BTreeSet<usize> {
        let now = Instant::now();
        let mut pending = std::collections::BTreeSet::new();
        for (number, slot) in self.slots.iter_mut().enumerate() {
            if slot.is(kind) && slot.is_due(now) {
                let job = job(slot);
                // Where the thread is gone, its `Ended` is on the way.
                if slot.give(job, now) {
                    pending.insert(number);
                }
            }
        }
        pending
    }

    /// Goes on to the next phase when nothing is waited for.
    fn advance(&mut self) {
        while self.phase.pending().is_some_and(|pending| pending.is_empty()) {
            self.phase = match std::mem::replace(&mut self.phase, Phase::Rest) {
                Phase::Rest => return,
                Phase::Collecting { round, .. } => {
                    let measured = Measured::gather(&self.slots, &round);
                    let current = Arc::new(measured.current(&round.current));
                    let pending = self.hand_out(PluginKind::Capacity, |_| Job::Calculate {
                        round: Arc::clone(&round),
                        current: Arc::clone(&current),
                    });
                    Phase::Calculating { round, measured, pending }
                }
                Phase::Calculating { round, measured, .. } => {
                    (self.events)(measured.finish(&self.slots, &round));
                    Phase::Rest
                }
            };
        }
    }

    fn answered(&mut self, number: usize, outcome: Outcome) {
        self.slots[number].state = State::Idle;
        match outcome {
            Outcome::Collected(collected) => self.collected(number, *collected),
            Outcome::Calculated(Ok(answer)) => self.slots[number].answer = Some(Ok(answer)),
            Outcome::Calculated(Err(fault)) => self.calculated_nothing(number, &fault),
            // Nobody asks for one yet.
            Outcome::Snapshot(_) => {}
        }
        self.settled(number);
    }

    fn collected(&mut self, number: usize, collected: Collected) {
        self.book_dropped(number, &collected);
        let slot = &mut self.slots[number];
        slot.first = if collected.left_out == 0 { 0 } else { slot.first + collected.asked };
        let fault = collected.fault.clone();
        slot.collected = collected;
        let Some(fault) = fault else {
            slot.failed_rounds = 0;
            return;
        };
        slot.failed_rounds += 1;
        let (rounds, message) = (slot.failed_rounds, fault.message.as_str().to_owned());
        if is_final(&fault) {
            self.fail(number, final_fault(&fault));
        } else if rounds >= FAILED_ROUNDS {
            self.fail(number, InstanceFault::Errors { rounds, message });
        } else {
            self.put_off(number, &fault);
            self.complain(number, "error", 1, |count| format!("{message} (failed rounds so far: {count})"));
        }
    }

    /// A capacity instance that errs is asked again as long as it lives: without it, capacity can only stay or fall.
    fn calculated_nothing(&mut self, number: usize, fault: &Fault) {
        let message = fault.message.as_str().to_owned();
        self.slots[number].answer = Some(Err(message.clone()));
        if is_final(fault) {
            return self.fail(number, final_fault(fault));
        }
        self.put_off(number, fault);
        self.complain(number, "error", 1, |count| format!("{message} (answers missing so far: {count})"));
    }

    /// Heeds the plugin's advice when to ask again.
    fn put_off(&mut self, number: usize, fault: &Fault) {
        if fault.retry_after_ms > 0 {
            let wish = Instant::now() + Duration::from_millis(u64::from(fault.retry_after_ms));
            let slot = &mut self.slots[number];
            slot.due = Some(slot.due.map_or(wish, |due| due.max(wish)));
        }
    }

    fn book_dropped(&mut self, number: usize, collected: &Collected) {
        for (pile, sentence) in collected.dropped.piles() {
            let example = pile.example.clone();
            self.complain(number, sentence, pile.count, |count| {
                format!("values that {sentence} were dropped: {count} so far, such as `{example}`")
            });
        }
        self.complain(number, "left out", u64::from(collected.left_out > 0), |count| {
            let left_out = collected.left_out;
            format!("too slow for all processes within its deadline: {left_out} were left out ({count} rounds so far)")
        });
        let slot = &self.slots[number];
        slot.stats.lock().unwrap_or_else(PoisonError::into_inner).dropped_values += collected.dropped.total();
    }

    /// Gives up instances whose call has missed its deadline. `planned` is when we meant to look.
    fn expire(&mut self, planned: Option<Instant>) {
        let now = Instant::now();
        let late = planned.map(|planned| now.saturating_duration_since(planned)).unwrap_or_default();
        // What has arrived meanwhile counts before any verdict.
        while let Ok(message) = self.messages.try_recv() {
            self.hear(message);
        }
        for number in 0..self.slots.len() {
            if self.slots[number].is_overdue(now, late) {
                let slot = &self.slots[number];
                slot.stats.lock().unwrap_or_else(PoisonError::into_inner).deadline_misses += 1;
                let deadline = slot.spec.deadline;
                self.fail(number, InstanceFault::Hung { deadline });
            }
        }
    }

    fn next_check(&self) -> Option<Instant> {
        let check = |slot: &Slot| match slot.state {
            State::Busy { check } => Some(check),
            State::Starting | State::Idle | State::Failed { .. } => None,
        };
        self.slots.iter().filter_map(check).min()
    }

    /// Whether a voice is that of the slot's present worker.
    fn is_live(&self, number: usize, generation: u32) -> bool {
        let slot = &self.slots[number];
        slot.generation == generation && !matches!(slot.state, State::Failed { .. })
    }

    fn fail(&mut self, number: usize, fault: InstanceFault) {
        let failure = self.slots[number].give_up(fault);
        let health = PluginHealth::Failed { sentence: failure.to_string(), required: failure.required };
        (self.events)(PluginEvent::Health { instance: failure.instance, health });
        self.settled(number);
    }

    fn settled(&mut self, number: usize) {
        if let Some(pending) = self.phase.pending() {
            pending.remove(&number);
        }
    }

    fn complain(
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

    fn say(&self, number: usize, level: u8, message: String) {
        let instance = self.slots[number].spec.name.clone();
        (self.events)(PluginEvent::Said { instance, level, message });
    }
}

fn final_fault(fault: &Fault) -> InstanceFault {
    let message = fault.message.as_str().to_owned();
    match fault.code {
        FaultCode::PANICKED | FaultCode::POISONED => InstanceFault::Panicked { message },
        FaultCode::CONFIG => InstanceFault::Configuration { message },
        _ => InstanceFault::GaveUp { message },
    }
}
