//! Eight closed-form experts on an amount.

use super::super::fit::{Line, Sized, Sums, log_size, median, nearest, reweighted};

pub(super) const EXPERTS: usize = 8;
/// Index of the robust power law, and of the same corrected by its recent errors.
pub(super) const ROBUST: usize = 6;
pub(super) const CORRECTED: usize = 7;
/// Prior of the exponent with which amounts grow with input size: mean and standard deviation.
const EXPONENT: (f64, f64) = (0.6, 0.4);
/// Prior variance of a log amount around the power law, worth three results.
const PRIOR_VARIANCE: f64 = 0.04;
const PRIOR_RESULTS: f64 = 3.0;
/// Results that count as recent.
const RECENT: usize = 9;
/// The line is clamped to these multiples of the smallest and largest amount seen.
const CLAMP: (f64, f64) = (0.5, 4.0);
/// An absolute log residual below this weighs no more in the robust fit.
const RESIDUAL_FLOOR: f64 = 0.02;

/// One result: size (NaN if unknown), its logarithm, amount and its logarithm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) size: f64,
    pub(super) log_size: f64,
    pub(super) amount: f64,
    pub(super) log: f64,
}

impl Point {
    pub(super) fn new(size: Option<f64>, amount: f64) -> Self {
        let size = size.unwrap_or(f64::NAN);
        Self { size, log_size: log_size(size), amount, log: amount.ln() }
    }
}

/// The fits over the results so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Experts {
    median: f64,
    recent: f64,
    smallest: f64,
    largest: f64,
    lines: Option<Lines>,
}

#[derive(Clone, Copy, Debug)]
struct Lines {
    plain: Line,
    power: Line,
    robust: Line,
}

impl Experts {
    pub(super) fn fit(points: &[Point]) -> Self {
        let mut amounts: Vec<f64> = points.iter().map(|point| point.amount).collect();
        let mut recent = amounts[amounts.len().saturating_sub(RECENT)..].to_vec();
        Self {
            smallest: amounts.iter().copied().fold(f64::INFINITY, f64::min),
            largest: amounts.iter().copied().fold(0.0, f64::max),
            median: median(&mut amounts),
            recent: median(&mut recent),
            lines: Lines::fit(points),
        }
    }

    /// What all say of an input of this size; `correction` is the log of what the robust power law has missed of late.
    pub(super) fn say(&self, points: &[Point], size: Option<f64>, correction: f64) -> [f64; EXPERTS] {
        let mut said = [self.median; EXPERTS];
        said[4] = self.recent;
        let Some((lines, size)) = self.lines.zip(size) else { return said };
        let at = log_size(size);
        let (far, close) = neighbours(points, at, lines.power.slope);
        said[1] = lines.plain.at(size).clamp(CLAMP.0 * self.smallest, CLAMP.1 * self.largest);
        said[2] = lines.power.at(at).exp();
        said[3] = far.exp();
        said[5] = close.exp();
        said[ROBUST] = lines.robust.at(at).exp();
        said[CORRECTED] = (lines.robust.at(at) + correction).exp();
        said
    }
}

impl Lines {
    fn fit(points: &[Point]) -> Option<Self> {
        let all = points.iter().map(|point| [point.size, point.log_size, point.amount, point.log]);
        let Sized { sums, logs, .. } = Sized::of(all)?;
        let log_sums = Sums::over(&logs);
        let power = power_law(&logs, &log_sums);
        let robust = robust_line(&logs, &log_sums, power);
        Some(Self { plain: sums.line(), power, robust })
    }
}

/// Bayesian regression of log amount on log size with a normal prior on the exponent (posterior mean; the residual
/// variance is plugged in).
fn power_law(logs: &[(f64, f64)], sums: &Sums) -> Line {
    let free = sums.line();
    let squares: f64 = logs.iter().map(|(x, y)| (y - free.at(*x)).powi(2)).sum();
    let variance = (squares + PRIOR_RESULTS * PRIOR_VARIANCE) / (sums.n + 1.0);
    let (mean, deviation) = EXPONENT;
    let prior = 1.0 / (deviation * deviation);
    let slope = (sums.xy / variance + mean * prior) / (sums.xx / variance + prior);
    Line { slope: slope.clamp(0.0, 2.0), ..free }
}

/// Least absolute deviations by iteratively reweighted least squares, from the Bayesian line.
fn robust_line(logs: &[(f64, f64)], sums: &Sums, start: Line) -> Line {
    let shifted: Vec<(f64, f64)> = logs.iter().map(|(x, y)| (*x, y - start.at(*x))).collect();
    let rest = Sums::over(&shifted);
    let weight = |residual: f64| 1.0 / (residual.abs() + RESIDUAL_FLOOR);
    let correction = reweighted(&shifted, &rest, 8, weight);
    Line {
        centre_x: sums.mean_x,
        centre_y: start.centre_y + correction.at(sums.mean_x),
        slope: start.slope + correction.slope,
    }
}

/// Log amounts of the nearest sizes, moved to this size by the exponent: of the 5 or 9 nearest, and of the 3 nearest.
fn neighbours(points: &[Point], at: f64, slope: f64) -> (f64, f64) {
    let mut distances: Vec<(f64, u32)> = points
        .iter()
        .zip(0u32..)
        .filter(|(point, _)| !point.size.is_nan())
        .map(|(point, index)| ((point.log_size - at).abs(), index))
        .collect();
    let wanted = if distances.len() < 50 { 5 } else { 9 };
    let near = nearest(&mut distances, wanted);
    let mean = |near: &[(f64, u32)], offset: f64| {
        let (mut weights, mut sum) = (0.0, 0.0);
        for (distance, index) in near {
            let point = &points[*index as usize];
            let weight = 1.0 / (distance + offset);
            weights += weight;
            sum += weight * (point.log + slope * (at - point.log_size));
        }
        sum / weights
    };
    (mean(near, 0.02), mean(&near[..near.len().min(3)], 0.01))
}
