//! The predictor: results in, p50 and p95 out.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::super::fit::median;
use super::super::kinds::{Case, Kinds};
use super::experts::{CORRECTED, EXPERTS, Experts, Point, ROBUST};
use crate::predict::{Features, Kind};

/// Results kept.
const KEPT: usize = 300;
/// An error weighs this much less than its successor's.
const DECAY: f64 = 0.98;
/// A log error counts as this much at most: an outlier must not decide which expert is believed.
const CLIP: f64 = 0.3;
/// Recent results from which the corrected power law learns what it misses.
const CORRECTION: usize = 15;
/// Amounts below this are taken as this.
const SMALLEST: f64 = 1e-3;
/// Beyond the largest ratio of true to said, the 95th percentile is taken this much higher.
const BEYOND: f64 = 1.15;
/// Ratio of p95 to p50 before there is an error to learn from.
const UNKNOWN_SPREAD: f64 = 3.0;

/// What is expected.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AmountPrediction {
    /// As likely above as below.
    pub p50: f64,
    /// Exceeded once in twenty.
    pub p95: f64,
}

/// One kept result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AmountResult {
    /// Input size, bytes; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<u64>,
    /// What sort of file the input was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The amount, in its own unit.
    pub amount: f64,
}

/// The kept results, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AmountState {
    /// At most 300; more are cut from the front when restored.
    pub results: Vec<AmountResult>,
}

/// Learns one amount from the results of one binary with one set of flags.
#[derive(Clone, Debug, Default)]
pub struct AmountPredictor {
    kept: VecDeque<Kept>,
    points: Vec<Point>,
    experts: Experts,
    correction: f64,
    believed: usize,
    kinds: Kinds,
    /// 95th percentile of true over said by the believed expert, at least 1.
    p95: f64,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    result: AmountResult,
    /// ln(true / said) for each expert; absent for the very first result.
    missed: Option<[f64; EXPERTS]>,
}

impl AmountPredictor {
    /// A predictor that learned from kept results. Results that make no sense are left out.
    #[must_use]
    pub fn restore(state: &AmountState) -> Self {
        let mut predictor = Self::default();
        let from = state.results.len().saturating_sub(KEPT);
        for result in state.results[from..].iter().filter(|result| is_sane(result)) {
            predictor.keep(*result);
            predictor.tell_kinds_apart();
        }
        predictor.choose();
        predictor
    }

    /// One of several that learn of the same results: what costs more than usual each does after other results.
    #[must_use]
    pub(crate) fn in_turn(turn: usize) -> Self {
        Self { kinds: Kinds::in_turn(turn), ..Self::default() }
    }

    /// What to keep across runs.
    #[must_use]
    pub fn state(&self) -> AmountState {
        AmountState { results: self.kept.iter().map(|kept| kept.result).collect() }
    }

    /// How many results are kept.
    #[must_use]
    pub fn results(&self) -> usize {
        self.kept.len()
    }

    /// The kinds of which something else is expected than of others.
    pub(crate) fn apart(&self) -> impl Iterator<Item = Option<Kind>> + '_ {
        self.kinds.apart()
    }

    /// Takes a result. One that makes no sense (negative, not finite) is ignored.
    pub fn observe(&mut self, features: &Features, amount: f64) {
        let result = AmountResult { input: features.input.map(|bytes| bytes.0), kind: features.kind, amount };
        if is_sane(&result) {
            self.keep(result);
            self.tell_kinds_apart();
            self.choose();
        }
    }

    /// As for memory: when the factors by which kinds differ change, all results are learned anew, each divided by its own.
    fn tell_kinds_apart(&mut self) {
        if !self.kinds.due() {
            return;
        }
        let cases =
            self.kept.iter().map(|Kept { result, .. }| Case::new(result.kind, result.input, result.amount));
        if !self.kinds.fit(cases) {
            return;
        }
        let results = std::mem::take(&mut self.kept);
        self.points.clear();
        (self.experts, self.correction) = Default::default();
        let mut next = 1;
        for (at, kept) in results.into_iter().enumerate() {
            if at == next {
                self.refit();
                next = at + 1 + at / 8;
            }
            self.add(kept.result);
        }
        self.refit();
    }

    fn keep(&mut self, result: AmountResult) {
        self.add(result);
        self.refit();
    }

    /// Keeps a result, with what the experts miss of it that were fitted to earlier ones.
    fn add(&mut self, result: AmountResult) {
        let size = result.input.map(|bytes| bytes as f64);
        let amount = result.amount / self.kinds.of(result.kind);
        let point = Point::new(size, amount.max(SMALLEST));
        let missed = (!self.points.is_empty()).then(|| {
            self.experts
                .say(&self.points, size, self.correction)
                .map(|said| point.log - said.max(SMALLEST).ln())
        });
        if self.kept.len() == KEPT {
            self.kept.pop_front();
            self.points.remove(0);
        }
        self.kept.push_back(Kept { result, missed });
        self.points.push(point);
    }

    fn refit(&mut self) {
        self.experts = Experts::fit(&self.points);
        let mut recent: Vec<f64> =
            self.kept.iter().rev().take(CORRECTION).filter_map(|kept| Some(kept.missed?[ROBUST])).collect();
        self.correction = if recent.len() < 3 { 0.0 } else { median(&mut recent) };
    }

    /// Which expert has been nearest of late, and how far it was off.
    fn choose(&mut self) {
        let mut scores = [0.0; EXPERTS];
        let mut weight = 1.0;
        for missed in self.kept.iter().rev().filter_map(|kept| kept.missed) {
            for (score, miss) in scores.iter_mut().zip(missed) {
                *score += weight * miss.abs().min(CLIP);
            }
            weight *= DECAY;
        }
        self.believed = (0..EXPERTS).min_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap_or(CORRECTED);
        self.p95 = self.upper_ratio().max(1.0);
    }

    fn upper_ratio(&self) -> f64 {
        let mut weight = 1.0;
        let mut ratios: Vec<(f64, f64)> = Vec::with_capacity(self.kept.len());
        for missed in self.kept.iter().rev().filter_map(|kept| kept.missed) {
            ratios.push((missed[self.believed], weight));
            weight *= DECAY.sqrt();
        }
        ratios.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = ratios.iter().map(|(_, weight)| weight).sum();
        let Some((largest, _)) = ratios.last() else { return UNKNOWN_SPREAD };
        // The next of n + 1 exchangeable errors is the largest with probability 1 / (n + 1).
        let wanted = 0.95 * total * (1.0 + 1.0 / (ratios.len() as f64 + 1.0));
        let mut sum = 0.0;
        for (miss, weight) in &ratios {
            sum += weight;
            if sum >= wanted {
                return miss.exp();
            }
        }
        BEYOND * largest.exp()
    }

    /// What is expected of a task with these features; `None` before the first result. Pure: asking changes nothing.
    #[must_use]
    pub fn predict(&self, features: &Features) -> Option<AmountPrediction> {
        if self.points.is_empty() {
            return None;
        }
        let size = features.input.map(|bytes| bytes.0 as f64);
        let said = self.experts.say(&self.points, size, self.correction)[self.believed];
        let p50 = (said * self.kinds.of(features.kind)).max(SMALLEST);
        Some(AmountPrediction { p50, p95: p50 * self.p95 })
    }
}

