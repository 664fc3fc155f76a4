//! Paths and states by task: five bytes a task beside its name, and an index from path to task.
//!
//! Sized for ten million waiting tasks: names share what they have in common ([`Names`]), the index keeps task numbers
//! alone and looks at the names for the rest.

use hashbrown::HashTable;

use super::names::{Name, Names, hash_of};
use super::{InputPath, TaskState};
use crate::TaskId;
use crate::predict::Kind;

/// Parts of the index: one at a time grows, so that no single discovery waits for all names to be hashed again.
const PARTS: usize = 64;
/// Where a name lies takes so many bits; all of them set is no place.
const PLACE_BITS: u32 = 36;
const NOWHERE: u64 = (1 << PLACE_BITS) - 1;
const SEEN: u8 = 0x8;

/// 36 bits of place (64 GiB of what names do not share), one whether it was seen, three of state.
#[derive(Clone, Copy)]
struct Entry([u8; 5]);

impl Entry {
    const HOLE: Self = Self([0xf0, 0xff, 0xff, 0xff, 0xff]);

    fn new(place: u64) -> Self {
        let [low @ .., _, _, _] = (place << 4).to_le_bytes();
        Self(low)
    }

    fn place(self) -> u64 {
        let [a, b, c, d, e] = self.0;
        u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]) >> 4
    }

    fn is_hole(self) -> bool {
        self.place() == NOWHERE
    }

    fn state(self) -> TaskState {
        TaskState::from_u8(self.0[0] & 0x7)
    }
}

/// Task numbers by the hash of their paths.
#[derive(Clone)]
struct Index(Vec<HashTable<u32>>);

impl Default for Index {
    fn default() -> Self {
        Self(vec![HashTable::new(); PARTS])
    }
}

/// A part is chosen by bits that its table does not use (it takes the lowest and the seven highest).
fn part(hashed: u64) -> usize {
    (hashed >> 48) as usize % PARTS
}

/// Paths and states. An id that no task has yet is a hole: left between the ids of restored tasks, given to later
/// discoveries.
#[derive(Clone, Default)]
pub(super) struct Table {
    names: Names,
    entries: Vec<Entry>,
    index: Index,
    /// The id after the one that was last asked for: a scan finds restored tasks in the order in which one found them
    /// before, so it is mostly the next one that is asked for, and the index need not be looked at.
    next: u32,
}

impl Table {
    /// A table that so many tasks fit into without the index growing.
    pub(super) fn with_room_for(tasks: usize) -> Self {
        let part = HashTable::with_capacity(tasks / PARTS);
        Self { index: Index(vec![part; PARTS]), ..Self::default() }
    }

