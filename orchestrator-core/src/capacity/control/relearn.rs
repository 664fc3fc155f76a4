//! What the law is told of tasks beside what it sees: that one needs more than it thought, that all have changed.

use super::law::Control;
use super::reading::Candidate;

impl Control {
    /// A task died for want of memory: its next attempt reserves at least so many bytes.
    pub fn reserve_at_least(&mut self, candidate: Candidate, bytes: f64) {
        let Some(need) = self.sizes.need(candidate.input).filter(|need| need.mean >= 1.0) else { return };
        let raised = self.raised.entry(candidate.task).or_insert(1.0);
        *raised = raised.max(bytes / need.mean);
    }

    /// Bytes that a task's next attempt is expected to need.
    #[must_use]
    pub fn reserves(&self, candidate: Candidate) -> f64 {
        self.need(candidate).mean
    }

    /// Tasks are not what they were: all results but the last `keep` are forgotten.
    pub fn relearn(&mut self, keep: usize) {
        self.sizes.keep_last(keep);
        self.progress.keep_last(keep);
        self.records.keep_last(keep);
        self.stale = true;
    }
}