fn is_sane(result: &AmountResult) -> bool {
    result.amount.is_finite() && result.amount >= 0.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Bytes;

    fn sized(bytes: u64) -> Features {
        Features::sized(Bytes(bytes))
    }

    #[test]
    fn nothing_is_known_of_nothing() {
        assert_eq!(AmountPredictor::default().predict(&sized(5)), None);
    }

    #[test]
    fn a_power_law_is_learned() {
        let mut predictor = AmountPredictor::default();
        for i in 1..80u64 {
            let size = (i * 31 % 79 + 1) * 10_000_000;
            let noise = 1.0 + 0.05 * ((i * 7 % 11) as f64 / 11.0 - 0.5);
            predictor.observe(&sized(size), (size as f64 / 1e6).powf(0.8) * noise);
        }
        let prediction = predictor.predict(&sized(400_000_000)).unwrap();
        let truth = 400f64.powf(0.8);
        assert!((prediction.p50 / truth - 1.0).abs() < 0.05, "{prediction:?} for {truth}");
        assert!((1.0..1.2).contains(&(prediction.p95 / prediction.p50)), "{prediction:?}");
    }

    #[test]
    fn a_kind_of_input_that_takes_longer_is_told_apart_by_its_name() {
        let mut predictor = AmountPredictor::default();
        let task = |i: u64| {
            let (kind, factor) =
                if i.is_multiple_of(3) { (Kind::of(b"a.bam"), 4.0) } else { (Kind::of(b"a.sam"), 1.0) };
            let size = (i * 31 % 79 + 1) * 10_000_000;
            (Features { kind, ..sized(size) }, factor * size as f64 / 1e7)
        };
        (0..90).for_each(|i| {
            let (features, amount) = task(i);
            predictor.observe(&features, amount);
        });
        let worst = (90..120)
            .map(|i| {
                let (features, amount) = task(i);
                (predictor.predict(&features).unwrap().p50 / amount).ln().abs()
            })
            .fold(0.0, f64::max);
        assert!(worst < 0.3, "{worst}");
    }

    #[test]
    fn a_slower_machine_is_noticed() {
        let mut predictor = AmountPredictor::default();
        let size = |i: u64| (i * 31 % 79 + 1) * 10_000_000;
        for i in 1..80u64 {
            predictor.observe(&sized(size(i)), size(i) as f64 / 1e7);
        }
        for i in 80..110u64 {
            predictor.observe(&sized(size(i)), 2.0 * size(i) as f64 / 1e7);
        }
        let prediction = predictor.predict(&sized(400_000_000)).unwrap();
        assert!((prediction.p50 / 80.0 - 1.0).abs() < 0.15, "{prediction:?}");
    }

    #[test]
    fn the_state_brings_the_predictor_back() {
        let mut one = AmountPredictor::default();
        for i in 0..400u64 {
            one.observe(&sized(i * 1_000_000), 3.0 + i as f64);
        }
        assert_eq!(one.results(), KEPT);
        let text = serde_json::to_string(&one.state()).unwrap();
        let two = AmountPredictor::restore(&serde_json::from_str(&text).unwrap());
        assert_eq!(one.state(), two.state());
        let ratio =
            one.predict(&sized(300_000_000)).unwrap().p50 / two.predict(&sized(300_000_000)).unwrap().p50;
        assert!((ratio - 1.0).abs() < 0.02);
    }

    proptest! {
        #[test]
        fn any_history_gives_numbers(
            results in prop::collection::vec((prop::option::of(any::<u64>()), any::<f64>()), 1..60),
            asked in prop::option::of(any::<u64>()),
        ) {
            let mut predictor = AmountPredictor::default();
            for (input, amount) in results {
                predictor.observe(&Features { input: input.map(Bytes), ..Features::default() }, amount.abs().min(1e12));
            }
            let features = Features { input: asked.map(Bytes), ..Features::default() };
            if let Some(prediction) = predictor.predict(&features) {
                prop_assert!(prediction.p50 > 0.0 && prediction.p95 >= prediction.p50, "{:?}", prediction);
            }
        }
    }
}
