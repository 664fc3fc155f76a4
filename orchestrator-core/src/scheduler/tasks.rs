//! The table of tasks: states, paths and the fold of facts.
//!
//! Sized for ten million waiting tasks: a path is bytes in one arena, a task is 8 bytes beside it (offset and length
//! packed, plus one byte of state); only tasks that were ever attempted and are not completed have more, in a map.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::{Fact, Fingerprint, InputPath, OutputRecord, ProcessIdentity};
use crate::{AttemptId, TaskId, Timestamp};

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

    fn from_u8(value: u8) -> Self {
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

/// FNV-1a (Fowler, Noll, Vo): a fixed hasher, so that core behaves the same in every run.
#[derive(Clone)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        // The table uses the top seven bits: mix them.
        self.0 ^ (self.0 >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

fn hash(path: &[u8]) -> u64 {
    BuildHasherDefault::<Fnv>::default().hash_one(path)
}

/// Arena entry: 40 bits of offset (a terabyte of names), 16 of length, 8 of state.
#[derive(Clone, Copy)]
struct Entry(u64);

impl Entry {
    fn new(offset: usize, length: usize) -> Self {
        Self((offset as u64) << 24 | (length as u64 & 0xffff) << 8)
    }
    fn range(self) -> std::ops::Range<usize> {
        let offset = (self.0 >> 24) as usize;
        offset..offset + ((self.0 >> 8) & 0xffff) as usize
    }
    fn state(self) -> TaskState {
        TaskState::from_u8(self.0 as u8 & 0x0f)
    }
    fn set_state(&mut self, state: TaskState) {
        self.0 = self.0 & !0x0f | state as u64;
    }
    /// Whether a scan of this run has found it.
    fn seen(self) -> bool {
        self.0 & SEEN != 0
    }
    /// An id that no task has yet: left between the ids of restored tasks, given to later discoveries.
    fn is_hole(self) -> bool {
        self.0 >> 8 & 0xffff == 0
    }
}

const SEEN: u64 = 0x10;

/// The table of tasks.
#[derive(Clone, Default)]
pub(super) struct Tasks {
    names: Vec<u8>,
    entries: Vec<Entry>,
    index: HashTable<u32>,
    details: BTreeMap<TaskId, StoredState>,
    /// Tasks that were final when restored, in order of id: the fingerprint, to notice inputs changed since, and how
    /// many attempts they took, so that numbers go on when they are new work.
    finals: Vec<(TaskId, u32, Option<Fingerprint>)>,
    counts: Counts,
    /// Where to look for the next hole.
    hole: usize,
    restored: usize,
}

impl Tasks {
    /// Adds a task unless its path is known. Returns its id and whether it is new; `None` when the path cannot be a
    /// task's (empty, or longer than 65,535 bytes).
    pub(super) fn insert(&mut self, path: &[u8]) -> Option<(TaskId, bool)> {
        if path.is_empty() || path.len() > 0xffff || self.entries.len() >= u32::MAX as usize {
            return None;
        }
        let hashed = hash(path);
        let (names, entries) = (&self.names, &self.entries);
        if let Some(known) = self.index.find(hashed, |id| &names[entries[*id as usize].range()] == path) {
            return Some((TaskId(*known), false));
        }
        let id = self.next_id();
        self.place(id, path, hashed);
        self.counts.pending += 1;
        Some((TaskId(id), true))
    }

    /// The id of a path.
    pub(super) fn find(&self, path: &[u8]) -> Option<TaskId> {
        let found = self.index.find(hash(path), |id| &self.names[self.entries[*id as usize].range()] == path);
        found.map(|id| TaskId(*id))
    }

    /// Puts a path under an id, which is a hole or the next one.
    fn place(&mut self, id: u32, path: &[u8], hashed: u64) {
        let entry = Entry::new(self.names.len(), path.len());
        match self.entries.get_mut(id as usize) {
            Some(hole) => *hole = entry,
            None => self.entries.push(entry),
        }
        self.names.extend_from_slice(path);
        let (names, entries) = (&self.names, &self.entries);
        self.index.insert_unique(hashed, id, |id| hash(&names[entries[*id as usize].range()]));
    }

    /// The next free id: a hole left by [`Tasks::restore`], or one past the last.
    fn next_id(&mut self) -> u32 {
        while self.hole < self.restored && !self.entries[self.hole].is_hole() {
            self.hole += 1;
        }
        if self.hole < self.restored { self.hole as u32 } else { self.entries.len() as u32 }
    }

    /// Restores a loaded task under its own id; ids between that were never recorded become holes. Tasks must come in
    /// order of id, before any discovery. A row that cannot be a task's (bad path, id out of order) is left out:
    /// its input will be discovered again.
    pub(super) fn restore(&mut self, stored: StoredTask) {
        let (id, path) = (stored.task.0 as usize, stored.path.as_bytes());
        if path.is_empty() || path.len() > 0xffff || id < self.entries.len() || self.find(path).is_some() {
            return;
        }
        self.entries.resize(id, Entry::new(0, 0));
        self.place(stored.task.0, path, hash(path));
        self.restored = self.entries.len();
        self.counts.pending += 1;
        self.set_state(stored.task, stored.state);
        let is_final = matches!(stored.state, TaskState::Completed | TaskState::Failed);
        if is_final {
            self.finals.push((stored.task, stored.detail.attempts, stored.detail.fingerprint));
        }
        if stored.state != TaskState::Completed {
            self.details.insert(stored.task, stored.detail);
        }
    }

    /// Ids below this one were restored (or are holes between such).
    pub(super) fn restored_len(&self) -> usize {
        self.restored
    }

    /// Notes that a scan found the task; returns whether it had not been found before in this run.
    pub(super) fn see(&mut self, task: TaskId) -> bool {
        let Some(entry) = self.entries.get_mut(task.0 as usize) else { return false };
        let first = !entry.seen();
        entry.0 |= SEEN;
        first
    }

    /// Restored tasks that wait but that no scan of this run has found.
    pub(super) fn unseen_pending(&self) -> Vec<TaskId> {
        let pending =
            |entry: &Entry| !entry.is_hole() && !entry.seen() && entry.state() == TaskState::Pending;
        (0..self.restored).filter(|id| pending(&self.entries[*id])).map(|id| TaskId(id as u32)).collect()
    }

    /// The fingerprint under which a restored task became final.
    pub(super) fn final_print(&self, task: TaskId) -> Option<Fingerprint> {
        let at = self.finals.binary_search_by_key(&task, |(task, ..)| *task).ok()?;
        self.finals[at].2
    }

    /// How many attempts a task had taken that was final when restored.
    fn final_attempts(&self, task: TaskId) -> u32 {
        let at = self.finals.binary_search_by_key(&task, |(task, ..)| *task);
        at.map_or(0, |at| self.finals[at].1)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn path(&self, task: TaskId) -> InputPath {
        InputPath::new(self.entries.get(task.0 as usize).map_or(&[], |entry| &self.names[entry.range()]))
    }

    pub(super) fn state(&self, task: TaskId) -> TaskState {
        self.entries.get(task.0 as usize).map_or(TaskState::Pending, |entry| entry.state())
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

    /// Tasks that were ever attempted, in order of id: what a store would hold.
    pub(super) fn recorded(&self) -> impl Iterator<Item = StoredTask> + '_ {
        (0..self.entries.len() as u32).map(TaskId).filter_map(|task| {
            if self.entries[task.0 as usize].is_hole() {
                return None;
            }
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
        let Some(entry) = self.entries.get_mut(task.0 as usize) else { return };
        *self.counts.slot(entry.state()) -= 1;
        *self.counts.slot(state) += 1;
        entry.set_state(state);
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
            | Fact::Calibrated { .. } => {}
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
                self.set_state(*task, TaskState::Failed);
            }
            Fact::TaskReset { task, .. } => {
                let attempts = self.final_attempts(*task);
                let fresh = || StoredState { attempts, ..StoredState::default() };
                let detail = self.details.entry(*task).or_insert_with(fresh);
                detail.failures = 0;
                detail.fingerprint = None;
                detail.retry_at = None;
                self.set_state(*task, TaskState::Pending);
            }
        }
    }

    /// Bytes that the table occupies, for the bench of memory a queued task.
    pub(super) fn heap_bytes(&self) -> usize {
        self.names.capacity() + self.entries.capacity() * size_of::<Entry>() + self.index.allocation_size()
    }
}
