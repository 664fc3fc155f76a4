//! How fast the work goes on, measured while tasks still run.
//!
//! Bytes moved and CPU time both stand for progress, each as well as it is the same for every file of a size: they are
//! weighed by the inverse of the variance of their per-file totals around a power law in input size. CPU time alone
//! would take spinning on memory bandwidth for progress; bytes alone see nothing of a task that reads none.

use std::collections::VecDeque;

use super::kinds::Times;
use super::size_law::log_size;

/// Completed tasks that are remembered.
pub(super) const KEPT: usize = 60;
const ENOUGH: usize = 3;
/// Added to a variance before it is inverted.
const FLOOR: f64 = 0.02;
/// What a file takes in all is expected to go with size like this power, give or take: work grows as the input does, unless
/// results of different size show otherwise.
const EXPONENT: (f64, f64) = (1.0, 0.3);
/// Run times are expected to stray by this from their law, which counts as one result.
const STRAY: f64 = 0.2;
/// Spread that is assumed of a measure before five completions.
const UNKNOWN_SPREAD: f64 = 0.3;
/// Before that, bytes stand for progress where there are more than these per second, and per second and task.
const SOME_BYTES: f64 = 1e6;
const SOME_BYTES_EACH: f64 = 5e5;

/// A task that keeps less than this share of a core busy, and moves less than so many bytes in all, waits.
const COMPUTES: f64 = 0.1;
const MOVES: f64 = 1e6;

/// Progress of all running tasks per second, by both measures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    /// Bytes moved per second.
    pub(super) io: f64,
    /// Cores kept busy.
    pub(super) cpu: f64,
    /// Sum over the running tasks of their speed, in multiples of what is usual for files of their size; `None` before
    /// enough is known. Unlike the other two it does not change with which files happen to run.
    pub(super) speed: Option<f64>,
}

impl Rate {
    /// A task moved this much.
    pub(super) fn add(&mut self, progress: &Progress, io: f64, cpu: f64, input: Option<u64>, times: Times) {
        self.io += io;
        self.cpu += cpu;
        if let Some(speed) = times.speed(progress, io, cpu, input) {
            self.speed = Some(self.speed.unwrap_or(0.0) + speed);
        }
    }
}

/// One way to see a rate as files per second (up to a factor).
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    io: f64,
    cpu: f64,
    /// Relative spread of the better measure.
    pub(super) spread: f64,
}

impl Measure {
    /// How much faster the second was than the first.
    pub(super) fn gain(&self, before: Rate, after: Rate) -> f64 {
        match (before.speed, after.speed) {
            (Some(before), Some(after)) => after / before.max(1e-9),
            _ => self.of(after) / self.of(before).max(1e-300),
        }
    }

    fn of(&self, rate: Rate) -> f64 {
        self.io * rate.io + self.cpu * rate.cpu
    }
}

/// Learns what a file takes in all.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// Bytes moved, CPU seconds, log of the input size, seconds.
    totals: VecDeque<(f64, f64, f64, f64)>,
    io: Total,
    cpu: Total,
    wall: Total,
    /// Log size and log run time of a usual task when first known: the yardstick of speed. One that moved with the run times of
    /// late would take a jam for a usual hour, and hide it.
    usual: Option<(f64, f64)>,
    stale: bool,
}

/// What a file of a size takes in all, by one measure.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    weight: f64,
    mean: f64,
    centre_x: f64,
    centre_y: f64,
    slope: f64,
    /// Variance of one file around the law, and of the exponent; both of logarithms.
    variance: f64,
    slope_variance: f64,
    results: f64,
}

impl Total {
    fn at(&self, log_size: f64) -> f64 {
        (self.centre_y + self.slope * (log_size - self.centre_x)).exp()
    }

    /// Relative error of that for one file: the standard deviation of the predictive distribution of Bayesian linear
    /// regression (Bishop 2006, 3.58), of logarithms.
    fn error_at(&self, log_size: f64) -> f64 {
        let x = log_size - self.centre_x;
        (self.variance * (1.0 + 1.0 / self.results.max(1.0)) + self.slope_variance * x * x).sqrt()
    }
}

/// How long a task takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RunTime {
    /// Expected, s.
    pub(super) seconds: f64,
    /// Standard deviation of that as a share of it.
    pub(super) error: f64,
}

