//! One round: metrics first, then capacity over what was measured.

use super::slot::{Slot, State};
use orchestrator_core::AttemptId;
use orchestrator_core::metrics::Metrics;
use orchestrator_core::scheduler::CapacityAnswer;
use orchestrator_plugin_api::PluginKind;
use orchestrator_ports::{PluginEvent, PluginRound};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How far a round is.
pub(super) enum Phase {
    /// None is open.
    Rest,
    /// Metrics instances measure.
    Collecting { round: Arc<PluginRound>, pending: BTreeSet<usize> },
    /// Capacity instances calculate.
    Calculating { round: Arc<PluginRound>, measured: Measured, pending: BTreeSet<usize> },
}

impl Phase {
    /// Instances that the round waits for.
    pub(super) fn pending(&mut self) -> Option<&mut BTreeSet<usize>> {
        match self {
            Self::Rest => None,
            Self::Collecting { pending, .. } | Self::Calculating { pending, .. } => Some(pending),
        }
    }
}

/// What the metrics instances measured, together. Of two that give the same name, the first of the configuration counts.
#[derive(Default)]
pub(super) struct Measured {
    system: Metrics,
    processes: BTreeMap<AttemptId, Metrics>,
}

impl Measured {
    /// Gathers what the instances measured last, for the attempts of this round.
    pub(super) fn gather(slots: &[Slot], round: &PluginRound) -> Self {
        let running: BTreeSet<AttemptId> = round.processes.iter().map(|facts| facts.attempt).collect();
        let mut measured = Self::default();
        for slot in slots.iter().filter(|slot| slot.is(PluginKind::Metrics)) {
            add(&mut measured.system, &slot.collected.system);
            for (attempt, metrics) in &slot.collected.processes {
                if running.contains(attempt) {
                    add(measured.processes.entry(*attempt).or_default(), metrics);
                }
            }
        }
        measured
    }

    /// What capacity instances see: the host's metrics, then those of the machine, then sums over the processes.
    pub(super) fn current(&self, built_in: &Metrics) -> Metrics {
        let mut sums = Metrics::new();
        for (name, value) in self.processes.values().flatten() {
            *sums.entry(name.clone()).or_default() += value;
        }
        let mut current = built_in.clone();
        add(&mut current, &self.system);
        add(&mut current, &sums);
        current
    }

    /// The round's end.
    pub(super) fn finish(self, slots: &[Slot], round: &PluginRound) -> PluginEvent {
        let capacity = slots.iter().filter(|slot| slot.is(PluginKind::Capacity)).map(answer).collect();
        let processes = self.processes.into_iter().collect();
        PluginEvent::RoundFinished { number: round.number, system: self.system, processes, capacity }
    }
}

/// A failed instance has no capacity to offer, whatever it answered before: its last good answer is the core's to keep.
fn answer(slot: &Slot) -> CapacityAnswer {
    let (capacity, reason) = match (&slot.state, &slot.answer) {
        (State::Failed { sentence }, _) => (None, sentence.clone()),
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
