//! How peak memory grows with the size of the input, and how sure that is.
//!
//! Bayesian regression of log peak on log size with a normal prior on the exponent (0.6 ± 0.4) and a prior on the
//! residual spread (0.2, worth one result). Where results say clearly that a program needs something whatever its input, a
//! fixed number of bytes is added to every size: peak = c · (size + base)^exponent. Three numbers come of it: what a task of this size needs on average
//! (mean of the log-normal), how far one task strays from that, and how far the law itself may be off for this size.
//! The first error is each task's own and adds in quadrature; the second is common to all and adds linearly:
//! otherwise all large files would fail together.

use std::collections::VecDeque;

use super::growth::CURVES_STRAY;

/// Results kept.
const KEPT: usize = 400;
/// Results before the law says anything.
const ENOUGH: usize = 3;
/// Below so many what runs is looked at, too.
pub(super) const FEW_RESULTS: usize = 20;
const EXPONENT: (f64, f64) = (0.6, 0.4);
const PRIOR_SPREAD: f64 = 0.2;
const PRIOR_RESULTS: f64 = 1.0;
/// Results from which on their own mean and deviation say how far others may stray.
const MANY: f64 = 20.0;
/// Added to each size, bytes, where nothing else is known.
pub(super) const LEAST_BASE: f64 = 1e3;
/// Bases that are tried: from a quarter of the smallest size on, each so many times the one before.
const BASES: (usize, f64) = (8, 2.0);
/// A base is believed from so many results on, where it makes them more likely by this (twice the log of the ratio of likelihoods).
const TELLING: usize = 5;
const LIKELIER: f64 = 6.0;
/// Exponents are taken between 0 and this.
const STEEPEST: f64 = 2.0;
/// Beyond the largest input seen (and half as large again) the law is extrapolated …
const REACH: f64 = 1.5;
/// … and where only a few results are of inputs about so large and none is of a larger one, the law may be off for them by this
/// over the root of their number.
const LARGE_SEEN: usize = 3;
const ONE_IN: usize = 4;
const FEW_LARGE: f64 = 0.3;
/// … in proportion to size at least: a new kind of large inputs must not be taken for small ones.
const EXTRAPOLATED: f64 = 1.0;

/// What a task will need, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Need {
    /// On average.
    pub mean: f64,
    /// Standard deviation of one task around it.
    pub own: f64,
    /// Standard deviation of the mean itself, common to all tasks.
    pub common: f64,
}

impl Need {
    /// The same of a task that needs at most so many bytes, give or take a share of them. What is known of the task itself takes the
    /// place of what the law over sizes may be off by.
    pub(super) fn at_most(&self, most: f64, doubt: f64) -> Self {
        let own = (most * doubt.hypot(CURVES_STRAY)).min(self.own);
        if most + own >= self.mean + self.own.hypot(self.common) {
            return *self;
        }
        Self { mean: most, own, common: 0.0 }
    }
}

#[derive(Clone, Copy, Debug)]
struct Law {
    /// Added to each size, bytes: what a program needs whatever its input, in units of input.
    base: f64,
    centre_x: f64,
    centre_y: f64,
    exponent: f64,
    spread: f64,
    results: f64,
    exponent_error: f64,
    /// Mean and standard deviation of peaks as multiples of what the law says.
    strays: (f64, f64),
    /// Log sizes of the largest results (with the base), largest first.
    largest: [f64; LARGE_SEEN],
    /// How many results of a size make the law sure of it.
    sure: usize,
}

impl Law {
    /// The logarithm of a size with the base.
    fn log(&self, size: f64) -> f64 {
        (size + self.base).ln()
    }

    /// By how much the law is extrapolated for this size (in log size), and how few results there are of inputs so large: a
    /// standard deviation.
    fn beyond(&self, size: f64) -> (f64, f64) {
        let beyond = (size - self.largest[0] - REACH.ln()).max(0.0);
        let like_it = self.largest.iter().take_while(|one| **one + REACH.ln() >= size).count();
        let few = if size > self.largest[0] && (1..self.sure).contains(&like_it) {
            FEW_LARGE / (like_it as f64).sqrt()
        } else {
            0.0
        };
        (beyond, few)
    }
}

/// Learns the law from results.
#[derive(Clone, Debug, Default)]
pub(super) struct SizeLaw {
    /// Size in bytes, log peak.
    results: VecDeque<(f64, f64)>,
    /// Tasks that run and use more than was expected of them: their peaks are at least that.
    open: Vec<(f64, f64)>,
    /// Tasks larger than any result whose use so far tells what they need at most.
    told: Vec<(f64, f64)>,
    law: Option<Law>,
    /// The same from results alone.
    closed: Option<Law>,
    stale: bool,
}

