//! The ratios of true peaks to what one expert had said, sorted as they come in, and the ladder they ask for.

use super::super::fit::median;
use super::ladder::{Needs, charge};

/// Where the weight beyond the largest ratio lies: (share of it, distance in spreads of the log ratios).
const TAIL: [(f64, f64); 4] = [(0.4, 0.2), (0.3, 0.4), (0.2, 0.8), (0.1, 1.6)];
/// Ratios that lie further apart than this (log) are of two sorts of tasks, and the lower sort's largest may be exceeded as well.
const APART: f64 = 0.8;
/// Spread of the log ratios that is believed before they have shown one, as one observation.
const PRIOR_SPREAD: f64 = 0.01;
/// The spread of the log ratios is taken between these.
const SPREAD: (f64, f64) = (0.003, 0.7);
/// The widest band around a ratio, in median absolute deviations of the logs at n = 1 (1.2 standard deviations of normal ones);
/// it shrinks with n to the power of a fifth.
const BAND: f64 = 1.2 * 1.4826;
/// What a failed allocation is taken to cost, in allocations: a ladder is found for each.
pub(super) const PENALTIES: [f64; 5] = [1.0, 2.0, 4.0, 8.0, 20.0];

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
    /// Its weight by run time and recency; the weights of all add up to 1.
    pub(super) weight: f64,
    /// Its weight by recency alone; likewise.
    pub(super) count: f64,
}

/// Scratch space of a fit.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    needs: Needs,
    smoothed: Vec<(f64, f64)>,
    /// Weight beyond the largest ratio, and beyond the largest of each sort below it.
    tails: Vec<(f64, f64)>,
    logs: Vec<f64>,
    /// Of each kept result: the factor by which its ratio is spread up and down.
    bands: Vec<f64>,
}

