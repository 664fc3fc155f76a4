//! When will it be over? What waits and what is left of what runs, at the present pace, with a band.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::predict::AmountPrediction;

/// Standard deviations to each end of the band: four times in five the end lies between them (1.28 for a normal error; the tail
/// of the last tasks is heavier).
const BAND: f64 = 1.4;
/// From the median to the 95th percentile of a normal distribution.
const TO_P95: f64 = 1.645;
/// Log spread of a task's run time is taken to lie between these.
const SPREADS: (f64, f64) = (0.02, 1.2);
/// Share of the time in which places stand empty at the end because the last tasks end one by one, of what it would be if
/// they came in any order: the smallest come last.
const TAIL: f64 = 0.5;

/// Time that is left, with a band that is meant to hold four times in five.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Eta {
    /// Likely.
    pub likely: Duration,
    /// Optimistic end of the band.
    pub low: Duration,
    /// Pessimistic end of the band.
    pub high: Duration,
}

/// A running task.
#[derive(Clone, Copy, Debug)]
pub struct RunningTask {
    /// Seconds that it has run, without the time it stood still.
    pub ran: f64,
    /// What was promised of its run time.
    pub seconds: AmountPrediction,
}

/// What is left to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rest {
    tasks: f64,
    work: f64,
    squares: f64,
    variance: f64,
    longest: f64,
    /// Seconds until the last of those that run is over, whatever the others do.
    last_running: f64,
}

/// Log spread of a run time.
fn spread(seconds: AmountPrediction) -> f64 {
    ((seconds.p95 / seconds.p50.max(1e-6)).max(1.0).ln() / TO_P95).clamp(SPREADS.0, SPREADS.1)
}

impl Rest {
    /// So many waiting tasks take this each.
    pub fn waiting(&mut self, count: u64, seconds: AmountPrediction) {
        let (n, p50) = (count as f64, seconds.p50);
        let spread = spread(seconds);
        self.tasks += n;
        self.work += n * p50;
        self.squares += n * p50 * p50;
        self.variance += n * p50 * p50 * ((spread * spread).exp() - 1.0);
        self.longest = self.longest.max(p50);
    }

    /// One that runs: what is left of it given that it has run for so long, by the mean of the log-normal distribution
    /// beyond that point: m · Φ(s − z) / Φ(−z) − t with z = (ln t − ln p50) / s and m = p50 · exp(s²/2).
    pub fn running(&mut self, one: RunningTask) {
        let (p50, s) = (one.seconds.p50.max(1e-6), spread(one.seconds));
        let z = if one.ran > 0.0 { ((one.ran / p50).ln() / s).min(4.0) } else { -8.0 };
        let beyond = p50 * (s * s / 2.0).exp() * upper(z - s) / upper(z);
        let left = (beyond - one.ran.min(p50 * (4.0 * s).exp())).max(0.02 * p50);
        self.tasks += 1.0;
        self.work += left;
        self.squares += left * left;
        self.variance += left * left * ((s * s).exp() - 1.0);
        self.last_running = self.last_running.max(left);
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks <= 0.0
    }

    /// Seconds of work that are left.
    #[must_use]
    pub fn work(&self) -> f64 {
        self.work
    }
}

/// 1 − Φ(z), by Abramowitz and Stegun 26.2.17 (error below 7.5e-8).
fn upper(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let series = t
        * (0.319_381_53
            + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * series;
    if z >= 0.0 { tail } else { 1.0 - tail }
}

/// Time that is left: the work over the places that are filled, at the pace of `each`, no less than the longest task takes,
/// and half of what it costs that the last tasks end one by one (`E[w²] / 2E[w]`, the mean residual life, for all places but
/// one). The spread of the tasks adds in quadrature; `model` (relative error of the expectation) and `places` (relative
/// spread of the number that runs) are common to all.
#[must_use]
pub fn estimate(rest: &Rest, active: f64, each: f64, model: f64, places: f64) -> Eta {
    let at_once = active.max(1.0).min(rest.tasks.max(1.0));
    let tail = (1.0 - 1.0 / at_once) * TAIL * rest.squares / (2.0 * rest.work.max(1e-9));
    let longest = rest.longest.max(rest.last_running);
    let seconds = ((rest.work / at_once + tail).max(longest)) / each.max(1e-6);
    let own = rest.variance.sqrt() / rest.work.max(1e-9);
    let common = (model * model + places * places).sqrt();
    let relative = BAND * (own * own + common * common).sqrt();
    let ends_late = if at_once > 1.0 { tail / each.max(1e-6) } else { 0.0 };
    let length = |seconds: f64| Duration::from_secs_f64(seconds.clamp(0.0, 1e9));
    Eta {
        likely: length(seconds),
        low: length(seconds / (1.0 + relative) - ends_late),
        high: length(seconds * (1.0 + relative) + ends_late),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn band(p50: f64, p95: f64) -> AmountPrediction {
        AmountPrediction { p50, p95 }
    }

    fn seconds(rest: &Rest, active: f64, each: f64) -> f64 {
        estimate(rest, active, each, 0.0, 0.0).likely.as_secs_f64()
    }

    #[test]
    fn work_over_places_at_the_pace() {
        let mut rest = Rest::default();
        rest.waiting(1_000, band(2.0, 2.2));
        assert!((seconds(&rest, 4.0, 1.0) - 500.0).abs() < 2.0);
        assert!((seconds(&rest, 4.0, 0.5) - 1000.0).abs() < 4.0);
        rest.waiting(1, band(3_000.0, 3_100.0));
        assert!((seconds(&rest, 4.0, 1.0) - 3_000.0).abs() < 500.0, "the longest alone takes so long");
    }

    #[test]
    fn sizes_weigh() {
        let (mut small, mut large) = (Rest::default(), Rest::default());
        small.waiting(100, band(1.0, 1.1));
        large.waiting(100, band(30.0, 33.0));
        assert!((seconds(&large, 2.0, 1.0) / seconds(&small, 2.0, 1.0) - 30.0).abs() < 0.1);
    }

    #[test]
    fn what_has_run_for_long_is_not_about_to_end() {
        let left = |ran: f64, p95: f64| {
            let mut rest = Rest::default();
            rest.running(RunningTask { ran, seconds: band(10.0, p95) });
            rest.work()
        };
        assert!((left(0.0, 10.5) - 10.0).abs() < 0.1);
        assert!((left(6.0, 10.5) - 4.0).abs() < 0.1);
        assert!(
            left(30.0, 10.5) > 0.0 && left(30.0, 40.0) > 5.0,
            "{} {}",
            left(30.0, 10.5),
            left(30.0, 40.0)
        );
        assert!(left(1e9, 40.0).is_finite());
    }

    #[test]
    fn the_band_holds_the_likely_and_widens_with_what_is_not_known() {
        let mut rest = Rest::default();
        rest.waiting(40, band(5.0, 9.0));
        let wide = |model, places| {
            let eta = estimate(&rest, 3.0, 1.0, model, places);
            assert!(eta.low <= eta.likely && eta.likely <= eta.high, "{eta:?}");
            (eta.high - eta.low).as_secs_f64()
        };
        assert!(wide(0.3, 0.0) > wide(0.05, 0.0) && wide(0.05, 0.4) > wide(0.05, 0.0));
    }

    #[test]
    fn the_normal_tail() {
        for (z, tail) in [(0.0, 0.5), (1.0, 0.158_655), (-1.0, 0.841_345), (3.0, 0.001_350)] {
            assert!((upper(z) - tail).abs() < 1e-5, "{z}");
        }
    }
}