impl Progress {
    pub(super) fn completed(&mut self, io: f64, cpu: f64, wall: f64, input: Option<u64>) {
        if self.totals.len() == KEPT {
            self.totals.pop_front();
        }
        self.totals.push_back((io, cpu, log_size(input), wall));
        self.stale = true;
    }

    /// Forgets all but the last that were completed.
    pub(super) fn keep_last(&mut self, keep: usize) {
        self.totals.drain(..self.totals.len().saturating_sub(keep));
        self.usual = None;
        self.stale = true;
    }

    /// Forgets what was completed, to be told all of it again by another measure: speeds are to be [rescaled](Self::rescale)
    /// then.
    pub(super) fn begin_anew(&mut self) {
        self.totals.clear();
        self.stale = true;
    }

    /// Every speed counts as so many times what it did, so that those of before and after a change of measure compare.
    pub(super) fn rescale(&mut self, times: f64) {
        if let Some((_, usual)) = &mut self.usual {
            *usual += times.ln();
        }
    }

    /// Fits anew, if anything was completed since.
    pub(super) fn refresh(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.io = self.fit(|one| one.0, 1e3);
            self.cpu = self.fit(|one| one.1, 1e-3);
            self.wall = self.fit(|one| one.3, 1e-3);
            if self.usual.is_none() && self.knows() {
                self.usual = Some((self.wall.centre_x, self.wall.centre_y));
            }
        }
    }

    fn fit(&self, total: fn(&(f64, f64, f64, f64)) -> f64, smallest: f64) -> Total {
        let n = self.totals.len() as f64;
        let mean = self.totals.iter().map(total).sum::<f64>() / n;
        let points = || self.totals.iter().map(|one| (one.2, (total(one) + 1e-9).ln()));
        let (sx, sy) = points().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
        let (mx, my) = (sx / n, sy / n);
        let (xx, xy) =
            points().fold((0.0, 0.0), |(a, b), (x, y)| (a + (x - mx).powi(2), b + (x - mx) * (y - my)));
        let variance =
            |slope: f64| points().map(|(x, y)| (y - my - slope * (x - mx)).powi(2)).sum::<f64>() / n;
        let plain = if xx > 1e-9 { xy / xx } else { 0.0 };
        let prior = (variance(plain) + FLOOR) / EXPONENT.1.powi(2);
        let slope = (xy + prior * EXPONENT.0) / (xx + prior);
        let strays = variance(slope);
        let weight = if mean < smallest { 0.0 } else { 1.0 / (strays + FLOOR) };
        let variance = (n * strays + STRAY * STRAY) / (n + 1.0);
        let slope_variance = 1.0 / (xx / variance + 1.0 / EXPONENT.1.powi(2));
        Total { weight, mean, centre_x: mx, centre_y: my, slope, variance, slope_variance, results: n }
    }

    /// Which share of its work a task has done that has moved this much so far, and the relative error of that;
    /// `None` before enough is known.
    pub(super) fn share(&self, io: f64, cpu: f64, input: Option<u64>) -> Option<(f64, f64)> {
        let (wi, wc) = (self.io.weight, self.cpu.weight);
        if !self.knows() || wi + wc <= 0.0 {
            return None;
        }
        let size = log_size(input);
        let part =
            |total: &Total, done: f64| if total.weight > 0.0 { done / total.at(size).max(1e-9) } else { 0.0 };
        let share = (wi * part(&self.io, io) + wc * part(&self.cpu, cpu)) / (wi + wc);
        Some((share.clamp(0.0, 1.0), 1.0 / (wi + wc).sqrt()))
    }

    /// How fast a task goes that moved this much in a second, in multiples of what was usual for its size at first.
    pub(super) fn speed(&self, io: f64, cpu: f64, input: Option<u64>) -> Option<f64> {
        let weights = self.io.weight + self.cpu.weight;
        if !self.knows() || weights <= 0.0 {
            return None;
        }
        let size = log_size(input);
        let part = |total: &Total, done: f64| {
            if total.weight > 0.0 { total.weight * done / total.at(size).max(1e-9) } else { 0.0 }
        };
        let (x, y) = self.usual?;
        let usual = (y + self.wall.slope * (size - x)).exp();
        Some((part(&self.io, io) + part(&self.cpu, cpu)) / weights * usual)
    }

    /// How long a task takes; `None` before enough is known.
    pub(super) fn run_time(&self, input: Option<u64>) -> Option<RunTime> {
        let size = log_size(input);
        self.knows().then(|| RunTime { seconds: self.wall.at(size), error: self.wall.error_at(size) })
    }

    /// Which share of its work a task had done at a point of its life, given what it took in all.
    pub(super) fn share_of(&self, (io, cpu): (f64, f64), (all_io, all_cpu): (f64, f64)) -> f64 {
        let wi = if all_io > 0.0 { self.io.weight } else { 0.0 };
        let wc = if all_cpu > 0.0 { self.cpu.weight } else { 0.0 };
        if wi + wc <= 0.0 {
            return 1.0;
        }
        let part = |weight: f64, done: f64, all: f64| if weight > 0.0 { weight * done / all } else { 0.0 };
        ((part(wi, io, all_io) + part(wc, cpu, all_cpu)) / (wi + wc)).clamp(0.0, 1.0)
    }

    /// Whether tasks wait for somebody else: whole ones hardly computed and hardly moved data. (While they run a jammed disk
    /// looks the same.) `None` before enough is known.
    pub(super) fn waits(&self) -> Option<bool> {
        let still = self.cpu.mean < COMPUTES * self.wall.mean && self.io.mean < MOVES;
        self.knows().then_some(still)
    }

    /// Whether anything was completed yet that a measure can be made of.
    pub(super) fn knows(&self) -> bool {
        self.totals.len() >= ENOUGH
    }

    /// How to measure progress now, while `running` tasks move `rate`.
    pub(super) fn measure(&self, rate: Rate, running: f64) -> Measure {
        let (io, cpu) = (self.io, self.cpu);
        let weights = io.weight + cpu.weight;
        if self.knows() && weights > 0.0 {
            let share = |one: Total| if one.weight > 0.0 { one.weight / weights / one.mean } else { 0.0 };
            let spread = 1.0 / io.weight.max(cpu.weight).sqrt();
            return Measure { io: share(io), cpu: share(cpu), spread };
        }
        let bytes = rate.io > SOME_BYTES.max(SOME_BYTES_EACH * running);
        let (io, cpu) = if bytes { (1.0, 0.0) } else { (0.0, 1.0) };
        Measure { io, cpu, spread: UNKNOWN_SPREAD }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_times_are_known_the_better_the_less_they_stray_and_the_nearer_their_sizes_are() {
        let learned = |results: u64, stray: f64| {
            let mut progress = Progress::default();
            for i in 0..results {
                let size = 1_000_000 << (i % 4);
                let off = if i % 2 == 0 { 1.0 + stray } else { 1.0 / (1.0 + stray) };
                progress.completed(0.0, 1.0, size as f64 / 1e6 * off, Some(size));
            }
            progress.refresh();
            move |size: u64| progress.run_time(Some(size)).unwrap()
        };
        let few = learned(4, 0.02)(4_000_000);
        let many = learned(40, 0.02)(4_000_000);
        let straying = learned(40, 0.5)(4_000_000);
        let far = learned(4, 0.02)(400_000_000);
        assert!((many.seconds / 4.0 - 1.0).abs() < 0.1 && many.error < 0.05, "{many:?}");
        assert!(many.error < few.error && few.error < far.error, "{many:?} {few:?} {far:?}");
        assert!((0.3..0.6).contains(&straying.error), "{straying:?}");
        assert_eq!(Progress::default().run_time(Some(1)), None);
    }

    #[test]
    fn the_measure_that_is_alike_for_files_of_a_size_counts() {
        let mut progress = Progress::default();
        for i in 0..40u64 {
            let size = 1e8 * (1.0 + i as f64);
            // CPU time says little: it varies by a factor of e² for the same size.
            let cpu = 10.0 * if i % 2 == 0 { 2.7 } else { 0.37 };
            progress.completed(size, cpu, 1.0, Some(size as u64));
        }
        progress.refresh();
        let measure = progress.measure(Rate::default(), 1.0);
        let mean_io = 1e8 * 20.5;
        assert!(measure.io * mean_io > 0.9, "{measure:?}");
    }
}
