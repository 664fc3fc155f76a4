//! The ratios of true peaks to what one expert had said, sorted as they come in, and the ladder they ask for.

use super::ladder::{Needs, cost_of};

/// Where the weight beyond the largest ratio lies: (share of it, distance in spreads of the log ratios).
const TAIL: [(f64, f64); 4] = [(0.4, 0.2), (0.3, 0.4), (0.2, 0.8), (0.1, 1.6)];
/// Spread of the log ratios that is believed before they have shown one, as one observation.
const PRIOR_SPREAD: f64 = 0.01;
/// The spread of the log ratios is taken between these.
const SPREAD: (f64, f64) = (0.003, 0.7);
/// Past its last rung a ladder goes on by these factors of it, then doubles.
pub(super) const BEYOND: [f64; 2] = [1.25, 1.6];

/// One expert's ratios in ascending order, each with the serial number of its result.
#[derive(Clone, Debug, Default)]
pub(super) struct Ratios {
    sorted: Vec<(f64, u64)>,
}

/// One kept result, as the scoring of an expert needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scored {
    /// What the expert had said, bytes.
    pub(super) said: f64,
    /// The true peak, bytes.
    pub(super) peak: f64,
    /// Its weight; the weights of all add up to 1.
    pub(super) weight: f64,
}

/// The best ladder over one expert's ratios.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fitted {
    /// Multiples of what the expert says, ascending.
    pub(super) rungs: Vec<f64>,
    /// What it would have cost over the past, the tail included, bytes a task.
    pub(super) cost: f64,
    /// Median of the ratios, tail included.
    pub(super) p50: f64,
    /// 95th percentile of the ratios, tail included.
    pub(super) p95: f64,
}

impl Ratios {
    pub(super) fn insert(&mut self, ratio: f64, serial: u64) {
        let at = self.sorted.partition_point(|(other, _)| *other < ratio);
        self.sorted.insert(at, (ratio, serial));
    }

    pub(super) fn remove(&mut self, ratio: f64, serial: u64) {
        let from = self.sorted.partition_point(|(other, _)| *other < ratio);
        if let Some(at) = self.sorted[from..].iter().position(|(_, other)| *other == serial) {
            self.sorted.remove(from + at);
        }
    }

    /// The cheapest ladder. `past[serial − first]` are the kept results; `needs` is scratch space.
    pub(super) fn fit(
        &self,
        past: &[Scored],
        first: u64,
        penalty: f64,
        floor: f64,
        needs: &mut Needs,
    ) -> Fitted {
        let Some((highest, _)) = self.sorted.last().copied() else { return Fitted::default() };
        let weight = |serial: u64| past[(serial - first) as usize].weight;
        let spread = self.spread(weight);
        needs.clear();
        for (ratio, serial) in &self.sorted {
            needs.push(*ratio, weight(*serial));
        }
        let beyond = 1.0 / (self.sorted.len() as f64 + 1.0);
        let tail = TAIL.map(|(share, distance)| (highest * (spread * distance).exp(), share * beyond));
        for (ratio, weight) in tail {
            needs.push(ratio, weight);
        }
        let rungs = needs.cheapest_ladder(penalty);
        let (mut cost, mut scale) = (0.0, 0.0);
        for one in past {
            scale += one.weight * one.said;
            cost += one.weight * cost_of(&rungs, one.said, floor, one.peak, penalty, &BEYOND);
        }
        for (ratio, weight) in tail {
            cost += scale * weight * cost_of(&rungs, 1.0, 0.0, ratio, penalty, &BEYOND);
        }
        let quantile = |q: f64| needs.quantile(q).unwrap_or(highest);
        Fitted { cost, p50: quantile(0.5), p95: quantile(0.95), rungs }
    }

    /// Weighted standard deviation of the log ratios, drawn towards the prior with few of them.
    fn spread(&self, weight: impl Fn(u64) -> f64) -> f64 {
        let n = self.sorted.len() as f64;
        let (mut sum, mut squares) = (0.0, 0.0);
        for (ratio, serial) in &self.sorted {
            let (log, weight) = (ratio.ln(), weight(*serial));
            sum += weight * log;
            squares += weight * log * log;
        }
        let variance = (squares - sum * sum).max(0.0);
        ((variance * n + PRIOR_SPREAD * PRIOR_SPREAD) / (n + 1.0)).sqrt().clamp(SPREAD.0, SPREAD.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_stay_sorted_and_leave_again() {
        let mut ratios = Ratios::default();
        for (serial, ratio) in [1.0, 0.5, 2.0, 0.5].into_iter().enumerate() {
            ratios.insert(ratio, serial as u64);
        }
        ratios.remove(0.5, 1);
        assert_eq!(ratios.sorted, [(0.5, 3), (1.0, 0), (2.0, 2)]);
        ratios.remove(7.0, 9);
        assert_eq!(ratios.sorted.len(), 3);
    }

    #[test]
    fn the_last_rung_reaches_beyond_the_largest_ratio() {
        let mut ratios = Ratios::default();
        let past: Vec<Scored> = (0..10)
            .map(|i| {
                let ratio = 1.0 + 0.02 * f64::from(i);
                ratios.insert(ratio, i as u64);
                Scored { said: 1e9, peak: ratio * 1e9, weight: 0.1 }
            })
            .collect();
        let fitted = ratios.fit(&past, 0, 3.0, 64e6, &mut Needs::default());
        assert!(fitted.rungs.last().unwrap() > &1.18);
        assert!(fitted.p50 <= fitted.p95 && fitted.cost > 0.0);
    }
}
