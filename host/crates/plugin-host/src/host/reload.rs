//! Other instances are wanted: new ones are built beside the old ones, which go on until the new ones are ready.
//!
//! An instance that changed hands out its state, its successor is started with that, and takes its place when it is ready and
//! the old one has no job; the old one is never called again. A successor that fails is dropped, and the old one goes on,
//! unless what it was made of is trusted no longer: then it is taken out, and no state of it is handed on. One
//! reload is settled after the other; of those that wait, the latest counts.

use super::board::{ReloadLine, ReloadOutcome, ReloadReport};
use super::life::Order;
use super::slot::{Change, Slot, Successor, failure_of};
use super::state::{Happening, State};
use super::supervisor::{Supervisor, WARN};
use crate::instance::worker::Job;
use crate::instance::{InstanceFault, InstanceSpec};
use crate::library::{Catalog, FileProblem, PluginFile};
use orchestrator_ports::PluginEvent;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// An instance that has handed out its state is not asked for so long at most.
const HOLD: Duration = Duration::from_secs(1);

/// The instances that are wanted.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) number: u64,
    pub(crate) specs: Vec<InstanceSpec>,
    pub(crate) catalog: Catalog,
}

/// A reload under way.
pub(super) struct Reloading {
    number: u64,
    lines: BTreeMap<usize, ReloadLine>,
    /// Instances of which is not known yet how it went.
    open: BTreeSet<usize>,
}

/// When a successor is to be looked at.
pub(super) fn wakes(slot: &Slot) -> Option<Instant> {
    match &slot.change {
        Some(Change::Starting(successor)) if !successor.ready => {
            Some(if successor.hold > Instant::now() { successor.hold } else { successor.until })
        }
        _ => None,
    }
}

impl Supervisor {
    /// Begins a reload.
    pub(super) fn reload(&mut self, wanted: Box<Wanted>) {
        if wanted.number < self.reload_asked {
            return;
        }
        self.reload_asked = wanted.number;
        if self.reloading.is_some() {
            self.next_reload = Some(wanted);
            return;
        }
        let now = Instant::now();
        let Wanted { number, specs, catalog } = *wanted;
        self.rules = Arc::clone(catalog.trust());
        self.reloading = Some(Reloading { number, lines: BTreeMap::new(), open: BTreeSet::new() });
        let order: Vec<usize> = specs.iter().map(|spec| self.slot_of(spec)).collect();
        let before = std::mem::replace(&mut self.order, order.clone());
        self.show();
        for (number, spec) in order.iter().zip(&specs) {
            self.want(*number, spec, &catalog, now);
        }
        for number in before.into_iter().filter(|number| !order.contains(number)) {
            self.take_out(number);
        }
        self.conclude();
    }

    /// The slot that bears the instance's name, or a new one.
    fn slot_of(&mut self, spec: &InstanceSpec) -> usize {
        let same = |slot: &Slot| slot.spec.kind == spec.kind && slot.spec.name == spec.name;
        self.slots.iter().position(same).unwrap_or_else(|| {
            self.slots.push(Slot::new(spec, self.launcher.first_wait));
            self.slots.len() - 1
        })
    }

    fn want(&mut self, number: usize, spec: &InstanceSpec, catalog: &Catalog, now: Instant) {
        let slot = &mut self.slots[number];
        let living = slot.state().is_alive() || matches!(slot.state(), State::Waiting { .. });
        if !living {
            self.wait_for(number);
            return self.start(number, spec, catalog, now);
        }
        if let Some(same) = slot.file.as_ref().and_then(|old| catalog.with_content(&old.hash)) {
            slot.judged_again(same.clone());
        }
        let file = match catalog.resolve(spec.kind, &spec.class) {
            Ok(file) => file.clone(),
            Err(error) => {
                if let Some(problem) = slot.distrust(&self.rules) {
                    slot.spec.required = spec.required;
                    return self.expel(number, problem);
                }
                let failure = failure_of(spec, None, InstanceFault::Class(Box::new(error)));
                return self.line(number, ReloadOutcome::Kept, format!("{failure}; the old one goes on"));
            }
        };
        let same_file = slot.file.as_ref().is_some_and(|old| old.hash == file.hash);
        if same_file && same_object(&slot.spec, spec) {
            let outcome = if slot.spec == *spec { ReloadOutcome::Unchanged } else { ReloadOutcome::Adjusted };
            slot.pace.configure(spec.interval);
            slot.spec = spec.clone();
            return self.line(number, outcome, said(spec, outcome));
        }
        slot.change = Some(Change::Wanted { spec: spec.clone(), file });
        self.wait_for(number);
        match self.slots[number].state() {
            State::Waiting { .. } => {
                let state = self.slots[number].restarts.snapshot.clone();
                self.start_successor(number, state, now);
            }
            _ => self.move_on(number, now),
        }
    }

