//! The ladder: which sequence of allocations costs least in expectation.
//!
//! A task is first run with allocation a₁; if it needs more it fails and is run again with a₂ > a₁, and so on. Its cost
//! is what is reserved in vain: the failed allocations (times the failure penalty), then what the last one leaves
//! unused. Over a weighted sample of needs the least expected cost is found exactly by dynamic programming over a
//! bounded set of candidate rungs (Tovar et al., "A job sizing strategy for high-throughput scientific workflows",
//! IEEE TPDS 2018, with more than two rungs and a penalty).

/// Shares of the weight at which a rung may stand, besides the largest values.
const QUANTILES: [f64; 11] = [0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98, 1.0];
/// The largest values are candidates one by one.
const LARGEST: usize = 6;
/// At most this many candidates.
const CANDIDATES: usize = QUANTILES.len() + LARGEST;

/// A weighted sample of needs, ascending, with running sums.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    values: Vec<f64>,
    /// Σ weight up to and including.
    weight: Vec<f64>,
    /// Σ weight · value up to and including.
    moment: Vec<f64>,
}

impl Needs {
    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.weight.clear();
        self.moment.clear();
    }

    /// Adds the next value; values come in ascending order.
    pub(super) fn push(&mut self, value: f64, weight: f64) {
        debug_assert!(self.values.last().is_none_or(|last| *last <= value));
        let (sum, moment) = (self.total(), self.moment.last().copied().unwrap_or(0.0));
        self.values.push(value);
        self.weight.push(sum + weight);
        self.moment.push(moment + weight * value);
    }

    pub(super) fn total(&self) -> f64 {
        self.weight.last().copied().unwrap_or(0.0)
    }

    /// The smallest value below or at which a share `q` of the weight lies; `None` of nothing.
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        let wanted = q * self.total() - 1e-12;
        let at = self.weight.partition_point(|sum| *sum < wanted);
        self.values.get(at.min(self.values.len().checked_sub(1)?)).copied()
    }

    fn candidates(&self) -> Vec<f64> {
        let mut out: Vec<f64> = Vec::with_capacity(CANDIDATES);
        out.extend(QUANTILES.iter().filter_map(|q| self.quantile(*q)));
        out.extend_from_slice(&self.values[self.values.len().saturating_sub(LARGEST)..]);
        out.sort_unstable_by(f64::total_cmp);
        out.dedup();
        out
    }

    /// The ladder of least expected cost, ascending; empty of nothing. Its last rung covers every value.
    ///
    /// `penalty` multiplies what a failed allocation costs. O(c²) for c ≤ 17 candidates.
    pub(super) fn cheapest_ladder(&self, penalty: f64) -> Vec<f64> {
        let rungs = self.candidates();
        let Some(last) = rungs.len().checked_sub(1) else { return Vec::new() };
        let total = self.total();
        let sums: Vec<(f64, f64)> = rungs
            .iter()
            .map(|rung| {
                let covered = self.values.partition_point(|value| value <= rung);
                covered.checked_sub(1).map_or((0.0, 0.0), |at| (self.weight[at], self.moment[at]))
            })
            .collect();
        // cost[s]: least cost of the needs above rung s − 1, given that all rungs up to it failed.
        let mut cost = [0.0; CANDIDATES + 1];
        let mut next = [0usize; CANDIDATES + 1];
        for state in (0..=last).rev() {
            let (below, moment) = if state == 0 { (0.0, 0.0) } else { sums[state - 1] };
            let mut best = f64::INFINITY;
            for choice in state..=last {
                let (weight, sum) = sums[choice];
                let unused = rungs[choice] * (weight - below) - (sum - moment);
                let failed = (total - weight).max(0.0) * rungs[choice] * penalty;
                let candidate = unused + failed + cost[choice + 1];
                if candidate < best {
                    best = candidate;
                    next[state] = choice;
                }
            }
            cost[state] = best;
        }
        let mut ladder = Vec::new();
        let mut state = 0;
        loop {
            ladder.push(rungs[next[state]]);
            if next[state] == last {
                return ladder;
            }
            state = next[state] + 1;
        }
    }
}