/// The best ladder over one expert's ratios.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fitted {
    /// Multiples of what the expert says, ascending.
    pub(super) rungs: Vec<f64>,
    /// What it would have cost over the past, the tail included, bytes a task.
    pub(super) cost: f64,
    /// Attempts that would have failed, a task.
    pub(super) failures: f64,
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

    /// The cheapest ladder for each of [`PENALTIES`]. `past[serial − first]` are the kept results.
    pub(super) fn fit(
        &self,
        past: &[Scored],
        first: u64,
        floor: f64,
        scratch: &mut Scratch,
        mut each: impl FnMut(Fitted),
    ) {
        if self.sorted.is_empty() {
            return PENALTIES.iter().for_each(|_| each(Fitted::default()));
        }
        let spread = self.spread(|serial| past[(serial - first) as usize].weight);
        self.smooth(past, first, spread, scratch);
        let highest = scratch.smoothed.last().map_or(1.0, |(ratio, _)| *ratio);
        let beyond = 1.0 / (self.sorted.len() as f64 + 1.0);
        scratch.tails.clear();
        scratch
            .tails
            .extend(TAIL.map(|(share, distance)| (highest * (spread * distance).exp(), share * beyond)));
        scratch.add_tails_between();
        let Scratch { needs, smoothed, bands, tails: tail, .. } = scratch;
        smoothed.extend_from_slice(tail);
        smoothed.sort_by(|a, b| a.0.total_cmp(&b.0));
        needs.clear();
        smoothed.iter().for_each(|(ratio, weight)| needs.push(*ratio, *weight));
        let quantile = |q: f64| needs.quantile(q).unwrap_or(highest);
        let (p50, p95) = (quantile(0.5), quantile(0.95));
        let mut last: Option<Fitted> = None;
        for penalty in PENALTIES {
            let rungs = needs.cheapest_ladder(penalty);
            // A dearer failure often changes nothing.
            let fitted = last.take().filter(|last| last.rungs == rungs).unwrap_or_else(|| {
                let (cost, failures) = judge(&rungs, past, bands, tail, floor);
                Fitted { rungs, cost, failures, p50, p95 }
            });
            each(fitted.clone());
            last = Some(fitted);
        }
    }

    /// Each ratio as two, a band above and below it (Silverman, "Density estimation", 1986, with the distance to the √n-th
    /// neighbour as a bound, so that what lies apart stays apart): the next one will not be exactly one of these.
    fn smooth(&self, past: &[Scored], first: u64, spread: f64, scratch: &mut Scratch) {
        let Scratch { smoothed, logs, bands, .. } = scratch;
        let n = self.sorted.len();
        logs.clear();
        logs.extend(self.sorted.iter().map(|(ratio, _)| ratio.ln()));
        let middle = logs[n / 2];
        let mut away: Vec<f64> = logs.iter().map(|log| (log - middle).abs()).collect();
        let widest = spread.min(BAND * median(&mut away)) * (n as f64).powf(-0.2);
        let k = (n as f64).sqrt().ceil() as usize;
        bands.clear();
        bands.resize(past.len(), 1.0);
        smoothed.clear();
        for (at, (ratio, serial)) in self.sorted.iter().enumerate() {
            let above = logs.get(at + k).map_or(f64::INFINITY, |log| log - logs[at]);
            let below = at.checked_sub(k).map_or(f64::INFINITY, |other| logs[at] - logs[other]);
            let band = above.min(below).min(widest).exp();
            let one = (serial - first) as usize;
            bands[one] = band;
            smoothed.extend([(ratio / band, past[one].weight / 2.0), (ratio * band, past[one].weight / 2.0)]);
        }
        // Two ascending runs, nearly: a merge.
        smoothed.sort_by(|a, b| a.0.total_cmp(&b.0));
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

impl Scratch {
    /// The next one of a sort of tasks exceeds all of that sort so far once in n + 1 times, by what the sort itself strays, whatever
    /// lies far above: a slight miss is not to cost as much as what the other sort needs.
    fn add_tails_between(&mut self) {
        let all = self.logs.len() as f64;
        let mut from = 0;
        for at in 1..self.logs.len() {
            let (top, next) = (self.logs[at - 1], self.logs[at]);
            if next - top <= APART {
                continue;
            }
            let own = &self.logs[from..at];
            let n = own.len() as f64;
            let mean = own.iter().sum::<f64>() / n;
            let squares: f64 = own.iter().map(|log| (log - mean).powi(2)).sum();
            let spread = ((squares + PRIOR_SPREAD * PRIOR_SPREAD) / n).sqrt().clamp(SPREAD.0, SPREAD.1);
            let beyond = n / all / (n + 1.0);
            self.tails.extend(TAIL.map(|(share, distance)| {
                (f64::midpoint(top, next).min(top + spread * distance).exp(), share * beyond)
            }));
            from = at;
        }
    }
}

/// What a ladder would have cost over the past and the tail, bytes a task, and the attempts that would have failed.
fn judge(rungs: &[f64], past: &[Scored], bands: &[f64], tail: &[(f64, f64)], floor: f64) -> (f64, f64) {
    let (mut cost, mut failures, mut scale) = (0.0, 0.0, 0.0);
    for (one, band) in past.iter().zip(bands) {
        scale += one.weight * one.said;
        for peak in [one.peak / band, one.peak * band] {
            let (lost, failed) = charge(rungs, one.said, floor, peak);
            cost += 0.5 * one.weight * lost;
            failures += 0.5 * one.count * failed;
        }
    }
    for (ratio, weight) in tail {
        let (lost, failed) = charge(rungs, 1.0, 0.0, *ratio);
        cost += scale * weight * lost;
        failures += weight * failed;
    }
    (cost, failures)
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
                Scored { said: 1e9, peak: ratio * 1e9, weight: 0.1, count: 0.1 }
            })
            .collect();
        let mut fits = Vec::new();
        ratios.fit(&past, 0, 64e6, &mut Scratch::default(), |fitted| fits.push(fitted));
        assert_eq!(fits.len(), PENALTIES.len());
        for fitted in &fits {
            assert!(fitted.rungs.last().unwrap() > &1.18);
            assert!(fitted.p50 <= fitted.p95 && fitted.cost > 0.0);
        }
        assert!(fits.is_sorted_by(|cheap, dear| dear.failures <= cheap.failures), "{fits:?}");
    }

    /// One in ten needs six times what the others do: one that needs a little more than these is not to be given all of that.
    #[test]
    fn what_lies_far_above_is_no_price_for_a_slight_miss() {
        let mut ratios = Ratios::default();
        let past: Vec<Scored> = (0..100)
            .map(|i| {
                let ratio = if i % 10 == 3 { 6.0 } else { 1.0 } * (1.0 + 0.001 * f64::from(i % 37));
                ratios.insert(ratio, i as u64);
                Scored { said: 1e9, peak: ratio * 1e9, weight: 0.01, count: 0.01 }
            })
            .collect();
        let mut fits = Vec::new();
        ratios.fit(&past, 0, 64e6, &mut Scratch::default(), |fitted| fits.push(fitted));
        // The cheapest fails for the one in ten alone.
        let slightly = fits[0].rungs.iter().filter(|rung| (1.036..2.5).contains(*rung)).count();
        assert!(slightly >= 1 && fits[0].rungs.iter().any(|rung| (6.0..9.0).contains(rung)), "{:?}", fits[0]);
    }
}
