//! How memory grows over the life of a task, and what that says of a task that runs.
//!
//! From each completed task the law learns which share of its peak it had used when a share f of its work was done. A
//! running task's memory in use is then evidence of its own peak: combined with what the size law says beforehand by
//! precision-weighted means of logarithms (conjugate normal update). A task near its end is known almost for sure,
//! whatever the spread among tasks.

use super::size_law::Need;

/// Shares of work are told apart in tenths.
const BINS: usize = 10;
/// Completed tasks before a tenth says anything, and how many at most weigh in.
const ENOUGH: f64 = 3.0;
const MEMORY: f64 = 100.0;
/// The spread of a tenth is not taken to be smaller, nor the work done to be known better.
const SPREAD: f64 = 0.05;
/// A task with nothing done yet may differ in shape by this much from those before it; less as it goes on.
const UNSEEN: f64 = 0.3;
/// Where the size law itself may be off by more than this share, the shape of growth is not believed either.
const EXTRAPOLATED: f64 = 0.5;
/// From the first of these shares of its work memory in proportion to work is believed, with so much on top; from the second
/// on what was in proportion then.
const TELLING: f64 = 0.1;
const CURVED: f64 = 0.5;
const ABOVE: f64 = 1.1;
/// A deviation of the same: a tenth is two.
pub(super) const CURVES_STRAY: f64 = 0.05;
/// Points of a task's life that are kept.
const POINTS: usize = 16;
/// Readings of a life from which on it tells a shape.
const SHAPE: usize = 3;

/// One task's life so far, thinned out: every point is (bytes moved, CPU seconds, resident memory).
#[derive(Clone, Debug, Default)]
pub(super) struct Life {
    points: Vec<(f64, f64, f64)>,
    every: u32,
    skipped: u32,
}

impl Life {
    pub(super) fn note(&mut self, io: f64, cpu: f64, rss: f64) {
        self.skipped += 1;
        if self.skipped < self.every.max(1) {
            return;
        }
        self.skipped = 0;
        self.points.push((io, cpu, rss));
        if self.points.len() == POINTS {
            let mut odd = false;
            self.points.retain(|_| {
                odd = !odd;
                odd
            });
            self.every = self.every.max(1) * 2;
        }
    }

    /// Whether it was seen often enough to tell a shape.
    pub(super) fn tells(&self) -> bool {
        self.points.len() >= SHAPE
    }

    pub(super) fn points(&self) -> impl Iterator<Item = (f64, f64, f64)> + '_ {
        self.points.iter().copied()
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    n: f64,
    mean: f64,
    variance: f64,
}

/// Learns the shape of growth.
#[derive(Clone, Debug)]
pub(super) struct Growth {
    bins: [Bin; BINS],
    upper: [f64; BINS],
}

impl Default for Growth {
    fn default() -> Self {
        Self { bins: [Bin::default(); BINS], upper: [1.0; BINS] }
    }
}

fn bin(share: f64) -> usize {
    ((share * BINS as f64) as usize).min(BINS - 1)
}

impl Growth {
    /// A completed task: at each share of its work, which share of its peak it used.
    pub(super) fn completed(&mut self, life: impl Iterator<Item = (f64, f64)>, peak: f64) {
        let mut sums = [(0.0, 0.0); BINS];
        for (share, rss) in life {
            let sum = &mut sums[bin(share)];
            sum.0 += (rss / peak).clamp(1e-3, 1.0).ln();
            sum.1 += 1.0;
        }
        for (bin, (sum, n)) in self.bins.iter_mut().zip(sums) {
            if n > 0.0 {
                bin.learn(sum / n);
            }
        }
        self.refresh();
    }

