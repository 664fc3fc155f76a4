//! The fake world: a clock, inputs, a machine with processes, a files room. It outlives every crash of the host.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_core::AttemptId;
use orchestrator_core::capacity::control::ControlState;
use orchestrator_core::scheduler::{Discovered, Event, Fingerprint, InputPath, ScanReport};

use super::agenda::{Agenda, What};
use super::chance::Chance;
use super::files::{Private, Published};
use super::machine::Process;
use super::settings::Settings;
use super::tally::Tally;

/// An input file.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) print: Fingerprint,
    pub(super) present: bool,
    pub(super) readable: bool,
}

/// The world.
#[derive(Debug)]
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) chance: Chance,
    pub(super) tally: Tally,
    /// Microseconds since the Unix epoch.
    pub(super) now: u64,
    pub(super) agenda: Agenda,
    pub(super) inputs: BTreeMap<InputPath, Input>,
    pub(super) processes: BTreeMap<AttemptId, Process>,
    /// Every attempt that was ever launched.
    pub(super) launched: BTreeSet<AttemptId>,
    pub(super) private: BTreeMap<AttemptId, Private>,
    /// Files under their final names.
    pub(super) published: BTreeMap<InputPath, Published>,
    /// What the control law learned in earlier runs.
    pub(super) learned: Option<ControlState>,
    pub(super) disk_full: bool,
    pub(super) binary_broken: bool,
    /// Whether things still go wrong that a later run would find mended.
    pub(super) hostile: bool,
}

impl World {
    pub(super) fn new(settings: Settings, mut chance: Chance) -> Self {
        let mut inputs = BTreeMap::new();
        for number in 0..settings.tasks {
            let print = Fingerprint { size: chance.between(0, 5), version: 1 };
            let readable = !chance.hits(settings.unreadable);
            let path = InputPath::new(format!("in/{number}").as_bytes());
            inputs.insert(path, Input { print, present: true, readable });
        }
        Self {
            settings,
            chance,
            tally: Tally::default(),
            now: 1_700_000_000_000_000,
            agenda: Agenda::default(),
            inputs,
            processes: BTreeMap::new(),
            launched: BTreeSet::new(),
            private: BTreeMap::new(),
            published: BTreeMap::new(),
            learned: None,
            disk_full: false,
            binary_broken: false,
            hostile: false,
        }
    }

    /// How long an answer takes.
    pub(super) fn latency(&mut self) -> u64 {
        self.chance.below(self.settings.answer_latency)
    }

    /// Lets the scheduler hear something, soon.
    pub(super) fn say(&mut self, event: Event) {
        let at = self.now + self.latency();
        self.agenda.put(at, What::Hear(Box::new(event)));
    }

    /// A walk over the input directory, in batches.
    pub(super) fn scan(&mut self, known: impl Fn(&InputPath) -> bool) {
        let mut paths: Vec<_> =
            self.inputs.iter().filter(|(_, input)| input.present).map(|(path, _)| path.clone()).collect();
        // Directories come in any order.
        for at in (1..paths.len()).rev() {
            paths.swap(at, self.chance.below(at as u64 + 1) as usize);
        }
        let matched = paths.len() as u64;
        let mut at = self.now;
        while !paths.is_empty() {
            at += self.chance.below(self.settings.scan_latency);
            let size = (self.chance.between(1, 5) as usize).min(paths.len());
            let batch = paths.split_off(paths.len() - size).into_iter().map(|path| {
                let told = known(&path) || self.chance.coin();
                let fingerprint = self.inputs.get(&path).map(|input| input.print).filter(|_| told);
                Discovered { path, fingerprint }
            });
            let event = Event::InputsDiscovered(batch.collect());
            self.agenda.put(at, What::Hear(Box::new(event)));
        }
        at += self.chance.below(self.settings.scan_latency);
        let report = ScanReport { matched, ..ScanReport::default() };
        self.agenda.put(at, What::Hear(Box::new(Event::ScanFinished(report))));
    }

    /// One input vanishes.
    pub(super) fn vanish_one(&mut self) {
        let present: Vec<_> =
            self.inputs.iter().filter(|(_, input)| input.present).map(|(path, _)| path.clone()).collect();
        if present.is_empty() {
            return;
        }
        let path = self.chance.pick(&present);
        if let Some(input) = self.inputs.get_mut(&path) {
            input.present = false;
            self.tally.count("input vanished");
        }
    }

    /// Between two runs people change, add, remove and mend files.
    pub(super) fn change_inputs(&mut self) {
        let chance = &mut self.chance;
        for input in self.inputs.values_mut() {
            input.readable |= chance.coin();
            input.present |= chance.hits(300);
            if chance.hits(150) {
                self.tally.count("input changed between runs");
                input.print.version += 1;
                input.print.size += chance.below(2);
            }
        }
        if chance.coin() {
            let path = InputPath::new(format!("new/{}", self.inputs.len()).as_bytes());
            let print = Fingerprint { size: chance.below(9), version: 1 };
            self.inputs.insert(path, Input { print, present: true, readable: true });
        }
        for _ in 0..if chance.hits(400) { chance.between(1, 4) } else { 0 } {
            self.vanish_one();
        }
    }
}