/// The logarithm of an input size; unknown sizes count as empty ones.
pub(super) fn log_size(input: Option<u64>) -> f64 {
    (bytes(input) + LEAST_BASE).ln()
}

fn bytes(input: Option<u64>) -> f64 {
    input.unwrap_or(0) as f64
}

impl SizeLaw {
    pub(super) fn observe(&mut self, input: Option<u64>, peak: f64) {
        if self.results.len() == KEPT {
            self.results.pop_front();
        }
        self.results.push_back((bytes(input), peak.max(1.0).ln()));
        self.stale = true;
    }

    /// What the few results that there are make likely in proportion to size: the largest peak, of a larger input more;
    /// 0 before any.
    pub(super) fn likely(&self, input: Option<u64>) -> f64 {
        let grown = |size: f64| ((bytes(input) + LEAST_BASE) / (size + LEAST_BASE)).max(1.0).ln();
        self.results.iter().map(|(size, y)| (y + EXTRAPOLATED * grown(*size)).exp()).fold(0.0, f64::max)
    }

    /// Forgets all but the last results.
    pub(super) fn keep_last(&mut self, keep: usize) {
        self.results.drain(..self.results.len().saturating_sub(keep));
        (self.law, self.closed) = (None, None);
        self.stale = true;
    }

    /// While results are few, of running tasks: (input, bytes in use, bytes that they need at most by that). Those that end first
    /// are often the smallest; of the others counts what they need at most if they are larger than any result, else
    /// what they use if that is more than was expected of them. Whether that changes anything.
    pub(super) fn running(&mut self, running: impl Iterator<Item = (Option<u64>, f64, f64)>) -> bool {
        let few = (ENOUGH..FEW_RESULTS).contains(&self.results.len());
        let above = |closed: &Law, (size, y): &(f64, f64)| {
            *y > closed.centre_y + closed.exponent * (closed.log(*size) - closed.centre_x) + closed.spread
        };
        let (mut open, mut told) = (Vec::new(), Vec::new());
        if let Some(closed) = self.closed.filter(|_| few) {
            for (input, rss, most) in running {
                let (size, y) = (bytes(input), rss.max(1.0).ln());
                if most.is_finite() && closed.beyond(closed.log(size)).0 > 0.0 {
                    told.push((size, most.max(rss).ln()));
                } else if above(&closed, &(size, y)) {
                    open.push((size, y));
                }
            }
        }
        let changed = open != self.open || told != self.told;
        self.stale |= changed;
        (self.open, self.told) = (open, told);
        changed
    }