    /// Where nothing is known of a tenth, no more is used than in the next one that is known.
    fn refresh(&mut self) {
        let mut largest: f64 = 0.0;
        for (bin, upper) in self.bins.iter().zip(&mut self.upper) {
            let known = bin.n >= ENOUGH;
            largest = largest.max(if known { (bin.mean + bin.variance.sqrt()).exp() } else { 0.0 });
            *upper = if known { largest.min(1.0) } else { f64::INFINITY };
        }
        let mut next: f64 = 1.0;
        for upper in self.upper.iter_mut().rev() {
            next = if upper.is_finite() { *upper } else { next };
            *upper = next;
        }
    }

    /// What is kept across runs.
    pub(super) fn state(&self) -> Vec<[f64; 3]> {
        self.bins.iter().map(|bin| [bin.n, bin.mean, bin.variance]).collect()
    }

    /// From what was kept; tenths that make no sense are left out.
    pub(super) fn restore(state: &[[f64; 3]]) -> Self {
        let mut growth = Self::default();
        for (bin, [n, mean, variance]) in growth.bins.iter_mut().zip(state) {
            if n.is_finite() && mean.is_finite() && *mean <= 0.0 && variance.is_finite() && *variance >= 0.0 {
                *bin = Bin { n: n.clamp(0.0, MEMORY), mean: *mean, variance: *variance };
            }
        }
        growth.refresh();
        growth
    }

    /// At a share of its work a task uses at most about this share of its peak (mean and one deviation); 1 where nothing
    /// is known.
    pub(super) fn upper(&self, share: f64) -> f64 {
        if share < 1.0 { self.upper[bin(share)] } else { 1.0 }
    }

    /// The same where the shape may be unknown: memory in proportion to work then.
    pub(super) fn likely(&self, share: f64) -> f64 {
        let known = self.bins[bin(share)].n >= ENOUGH;
        if known { self.upper(share) } else { share }
    }

    /// What a task uses at most at a later share of its work that uses `rss` now, where nothing is known of the shape: memory grows
    /// no faster than the work goes on. `None` where a shape is known, or too little was done.
    pub(super) fn in_proportion(&self, rss: f64, share: f64, later: f64) -> Option<f64> {
        let known = later < 1.0 && self.bins[bin(later)].n >= ENOUGH;
        (!known && (TELLING..1.0).contains(&share)).then(|| ABOVE * rss * later / share)
    }

    /// What a task needs at most, bytes, by its life so far: (share of its work done, bytes in use), in order. What held once of a
    /// task's peak holds for the rest of its life, unless it has used more since; infinite where nothing is known.
    pub(super) fn most(&self, life: impl Iterator<Item = (f64, f64)>) -> f64 {
        life.fold(f64::INFINITY, |most, (share, rss)| {
            let held = if rss > most { f64::INFINITY } else { most };
            self.bounded(share, rss).map_or(held, |bound| held.min(bound))
        })
    }

    /// The same by one moment: memory grows no faster than the work goes on, within [`CURVES_STRAY`] twice. So it was with 99 %
    /// of 1,406 recorded curves of real tools up to half of their work (`TELLING` to `CURVED`); from there on 99 % of them grew
    /// to no more than 2.2 times of what they used. `None` where tasks are known to grow late, and for one that has done too
    /// little, or all that tasks do.
    fn bounded(&self, share: f64, rss: f64) -> Option<f64> {
        let at = bin(share);
        let (bin, from) = (&self.bins[at], at as f64 / BINS as f64);
        let late = bin.n >= ENOUGH && ABOVE * (bin.mean - bin.variance.sqrt()).exp() < from.min(CURVED);
        (!late && (TELLING..1.0).contains(&share) && rss > 0.0).then(|| rss / share.min(CURVED))
    }

    /// Whether the shape of growth is known at this share of the work of a task that is expected to need so much: nothing is where
    /// the size law may be far off, because that is a task unlike those before.
    pub(super) fn tells(&self, need: &Need, share: f64) -> bool {
        self.bins[bin(share)].n >= ENOUGH && need.common <= EXTRAPOLATED * need.mean
    }

