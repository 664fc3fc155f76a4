//! Which ladder to believe: each expert's for each price of a failure is an arm, and arms are held against what came.

use super::experts::{EXPERTS, Expert};
use super::ladder::charge;
use super::ratios::{Fitted, PENALTIES};

/// A result weighs this much less in a record than its successor.
const DECAY: f64 = 0.99;
/// What an arm would have cost over the results it was fitted to is worth so many results that came afterwards, and the
/// share of attempts that would have failed so many: of costs the sample says more, of failures it promises too little.
const COST_PRIOR: f64 = 20.0;
const FAILURES_PRIOR: f64 = 5.0;
/// With n results a ladder may cost this share / (n + 1) more for fewer failures: so uncertain are the costs.
const UNCERTAIN: f64 = 3.0;

/// What an arm has cost since, in decayed sums.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    cost: f64,
    weight: f64,
    failures: f64,
    tasks: f64,
}

impl Record {
    fn add(&mut self, cost: f64, failures: f64, weight: f64) {
        self.cost = self.cost * DECAY + weight * cost;
        self.weight = self.weight * DECAY + weight;
        self.failures = self.failures * DECAY + failures;
        self.tasks = self.tasks * DECAY + 1.0;
    }

    /// Cost and failed attempts a task, as a mean of what the fit promised and of what came.
    fn judge(&self, fitted: &Fitted) -> (f64, f64) {
        let blend = |promised: f64, sum: f64, weight: f64, prior: f64| {
            let share = self.tasks / (self.tasks + prior);
            if weight > 0.0 { share * sum / weight + (1.0 - share) * promised } else { promised }
        };
        (
            blend(fitted.cost, self.cost, self.weight, COST_PRIOR),
            blend(fitted.failures, self.failures, self.tasks, FAILURES_PRIOR),
        )
    }
}

/// The ladders of the last fit and the records of their arms.
#[derive(Clone, Debug, Default)]
pub(super) struct Arms {
    ladders: Vec<(Expert, Fitted)>,
    records: Vec<Record>,
}

impl Arms {
    /// Begins a new fit.
    pub(super) fn clear(&mut self) {
        self.ladders.clear();
        self.records.resize(EXPERTS * PENALTIES.len(), Record::default());
    }

    /// Adds the ladder of the next arm; arms come in the same order each time.
    pub(super) fn push(&mut self, expert: Expert, fitted: Fitted) {
        self.ladders.push((expert, fitted));
    }

    /// Holds the ladders against a peak that came: `said` is what the experts had said of it, `weight` what its time is worth.
    pub(super) fn score(&mut self, said: &[f64; EXPERTS], floor: f64, peak: f64, weight: f64) {
        for ((expert, fitted), record) in self.ladders.iter().zip(&mut self.records) {
            let (cost, failures) = charge(&fitted.rungs, said[*expert as usize], floor, peak);
            record.add(cost, failures, weight);
        }
    }

    /// The cheapest arm that fails no more often than is accepted; if that costs much more than the cheapest of all (by more than
    /// `dearer`, a share), the one among the affordable that fails least. `None` before the first fit.
    pub(super) fn best(&self, accepted: f64, dearer: f64, results: usize) -> Option<&(Expert, Fitted)> {
        let judged = || {
            let arms = self.ladders.iter().zip(&self.records);
            arms.map(|(arm, record)| (arm, record.judge(&arm.1)))
        };
        let cheapest = judged().map(|(_, (cost, _))| cost).fold(f64::INFINITY, f64::min);
        let budget = cheapest * (1.0 + dearer + UNCERTAIN / (results as f64 + 1.0));
        let safe = judged().filter(|(_, (_, failures))| *failures <= accepted);
        let safe = safe.min_by(|(_, (a, _)), (_, (b, _))| a.total_cmp(b));
        let best = safe.filter(|(_, (cost, _))| *cost <= budget).or_else(|| {
            let affordable = judged().filter(|(_, (cost, _))| *cost <= budget);
            affordable.min_by(|(_, (_, a)), (_, (_, b))| a.total_cmp(b))
        });
        best.map(|(arm, _)| arm)
    }
}

/// Failed attempts of our own ladders of late. Where they are more than is acceptable, fewer are accepted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    failed: f64,
    tasks: f64,
}

impl Failures {
    /// Failed attempts a task that are usual (above what is accepted of a single ladder: first results fail more often), and how many tasks' worth of them are assumed at first.
    const USUAL: f64 = 0.03;
    const ASSUMED: f64 = 20.0;
    /// A task weighs this much less than its successor.
    const DECAY: f64 = 0.98;

    pub(super) fn add(&mut self, failed: f64) {
        self.failed = self.failed * Self::DECAY + failed;
        self.tasks = self.tasks * Self::DECAY + 1.0;
    }

    /// Divides what is accepted; at least 1.
    pub(super) fn strictness(&self) -> f64 {
        let rate = (self.failed + Self::USUAL * Self::ASSUMED) / (self.tasks + Self::ASSUMED);
        (rate / Self::USUAL).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arms(ladders: &[(f64, f64)]) -> Arms {
        let mut arms = Arms::default();
        arms.clear();
        for (cost, failures) in ladders {
            let rungs = vec![*cost];
            arms.push(
                Expert::Largest,
                Fitted { rungs, cost: *cost, failures: *failures, ..Fitted::default() },
            );
        }
        arms
    }

    #[test]
    fn failures_are_bought_down_as_far_as_they_are_cheap() {
        let chosen = |ladders: &[(f64, f64)]| arms(ladders).best(0.03, 0.2, 1000).unwrap().1.cost;
        assert_eq!(chosen(&[(10.0, 0.02), (11.0, 0.0)]), 10.0, "the cheapest is safe enough");
        assert_eq!(
            chosen(&[(10.0, 0.2), (11.0, 0.01), (11.5, 0.0)]),
            11.0,
            "the cheapest that is safe enough"
        );
        assert_eq!(chosen(&[(10.0, 0.2), (11.0, 0.1), (90.0, 0.0)]), 11.0, "none that can be afforded is");
        assert!(Arms::default().best(0.03, 0.2, 0).is_none());
    }

    #[test]
    fn what_came_counts_for_more_than_what_was_promised() {
        let mut arms = arms(&[(10.0, 0.0), (11.0, 0.0)]);
        let said = [1.0; EXPERTS];
        (0..50).for_each(|_| arms.score(&said, 0.0, 10.5, 1.0));
        assert_eq!(arms.best(0.03, 0.2, 1000).unwrap().1.cost, 11.0);
    }
}