    /// Fits anew, if anything was learned since.
    pub(super) fn refresh(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.closed = self.fit(&[], &[]);
            let none = self.open.is_empty() && self.told.is_empty();
            self.law = if none { self.closed } else { self.fit(&self.open, &self.told) };
        }
    }

    /// The law of the results, of what running tasks use, and of what others that run need at most.
    fn fit(&self, open: &[(f64, f64)], told: &[(f64, f64)]) -> Option<Law> {
        if self.results.len() < ENOUGH {
            return None;
        }
        let plain = self.fit_with(LEAST_BASE, open, told);
        if self.results.len() < TELLING {
            return Some(plain);
        }
        let smallest = self.results.iter().map(|(size, _)| *size).fold(f64::INFINITY, f64::min);
        let bases = (0..BASES.0).map(|step| smallest / 4.0 * BASES.1.powi(step as i32));
        let laws = bases.filter(|base| *base > LEAST_BASE).map(|base| self.fit_with(base, open, told));
        let best = laws.min_by(|a, b| a.spread.total_cmp(&b.spread));
        let likelier = |law: &Law| 2.0 * plain.results * (plain.spread / law.spread).ln();
        Some(best.filter(|law| likelier(law) > LIKELIER).unwrap_or(plain))
    }

    fn fit_with(&self, base: f64, open: &[(f64, f64)], told: &[(f64, f64)]) -> Law {
        let all = || self.results.iter().chain(open).chain(told).map(|(size, y)| ((size + base).ln(), *y));
        let n = all().count() as f64;
        let (sx, sy) = all().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
        let (centre_x, centre_y) = (sx / n, sy / n);
        let (xx, xy) = all().fold((0.0, 0.0), |(xx, xy), (x, y)| {
            (xx + (x - centre_x).powi(2), xy + (x - centre_x) * (y - centre_y))
        });
        let variance = |exponent: f64| {
            let squares: f64 = all().map(|(x, y)| (y - centre_y - exponent * (x - centre_x)).powi(2)).sum();
            (squares + PRIOR_RESULTS * PRIOR_SPREAD * PRIOR_SPREAD) / (n + 1.0)
        };
        let plain = if xx > 1e-6 { xy / (xx + 1e-9) } else { 0.0 };
        let noise = variance(plain);
        let (mean, deviation) = EXPONENT;
        let prior = 1.0 / (deviation * deviation);
        let posterior = 1.0 / (xx / noise + prior);
        let exponent = (posterior * (xy / noise + mean * prior)).clamp(0.0, STEEPEST);
        let spread = variance(exponent).sqrt();
        let multiple =
            |(size, y): &(f64, f64)| (y - centre_y - exponent * ((size + base).ln() - centre_x)).exp();
        Law {
            base,
            centre_x,
            centre_y,
            exponent,
            spread,
            strays: self.strays(spread, multiple),
            results: self.results.len() as f64,
            exponent_error: posterior.sqrt(),
            largest: self.largest(base, told),
            sure: self.results.len().div_ceil(ONE_IN).clamp(1, LARGE_SEEN),
        }
    }

    /// Mean and standard deviation of the multiples by which results stray: those of a log-normal, but where results are
    /// many no more than they were. Two kinds of tasks that size does not tell apart spread far, yet have an end.
    fn strays(&self, spread: f64, multiple: impl Fn(&(f64, f64)) -> f64) -> (f64, f64) {
        let spread = spread.min(1.0);
        let mean = (spread * spread / 2.0).exp();
        let own = mean * ((spread * spread).exp() - 1.0).sqrt();
        let n = self.results.len() as f64;
        if n < MANY {
            return (mean, own);
        }
        let seen = self.results.iter().map(&multiple).sum::<f64>() / n;
        let squares = self.results.iter().map(|one| (multiple(one) - seen).powi(2)).sum::<f64>();
        let above = 1.0 + 1.0 / n.sqrt();
        (mean.min(above * seen), own.min(above * (squares / n).sqrt().max(PRIOR_SPREAD / n.sqrt())))
    }

    /// Log sizes of the largest inputs (with the base), largest first.
    fn largest(&self, base: f64, told: &[(f64, f64)]) -> [f64; LARGE_SEEN] {
        let mut largest = [f64::NEG_INFINITY; LARGE_SEEN];
        for (size, _) in self.results.iter().chain(told) {
            if *size > largest[LARGE_SEEN - 1] {
                largest[LARGE_SEEN - 1] = *size;
                largest.sort_unstable_by(|a, b| b.total_cmp(a));
            }
        }
        largest.map(|size| (size.max(0.0) + base).ln())
    }

    /// What a task with this input will need; `None` before three results.
    pub(super) fn need(&self, input: Option<u64>) -> Option<Need> {
        let law = self.law?;
        let log = law.log(bytes(input));
        let x = log - law.centre_x;
        let (beyond, few) = law.beyond(log);
        let steeper = beyond * (EXTRAPOLATED - law.exponent).max(0.0);
        let middle = (law.centre_y + law.exponent * x + steeper).exp();
        let mean = middle * law.strays.0;
        let variance = law.spread * law.spread / law.results
            + (x * law.exponent_error).powi(2)
            + (EXPONENT.1 * beyond).powi(2)
            + few * few;
        let common = variance.sqrt().min(1.0);
        Some(Need { mean, own: middle * law.strays.1, common: mean * common })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exponent_is_learned_and_its_error_grows_away_from_the_data() {
        let mut law = SizeLaw::default();
        assert_eq!(law.need(Some(1)), None);
        for i in 0..100u64 {
            let size = 100_000_000 + i * 10_000_000;
            law.observe(Some(size), 2.0 * size as f64);
        }
        law.refresh();
        let near = law.need(Some(600_000_000)).unwrap();
        let far = law.need(Some(60_000_000_000)).unwrap();
        assert!((near.mean / 1.2e9 - 1.0).abs() < 0.05, "{near:?}");
        assert!(far.mean > 50.0 * near.mean && far.common / far.mean > near.common / near.mean);
    }

    #[test]
    fn what_a_program_needs_whatever_its_input_is_told_apart_from_what_grows() {
        // xz -9e as measured: 25 MB, and nine times the input.
        let needs = |size: u64| 25e6 + 9.0 * size as f64;
        let mut law = SizeLaw::default();
        let sizes = (0..9).map(|step| 1_000_000 << step).filter(|size| *size != 64_000_000);
        sizes.for_each(|size| law.observe(Some(size), needs(size)));
        law.refresh();
        let between = law.need(Some(64_000_000)).unwrap();
        assert!((between.mean / needs(64_000_000) - 1.0).abs() < 0.02, "{between:?}");
        assert!(between.own < 0.08 * between.mean, "{between:?}");
        let empty = law.need(Some(0)).unwrap();
        assert!((empty.mean / 25e6 - 1.0).abs() < 0.15, "{empty:?}");
    }

    #[test]
    fn where_a_power_of_size_says_it_all_nothing_is_added() {
        let mut law = SizeLaw::default();
        (0..9).for_each(|step| {
            law.observe(Some(1_000_000 << step), 30.0 * f64::from(1_000_000 << step).powf(0.8))
        });
        law.refresh();
        assert!(law.law.is_some_and(|law| law.base == LEAST_BASE), "{law:?}");
    }
}

