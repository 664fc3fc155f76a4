//! One round: metrics first, then capacity over what was measured.

use super::slot::Slot;
use super::state::State;
use orchestrator_core::AttemptId;
use orchestrator_core::metrics::{Metrics, names};
use orchestrator_core::scheduler::CapacityAnswer;
use orchestrator_plugin_api::PluginKind;
use orchestrator_ports::{PluginEvent, PluginRound};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// How far a round is.
pub(super) enum Phase {
    /// None is open.
    Rest,
    /// Metrics instances measure, each from its own moment on.
    Collecting(Collecting),
    /// Capacity instances calculate.
    Calculating(Calculating),
}

pub(super) struct Collecting {
    pub(super) round: Arc<PluginRound>,
    /// The round goes on without those that have not answered by then.
    pub(super) until: Instant,
    /// Instances that were not asked yet, each with its moment; the earliest first.
    pub(super) queue: VecDeque<(Instant, usize)>,
    /// Instances that were asked and have not answered.
    pub(super) asked: BTreeSet<usize>,
    /// Instances that answered.
    pub(super) answered: BTreeSet<usize>,
}

pub(super) struct Calculating {
    pub(super) round: Arc<PluginRound>,
    /// What they calculate with.
    pub(super) current: Arc<Metrics>,
    /// The round ends without those that have not answered by then.
    pub(super) until: Instant,
    /// What was measured in this round.
    pub(super) measured: Measured,
    /// Instances that were not asked yet.
    pub(super) queue: BTreeSet<usize>,
    /// Instances that were asked and have not answered.
    pub(super) asked: BTreeSet<usize>,
}

impl Phase {
    /// An instance is waited for no longer.
    pub(super) fn settled(&mut self, number: usize) {
        match self {
            Self::Rest => {}
            Self::Collecting(collecting) => {
                collecting.asked.remove(&number);
            }
            Self::Calculating(calculating) => {
                calculating.asked.remove(&number);
            }
        }
    }

    /// An instance will not be asked in this round.
    pub(super) fn leave_out(&mut self, number: usize) {
        match self {
            Self::Rest => {}
            Self::Collecting(collecting) => collecting.queue.retain(|(_, queued)| *queued != number),
            Self::Calculating(calculating) => drop(calculating.queue.remove(&number)),
        }
        self.settled(number);
    }

    /// Whether nothing is waited for.
    pub(super) fn is_done(&self, now: Instant) -> bool {
        match self {
            Self::Rest => false,
            Self::Collecting(one) => one.until <= now || one.queue.is_empty() && one.asked.is_empty(),
            Self::Calculating(one) => one.until <= now || one.queue.is_empty() && one.asked.is_empty(),
        }
    }

    /// When it is over at the latest.
    pub(super) fn until(&self) -> Option<Instant> {
        match self {
            Self::Rest => None,
            Self::Collecting(collecting) => Some(collecting.until),
            Self::Calculating(calculating) => Some(calculating.until),
        }
    }
}

/// What metrics instances measured, together. Of two that give the same name, the first of the configuration counts.
#[derive(Default)]
pub(super) struct Measured {
    system: Metrics,
    processes: BTreeMap<AttemptId, Arc<Metrics>>,
    /// Processes that the sums are made of; of several instances that know processes, the least.
    asked: Option<usize>,
}

impl Measured {
    /// Gathers the last readings of some instances.
    pub(super) fn gather<'s>(slots: impl Iterator<Item = &'s Slot>) -> Self {
        let mut measured = Self::default();
        for (slot, reading) in slots.filter_map(|slot| Some((slot, slot.reading.as_ref()?))) {
            add(&mut measured.system, &reading.system);
            for (attempt, metrics) in &reading.processes {
                match measured.processes.entry(*attempt) {
                    Entry::Vacant(entry) => drop(entry.insert(Arc::clone(metrics))),
                    Entry::Occupied(mut entry) => add(Arc::make_mut(entry.get_mut()), metrics),
                }
            }
            if slot.knows_processes {
                let least = measured.asked.unwrap_or(usize::MAX).min(reading.asked);
                measured.asked = Some(least);
            }
        }
        measured
    }

    /// What capacity instances see: the host's metrics, then those of the machine, then sums over the processes. A
    /// reading stands as a whole until the next one, though its processes may have ended: how many there were goes with it.
    pub(super) fn current(&self, built_in: &Metrics) -> Metrics {
        let mut sums = Metrics::new();
        for (name, value) in self.processes.values().flat_map(|metrics| metrics.iter()) {
            *sums.entry(name.clone()).or_default() += value;
        }
        let mut current = built_in.clone();
        if let Some(asked) = self.asked {
            current.insert(names::MEASURED.to_owned(), asked as f64);
        }
        add(&mut current, &self.system);
        add(&mut current, &sums);
        current
    }

    /// The round's end.
    pub(super) fn finish(self, number: u64, capacity: Vec<CapacityAnswer>) -> PluginEvent {
        let processes = self.processes.into_iter().collect();
        PluginEvent::RoundFinished { number, system: self.system, processes, capacity }
    }
}

/// The answers of all capacity instances. One that is not there has no capacity to offer, whatever it answered before:
/// its last good answer is the core's to keep. One that is being started for the first time is not there yet.
pub(super) fn answers<'s>(slots: impl Iterator<Item = &'s Slot>) -> Vec<CapacityAnswer> {
    let unborn = |slot: &Slot| matches!(slot.state(), State::Starting { .. }) && slot.answer.is_none();
    slots.filter(|slot| slot.is(PluginKind::Capacity) && !unborn(slot)).map(answer).collect()
}

fn answer(slot: &Slot) -> CapacityAnswer {
    let (capacity, reason) = match (slot.state(), &slot.answer) {
        (State::Failed { sentence } | State::Waiting { sentence, .. }, _) => (None, sentence.clone()),
        (_, Some(Ok((processes, reason)))) => (Some(*processes), reason.clone()),
        (_, Some(Err(message))) => (None, message.clone()),
        (_, None) => (None, "has not answered yet".to_owned()),
    };
    CapacityAnswer { instance: slot.spec.name.clone(), capacity, reason }
}

fn add(to: &mut Metrics, more: &Metrics) {
    for (name, value) in more {
        to.entry(name.clone()).or_insert(*value);
    }
}
