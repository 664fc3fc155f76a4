//! The predictor: results in, ladders out.

use serde::{Deserialize, Serialize};

use super::super::kinds::{Case, Kinds};
use super::arms::{Arms, Failures};
use super::experts::{EXPERTS, Expert, Experts, Point};
use super::ratios::{Fitted, Ratios, Scored, Scratch};
use super::{MemoryResult, MemoryRules, MemoryState};
use crate::Bytes;
use crate::predict::{Features, Kind};

/// Results kept.
pub(super) const KEPT: usize = 300;
/// A result weighs this much less than its successor …
const DECAY: f64 = 0.99;
/// Fewer results than these: nothing but the largest peak is believed.
const FEW: usize = 5;
/// From so many results on, ladders are held against what comes.
const RECORDED: usize = 3;
/// With few results: the largest peak times this, more where the peaks differ, and the rungs above.
const FEW_MARGIN: f64 = 1.03;
const FEW_RUNGS: [f64; 3] = [1.0, 1.3, 1.7];
/// The weight of a result grows with its run time to this power: long tasks cost more, but few of them must not decide
/// alone.
const TIME_POWER: f64 = 0.75;

/// Where a prediction comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemorySource {
    /// No result and no request: the first guess of the rules.
    Guess,
    /// No result: what the user asked for.
    Request,
    /// Fewer than five results: a margin above the largest peak.
    FewResults,
    /// Learned; the expert that is believed.
    Learned(Expert),
}

/// What is expected of a task's peak memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryPrediction {
    /// Allocations for the first, second, … attempt, ascending; after the last one the allocation doubles.
    pub ladder: Vec<Bytes>,
    /// As likely above as below.
    pub p50: Bytes,
    /// Exceeded once in twenty (weighted by run time).
    pub p95: Bytes,
    /// Where it comes from.
    pub source: MemorySource,
}

impl MemoryPrediction {
    /// The allocation of an attempt, counted from 0: the ladder's rung, past its end doubled each time.
    #[must_use]
    pub fn allocation(&self, attempt: u32) -> Bytes {
        let attempt = attempt as usize;
        match (self.ladder.get(attempt), self.ladder.last()) {
            (Some(rung), _) => *rung,
            (None, Some(last)) => {
                let doublings = u32::try_from(attempt + 1 - self.ladder.len()).unwrap_or(u32::MAX);
                Bytes(last.0.saturating_mul(1u64.checked_shl(doublings).unwrap_or(u64::MAX)))
            }
            (None, None) => Bytes(0),
        }
    }
}

/// Learns peak memory from the results of one binary with one set of flags.
#[derive(Clone, Debug)]
pub struct MemoryPredictor {
    rules: MemoryRules,
    kept: Vec<Kept>,
    points: Vec<Point>,
    /// Serial number of `kept[0]`.
    first: u64,
    ratios: [Ratios; EXPERTS],
    experts: Experts,
    believed: Expert,
    fitted: Fitted,
    arms: Arms,
    failures: Failures,
    kinds: Kinds,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    result: MemoryResult,
    said: [f64; EXPERTS],
}

impl MemoryPredictor {
    /// A predictor that knows nothing yet.
    #[must_use]
    pub fn new(rules: MemoryRules) -> Self {
        Self {
            rules,
            kept: Vec::new(),
            points: Vec::new(),
            first: 0,
            ratios: Default::default(),
            experts: Experts::default(),
            believed: Expert::Largest,
            fitted: Fitted::default(),
            arms: Arms::default(),
            failures: Failures::default(),
            kinds: Kinds::default(),
        }
    }

    /// A predictor that learned from kept results. Results that make no sense are left out.
    #[must_use]
    pub fn restore(rules: MemoryRules, state: &MemoryState) -> Self {
        let mut predictor = Self::new(rules);
        let from = state.results.len().saturating_sub(KEPT);
        for result in state.results[from..].iter().filter(|result| result.is_sane()) {
            predictor.learn(*result);
            predictor.tell_kinds_apart();
        }
        predictor
    }

