//! How far what was said of tasks lay from what came.

use serde::{Deserialize, Serialize};

use crate::predict::AmountPrediction;

/// Errors are counted in steps of one hundredth, up to this many; the last holds all larger ones.
const STEPS: usize = 200;

/// How right predictions of run time were, over all completed tasks of a run that had one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Tasks judged.
    pub tasks: u64,
    /// Half of the tasks were nearer to their p50 than this, relative to it: 0.08 = 8 %.
    pub median_error: f64,
    /// Share of the tasks that took no more than their p95.
    pub within_p95: f64,
}

/// Counts errors. Memory is bounded.
#[derive(Clone, Debug)]
pub(super) struct Errors {
    steps: Box<[u32]>,
    tasks: u64,
    within: u64,
    /// Mean absolute log ratio of late.
    spread: f64,
}

impl Default for Errors {
    fn default() -> Self {
        Self { steps: vec![0; STEPS + 1].into(), tasks: 0, within: 0, spread: 0.0 }
    }
}

impl Errors {
    pub(super) fn add(&mut self, said: AmountPrediction, came: f64) {
        let (p50, came) = (said.p50.max(1e-3), came.max(1e-3));
        let step = ((came / p50 - 1.0).abs() * 100.0).min(STEPS as f64) as usize;
        self.steps[step] = self.steps[step].saturating_add(1);
        self.tasks += 1;
        self.within += u64::from(came <= said.p95);
        let weight = 1.0 / self.tasks.min(50) as f64;
        self.spread += weight * ((came / p50).ln().abs().min(3.0) - self.spread);
    }

    /// Relative error of a mean over many tasks that comes from what was learned being off, 1 standard deviation.
    pub(super) fn of_the_mean(&self, results: usize) -> f64 {
        let spread = if self.tasks < 3 { 0.3 } else { self.spread };
        0.02 + 1.25 * spread / (results.clamp(1, 100) as f64).sqrt()
    }

    pub(super) fn accuracy(&self) -> Accuracy {
        let mut before = 0;
        let middle = self.steps.iter().position(|count| {
            before += u64::from(*count);
            2 * before >= self.tasks
        });
        Accuracy {
            tasks: self.tasks,
            median_error: middle.filter(|_| self.tasks > 0).map_or(0.0, |step| (step as f64 + 0.5) / 100.0),
            within_p95: self.within as f64 / self.tasks.max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_tasks_were_nearer() {
        let mut errors = Errors::default();
        let said = AmountPrediction { p50: 10.0, p95: 12.0 };
        for came in [10.0, 10.5, 11.15, 8.0, 400.0] {
            errors.add(said, came);
        }
        let accuracy = errors.accuracy();
        assert_eq!((accuracy.tasks, accuracy.within_p95), (5, 0.8));
        assert!((accuracy.median_error - 0.115).abs() < 0.006, "{accuracy:?}");
        assert_eq!(Errors::default().accuracy(), Accuracy { tasks: 0, median_error: 0.0, within_p95: 0.0 });
    }
}
