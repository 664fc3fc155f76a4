//! The tasks: states, paths and the fold of facts.
//!
//! Sized for ten million waiting tasks: what every task has lies in a [`Table`]; only tasks that were ever attempted and
//! are not completed have more, in a map.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::table::Table;
use super::{Fact, Fingerprint, InputPath, OutputRecord, ProcessIdentity};
use crate::predict::Kind;
use crate::{AttemptId, Bytes, TaskId, Timestamp};

/// A task's state.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum TaskState {
    /// File waiting to be processed (for the first time, or again).
    Pending = 0,
    /// Measuring resource usage.
    Calibrating = 1,
    /// Active processing, until its output is in place.
    Running = 2,
    /// Successfully finished.
    Completed = 3,
    /// Error occurred.
    Failed = 4,
    /// Stopped due to resource constraints; PENDING again at once, so a task is seen in this state only as the last
    /// state of an attempt.
    Terminated = 5,
}

impl TaskState {
    /// The name as in the design: `PENDING` …
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Calibrating => "CALIBRATING",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Terminated => "TERMINATED",
        }
    }

    pub(super) fn from_u8(value: u8) -> Self {
        match value {
            1 => Self::Calibrating,
            2 => Self::Running,
            3 => Self::Completed,
            4 => Self::Failed,
            5 => Self::Terminated,
            _ => Self::Pending,
        }
    }
}

/// An attempt that was open when the state was last written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredAttempt {
    /// Its id.
    pub attempt: AttemptId,
    /// Counted from 1 within the task.
    pub number: u32,
    /// Its process, once it had started.
    pub identity: Option<ProcessIdentity>,
    /// Its accepted outputs, once validated: publication may or may not have happened.
    pub accepted: Option<Vec<OutputRecord>>,
}

/// What is durable about a task; the fold of its facts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StoredState {
    /// Attempts made so far (the last one's number).
    pub attempts: u32,
    /// Attempts that failed by their own fault since the task was last new.
    pub failures: u32,
    /// The version of the input that the last attempt worked on.
    pub fingerprint: Option<Fingerprint>,
    /// Not to be tried before.
    pub retry_at: Option<Timestamp>,
    /// What its next attempt reserves at least, because an earlier one died for want of memory or was evicted.
    pub reserved: Option<Bytes>,
    /// The attempt that has no end yet.
    pub open: Option<StoredAttempt>,
}

/// A task as loaded from the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredTask {
    /// Its id.
    pub task: TaskId,
    /// Path relative to the input directory.
    pub path: InputPath,
    /// Its state.
    pub state: TaskState,
    /// The rest.
    pub detail: StoredState,
}

/// Tasks by state.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Waiting, back-off included.
    pub pending: u64,
    /// Measuring.
    pub calibrating: u64,
    /// Active, until published.
    pub running: u64,
    /// Done.
    pub completed: u64,
    /// Failed for good.
    pub failed: u64,
}

impl Counts {
    /// All tasks.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.pending + self.calibrating + self.running + self.completed + self.failed
    }

    fn slot(&mut self, state: TaskState) -> &mut u64 {
        match state {
            TaskState::Pending | TaskState::Terminated => &mut self.pending,
            TaskState::Calibrating => &mut self.calibrating,
            TaskState::Running => &mut self.running,
            TaskState::Completed => &mut self.completed,
            TaskState::Failed => &mut self.failed,
        }
    }
}

/// The tasks of a run.
#[derive(Clone, Default)]
pub(super) struct Tasks {
    table: Table,
    details: BTreeMap<TaskId, StoredState>,
    /// Tasks that were final when restored, in order of id.
    finals: Vec<Final>,
    counts: Counts,
    /// Where to look for the next hole.
    hole: usize,
    restored: usize,
}

/// What is kept of a task that was final when restored: how many attempts it took, so that numbers go on when it is new
/// work, and its fingerprint's hash, to notice an input changed since.
#[derive(Clone, Copy)]
struct Final {
    task: TaskId,
    attempts: u32,
    print: Option<NonZeroU64>,
}

/// Tells fingerprints apart (but for one pair in 2⁶⁴). (Finalizer of splitmix64, Steele, Lea and Flood 2014.)
fn print_hash(print: Fingerprint) -> NonZeroU64 {
    let mixed = |number: u64| {
        let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let hash = mixed(mixed(print.size) ^ print.version.cast_unsigned());
    NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN)
}

