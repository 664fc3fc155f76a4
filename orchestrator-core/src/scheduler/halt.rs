//! When to stop the whole run: GNU Parallel's `--halt` in our words.

use super::Counts;
use crate::config::model::Halt;
use crate::config::values::Threshold;

/// Whether what finished in this run (not in earlier ones) reaches a threshold. Percentages of failures and successes
/// are of the tasks finished so far, looked at from three on (as GNU Parallel does); of `done`, of all tasks.
pub(super) fn struck(policy: &Halt, completed: u64, failed: u64, all: &Counts) -> bool {
    let finished = completed + failed;
    let reached = |threshold: Option<Threshold>, count: u64, total: u64| {
        threshold.is_some_and(|threshold| {
            let early = matches!(threshold, Threshold::Share(_)) && finished < 3;
            !early && threshold.reached(count, total)
        })
    };
    reached(policy.fail, failed, finished)
        || reached(policy.success, completed, finished)
        || reached(policy.done, finished, all.total())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_shares() {
        let all = Counts { pending: 90, completed: 8, failed: 2, ..Counts::default() };
        let fail = |threshold| Halt { fail: Some(threshold), ..Halt::default() };
        assert!(!struck(&Halt::default(), 8, 2, &all));
        assert!(struck(&fail(Threshold::Count(2)), 8, 2, &all));
        assert!(!struck(&fail(Threshold::Count(3)), 8, 2, &all));
        assert!(struck(&fail(Threshold::Share(20.0)), 8, 2, &all));
        assert!(!struck(&fail(Threshold::Share(50.0)), 0, 2, &all), "two say little");
        let done = Halt { done: Some(Threshold::Share(10.0)), ..Halt::default() };
        assert!(struck(&done, 8, 2, &all));
    }
}