    fn take_out(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        if !slot.happen(Happening::TakenOut) {
            return;
        }
        slot.detach();
        slot.change = None;
        (slot.reading, slot.answer) = (None, None);
        slot.restarts.begin_anew();
        self.missed = true;
        let words = said(&slot.spec, ReloadOutcome::Disabled);
        self.phase.leave_out(number);
        self.line(number, ReloadOutcome::Disabled, words);
    }

    /// Takes out an instance whose library is trusted no longer, though the configuration wants it.
    fn expel(&mut self, number: usize, problem: FileProblem) {
        let slot = &mut self.slots[number];
        let failure = slot.failure(InstanceFault::Library(problem));
        let sentence = failure.to_string();
        slot.detach();
        slot.change = None;
        (slot.reading, slot.answer) = (None, None);
        slot.restarts.begin_anew();
        slot.happen(Happening::BrokeForGood { sentence: sentence.clone() });
        self.failures.push(failure);
        self.phase.leave_out(number);
        self.line(number, ReloadOutcome::Failed, sentence);
    }

    /// Goes on with a change of an instance that has nothing to do just now.
    pub(super) fn move_on(&mut self, number: usize, now: Instant) {
        let slot = &mut self.slots[number];
        if *slot.state() != State::Idle {
            return;
        }
        match &slot.change {
            Some(Change::Wanted { spec, .. }) if spec.class == slot.spec.class => {
                slot.give(Job::Snapshot, now);
            }
            Some(Change::Wanted { .. }) => self.start_successor(number, None, now),
            Some(Change::Starting(successor)) if successor.ready => self.succeed(number, now),
            Some(Change::Starting(_)) | None => {}
        }
    }

    /// Starts the successor that is wanted, with the state of the present instance.
    pub(super) fn start_successor(&mut self, number: usize, state: Option<Vec<u8>>, now: Instant) {
        let slot = &mut self.slots[number];
        let (spec, file) = match slot.change.take() {
            Some(Change::Wanted { spec, file }) => (spec, file),
            other => return slot.change = other,
        };
        let trusted = slot.distrust(&self.rules).is_none();
        let restore = state.filter(|_| spec.class == slot.spec.class && trusted);
        let (moved, generation, stats) = (restore.is_some(), slot.next_generation(), slot.share_stats());
        let order = Order { slot: number, generation, spec: &spec, file: &file, stats, restore };
        match self.launcher.launch(order) {
            Ok(running) => {
                let (until, hold) = (now + self.launcher.deadline, now + HOLD.min(self.patience));
                let ready = false;
                let successor = Successor { running, spec, file, until, hold, ready, moved };
                slot.change = Some(Change::Starting(successor));
            }
            Err(error) => self.refuse(number, &spec, &file, InstanceFault::Thread(error)),
        }
    }

    /// The successor is ready: it takes over now, or when the present instance has done its job.
    pub(super) fn successor_ready(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        if let Some(Change::Starting(successor)) = &mut slot.change {
            successor.ready = true;
        }
        if !matches!(slot.state(), State::Busy { .. }) {
            self.succeed(number, Instant::now());
        }
    }

    fn succeed(&mut self, number: usize, now: Instant) {
        let slot = &mut self.slots[number];
        let successor = match slot.change.take() {
            Some(Change::Starting(successor)) => successor,
            other => return slot.change = other,
        };
        let new_file = slot.file.as_ref().is_none_or(|old| old.hash != successor.file.hash);
        if !successor.moved {
            slot.restarts.begin_anew();
        }
        slot.become_of(successor.spec, successor.file);
        slot.attach(successor.running);
        slot.happen(Happening::Succeeded);
        slot.stats().reloads += 1;
        let about = &slot.file.as_ref().map(|file| &file.descriptor);
        let from = match about {
            Some(about) if new_file => format!("from its new library ({} {})", about.name, about.version),
            _ => "with its new configuration".to_owned(),
        };
        let state = if successor.moved { "; its state went along" } else { "" };
        let words = format!("{} runs {from}{state}", name(&slot.spec));
        self.line(number, ReloadOutcome::Replaced, words);
        self.move_on(number, now);
    }

    /// The successor cannot be used.
    pub(super) fn roll_back(&mut self, number: usize, fault: InstanceFault) {
        let slot = &mut self.slots[number];
        match slot.change.take() {
            Some(Change::Starting(successor)) => {
                self.refuse(number, &successor.spec, &successor.file, fault);
            }
            other => slot.change = other,
        }
    }