impl Tasks {
    /// A table that so many tasks fit into without growing.
    pub(super) fn with_room_for(tasks: usize) -> Self {
        Self { table: Table::with_room_for(tasks), ..Self::default() }
    }

    /// Adds a task unless its path is known. Returns its id and whether it is new; `None` when the path cannot be a
    /// task's (empty, or longer than 65,535 bytes).
    pub(super) fn insert(&mut self, path: &[u8]) -> Option<(TaskId, bool)> {
        if path.is_empty() || path.len() > 0xffff || self.table.len() >= u32::MAX as usize {
            return None;
        }
        if let Some(known) = self.table.find_in_turn(path) {
            return Some((known, false));
        }
        let id = self.next_id();
        let placed = self.table.place(id, path);
        self.counts.pending += u64::from(placed);
        placed.then_some((id, true))
    }

    /// The id of a path.
    pub(super) fn find(&self, path: &[u8]) -> Option<TaskId> {
        self.table.find(path)
    }

    /// The next free id: a hole left by [`Tasks::restore`], or one past the last.
    fn next_id(&mut self) -> TaskId {
        while self.hole < self.restored && !self.table.is_hole(TaskId(self.hole as u32)) {
            self.hole += 1;
        }
        TaskId(if self.hole < self.restored { self.hole as u32 } else { self.table.len() as u32 })
    }

    /// Restores a loaded task under its own id; ids between that were never recorded become holes. Tasks must come in
    /// order of id, before any discovery. A row that cannot be a task's (bad path, id out of order) is left out:
    /// its input will be discovered again.
    pub(super) fn restore(&mut self, stored: StoredTask) {
        let StoredTask { task, path, state, detail } = stored;
        let path = path.as_bytes();
        let id = task.0 as usize;
        if path.is_empty() || path.len() > 0xffff || id < self.table.len() || self.find(path).is_some() {
            return;
        }
        self.table.skip_to(task);
        if !self.table.place(task, path) {
            return;
        }
        self.restored = self.table.len();
        self.counts.pending += 1;
        self.set_state(task, state);
        if matches!(state, TaskState::Completed | TaskState::Failed) {
            let print = detail.fingerprint.map(print_hash);
            self.finals.push(Final { task, attempts: detail.attempts, print });
        }
        if state != TaskState::Completed {
            self.details.insert(task, detail);
        }
    }

    /// Ids below this one were restored (or are holes between such).
    pub(super) fn restored_len(&self) -> usize {
        self.restored
    }

    /// Notes that a scan found the task; returns whether it had not been found before in this run.
    pub(super) fn see(&mut self, task: TaskId) -> bool {
        self.table.see(task)
    }

    /// How many restored tasks wait that no scan of this run has found.
    pub(super) fn unseen_pending(&self) -> u64 {
        let pending = |task: &TaskId| {
            !self.table.is_hole(*task) && !self.table.seen(*task) && self.state(*task) == TaskState::Pending
        };
        (0..self.restored).map(|id| TaskId(id as u32)).filter(pending).count() as u64
    }

    fn as_final(&self, task: TaskId) -> Option<&Final> {
        let at = self.finals.binary_search_by_key(&task, |one| one.task).ok()?;
        self.finals.get(at)
    }

    /// Whether a restored task became final under this fingerprint; `None` when it had none.
    pub(super) fn was_final_under(&self, task: TaskId, print: Fingerprint) -> Option<bool> {
        Some(self.as_final(task)?.print? == print_hash(print))
    }

    /// How many attempts a task had taken that was final when restored.
    fn final_attempts(&self, task: TaskId) -> u32 {
        self.as_final(task).map_or(0, |one| one.attempts)
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn path(&self, task: TaskId) -> InputPath {
        self.table.path(task)
    }

    pub(super) fn kind(&self, task: TaskId) -> Option<Kind> {
        self.table.kind(task)
    }

    pub(super) fn state(&self, task: TaskId) -> TaskState {
        self.table.state(task)
    }

    pub(super) fn detail(&self, task: TaskId) -> Option<&StoredState> {
        self.details.get(&task)
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Tasks whose attempt is open, in order of id.
    pub(super) fn open(&self) -> impl Iterator<Item = (TaskId, &StoredState)> {
        self.details.iter().filter(|(_, detail)| detail.open.is_some()).map(|(task, detail)| (*task, detail))
    }

    /// Tasks that reserve more than others because an attempt of theirs had too little, in order of id.
    pub(super) fn reserved(&self) -> impl Iterator<Item = (TaskId, Bytes)> + '_ {
        self.details.iter().filter_map(|(task, detail)| Some((*task, detail.reserved?)))
    }

    /// All tasks, in order of id.
    pub(super) fn ids(&self) -> impl Iterator<Item = TaskId> + '_ {
        (0..self.table.len() as u32).map(TaskId).filter(|task| !self.table.is_hole(*task))
    }

