//! Whether tasks have begun to take another multiple of what is said of them.
//!
//! A two-sided cumulative sum of standardised residuals (Page, "Continuous inspection schemes", Biometrika 1954): each
//! log ratio of what came to what was said, in multiples of its usual spread, adds what it has beyond an allowance. With
//! this allowance and threshold normal residuals raise no alarm in a million; one residual counts for three
//! spreads at most, so that no single outlier does. A shift by less than half is absorbed in silence.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Spreads by which a residual may stray.
const ALLOWANCE: f64 = 1.0;
/// Sum from which on it has drifted.
const THRESHOLD: f64 = 12.0;
const CLIP: f64 = 3.0;
/// Residuals before anything is judged.
const ENOUGH: u32 = 15;
/// Results over which the usual residual and its spread are averaged.
const WINDOW: u32 = 200;
/// The spread is taken to be at least this (log ratio).
const SMALLEST_SPREAD: f64 = 0.08;
/// Shifts by less than this factor are not worth a word.
const WORTH: f64 = 1.5;
/// Residuals since a change are kept up to this number.
const KEPT: usize = 24;
/// Mean absolute deviation to standard deviation of a normal distribution, √(π/2).
const TO_DEVIATION: f64 = 1.2533;

/// Watches one amount.
#[derive(Clone, Debug, Default)]
pub struct Drift {
    seen: u32,
    mean: f64,
    deviation: f64,
    up: f64,
    down: f64,
    /// Residuals since the sum was last zero.
    rising: VecDeque<f64>,
    falling: VecDeque<f64>,
}

/// What has drifted, and by how much.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drifted {
    /// Peak memory is this multiple of what it was.
    Memory(f64),
    /// CPU time is this multiple of what it was. (Run time changes with what else runs; it is followed in silence.)
    Cpu(f64),
}

impl std::fmt::Display for Drifted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (factor, of) = match self {
            Self::Memory(factor) => (factor, "memory"),
            Self::Cpu(factor) => (factor, "CPU time"),
        };
        let shown = if *factor < 0.095 { format!("{factor:.2}") } else { format!("{factor:.1}") };
        write!(f, "tasks now take {shown} × the {of} that earlier ones of the same size took: relearning")
    }
}

impl Drift {
    /// A residual that is usual by definition: of a result that was known before this run.
    pub fn settle(&mut self, residual: f64) {
        if residual.is_finite() {
            self.average(residual);
        }
    }

    /// Takes a residual, ln(came / said). Where tasks have changed for good: the factor, and how many of the last results
    /// are of the new kind; everything begins anew then.
    pub fn observe(&mut self, residual: f64) -> Option<(f64, usize)> {
        if !residual.is_finite() {
            return None;
        }
        if self.seen < ENOUGH {
            self.average(residual);
            return None;
        }
        let strays = ((residual - self.mean) / self.deviation.max(SMALLEST_SPREAD)).clamp(-CLIP, CLIP);
        follow(&mut self.up, &mut self.rising, strays - ALLOWANCE, residual);
        follow(&mut self.down, &mut self.falling, -strays - ALLOWANCE, residual);
        let since = match (self.up > THRESHOLD, self.down > THRESHOLD) {
            (true, _) => &self.rising,
            (_, true) => &self.falling,
            _ => {
                if self.up.max(self.down) < THRESHOLD / 3.0 {
                    self.average(residual);
                }
                return None;
            }
        };
        let mut sorted: Vec<f64> = since.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let (middle, count) = (sorted[sorted.len() / 2], sorted.len());
        let factor = (middle - self.mean).exp();
        let worth = factor.max(1.0 / factor) >= WORTH;
        // Too small a shift: what is usual now is what came of late.
        let (seen, deviation) = if worth { (0, 0.0) } else { (ENOUGH, self.deviation) };
        *self = Self { seen, mean: if worth { 0.0 } else { middle }, deviation, ..Self::default() };
        worth.then_some((factor, count))
    }

    /// Half-way to an alarm: the factor so far and how many results speak for it, where it is worth a word.
    #[must_use]
    pub fn leans(&self) -> Option<(f64, usize)> {
        let since = match (self.up > THRESHOLD / 2.0, self.down > THRESHOLD / 2.0) {
            (true, _) => &self.rising,
            (_, true) => &self.falling,
            _ => return None,
        };
        let mut sorted: Vec<f64> = since.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let factor = (sorted[sorted.len() / 2] - self.mean).exp();
        (factor.max(1.0 / factor) >= WORTH).then_some((factor, sorted.len()))
    }

    fn average(&mut self, residual: f64) {
        self.seen += 1;
        let weight = 1.0 / f64::from(self.seen.min(WINDOW));
        self.mean += weight * (residual - self.mean);
        let away = TO_DEVIATION * (residual - self.mean).abs();
        self.deviation += weight * (away - self.deviation);
    }
}

fn follow(sum: &mut f64, since: &mut VecDeque<f64>, step: f64, residual: f64) {
    *sum = (*sum + step).max(0.0);
    if *sum <= 0.0 {
        since.clear();
        return;
    }
    if since.len() == KEPT {
        since.pop_front();
    }
    since.push_back(residual);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums of twelve uniform numbers (Irwin–Hall): about normal, from a seed.
    fn noise(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            let sum: f64 = (0..12)
                .map(|_| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 11) as f64 / (1u64 << 53) as f64
                })
                .sum();
            sum - 6.0
        }
    }

    #[test]
    fn a_change_is_noticed_soon_and_its_factor_is_right() {
        for (seed, factor) in [(1u64, 2.1f64), (2, 0.4), (3, 5.0), (4, 1.7)] {
            let mut drift = Drift::default();
            let mut next = noise(seed);
            assert!((0..100).all(|_| drift.observe(0.15 * next()).is_none()));
            let (after, (found, count)) = (1..40)
                .find_map(|i| drift.observe(factor.ln() + 0.15 * next()).map(|found| (i, found)))
                .expect("a change");
            assert!((found / factor - 1.0).abs() < 0.2, "{found} for {factor}");
            assert!(after <= 12 && count <= after, "{factor}: after {after}, {count} since");
        }
    }

    #[test]
    fn steady_tasks_raise_no_alarm_however_much_they_differ() {
        for seed in 0..40 {
            let mut drift = Drift::default();
            let (mut next, mut rare) = (noise(seed), noise(seed + 1000));
            let alarms = (0..5_000)
                .filter(|_| {
                    // One in forty needs forty times as much.
                    let outlier = if rare() > 1.96 { 3.7 } else { 0.0 };
                    drift.observe(0.4 * next() + outlier).is_some()
                })
                .count();
            assert_eq!(alarms, 0, "seed {seed}");
        }
    }

    #[test]
    fn a_small_shift_is_absorbed() {
        let mut drift = Drift::default();
        let mut next = noise(9);
        let mut feed =
            |shift: f64, n: usize| (0..n).filter_map(|_| drift.observe(shift + 0.1 * next())).count();
        assert_eq!((feed(0.0, 50), feed(0.25, 100), feed(0.25, 500)), (0, 0, 0));
    }

    #[test]
    fn said_in_words() {
        assert_eq!(
            Drifted::Memory(2.13).to_string(),
            "tasks now take 2.1 × the memory that earlier ones of the same size took: relearning"
        );
        assert!(Drifted::Cpu(0.04).to_string().starts_with("tasks now take 0.04 × the CPU time"));
    }
}