#[cfg(test)]
mod far {
    use super::*;

    #[test]
    fn beyond_what_was_seen_memory_is_taken_to_grow_with_size() {
        let mut law = SizeLaw::default();
        for i in 0..100u64 {
            law.observe(Some(10_000_000 + i * 100_000), 1.5e8);
        }
        law.refresh();
        let seen = law.need(Some(15_000_000)).unwrap();
        let far = law.need(Some(1_500_000_000)).unwrap();
        assert!(far.mean > 20.0 * seen.mean && far.common > 0.5 * far.mean, "{seen:?} {far:?}");
    }

    #[test]
    fn one_result_far_beyond_the_others_is_believed_with_caution() {
        let mut law = SizeLaw::default();
        (0..20u64).for_each(|i| law.observe(Some(125_000 + 10 * i), 1e7));
        law.refresh();
        let guessed = law.need(Some(36_000_000)).unwrap();
        law.observe(Some(36_000_000), 3.7e8);
        law.refresh();
        let known = law.need(Some(37_000_000)).unwrap();
        (0..2).for_each(|_| law.observe(Some(36_000_000), 3.7e8));
        law.refresh();
        let sure = law.need(Some(37_000_000)).unwrap();
        assert!(guessed.mean > 1.5e9, "{guessed:?}");
        assert!((known.mean / 3.7e8 - 1.0).abs() < 0.1 && known.common > 0.2 * known.mean, "{known:?}");
        assert!((sure.mean / 3.7e8 - 1.0).abs() < 0.1 && sure.common < 0.1 * sure.mean, "{sure:?}");
    }

    #[test]
    fn a_large_one_that_runs_tells_of_large_ones() {
        let mut law = SizeLaw::default();
        (0..3u64).for_each(|i| law.observe(Some(1_000_000 + i), 3e7));
        law.refresh();
        let guessed = law.need(Some(40_000_000)).unwrap();
        let mut told = || {
            law.running([(Some(40_000_000), 1e8, 4e8)].into_iter());
            law.refresh();
            law.need(Some(40_000_000)).unwrap()
        };
        let (told, again, still) = (told(), told(), told());
        assert!(told == again && told == still, "what is told holds: {told:?} {again:?} {still:?}");
        assert!(guessed.mean > 1e9 && (2e8..5e8).contains(&told.mean), "{guessed:?} {told:?}");
        assert!(told.common < guessed.common / 2.0, "{guessed:?} {told:?}");
    }

    #[test]
    fn what_is_known_of_a_task_itself_takes_the_place_of_the_law() {
        let need = Need { mean: 100.0, own: 30.0, common: 80.0 };
        assert_eq!((need.at_most(500.0, 0.1), need.at_most(180.0, 0.1)), (need, need));
        let above = need.at_most(150.0, 0.1);
        assert!(above.mean == 150.0 && above.own < 20.0 && above.common == 0.0, "{above:?}");
        let bounded = need.at_most(40.0, 0.1);
        assert!(bounded.mean == 40.0 && (4.0..5.0).contains(&bounded.own) && bounded.common == 0.0);
    }

    #[test]
    fn what_runs_and_uses_more_than_first_results_did_counts_until_results_are_many() {
        let law = |results: u64, running: f64| {
            let mut law = SizeLaw::default();
            (0..results).for_each(|i| law.observe(Some(1_000_000 + i), 1e8));
            law.refresh();
            law.running([(Some(1_000_000), running, f64::INFINITY); 4].into_iter());
            law.refresh();
            law.need(Some(1_000_000)).unwrap()
        };
        let (small, large) = (law(3, 1e8), law(3, 5e9));
        assert!(large.mean > 5.0 * small.mean && large.own > 5e8, "{small:?} {large:?}");
        assert_eq!(law(30, 1e8), law(30, 5e9));
    }
}