    fn refuse(&mut self, number: usize, spec: &InstanceSpec, file: &PluginFile, fault: InstanceFault) {
        let failure = failure_of(spec, Some(file.path.clone()), fault);
        let state = self.slots[number].state();
        let lives = state.is_alive() || matches!(state, State::Waiting { .. });
        if let Some(problem) = self.slots[number].distrust(&self.rules).filter(|_| lives) {
            self.slots[number].spec.required = spec.required;
            self.say(number, WARN, failure.to_string());
            return self.expel(number, problem);
        }
        let (outcome, words) = match lives {
            true => (ReloadOutcome::Kept, format!("{failure}; the old one goes on")),
            false => (ReloadOutcome::Failed, failure.to_string()),
        };
        self.line(number, outcome, words);
    }

    /// Gives up a successor that does not get ready.
    pub(super) fn look_at_successor(&mut self, number: usize, now: Instant) {
        if let Some(Change::Starting(successor)) = &self.slots[number].change
            && !successor.ready
            && successor.until <= now
        {
            self.roll_back(number, InstanceFault::Hung { deadline: self.launcher.deadline });
        }
    }

    /// An instance that was launched is ready.
    pub(super) fn reload_started(&mut self, number: usize) {
        if self.is_reloading(number) && self.slots[number].change.is_none() {
            let words = said(&self.slots[number].spec, ReloadOutcome::Started);
            self.line(number, ReloadOutcome::Started, words);
        }
    }

    /// The present instance broke: a successor takes its place as soon as it can, with the state that was kept.
    pub(super) fn reload_broke(&mut self, number: usize) {
        match &self.slots[number].change {
            Some(Change::Wanted { .. }) => {
                let state = self.slots[number].restarts.snapshot.clone();
                self.start_successor(number, state, Instant::now());
            }
            Some(Change::Starting(successor)) if successor.ready => self.succeed(number, Instant::now()),
            Some(Change::Starting(_)) => {}
            None if self.is_reloading(number) => {
                let words = match self.slots[number].state() {
                    State::Failed { sentence } | State::Waiting { sentence, .. } => sentence.clone(),
                    _ => String::new(),
                };
                self.line(number, ReloadOutcome::Failed, words);
            }
            None => {}
        }
    }

    /// Whether the reload under way waits for this instance.
    pub(super) fn is_reloading(&self, number: usize) -> bool {
        self.reloading.as_ref().is_some_and(|reloading| reloading.open.contains(&number))
    }

    fn wait_for(&mut self, number: usize) {
        if let Some(reloading) = &mut self.reloading {
            reloading.open.insert(number);
        }
    }

    /// Notes what became of an instance.
    fn line(&mut self, number: usize, outcome: ReloadOutcome, sentence: String) {
        let instance = self.slots[number].spec.name.clone();
        if let Some(reloading) = &mut self.reloading {
            reloading.lines.insert(number, ReloadLine { instance, outcome, sentence });
            if reloading.open.remove(&number) {
                self.conclude();
            }
        }
    }

    /// Ends the reload when all is known, and begins the next one.
    fn conclude(&mut self) {
        // Not before every instance that is wanted was looked at.
        let gone = |lines: &BTreeMap<usize, ReloadLine>| self.order.iter().all(|one| lines.contains_key(one));
        let done = |one: &mut Reloading| one.open.is_empty() && gone(&one.lines);
        let Some(Reloading { number, mut lines, .. }) = self.reloading.take_if(done) else { return };
        let mut ordered: Vec<ReloadLine> = self.order.iter().filter_map(|one| lines.remove(one)).collect();
        ordered.extend(lines.into_values());
        let told = |good: bool| {
            let told = ordered.iter().filter(move |line| {
                line.outcome.is_good() == good && line.outcome != ReloadOutcome::Unchanged
            });
            told.map(|line| line.sentence.clone()).collect()
        };
        self.outbox.push(PluginEvent::Reloaded { changes: told(true), refusals: told(false) });
        let report = ReloadReport { number, refused: None, lines: ordered };
        {
            let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
            if board.reload.as_ref().is_none_or(|last| last.number < number) {
                board.reload = Some(report);
            }
        }
        if let Some(next) = self.next_reload.take() {
            self.reload(next);
        }
    }
}

/// Whether the same object serves both: they differ in what the supervisor alone minds.
fn same_object(old: &InstanceSpec, new: &InstanceSpec) -> bool {
    InstanceSpec { interval: new.interval, required: new.required, ..old.clone() } == *new
}

fn name(spec: &InstanceSpec) -> String {
    format!("{} plugin `{}`", spec.kind, spec.name)
}

fn said(spec: &InstanceSpec, outcome: ReloadOutcome) -> String {
    let what = match outcome {
        ReloadOutcome::Unchanged => "is unchanged",
        ReloadOutcome::Adjusted => "goes on with its new interval and importance",
        ReloadOutcome::Started => "was started",
        ReloadOutcome::Disabled => "was taken out",
        ReloadOutcome::Replaced => "was replaced",
        ReloadOutcome::Kept => "goes on as it was",
        ReloadOutcome::Failed => "failed",
    };
    format!("{} {what}", name(spec))
}