    /// One past the last id.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn name(&self, id: u32) -> Name<'_> {
        self.names.at(self.entries.get(id as usize).map_or(NOWHERE, |entry| entry.place()))
    }

    /// The id of a path that a scan found.
    pub(super) fn find_in_turn(&mut self, path: &[u8]) -> Option<TaskId> {
        let next = TaskId(self.next);
        let found = if self.name(next.0).is(path) { Some(next) } else { self.find(path) };
        self.next = found.map_or(self.next, |found| found.0.saturating_add(1));
        found
    }

    /// The id of a path.
    pub(super) fn find(&self, path: &[u8]) -> Option<TaskId> {
        let hashed = hash_of(path);
        self.index.0[part(hashed)].find(hashed, |id| self.name(*id).is(path)).map(|id| TaskId(*id))
    }

    /// Puts a path that no task has under an id, which is a hole or the next one. False when there is no place left.
    pub(super) fn place(&mut self, id: TaskId, path: &[u8]) -> bool {
        let place = self.names.add(path);
        if place >= NOWHERE {
            return false;
        }
        match self.entries.get_mut(id.0 as usize) {
            Some(hole) => *hole = Entry::new(place),
            None => self.entries.push(Entry::new(place)),
        }
        let (names, entries, hashed) = (&self.names, &self.entries, hash_of(path));
        let hash = |id: &u32| names.at(entries[*id as usize].place()).hash();
        self.index.0[part(hashed)].insert_unique(hashed, id.0, hash);
        true
    }

    /// Makes holes of all ids up to this one.
    pub(super) fn skip_to(&mut self, id: TaskId) {
        self.entries.resize(id.0 as usize, Entry::HOLE);
    }

    /// Whether no task has the id.
    pub(super) fn is_hole(&self, id: TaskId) -> bool {
        self.entries.get(id.0 as usize).is_none_or(|entry| entry.is_hole())
    }

    /// What sort of file the path says it is.
    pub(super) fn kind(&self, task: TaskId) -> Option<Kind> {
        Kind::of(self.name(task.0).end(&mut [0; Kind::LOOKED_AT]))
    }

    /// The path; empty for a hole.
    pub(super) fn path(&self, task: TaskId) -> InputPath {
        InputPath::new(&self.name(task.0).to_bytes())
    }

    /// The state; PENDING for a hole.
    pub(super) fn state(&self, task: TaskId) -> TaskState {
        self.entries.get(task.0 as usize).map_or(TaskState::Pending, |entry| entry.state())
    }

    pub(super) fn set_state(&mut self, task: TaskId, state: TaskState) {
        if let Some(Entry([low, ..])) = self.entries.get_mut(task.0 as usize) {
            *low = *low & !0x7 | state as u8;
        }
    }

    /// Whether [`Table::see`] was called for the task.
    pub(super) fn seen(&self, task: TaskId) -> bool {
        self.entries.get(task.0 as usize).is_some_and(|entry| entry.0[0] & SEEN != 0)
    }

    /// Notes that a scan found the task; returns whether it had not been found before.
    pub(super) fn see(&mut self, task: TaskId) -> bool {
        let Some(Entry([low, ..])) = self.entries.get_mut(task.0 as usize) else { return false };
        let first = *low & SEEN == 0;
        *low |= SEEN;
        first
    }

    /// Bytes of heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let index: usize = self.index.0.iter().map(HashTable::allocation_size).sum();
        self.names.heap_bytes() + self.entries.capacity() * size_of::<Entry>() + index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_states_and_paths_are_told_apart_in_any_order() {
        let mut table = Table::default();
        let name = |id: u32| format!("dir-{}/file-{id:05}.dat", id % 7).into_bytes();
        table.skip_to(TaskId(500));
        assert!(table.is_hole(TaskId(3)) && !table.see(TaskId(501)));
        for id in (500..3_000).chain((0..500).rev()) {
            assert!(table.place(TaskId(id), &name(id)));
            table.set_state(TaskId(id), if id % 3 == 0 { TaskState::Failed } else { TaskState::Running });
        }
        for id in 0..3_000 {
            let task = TaskId(id);
            assert_eq!(table.path(task).as_bytes(), name(id));
            assert_eq!(table.find(&name(id)), Some(task));
            assert!(!table.is_hole(task) && !table.seen(task) && table.see(task) && !table.see(task));
            table.set_state(task, TaskState::Completed);
            assert!(table.seen(task) && table.state(task) == TaskState::Completed);
        }
        for id in (0..3_000).chain([7, 8, 2_999, 0, 5]) {
            assert_eq!(table.find_in_turn(&name(id)), Some(TaskId(id)));
        }
        let unknown = b"dir-1/file-00002.dat";
        assert_eq!((table.find(unknown), table.find_in_turn(unknown), table.len()), (None, None, 3_000));
    }

    #[test]
    fn the_last_place_is_none() {
        assert!(Entry::HOLE.is_hole() && Entry::HOLE.state() == TaskState::Pending);
        let entry = Entry::new(NOWHERE - 1);
        assert!(!entry.is_hole() && entry.place() == NOWHERE - 1 && entry.state() == TaskState::Pending);
    }
}