    /// Tasks that were ever attempted, in order of id: what a store would hold.
    pub(super) fn recorded(&self) -> impl Iterator<Item = StoredTask> + '_ {
        self.ids().filter_map(|task| {
            let detail = self.details.get(&task).cloned();
            let state = self.state(task);
            (detail.is_some() || state != TaskState::Pending).then(|| StoredTask {
                task,
                path: self.path(task),
                state,
                detail: detail.unwrap_or_default(),
            })
        })
    }

    fn set_state(&mut self, task: TaskId, state: TaskState) {
        if self.table.is_hole(task) {
            return;
        }
        *self.counts.slot(self.state(task)) -= 1;
        *self.counts.slot(state) += 1;
        self.table.set_state(task, state);
    }

    /// Applies a fact: the only way in which a task's durable state changes.
    pub(super) fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::TaskNamed { task, .. } => {
                self.details.entry(*task).or_default();
            }
            Fact::AttemptPlanned { attempt, task, number, calibrating, .. } => {
                let detail = self.details.entry(*task).or_default();
                detail.attempts = *number;
                detail.retry_at = None;
                detail.open = Some(StoredAttempt {
                    attempt: *attempt,
                    number: *number,
                    identity: None,
                    accepted: None,
                });
                self.set_state(*task, if *calibrating { TaskState::Calibrating } else { TaskState::Running });
            }
            Fact::AttemptStarted { task, identity, fingerprint, .. } => {
                let detail = self.details.entry(*task).or_default();
                detail.fingerprint = Some(*fingerprint);
                if let Some(open) = &mut detail.open {
                    open.identity = Some(*identity);
                }
            }
            Fact::AttemptCalibrated { task, .. } => self.set_state(*task, TaskState::Running),
            // A frozen process does not outlive us: nothing of it is durable.
            Fact::AttemptFrozen { .. }
            | Fact::AttemptThawed { .. }
            | Fact::AttemptExited { .. }
            | Fact::Relearned { .. }
            | Fact::Calibrated { .. } => {}
            Fact::ReservationRaised { task, reserved, .. } => {
                self.details.entry(*task).or_default().reserved = Some(*reserved);
            }
            Fact::OutputAccepted { task, outputs, .. } => {
                let open = self.details.entry(*task).or_default().open.as_mut();
                if let Some(open) = open {
                    open.accepted = Some(outputs.clone());
                }
            }
            Fact::TaskCompleted { task, .. } => {
                self.details.remove(task);
                self.set_state(*task, TaskState::Completed);
            }
            Fact::AttemptFailed { task, retry_at, .. } => {
                let detail = self.details.entry(*task).or_default();
                detail.failures += 1;
                detail.open = None;
                detail.retry_at = Some(*retry_at);
                self.set_state(*task, TaskState::Pending);
            }
            Fact::AttemptTerminated { task, .. } => {
                self.details.entry(*task).or_default().open = None;
                self.set_state(*task, TaskState::Pending);
            }
            Fact::TaskFailed { task, .. } => {
                let detail = self.details.entry(*task).or_default();
                detail.failures += 1;
                detail.open = None;
                detail.reserved = None;
                self.set_state(*task, TaskState::Failed);
            }
            Fact::TaskReset { task, .. } => {
                let attempts = self.final_attempts(*task);
                let fresh = || StoredState { attempts, ..StoredState::default() };
                let detail = self.details.entry(*task).or_insert_with(fresh);
                detail.failures = 0;
                detail.fingerprint = None;
                detail.retry_at = None;
                detail.reserved = None;
                self.set_state(*task, TaskState::Pending);
            }
        }
    }

    /// Bytes that the table occupies, for the bench of memory a queued task.
    pub(super) fn heap_bytes(&self) -> usize {
        self.table.heap_bytes()
    }
}
