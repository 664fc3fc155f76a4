//! Steps between decision and deed: recorded, not yet acknowledged by the store.
//!
//! Invariant: commands leave in the order of their steps, and none before its step's facts are recorded.

use std::collections::VecDeque;

use orchestrator_core::Timestamp;
use orchestrator_core::config::model::Durability;
use orchestrator_core::scheduler::{Command, Fact, Step};
use orchestrator_ports::{Record, Store, SyncMode};

/// Without outputs of its own there is nothing whose durability a completion must follow; then one sync a second is
/// enough (what a power cut takes is done again).
const SYNC_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// A step whose record is on its way.
struct Pending {
    number: u64,
    at: Timestamp,
    facts: Vec<Fact>,
    commands: Vec<Command>,
}

/// A step whose facts are recorded: to be published and performed.
pub(crate) struct Done {
    pub(crate) at: Timestamp,
    pub(crate) facts: Vec<Fact>,
    pub(crate) commands: Vec<Command>,
}

/// Steps on their way to the store.
pub(crate) struct Journal {
    store: Box<dyn Store>,
    durability: Durability,
    has_output: bool,
    last_number: u64,
    last_sync: Timestamp,
    pending: VecDeque<Pending>,
    /// Records of this turn that the store has not been given yet.
    gathered: Vec<Record>,
}

impl Journal {
    pub(crate) fn new(store: Box<dyn Store>, durability: Durability, has_output: bool) -> Self {
        let (last_number, last_sync) = (0, Timestamp(0));
        let (pending, gathered) = (VecDeque::new(), Vec::new());
        Self { store, durability, has_output, last_number, last_sync, pending, gathered }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Gives the store the records gathered since the last time: once a turn, so that they can share one writing.
    /// Returns up to which number records are recorded with that, if any are: ask [`committed`](Self::committed) then.
    pub(crate) fn pass_on(&mut self) -> Option<u64> {
        if self.gathered.is_empty() {
            return None;
        }
        self.store.append_all(std::mem::take(&mut self.gathered))
    }

    /// Takes a step. Returns its commands at once when they need not wait for any record; else they are worth a
    /// [`pass_on`](Self::pass_on) before the turn ends.
    pub(crate) fn take(&mut self, at: Timestamp, step: Step) -> Option<Done> {
        let Step { facts, commands } = step;
        if facts.is_empty() {
            let Some(last) = self.pending.back_mut() else { return Some(Done { at, facts, commands }) };
            last.commands.extend(commands);
            return None;
        }
        self.last_number += 1;
        let number = self.last_number;
        let sync = self.sync_mode(at, &facts);
        self.gathered.push(Record { number, facts: facts.clone(), sync });
        self.pending.push_back(Pending { number, at, facts, commands });
        None
    }

    fn sync_mode(&mut self, at: Timestamp, facts: &[Fact]) -> SyncMode {
        let completes = facts.iter().any(|fact| matches!(fact, Fact::TaskCompleted { .. }));
        let wanted = completes
            && match self.durability {
                Durability::Strict => true,
                Durability::Batch => self.has_output || at.since(self.last_sync) >= SYNC_EVERY,
                Durability::Relaxed => false,
            };
        if wanted {
            self.last_sync = at;
            SyncMode::Synced
        } else {
            SyncMode::Written
        }
    }

    /// The store acknowledged all records up to `through`: the oldest of the steps that may go on now.
    pub(crate) fn committed(&mut self, through: u64) -> Option<Done> {
        let next = self.pending.front()?;
        if next.number > through {
            return None;
        }
        let Pending { at, facts, commands, .. } = self.pending.pop_front()?;
        Some(Done { at, facts, commands })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use orchestrator_core::TaskId;
    use orchestrator_ports::SampleRow;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<(u64, SyncMode)>>>);

    impl Store for Written {
        fn append(&self, record: Record) {
            self.0.lock().unwrap().push((record.number, record.sync));
        }
        fn samples(&self, _: Vec<SampleRow>) {}
    }

    fn step(facts: usize, wake: u64) -> Step {
        let fact = Fact::TaskReset { task: TaskId(0), at: Timestamp(0) };
        Step { facts: vec![fact; facts], commands: vec![Command::WakeAt(Timestamp(wake))] }
    }

    #[test]
    fn commands_keep_their_order_behind_unrecorded_facts() {
        let mut journal = Journal::new(Box::new(Written::default()), Durability::Batch, true);
        assert!(journal.take(Timestamp(0), step(0, 1)).is_some(), "nothing to wait for");
        assert!(journal.take(Timestamp(0), step(1, 2)).is_none());
        assert!(journal.take(Timestamp(0), step(0, 3)).is_none(), "must not overtake step 1");
        assert!(journal.take(Timestamp(0), step(1, 4)).is_none());
        assert!(journal.committed(0).is_none());
        let done = journal.committed(1).unwrap();
        assert_eq!(done.commands, [Command::WakeAt(Timestamp(2)), Command::WakeAt(Timestamp(3))]);
        assert!(journal.committed(1).is_none());
        assert!(journal.committed(2).is_some());
    }

    #[test]
    fn completions_are_synced_as_durability_asks() {
        let completed = || Step {
            facts: vec![Fact::TaskCompleted {
                task: TaskId(0),
                attempt: orchestrator_core::AttemptId(1),
                at: Timestamp(0),
            }],
            commands: vec![],
        };
        let modes = |durability, has_output| {
            let written = Written::default();
            let mut journal = Journal::new(Box::new(written.clone()), durability, has_output);
            for second in [5_000_000, 5_100_000, 6_200_000] {
                journal.take(Timestamp(second), completed());
            }
            assert!(written.0.lock().unwrap().is_empty(), "not before the turn's end");
            journal.pass_on();
            let modes = written.0.lock().unwrap().iter().map(|(_, mode)| *mode == SyncMode::Synced).collect();
            let modes: Vec<bool> = modes;
            modes
        };
        assert_eq!(modes(Durability::Batch, true), [true, true, true]);
        assert_eq!(modes(Durability::Batch, false), [true, false, true]);
        assert_eq!(modes(Durability::Strict, false), [true, true, true]);
        assert_eq!(modes(Durability::Relaxed, true), [false, false, false]);
    }
}