    /// What to keep across runs.
    #[must_use]
    pub fn state(&self) -> MemoryState {
        MemoryState { results: self.kept.iter().map(|kept| kept.result).collect() }
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

    /// Takes the result of a task that ran to its end. A result that makes no sense is ignored.
    pub fn observe(&mut self, features: &Features, peak: Bytes, seconds: f64) {
        let (input, kind) = (features.input.map(|bytes| bytes.0), features.kind);
        let result = MemoryResult { input, kind, peak: peak.0, seconds };
        if result.is_sane() {
            self.learn(result);
            self.tell_kinds_apart();
        }
    }

    /// Every few results it is looked at by what factor kinds of input differ; when that changes, all results are learned anew,
    /// each divided by the factor of its kind.
    fn tell_kinds_apart(&mut self) {
        if !self.kinds.due() {
            return;
        }
        let cases = self
            .kept
            .iter()
            .map(|Kept { result, .. }| Case::new(result.kind, result.input, result.peak as f64));
        if self.kinds.fit(cases) {
            self.learn_anew();
        }
    }

    /// What experts would have said of each result from those before it; they are fitted again whenever there are a twelfth more,
    /// and ladders half-way and at the end, so that those of the first half are held against the second: less than 1 ms in all. How
    /// often our ladders failed is what happened, and stays.
    fn learn_anew(&mut self) {
        let results = std::mem::take(&mut self.kept);
        self.points.clear();
        self.ratios = Default::default();
        self.arms = Arms::default();
        self.experts = Experts::default();
        let (half, mut next) = (results.len() / 2, 1);
        for (at, Kept { result, .. }) in results.into_iter().enumerate() {
            if at == next {
                self.experts = Experts::fit(&self.points);
                next = at + 1 + at / 12;
            }
            if at == half.max(RECORDED) {
                self.refit();
            }
            self.keep(result);
            if let (Some(kept), Some(point)) = (self.kept.last(), self.points.last()) {
                self.arms.score(&kept.said, self.rules.floor, point.peak, worth(result.seconds));
            }
        }
        self.refit();
    }

    fn learn(&mut self, result: MemoryResult) {
        if self.kept.len() >= FEW {
            let input = result.input.map(Bytes);
            let features = Features { input, kind: result.kind, ..Features::default() };
            let prediction = self.predict(&features);
            let failed =
                (0u32..).take_while(|attempt| prediction.allocation(*attempt).0 < result.peak).count();
            self.failures.add(failed as f64);
        }
        if self.kept.len() >= RECORDED {
            let said = self.experts.say_all(&self.points, result.input.map(|bytes| bytes as f64));
            let peak = result.peak as f64 / self.kinds.of(result.kind);
            self.arms.score(&said, self.rules.floor, peak, worth(result.seconds));
        }
        self.keep(result);
        self.refit();
    }

    fn keep(&mut self, result: MemoryResult) {
        let size = result.input.map(|bytes| bytes as f64);
        let point = Point::new(size, result.peak as f64 / self.kinds.of(result.kind));
        let said = if self.kept.is_empty() {
            let mut said = [point.peak; EXPERTS];
            said[Expert::Distribution as usize] = 1.0;
            said
        } else {
            self.experts.say_all(&self.points, size)
        };
        if self.kept.len() == KEPT {
            let gone = self.kept.remove(0);
            let peak = self.points.remove(0).peak;
            for (ratios, said) in self.ratios.iter_mut().zip(gone.said) {
                ratios.remove(peak / said, self.first);
            }
            self.first += 1;
        }
        let serial = self.first + self.kept.len() as u64;
        for (ratios, said) in self.ratios.iter_mut().zip(said) {
            ratios.insert(point.peak / said, serial);
        }
        self.kept.push(Kept { result, said });
        self.points.push(point);
    }

    /// Everything that does not depend on the next input.
    fn refit(&mut self) {
        self.experts = Experts::fit(&self.points);
        let weights = self.weights();
        let mut scratch = Scratch::default();
        let mut past = Vec::with_capacity(self.kept.len());
        self.arms.clear();
        for (index, expert) in Expert::ALL.into_iter().enumerate() {
            past.clear();
            let kept = self.kept.iter().zip(&self.points).zip(&weights);
            past.extend(kept.map(|((kept, point), (weight, count))| Scored {
                said: kept.said[index],
                peak: point.peak,
                weight: *weight,
                count: *count,
            }));
            let (ratios, arms) = (&self.ratios[index], &mut self.arms);
            ratios.fit(&past, self.first, self.rules.floor, &mut scratch, |fitted| arms.push(expert, fitted));
        }
        let accepted = self.rules.accepted_failures / self.failures.strictness();
        if let Some((expert, fitted)) = self.arms.best(accepted, self.rules.dearer, self.kept.len()) {
            (self.believed, self.fitted) = (*expert, fitted.clone());
        }
    }

    /// Of each kept result: its weight by run time and recency, and by recency alone; each sums up to 1.
    fn weights(&self) -> Vec<(f64, f64)> {
        let mut age = 1.0;
        let mut weights: Vec<(f64, f64)> = Vec::with_capacity(self.kept.len());
        for kept in self.kept.iter().rev() {
            weights.push((age * worth(kept.result.seconds), age));
            age *= DECAY;
        }
        weights.reverse();
        let (all, counts) = weights.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        weights.iter_mut().for_each(|one| *one = (one.0 / all, one.1 / counts));
        weights
    }

    /// What is expected of a task with these features. Pure: asking changes nothing.
    #[must_use]
    pub fn predict(&self, features: &Features) -> MemoryPrediction {
        let largest = self.experts.largest();
        if self.kept.is_empty() {
            let (first, source) = match features.requested_memory {
                Some(bytes) if bytes.0 > 0 => (bytes.0 as f64, MemorySource::Request),
                _ => (self.rules.first_guess, MemorySource::Guess),
            };
            return self.prediction(&[1.0], first, (1.0, 1.0), source);
        }
        let factor = self.kinds.of(features.kind);
        if self.kept.len() < FEW {
            let spread = (largest / self.experts.smallest() - 1.0).min(0.4);
            let first = largest * FEW_MARGIN * (1.0 + 0.5 * spread);
            return self.prediction(
                &FEW_RUNGS,
                first * factor,
                (1.0 / FEW_MARGIN, 1.0),
                MemorySource::FewResults,
            );
        }
        let size = features.input.map(|bytes| bytes.0 as f64);
        let said = factor * self.experts.say(self.believed, &self.points, size);
        let Fitted { rungs, p50, p95, .. } = &self.fitted;
        self.prediction(rungs, said, (*p50, *p95), MemorySource::Learned(self.believed))
    }

    fn prediction(
        &self,
        rungs: &[f64],
        scale: f64,
        (p50, p95): (f64, f64),
        source: MemorySource,
    ) -> MemoryPrediction {
        let mut ladder: Vec<Bytes> =
            rungs.iter().map(|rung| Bytes((rung * scale).max(self.rules.floor).ceil() as u64)).collect();
        ladder.dedup();
        let bytes = |ratio: f64| Bytes((ratio * scale).ceil() as u64);
        MemoryPrediction { ladder, p50: bytes(p50), p95: bytes(p95), source }
    }
}

/// What a result's run time is worth.
fn worth(seconds: f64) -> f64 {
    (seconds + 1e-9).powf(TIME_POWER)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sized(bytes: u64) -> Features {
        Features { input: Some(Bytes(bytes)), ..Features::default() }
    }

    fn predictor() -> MemoryPredictor {
        MemoryPredictor::new(MemoryRules::default())
    }

    #[test]
    fn starts_from_the_request_else_from_the_guess() {
        let asked = Features { requested_memory: Some(Bytes(7_000_000_000)), ..Features::default() };
        let first = predictor().predict(&asked);
        assert_eq!((first.allocation(0), first.source), (Bytes(7_000_000_000), MemorySource::Request));
        assert_eq!(first.allocation(2), Bytes(28_000_000_000));
        assert_eq!(predictor().predict(&Features::default()).allocation(0), Bytes(4_000_000_000));
    }

    #[test]
    fn few_results_give_a_margin_above_the_largest() {
        let mut predictor = predictor();
        predictor.observe(&sized(10), Bytes(1_000_000_000), 1.0);
        predictor.observe(&sized(20), Bytes(2_000_000_000), 1.0);
        let few = predictor.predict(&sized(15));
        assert_eq!((few.allocation(0), few.source), (Bytes(2_472_000_000), MemorySource::FewResults));
    }

    #[test]
    fn learns_that_memory_grows_with_size() {
        let mut predictor = predictor();
        for i in 0..60u64 {
            let size = 100_000_000 + (i * 37 % 60) * 50_000_000;
            predictor.observe(&sized(size), Bytes(2 * size + i % 3 * 1_000_000), 10.0);
        }
        let small = predictor.predict(&sized(500_000_000));
        let large = predictor.predict(&sized(3_000_000_000));
        for (prediction, truth) in [(small, 1e9), (large, 6e9)] {
            let first = prediction.allocation(0).0 as f64;
            assert!((0.999..1.05).contains(&(first / truth)), "{prediction:?} for {truth}");
            assert!(matches!(prediction.source, MemorySource::Learned(_)));
        }
    }

    #[test]
    fn two_kinds_of_task_get_two_rungs() {
        let mut predictor = predictor();
        for i in 0..200u64 {
            let peak = if i % 20 == 7 { 8_000_000_000 } else { 500_000_000 };
            predictor.observe(&Features::default(), Bytes(peak), 10.0);
        }
        let ladder = predictor.predict(&Features::default()).ladder;
        assert!(ladder[0].0 < 600_000_000 && ladder[1].0 >= 8_000_000_000, "{ladder:?}");
    }

    /// A packed file needs five times what a plain one of its size needs: names alone tell them apart.
    #[test]
    fn kinds_that_lie_apart_have_ladders_of_their_own() {
        let task = |i: u64, named: bool| {
            let packed = i * 7 % 10 < 4;
            let size = 200_000_000 + i * 37 % 60 * 20_000_000;
            let peak =
                (size as f64 * if packed { 5.0 } else { 1.0 } * (1.0 + (i * 13 % 9) as f64 / 90.0)) as u64;
            let name: &[u8] = if packed { b"reads.txt.gz" } else { b"reads.txt" };
            let kind = if named { Kind::of(name) } else { None };
            (Features { kind, ..sized(size) }, peak)
        };
        let wasted = |named: bool| -> f64 {
            let mut predictor = predictor();
            let waste = (0..150).map(|i| {
                let (features, peak) = task(i, named);
                let prediction = predictor.predict(&features);
                let rungs = (0..).map(|attempt| prediction.allocation(attempt).0 as f64);
                let failed: Vec<f64> = rungs.take_while(|rung| *rung < peak as f64).collect();
                let last = prediction.allocation(failed.len() as u32).0;
                predictor.observe(&features, Bytes(peak), 10.0);
                if i < 40 { 0.0 } else { failed.iter().sum::<f64>() + (last - peak) as f64 }
            });
            waste.sum()
        };
        let (with, without) = (wasted(true), wasted(false));
        assert!(with < 0.4 * without, "{with:e} with names, {without:e} without");
    }

    #[test]
    fn other_factors_do_not_forget_how_often_ladders_failed() {
        let mut predictor = predictor();
        let (txt, gz) = (Kind::of(b"a.txt"), Kind::of(b"a.gz"));
        let (mut moves, mut strictest) = (0, 1f64);
        for i in 0..120u64 {
            // Half as much again every ten tasks: ladders fail; from the thirtieth on packed ones need eight times as much.
            let packed = i % 2 == 0;
            let more = if packed && i >= 30 { 8.0 } else { 1.0 };
            let peak = (1e8 * 1.5f64.powi((i / 10) as i32) * more) as u64;
            let before = (predictor.kinds.of(gz) / predictor.kinds.of(txt), predictor.failures.strictness());
            let features = Features { kind: if packed { gz } else { txt }, ..Features::default() };
            predictor.observe(&features, Bytes(peak), 10.0);
            let after = (predictor.kinds.of(gz) / predictor.kinds.of(txt), predictor.failures.strictness());
            assert!(after.1 > 0.95 * before.1, "task {i}: {before:?} {after:?}");
            moves += u32::from(after.0 != before.0);
            strictest = strictest.max(after.1);
        }
        assert!(moves > 0 && strictest > 1.5, "{moves} moves, {strictest}");
    }

    #[test]
    fn memory_is_bounded_and_the_state_brings_the_predictor_back() {
        let mut one = predictor();
        for i in 0..500u64 {
            one.observe(&sized(i * 1_000_000), Bytes(100_000_000 + i * 3_000_000), 1.0 + i as f64);
        }
        assert_eq!(one.results(), KEPT);
        let text = serde_json::to_string(&one.state()).unwrap();
        let state: MemoryState = serde_json::from_str(&text).unwrap();
        let two = MemoryPredictor::restore(MemoryRules::default(), &state);
        assert_eq!(two.state(), one.state());
        let (a, b) = (one.predict(&sized(400_000_000)), two.predict(&sized(400_000_000)));
        assert!((a.allocation(0).0 as f64 / b.allocation(0).0 as f64 - 1.0).abs() < 0.02, "{a:?} {b:?}");
    }

    proptest! {
        #[test]
        fn any_history_gives_an_ascending_ladder(
            results in prop::collection::vec((prop::option::of(any::<u64>()), any::<u64>(), any::<f64>()), 0..60),
            asked in prop::option::of(any::<u64>()),
        ) {
            let mut predictor = predictor();
            for (input, peak, seconds) in results {
                let features = Features { input: input.map(Bytes), ..Features::default() };
                predictor.observe(&features, Bytes(peak), seconds);
            }
            let features = Features { input: asked.map(Bytes), ..Features::default() };
            let prediction = predictor.predict(&features);
            prop_assert!(!prediction.ladder.is_empty());
            prop_assert!(prediction.ladder.is_sorted());
            prop_assert!(prediction.allocation(0).0 >= 64_000_000);
        }
    }
}
