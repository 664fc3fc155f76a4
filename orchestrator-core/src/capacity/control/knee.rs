//! Where more at once stops being faster: the knee of run time over concurrency.
//!
//! Each completion tells how many ran beside it (mean over its life), how long it took and how large its input was. Fit:
//! log R = a + b · log size + p · max(0, log(n / n₀)). Below n₀ run time does not depend on concurrency; above it grows
//! with power p: at p = 1 throughput is flat, above it falls. n₀ is tried on a grid, the rest is least squares.

use std::collections::VecDeque;

use super::kinds::KindLaw;
use crate::predict::Kind;

/// Completions kept, and the age at which one counts half.
const KEPT: usize = 300;
const HALF_LIFE: f64 = 150.0;
const ENOUGH: usize = 10;
/// Concurrency must have varied by this factor.
const VARIED: f64 = 1.25;
const GRID: usize = 25;
/// A knee is believed from this power and this t value on …
const BELIEVED: (f64, f64) = (0.85, 3.0);
/// … and given up only below these.
const GIVEN_UP: (f64, f64) = (0.75, 2.0);
/// Of so few completions the t value must be twice that: the best of many hinges fits chance as well.
const FEW: f64 = 10.0;
const STEEPEST: f64 = 3.0;

/// A knee that is believed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Knee {
    /// Concurrency at which it lies.
    pub(super) at: f64,
    /// Power of run time over concurrency beyond it.
    pub(super) power: f64,
}

#[derive(Clone, Copy, Debug)]
struct Residence {
    beside: f64,
    /// As it was, s; by what its kind differs is taken out anew whenever a knee is looked for.
    wall: f64,
    size: f64,
    kind: Option<Kind>,
}

/// Finds the knee.
#[derive(Clone, Debug, Default)]
pub(super) struct KneeFinder {
    completed: VecDeque<Residence>,
}

/// Removes the weighted least-squares line in x from values.
struct Residual<'a> {
    x: &'a [f64],
    w: &'a [f64],
    sum: f64,
    mean_x: f64,
    xx: f64,
}

impl<'a> Residual<'a> {
    fn new(x: &'a [f64], w: &'a [f64]) -> Self {
        let sum: f64 = w.iter().sum();
        let mean_x = x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>() / sum;
        let xx = x.iter().zip(w).map(|(x, w)| w * (x - mean_x).powi(2)).sum();
        Self { x, w, sum, mean_x, xx }
    }

    fn of(&self, values: &[f64]) -> Vec<f64> {
        let mean = values.iter().zip(self.w).map(|(v, w)| v * w).sum::<f64>() / self.sum;
        let xy: f64 =
            values.iter().zip(self.x).zip(self.w).map(|((v, x), w)| w * (v - mean) * (x - self.mean_x)).sum();
        let slope = if self.xx > 1e-9 { xy / self.xx } else { 0.0 };
        values.iter().zip(self.x).map(|(v, x)| v - mean - slope * (x - self.mean_x)).collect()
    }
}

impl KneeFinder {
    /// A task ran for `wall` seconds beside `beside` on average (itself included), over an input of log size `size` and this
    /// kind.
    pub(super) fn completed(&mut self, beside: f64, wall: f64, size: f64, kind: Option<Kind>) {
        if self.completed.len() == KEPT {
            self.completed.pop_front();
        }
        self.completed.push_back(Residence { beside: beside.max(1.0), wall: wall.max(1e-3), size, kind });
    }

    /// Median run time of the last 50 completions, s.
    pub(super) fn median_wall(&self) -> Option<f64> {
        let mut walls: Vec<f64> = self.completed.iter().rev().take(50).map(|one| one.wall).collect();
        walls.sort_unstable_by(f64::total_cmp);
        walls.get(walls.len() / 2).copied()
    }

    /// The knee, if there is one to be believed, or still to be believed, with what kinds differ by taken out.
    pub(super) fn find(&self, believed: bool, kinds: &KindLaw) -> Option<Knee> {
        let (power, t) = if believed { GIVEN_UP } else { BELIEVED };
        let m = self.completed.len();
        if m < ENOUGH {
            return None;
        }
        let beside: Vec<f64> = self.completed.iter().map(|one| one.beside.ln()).collect();
        let low = beside.iter().copied().fold(f64::INFINITY, f64::min);
        let high = beside.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if high - low < VARIED.ln() {
            return None;
        }
        let weights: Vec<f64> = (0..m).map(|i| 0.5f64.powf((m - 1 - i) as f64 / HALF_LIFE)).collect();
        let sizes: Vec<f64> = self.completed.iter().map(|one| one.size).collect();
        let walls: Vec<f64> =
            self.completed.iter().map(|one| (one.wall / kinds.of(one.kind).wall).ln()).collect();
        let residual = Residual::new(&sizes, &weights);
        let wall = residual.of(&walls);
        let dot = |a: &[f64], b: &[f64]| -> f64 {
            a.iter().zip(b).zip(&weights).map(|((a, b), w)| w * a * b).sum()
        };
        let (from, to) = (low.max(0.0), high - 1.1f64.ln());
        let mut best: Option<(f64, Knee, f64)> = None;
        for step in 0..GRID {
            let at = from + (to - from) * step as f64 / (GRID - 1) as f64;
            let hinge: Vec<f64> = beside.iter().map(|n| (n - at).max(0.0)).collect();
            if hinge.iter().filter(|h| **h > 0.05).count() < 4 {
                continue;
            }
            let hinge = residual.of(&hinge);
            let hh = dot(&hinge, &hinge);
            if hh < 1e-6 {
                continue;
            }
            let power = (dot(&hinge, &wall) / hh).clamp(0.0, STEEPEST);
            let rest: Vec<f64> = wall.iter().zip(&hinge).map(|(w, h)| w - power * h).collect();
            let squares = dot(&rest, &rest);
            let t = power * hh.sqrt() / (squares / m.saturating_sub(4).max(1) as f64 + 1e-12).sqrt();
            if best.is_none_or(|(least, _, _)| squares < least) {
                best = Some((squares, Knee { at: at.exp(), power }, t));
            }
        }
        best.filter(|(_, knee, value)| knee.power >= power && *value > t * (1.0 + FEW / m as f64))
            .map(|(_, knee, _)| knee)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_knee_is_found_where_it_lies() {
        let mut finder = KneeFinder::default();
        assert_eq!(finder.find(false, &KindLaw::default()), None);
        for i in 0..120u32 {
            let n = 1.0 + f64::from(i % 24);
            let noise = 1.0 + 0.05 * f64::from(i * 7 % 11) / 11.0;
            finder.completed(n, 10.0 * (n / 8.0).max(1.0).powf(1.3) * noise, 15.0 + f64::from(i % 5), None);
        }
        let knee = finder.find(false, &KindLaw::default()).unwrap();
        assert!((7.0..9.5).contains(&knee.at) && (1.0..1.6).contains(&knee.power), "{knee:?}");
    }

    #[test]
    fn constant_run_time_has_no_knee() {
        let mut finder = KneeFinder::default();
        for i in 0..120u32 {
            finder.completed(f64::from(1 + i % 24), 10.0 + f64::from(i * 7 % 11) / 11.0, 15.0, None);
        }
        assert_eq!(finder.find(false, &KindLaw::default()), None);
    }
}