    /// What a task needs that uses `rss` with a share of its work done; `doubt` = relative error of that share.
    pub(super) fn update(&self, need: &Need, share: f64, doubt: f64, rss: f64) -> Need {
        if rss <= 0.0 || need.mean <= 0.0 || !self.tells(need, share) {
            return *need;
        }
        let bin = &self.bins[bin(share)];
        let prior = (need.own / need.mean).powi(2).ln_1p().max(1e-4);
        let unseen = UNSEEN * (1.0 - share);
        let evidence = (bin.variance + doubt * doubt + unseen * unseen).max(SPREAD * SPREAD);
        let variance = 1.0 / (1.0 / prior + 1.0 / evidence);
        let before = need.mean.ln() - prior / 2.0;
        let log = variance * (before / prior + (rss.ln() - bin.mean) / evidence);
        let mean = (log + variance / 2.0).exp();
        Need {
            mean,
            own: mean * variance.exp_m1().sqrt(),
            common: mean * (need.common / need.mean) * variance / prior,
        }
    }
}

impl Bin {
    fn learn(&mut self, value: f64) {
        self.n = (self.n + 1.0).min(MEMORY);
        let weight = 1.0 / self.n;
        let off = value - self.mean;
        self.mean += weight * off;
        self.variance += weight * (off * (value - self.mean) - self.variance);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear() -> Growth {
        let mut growth = Growth::default();
        for _ in 0..20 {
            growth.completed((1..=10).map(|i| (f64::from(i) / 10.0 - 0.05, f64::from(i) / 10.0 - 0.05)), 1.0);
        }
        growth
    }

    #[test]
    fn memory_grows_no_faster_than_work_goes_on() {
        let unknown = Growth::default();
        assert_eq!(unknown.bounded(0.25, 5.0), Some(20.0));
        assert_eq!(unknown.bounded(0.8, 5.0), Some(10.0), "from half of its work on it may still double");
        for (share, rss) in [(0.05, 1.0), (1.0, 5.0), (0.5, 0.0)] {
            assert_eq!(unknown.bounded(share, rss), None);
        }
        let mut late = Growth::default();
        for _ in 0..20 {
            late.completed([(0.25, 0.1), (0.5, 0.1), (0.95, 1.0)].into_iter(), 1.0);
        }
        assert_eq!((late.bounded(0.25, 5.0), linear().bounded(0.25, 5.0)), (None, Some(20.0)));
    }

    #[test]
    fn what_held_once_holds_until_more_is_used() {
        let most = |life: &[(f64, f64)]| Growth::default().most(life.iter().copied());
        assert_eq!(most(&[(0.25, 5.0), (0.8, 15.0)]), 20.0);
        assert_eq!(most(&[(0.1, 10.0), (0.5, 300.0)]), 600.0, "a late one has shown that it was not bounded");
        assert_eq!(most(&[(0.05, 10.0)]), f64::INFINITY);
    }

    #[test]
    fn a_shape_of_other_sizes_says_nothing() {
        let extrapolated = Need { mean: 100.0, own: 20.0, common: 90.0 };
        assert_eq!(linear().update(&extrapolated, 0.5, 0.0, 5.0), extrapolated);
    }

    #[test]
    fn use_near_the_end_tells_the_peak() {
        let prior = Need { mean: 4.0, own: 4.0, common: 1.0 };
        let late = linear().update(&prior, 0.95, 0.0, 9.5);
        assert!((late.mean / 10.0 - 1.0).abs() < 0.1 && late.own < 1.0 && late.common < 0.1, "{late:?}");
        assert_eq!(Growth::default().update(&prior, 0.95, 0.0, 9.5), prior);
    }

    #[test]
    fn a_life_stays_short_and_spans_the_whole() {
        let mut life = Life::default();
        (0..1000).for_each(|i| life.note(0.0, f64::from(i), 1.0));
        let points: Vec<f64> = life.points().map(|(_, cpu, _)| cpu).collect();
        assert!(points.len() < POINTS && points[0] < 100.0 && points[points.len() - 1] > 850.0, "{points:?}");
    }
}
