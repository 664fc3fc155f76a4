//! Eight closed-form experts on peak memory.
//!
//! Each says one number for an input; what it is worth is learned from the ratios of true peaks to what it said.

use serde::{Deserialize, Serialize};

use super::super::fit::{Line, Sized, Sums, log_size, nearest, reweighted};

/// How many experts there are.
pub(super) const EXPERTS: usize = 8;
/// The regression lines are clamped to at most this multiple of the largest peak seen.
const EXTRAPOLATION: f64 = 4.0;
/// Below it a prediction is not believed, bytes.
const SMALLEST: f64 = 1e6;
/// A residual below the upper line weighs this much, above it 1.
const BELOW_WEIGHT: f64 = 0.05;
/// Shrinks the exponent of the power law towards 0 with few results: n / (n + 2).
const SHRINK: f64 = 2.0;
/// Added to the distance of a neighbour in log size before it weighs inversely.
const NEIGHBOUR_OFFSET: f64 = 0.02;
/// Neighbours are near up to this (log) beyond the largest of them.
const REACH: f64 = 0.2;
/// Results that count as recent.
const RECENT: usize = 5;

/// An expert.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expert {
    /// The largest peak seen.
    Largest,
    /// No number but the distribution of the peaks seen, as they are.
    Distribution,
    /// Ordinary least squares on input size.
    Line,
    /// Least squares of log peak on log size, shrunk towards a level.
    PowerLaw,
    /// Least squares in which a peak above the line weighs 20 times as much as one below.
    UpperLine,
    /// Geometric mean of the peaks of the nearest input sizes.
    Neighbours,
    /// Largest peak among the nearest input sizes.
    LargestNeighbour,
    /// Largest peak of late: where tasks change from one sort to another.
    Recent,
}

impl Expert {
    /// All of them; the position is the index of an expert's number.
    pub(super) const ALL: [Self; EXPERTS] = [
        Self::Largest,
        Self::Distribution,
        Self::Line,
        Self::PowerLaw,
        Self::UpperLine,
        Self::Neighbours,
        Self::LargestNeighbour,
        Self::Recent,
    ];
}

/// One result: input size (NaN if unknown), its logarithm, peak and its logarithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) size: f64,
    pub(super) log_size: f64,
    pub(super) peak: f64,
    pub(super) log_peak: f64,
}

impl Point {
    pub(super) fn new(size: Option<f64>, peak: f64) -> Self {
        let peak = peak.max(1.0);
        let size = size.unwrap_or(f64::NAN);
        Self { size, log_size: log_size(size), peak, log_peak: peak.ln() }
    }
}

/// The experts' fits over the results so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Experts {
    smallest: f64,
    largest: f64,
    recent: f64,
    mean: f64,
    median: f64,
    /// Lines over size; `None` with fewer than three known sizes, or all alike.
    lines: Option<Lines>,
}

#[derive(Clone, Copy, Debug)]
struct Lines {
    plain: Line,
    power: Line,
    upper: Line,
}

impl Experts {
    /// Fits over all results. O(n).
    pub(super) fn fit(points: &[Point]) -> Self {
        if points.is_empty() {
            return Self::default();
        }
        let mut peaks: Vec<f64> = points.iter().map(|point| point.peak).collect();
        let smallest = peaks.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = peaks.iter().copied().fold(0.0, f64::max);
        let recent = peaks[peaks.len().saturating_sub(RECENT)..].iter().copied().fold(0.0, f64::max);
        let mean = peaks.iter().sum::<f64>() / peaks.len() as f64;
        let median = super::super::fit::median(&mut peaks);
        Self { smallest, largest, recent, mean, median, lines: Lines::fit(points) }
    }

    pub(super) fn largest(&self) -> f64 {
        self.largest
    }

    pub(super) fn smallest(&self) -> f64 {
        self.smallest
    }

    /// What one expert says of an input of this size, bytes.
    pub(super) fn say(&self, expert: Expert, points: &[Point], size: Option<f64>) -> f64 {
        let clamp = |value: f64| value.clamp(self.smallest, EXTRAPOLATION * self.largest);
        let lines = self.lines.zip(size);
        let said = match expert {
            Expert::Distribution => return 1.0,
            Expert::Largest => self.largest,
            Expert::Recent => self.recent,
            Expert::Line => lines.map_or(self.mean, |(lines, x)| clamp(lines.plain.at(x))),
            Expert::PowerLaw => {
                lines.map_or(self.mean, |(lines, x)| clamp(lines.power.at(log_size(x)).exp()))
            }
            Expert::UpperLine => lines.map_or(self.largest, |(lines, x)| clamp(lines.upper.at(x))),
            Expert::Neighbours => {
                lines.map_or(self.median, |(lines, x)| near(points, x, lines.power.slope).mean)
            }
            Expert::LargestNeighbour => {
                lines.map_or(self.largest, |(lines, x)| near(points, x, lines.power.slope).largest)
            }
        };
        said.max(SMALLEST)
    }

