//! Which task comes next: retries that are due, then those put back, then new ones in order of discovery.
//!
//! New tasks cost nothing here: their ids grow with discovery, so a cursor over the table of tasks is the queue.

use std::collections::{BTreeSet, VecDeque};

use super::TaskState;
use super::tasks::Tasks;
use crate::{TaskId, Timestamp};

/// Tasks that wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    /// Put back, or rediscovered after a resume: before the new ones.
    back: VecDeque<TaskId>,
    /// Not before a moment.
    delayed: BTreeSet<(Timestamp, TaskId)>,
    /// New tasks in a better order than that of discovery; what is not among them comes afterwards.
    arranged: VecDeque<TaskId>,
    /// Tasks from here on are new and in order.
    cursor: usize,
}

impl Queue {
    /// A queue whose new tasks begin behind the restored ones.
    pub(super) fn starting_at(cursor: usize) -> Self {
        Self { cursor, ..Self::default() }
    }

    /// A discovered task waits. Nothing to do for those behind the cursor.
    pub(super) fn discovered(&mut self, task: TaskId) {
        if (task.0 as usize) < self.cursor {
            self.back.push_back(task);
        }
    }

    /// A task waits again and comes next.
    pub(super) fn put_back(&mut self, task: TaskId) {
        self.back.push_front(task);
    }

    /// A task waits for a moment.
    pub(super) fn delay(&mut self, task: TaskId, until: Timestamp) {
        self.delayed.insert((until, task));
    }

    /// When the next delayed task is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.delayed.first().map(|(at, _)| *at)
    }

    /// When the next task becomes due that is not due now.
    pub(super) fn next_due_after(&self, now: Timestamp) -> Option<Timestamp> {
        let due_now = std::ops::Bound::Excluded((now, TaskId(u32::MAX)));
        self.delayed.range((due_now, std::ops::Bound::Unbounded)).next().map(|(at, _)| *at)
    }

    /// Takes the next task that may start now.
    pub(super) fn pop(&mut self, tasks: &Tasks, now: Timestamp) -> Option<TaskId> {
        if let Some((at, task)) = self.delayed.first().copied()
            && at <= now
        {
            self.delayed.pop_first();
            return Some(task);
        }
        while let Some(task) = self.back.pop_front() {
            if tasks.state(task) == TaskState::Pending {
                return Some(task);
            }
        }
        while let Some(task) = self.arranged.pop_front() {
            if is_untouched(tasks, task) {
                return Some(task);
            }
        }
        while self.cursor < tasks.len() {
            let task = TaskId(self.cursor as u32);
            self.cursor += 1;
            // Calibration may have taken it out of order; then it was attempted and, if need be, is delayed or back.
            if is_untouched(tasks, task) {
                return Some(task);
            }
        }
        None
    }

    /// What [`Queue::pop`] would take.
    pub(super) fn peek(&self, tasks: &Tasks, now: Timestamp) -> Option<TaskId> {
        let due = self.delayed.first().filter(|(at, _)| *at <= now).map(|(_, task)| *task);
        due.or_else(|| self.ahead(tasks).next())
    }

    /// Tasks that wait and may start now, retries left out, the next one first.
    pub(super) fn ahead<'a>(&'a self, tasks: &'a Tasks) -> impl Iterator<Item = TaskId> + 'a {
        let back = self.back.iter().copied().filter(|task| tasks.state(*task) == TaskState::Pending);
        let new = (self.cursor..tasks.len()).map(|at| TaskId(at as u32));
        back.chain(self.arranged.iter().copied().chain(new).filter(|task| is_untouched(tasks, *task)))
    }

    /// Takes one of those [`Queue::ahead`], which is about to be attempted: new ones are left out later because they are.
    pub(super) fn take(&mut self, task: TaskId) {
        if let Some(at) = self.back.iter().position(|one| *one == task) {
            self.back.remove(at);
        }
    }

    /// New tasks from the cursor on, in order of discovery.
    pub(super) fn untouched<'a>(&'a self, tasks: &'a Tasks) -> impl Iterator<Item = TaskId> + 'a {
        let new = (self.cursor..tasks.len()).map(|at| TaskId(at as u32));
        new.filter(|task| is_untouched(tasks, *task))
    }

    /// A better order of new tasks.
    pub(super) fn arrange(&mut self, order: VecDeque<TaskId>) {
        self.arranged = order;
    }

    /// Whether a task that was never attempted is still ahead of the cursor.
    pub(super) fn is_new(&self, tasks: &Tasks, task: TaskId) -> bool {
        task.0 as usize >= self.cursor && is_untouched(tasks, task)
    }
}

/// Whether a task waits that was never attempted.
fn is_untouched(tasks: &Tasks, task: TaskId) -> bool {
    tasks.state(task) == TaskState::Pending && tasks.detail(task).is_none()
}
