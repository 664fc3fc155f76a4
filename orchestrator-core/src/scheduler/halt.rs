//! When to stop the whole run: GNU Parallel's `--halt` in our words.

use super::Counts;

/// How to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HaltWhen {
    /// Stop what runs.
    Now,
    /// Start nothing new, let what runs end.
    Soon,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HaltTrigger {
    /// Tasks that failed for good.
    Fail,
    /// Tasks that completed.
    Success,
    /// Both.
    Done,
}

/// How many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// So many tasks.
    Count(u64),
    /// So many percent of the tasks finished so far, looked at from three on (as GNU Parallel does).
    Percent(f64),
}

/// When to stop the whole run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HaltPolicy {
    /// How.
    pub when: HaltWhen,
    /// What is counted.
    pub trigger: HaltTrigger,
    /// How many.
    pub limit: Quantity,
}

impl HaltPolicy {
    /// Whether the counts of this run (not of earlier ones) reach the limit. Percentages of `Done` are of all tasks.
    pub(super) fn struck(&self, completed: u64, failed: u64, all: &Counts) -> bool {
        let counted = match self.trigger {
            HaltTrigger::Fail => failed,
            HaltTrigger::Success => completed,
            HaltTrigger::Done => completed + failed,
        };
        match self.limit {
            Quantity::Count(limit) => counted >= limit.max(1),
            Quantity::Percent(limit) => {
                let base = if self.trigger == HaltTrigger::Done { all.total() } else { completed + failed };
                completed + failed >= 3 && counted as f64 * 100.0 >= limit * base as f64
            }
        }
    }
}
