//! What is going to happen, by moment.

use std::collections::BTreeMap;

use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::{Event, OutputRecord};

/// Something that is going to happen in the world.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// The scheduler hears an event.
    Hear(Box<Event>),
    /// A process begins.
    Starts(AttemptId),
    /// A process ends, unless its end was moved since (the number tells).
    Ends(AttemptId, u64),
    /// A private output is inspected.
    Inspected(AttemptId),
    /// An output is moved into place.
    Moved(AttemptId, Vec<OutputRecord>),
    /// The machine is sampled; so many times more.
    Sample(u32),
    /// Capacity plugins answer; so many times more.
    Round(u32),
    /// The disk fills up or empties.
    DiskFull(bool),
    /// The binary breaks.
    BinaryBreaks,
    /// A file vanishes.
    Vanishes,
    /// Processors are taken away or brought back.
    TopologyChanges,
    /// The user changes the configuration.
    PolicyChanges,
    /// The store commits what it has been given.
    Commit,
}

/// Moments in order; what was put first comes first.
#[derive(Clone, Debug, Default)]
pub(super) struct Agenda {
    items: BTreeMap<(u64, u64), What>,
    put: u64,
}

impl Agenda {
    pub(super) fn put(&mut self, at: u64, what: What) {
        self.put += 1;
        self.items.insert((at, self.put), what);
    }

    pub(super) fn next_at(&self) -> Option<u64> {
        self.items.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn pop(&mut self) -> Option<(u64, What)> {
        self.items.pop_first().map(|((at, _), what)| (at, what))
    }

    /// Keeps what passes.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&What) -> bool) {
        self.items.retain(|_, what| keep(what));
    }
}