/// What a ladder costs a task that needs `need` (failed allocations, then what is left unused), and how many attempts fail.
/// Past its end a ladder doubles.
pub(super) fn charge(ladder: &[f64], scale: f64, floor: f64, need: f64) -> (f64, f64) {
    // Most needs are met by the first rung.
    if let Some(first) = ladder.first() {
        let rung = (first * scale).max(floor);
        if rung >= need {
            return (rung - need, 0.0);
        }
    }
    let (mut lost, mut failures) = (0.0, 0.0);
    let mut rungs = ladder.iter().map(|value| (value * scale).max(floor));
    let mut rung = rungs.next().unwrap_or(floor);
    while rung < need {
        if !(rung > 0.0 && rung.is_finite()) {
            return (lost, failures);
        }
        lost += rung;
        failures += 1.0;
        rung = rungs.next().unwrap_or(2.0 * rung);
    }
    (lost + rung - need, failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(values: &[(f64, f64)]) -> Needs {
        let mut needs = Needs::default();
        for (value, weight) in values {
            needs.push(*value, *weight);
        }
        needs
    }

    /// What a ladder that covers the need costs where a failed allocation counts `penalty` times.
    fn cost(ladder: &[f64], need: f64, penalty: f64) -> f64 {
        let failed: f64 = ladder.iter().take_while(|rung| **rung < need).sum();
        failed * penalty + ladder.iter().find(|rung| **rung >= need).unwrap() - need
    }

    /// Every subset of the candidates that ends in the largest, by brute force.
    fn brute_force(values: &[(f64, f64)], penalty: f64) -> f64 {
        let n = values.len();
        let expected = |ladder: &[f64]| -> f64 {
            values.iter().map(|(need, weight)| weight * cost(ladder, *need, penalty)).sum()
        };
        (0..1u32 << (n - 1))
            .map(|mask| {
                let mut ladder: Vec<f64> =
                    (0..n - 1).filter(|bit| mask >> bit & 1 == 1).map(|bit| values[bit].0).collect();
                ladder.push(values[n - 1].0);
                expected(&ladder)
            })
            .fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn the_ladder_costs_what_the_best_of_all_ladders_costs() {
        let cases: [&[(f64, f64)]; 3] = [
            &[(1.0, 0.9), (10.0, 0.1)],
            &[(1.0, 0.5), (1.1, 0.2), (5.0, 0.2), (40.0, 0.1)],
            &[(2.0, 1.0), (2.1, 1.0), (2.2, 1.0), (9.0, 1.0), (9.5, 0.1), (30.0, 0.05)],
        ];
        for values in cases {
            for penalty in [1.0, 3.0] {
                let ladder = needs(values).cheapest_ladder(penalty);
                let expected: f64 = values.iter().map(|(v, w)| w * cost(&ladder, *v, penalty)).sum();
                assert!(
                    (expected - brute_force(values, penalty)).abs() < 1e-9,
                    "{values:?} {penalty} {ladder:?}"
                );
                assert_eq!(ladder.last(), values.last().map(|(value, _)| value));
            }
        }
    }

    #[test]
    fn a_dearer_failure_raises_the_first_rung() {
        let values = [(1.0, 0.7), (2.0, 0.3)];
        assert_eq!(needs(&values).cheapest_ladder(1.0), [1.0, 2.0]);
        assert_eq!(needs(&values).cheapest_ladder(5.0), [2.0]);
    }

    #[test]
    fn past_its_end_a_ladder_doubles() {
        // 10 fails, 20 covers; a floor lifts every rung.
        assert_eq!(charge(&[10.0], 1.0, 0.0, 18.0), (10.0 + 2.0, 1.0));
        assert_eq!(charge(&[1.0, 3.0], 10.0, 16.0, 15.0), (1.0, 0.0));
        assert_eq!(charge(&[], 1.0, 0.0, 15.0), (0.0, 0.0));
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(Needs::default().cheapest_ladder(3.0).is_empty());
        assert_eq!(Needs::default().quantile(0.5), None);
    }
}
