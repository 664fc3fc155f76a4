//! What happened so far, as the views tell it: fold of the facts, kept small however long the run.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use orchestrator_core::metrics::Usage;
use orchestrator_core::scheduler::{Fact, FailureCategory, FailureReason, InputPath};
use orchestrator_core::view::Snapshot;
use orchestrator_core::{Bytes, TaskId, Timestamp};
use orchestrator_ports::{Notice, Subscriber};

/// Failures that are kept word for word; the state has them all.
const KEPT: usize = 10;

/// A task that failed for good in this run.
#[derive(Clone, Debug)]
pub(crate) struct FailedTask {
    /// Its path; the task's number where it is not known.
    pub(crate) path: String,
    /// Why.
    pub(crate) reason: FailureReason,
}

/// The story of a run.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// Paths of the tasks that were attempted and are not final.
    names: HashMap<TaskId, InputPath>,
    /// Tasks that became final with the last facts; their names are forgotten with the next ones.
    done: Vec<TaskId>,
    /// Failures for good by kind.
    pub(crate) failures: BTreeMap<FailureCategory, u64>,
    /// The first failures.
    pub(crate) first_failures: Vec<FailedTask>,
    /// CPU time of all attempts that ended.
    pub(crate) cpu: Duration,
    /// Largest resident memory of one attempt.
    pub(crate) peak_rss: Bytes,
    /// The last snapshot.
    pub(crate) last: Option<Snapshot>,
}

impl Story {
    /// The story of a run that goes on with these tasks.
    pub(crate) fn new(known: Vec<(TaskId, InputPath)>) -> Self {
        Self { names: known.into_iter().collect(), ..Self::default() }
    }

    /// The task's path; `task 17` where it is not known.
    pub(crate) fn name(&self, task: TaskId) -> String {
        self.path(task).map_or_else(|| format!("task {task}"), ToString::to_string)
    }

    /// The task's path.
    pub(crate) fn path(&self, task: TaskId) -> Option<&InputPath> {
        self.names.get(&task)
    }

    /// Failures for good in this run.
    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    fn tell(&mut self, fact: &Fact) {
        match fact {
            Fact::TaskNamed { task, path } => {
                self.names.insert(*task, path.clone());
            }
            Fact::AttemptExited { usage, .. } => self.used(usage),
            Fact::TaskCompleted { task, .. } => self.done.push(*task),
            Fact::TaskFailed { task, reason, .. } => {
                self.done.push(*task);
                *self.failures.entry(reason.category()).or_default() += 1;
                if self.first_failures.len() < KEPT {
                    self.first_failures.push(FailedTask { path: self.name(*task), reason: reason.clone() });
                }
            }
            _ => {}
        }
    }

    fn used(&mut self, usage: &Usage) {
        self.cpu += usage.cpu();
        self.peak_rss = self.peak_rss.max(usage.peak_rss);
    }

    fn forget_done(&mut self) {
        for task in self.done.drain(..) {
            self.names.remove(&task);
        }
    }
}

/// Keeps the story; is told first, so that the other views find it complete.
pub(crate) struct Historian(Rc<RefCell<Story>>);

impl Historian {
    pub(crate) fn new(story: Rc<RefCell<Story>>) -> Self {
        Self(story)
    }
}

impl Subscriber for Historian {
    fn facts(&mut self, _at: Timestamp, facts: &[Fact]) {
        let mut story = self.0.borrow_mut();
        story.forget_done();
        facts.iter().for_each(|fact| story.tell(fact));
    }

    fn snapshot(&mut self, snapshot: &Snapshot) {
        self.0.borrow_mut().last = Some(snapshot.clone());
    }

    fn notice(&mut self, _at: Timestamp, _notice: &Notice) {}
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use orchestrator_core::AttemptId;

    /// Facts of a task that fails for good.
    pub(crate) fn failing(task: u32, path: &[u8], reason: FailureReason) -> Vec<Fact> {
        let (task, attempt, at) = (TaskId(task), AttemptId(u64::from(task)), Timestamp(5));
        vec![
            Fact::TaskNamed { task, path: InputPath::new(path) },
            Fact::TaskFailed { task, attempt, reason, at },
        ]
    }

    #[test]
    fn names_are_known_while_a_task_is_told_of_and_forgotten_afterwards() {
        let story = Rc::new(RefCell::new(Story::default()));
        let mut historian = Historian::new(Rc::clone(&story));
        historian.facts(Timestamp(1), &failing(3, b"bad\n.dat", FailureReason::ExitCode(7)));
        assert_eq!(story.borrow().name(TaskId(3)), "bad\\x0a.dat");
        historian.facts(Timestamp(2), &[]);
        assert_eq!(story.borrow().name(TaskId(3)), "task 3");
        assert_eq!(story.borrow().failures[&FailureCategory::ExitCode], 1);
        assert_eq!(story.borrow().first_failures[0].path, "bad\\x0a.dat");
    }
}
