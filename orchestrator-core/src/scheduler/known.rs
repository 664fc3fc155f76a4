//! What a state directory knows of its tasks, as the scheduler keeps it: millions of them in a few bytes each.

use std::fmt;

use super::tasks::Tasks;
use super::{InputPath, StoredAttempt, StoredTask, TaskState};
use crate::TaskId;

/// Tasks of earlier runs. Filled one by one, so that a large state is never in memory twice.
#[derive(Clone, Default)]
pub struct KnownTasks(pub(super) Tasks);

impl KnownTasks {
    /// None yet, with room for so many.
    #[must_use]
    pub fn with_room_for(tasks: u64) -> Self {
        Self(Tasks::with_room_for(usize::try_from(tasks).unwrap_or_default()))
    }

    /// Adds a task; ids must grow. One that cannot be a task (no path, an id out of order) is left out: its input will be
    /// discovered again.
    pub fn add(&mut self, task: StoredTask) {
        self.0.restore(task);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.counts().total()
    }

    /// Each with its state, in order of id.
    pub fn states(&self) -> impl Iterator<Item = (TaskId, TaskState)> + '_ {
        self.0.ids().map(|task| (task, self.0.state(task)))
    }

    /// Attempts that have no end yet.
    pub fn open(&self) -> impl Iterator<Item = &StoredAttempt> {
        self.0.open().filter_map(|(_, detail)| detail.open.as_ref())
    }

    /// A task's path.
    #[must_use]
    pub fn path(&self, task: TaskId) -> InputPath {
        self.0.path(task)
    }
}

impl FromIterator<StoredTask> for KnownTasks {
    fn from_iter<T: IntoIterator<Item = StoredTask>>(tasks: T) -> Self {
        let mut known = Self::default();
        tasks.into_iter().for_each(|task| known.add(task));
        known
    }
}

impl fmt::Debug for KnownTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownTasks({})", self.count())
    }
}