    /// What all of them say, in the order of [`Expert::ALL`].
    pub(super) fn say_all(&self, points: &[Point], size: Option<f64>) -> [f64; EXPERTS] {
        let mut out = Expert::ALL.map(|expert| match expert {
            Expert::Neighbours | Expert::LargestNeighbour => SMALLEST,
            other => self.say(other, points, size),
        });
        let near = match (self.lines, size) {
            (Some(lines), Some(x)) => near(points, x, lines.power.slope),
            _ => Near { mean: self.median, largest: self.largest },
        };
        out[Expert::Neighbours as usize] = near.mean.max(SMALLEST);
        out[Expert::LargestNeighbour as usize] = near.largest.max(SMALLEST);
        out
    }
}

impl Lines {
    fn fit(points: &[Point]) -> Option<Self> {
        let all = points.iter().map(|point| [point.size, point.log_size, point.peak, point.log_peak]);
        let Sized { flat, sums, logs } = Sized::of(all)?;
        let mut power = Sums::over(&logs).line();
        power.slope *= sums.n / (sums.n + SHRINK);
        let upper = reweighted(&flat, &sums, 6, |residual| if residual > 0.0 { 1.0 } else { BELOW_WEIGHT });
        Some(Self { plain: sums.line(), power, upper })
    }
}

struct Near {
    mean: f64,
    largest: f64,
}

/// The 5 nearest of fewer than 50, else the 9 nearest, by log size; for an input larger than all of them their peaks grow with
/// the exponent of the power law.
fn near(points: &[Point], size: f64, slope: f64) -> Near {
    let at = log_size(size);
    let mut distances: Vec<(f64, u32)> = points
        .iter()
        .zip(0u32..)
        .filter(|(point, _)| !point.size.is_nan())
        .map(|(point, index)| ((point.log_size - at).abs(), index))
        .collect();
    let wanted = if distances.len() < 50 { 5 } else { 9 };
    let (mut weights, mut sum, mut largest) = (0.0, 0.0, 0.0f64);
    let mut reach = f64::NEG_INFINITY;
    for (distance, index) in nearest(&mut distances, wanted) {
        let point = &points[*index as usize];
        let weight = 1.0 / (distance + NEIGHBOUR_OFFSET);
        weights += weight;
        sum += weight * point.log_peak;
        largest = largest.max(point.peak);
        reach = reach.max(point.log_size);
    }
    let beyond = slope.clamp(0.0, 1.0) * (at - reach - REACH).max(0.0);
    let grown = beyond.exp().min(EXTRAPOLATION);
    Near { mean: grown * (sum / weights).exp(), largest: grown * largest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(pairs: &[(f64, f64)]) -> Vec<Point> {
        pairs.iter().map(|(size, peak)| Point::new(Some(*size), *peak)).collect()
    }

    #[test]
    fn experts_follow_a_proportional_law() {
        let points = points(&[(1e9, 2e8), (2e9, 4e8), (3e9, 6e8), (4e9, 8e8), (5e9, 1e9)]);
        let experts = Experts::fit(&points);
        let said = experts.say_all(&points, Some(2.5e9));
        for (expert, said) in Expert::ALL.into_iter().zip(said) {
            assert_eq!(said, experts.say(expert, &points, Some(2.5e9)), "{expert:?}");
        }
        assert!((said[2] / 5e8 - 1.0).abs() < 1e-6);
        assert_eq!((said[0], said[1], said[6]), (1e9, 1.0, 1e9));
    }

    #[test]
    fn lines_do_not_run_away() {
        let points = points(&[(1e9, 1e8), (2e9, 2e8), (3e9, 3e8)]);
        let experts = Experts::fit(&points);
        assert_eq!(experts.say(Expert::Line, &points, Some(1e12)), 1.2e9);
        assert_eq!(experts.say(Expert::Line, &points, Some(0.0)), 1e8);
    }

    #[test]
    fn unknown_sizes_fall_back_on_the_peaks_alone() {
        let mixed = [Point::new(None, 3e8), Point::new(Some(1e9), 1e8), Point::new(None, 2e8)];
        let experts = Experts::fit(&mixed);
        let said = experts.say_all(&mixed, Some(1e9));
        assert_eq!((said[2], said[4], said[5]), (2e8, 3e8, 2e8));
        assert!(experts.say_all(&mixed, None).iter().all(|value| value.is_finite()));
    }

    /// Those next to an input that is far larger than all others are no neighbours.
    #[test]
    fn neighbours_do_not_hold_back_what_is_far_larger_than_all_of_them() {
        let pairs: Vec<(f64, f64)> = (1..=40).map(|i| (f64::from(i) * 1e8, f64::from(i) * 2e8)).collect();
        let points = points(&pairs);
        let experts = Experts::fit(&points);
        let said = |size: f64| experts.say(Expert::LargestNeighbour, &points, Some(size));
        assert_eq!(said(4.2e9), 8e9, "within reach");
        assert!((1.8e10..3.2e10).contains(&said(1.6e10)), "{}", said(1.6e10));
    }
}
