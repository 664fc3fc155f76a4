//! What a task of a size takes, learned from those that ended well.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::classes::{Class, Sorts};
use crate::Bytes;
use crate::predict::{
    AmountPrediction, AmountPredictor, Features, Kind, MemoryPrediction, MemoryPredictor, MemoryRules,
};

/// Results before anything is said.
const ENOUGH: usize = 3;
/// The last results, from which a model that no longer holds is begun anew.
const LATEST: usize = 24;
/// Sizes of the last inputs that nobody had known the size of, for those that still wait.
const SURPRISES: usize = 64;
/// Fewer than these say little by themselves.
const FEW_SURPRISES: usize = 8;

/// What a task took that ended well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Took {
    /// Run time without the time it stood still, s.
    pub seconds: f64,
    /// CPU time, s.
    pub cpu: f64,
    /// Bytes read and written.
    pub io: f64,
    /// Largest resident memory, bytes.
    pub peak: f64,
    /// Bytes published; `None` where it is not known or nothing is published.
    pub output: Option<f64>,
}

/// What a task is expected to take: p50 and p95 of each amount.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// Run time, s.
    pub seconds: AmountPrediction,
    /// CPU time, s.
    pub cpu_seconds: AmountPrediction,
    /// Bytes read and written.
    pub io_bytes: AmountPrediction,
    /// Largest resident memory, bytes.
    pub peak_bytes: AmountPrediction,
    /// Bytes published, where anything was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<AmountPrediction>,
}

/// Learns what tasks of one binary with one set of flags take. Memory is bounded: 300 results an amount.
#[derive(Clone, Debug)]
pub struct Expectations {
    seconds: AmountPredictor,
    cpu: AmountPredictor,
    io: AmountPredictor,
    output: AmountPredictor,
    memory: MemoryPredictor,
    latest: VecDeque<(Features, Took)>,
    /// Smallest and largest input learned from, bytes.
    reach: Option<(u64, u64)>,
    surprises: VecDeque<u64>,
    cautious: Option<u64>,
    sorts: Sorts,
    /// Kinds that lie apart in anything, as of the last refresh, or until the first promise was asked for.
    apart: Vec<Option<Kind>>,
    /// As far as any was asked for.
    promises: Vec<Option<Promise>>,
    stale: bool,
}

impl Default for Expectations {
    fn default() -> Self {
        Self {
            seconds: AmountPredictor::in_turn(2),
            cpu: AmountPredictor::in_turn(4),
            io: AmountPredictor::in_turn(6),
            output: AmountPredictor::in_turn(8),
            memory: MemoryPredictor::new(MemoryRules::default()),
            latest: VecDeque::new(),
            reach: None,
            surprises: VecDeque::new(),
            cautious: None,
            sorts: Sorts::default(),
            apart: Vec::new(),
            promises: Vec::new(),
            stale: false,
        }
    }
}

impl Expectations {
    /// The class of an input, by which promises are made.
    pub fn class(&mut self, features: &Features) -> Class {
        self.sorts.class(features)
    }

    /// Takes what a task took.
    pub fn observe(&mut self, features: &Features, took: Took) {
        if self.latest.len() == LATEST {
            self.latest.pop_front();
        }
        self.latest.push_back((*features, took));
        self.learn(features, took);
    }

    fn learn(&mut self, features: &Features, took: Took) {
        self.seconds.observe(features, took.seconds);
        self.cpu.observe(features, took.cpu);
        self.io.observe(features, took.io);
        self.memory.observe(features, Bytes(took.peak.max(0.0) as u64), took.seconds);
        if let Some(output) = took.output.filter(|bytes| *bytes > 0.0) {
            self.output.observe(features, output);
        }
        if let Some(Bytes(size)) = features.input {
            let (low, high) = self.reach.unwrap_or((size, size));
            self.reach = Some((low.min(size), high.max(size)));
        }
        self.stale = true;
        if self.promises.is_empty() {
            self.look_at_kinds();
        }
    }

    /// An input whose size had been unknown turned out to be of this size.
    pub fn surprised(&mut self, size: u64) {
        if self.surprises.len() == SURPRISES {
            self.surprises.pop_front();
        }
        self.surprises.push_back(size);
        self.stale = true;
    }

    /// A size for a task whose size nobody knows: exceeded by one in ten of those that turned out of late, or of the last that
    /// ended. `None` before any was seen.
    #[must_use]
    pub fn cautious_size(&self) -> Option<u64> {
        self.cautious
    }

    fn look_at_sizes(&mut self) {
        let ended = self.latest.iter().filter_map(|(features, _)| Some(features.input?.0));
        let mut sizes: Vec<u64> = self.surprises.iter().copied().collect();
        if sizes.len() < FEW_SURPRISES {
            sizes.extend(ended);
        }
        sizes.sort_unstable();
        self.cautious = sizes.get(sizes.len() * 9 / 10).copied();
    }

    /// How many results were learned from, at most 300.
    #[must_use]
    pub fn results(&self) -> usize {
        self.seconds.results()
    }

    /// Whether anything is said yet.
    #[must_use]
    pub fn knows(&self) -> bool {
        self.results() >= ENOUGH
    }

    /// Whether inputs of about this size were learned from (up to half as large again or as small).
    #[must_use]
    pub fn reaches(&self, input: Option<u64>) -> bool {
        match (input, self.reach) {
            (Some(size), Some((low, high))) => {
                size as f64 * 1.5 >= low as f64 && size as f64 <= high as f64 * 1.5
            }
            (None, None) => true,
            _ => false,
        }
    }

    /// From now on what was learned since is asked for; called once a reading, so that a promise costs a look into a table.
    pub fn refresh(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.promises.fill(None);
            self.look_at_sizes();
            self.look_at_kinds();
        }
    }

    fn look_at_kinds(&mut self) {
        let amounts = [&self.seconds, &self.cpu, &self.io, &self.output];
        let apart: Vec<_> =
            amounts.into_iter().flat_map(AmountPredictor::apart).chain(self.memory.apart()).collect();
        self.apart.clear();
        apart.into_iter().for_each(|kind| {
            if !self.apart.contains(&kind) {
                self.apart.push(kind);
            }
        });
    }

    /// The class under which the promise of a class is kept: kinds that do not lie apart share those of the rest, so that
    /// many kinds cost no more than one.
    fn promised_as(&self, class: Class) -> Class {
        if self.apart.contains(&self.sorts.kind(class)) { class } else { class.of_the_rest() }
    }

    /// What a task of a class is expected to take, as of the last [`refresh`](Self::refresh); `None` before three results.
    pub fn promise(&mut self, class: Class) -> Option<Promise> {
        let known = self.said(class);
        if known.is_some() || !self.knows() {
            return known;
        }
        let class = self.promised_as(class);
        let found = self.predict(&self.sorts.typical(class));
        if self.promises.len() <= class.index() {
            self.promises.resize(class.index() + 1, None);
        }
        self.promises[class.index()] = found;
        found
    }

    /// What [`promise`](Self::promise) has said of a class since the last refresh.
    #[must_use]
    pub fn said(&self, class: Class) -> Option<Promise> {
        self.promises.get(self.promised_as(class).index()).copied().flatten()
    }

    /// What a task is expected to take that is as large as the middle one of the last that ended; `None` before three
    /// results.
    #[must_use]
    pub fn typical(&self) -> Option<Promise> {
        let mut inputs: Vec<&Features> = self.latest.iter().map(|(features, _)| features).collect();
        inputs.sort_by_key(|features| features.input);
        self.predict(inputs.get(inputs.len() / 2)?)
    }

    /// What a task of exactly this size and kind is expected to take; `None` before three results.
    #[must_use]
    pub fn predict(&self, features: &Features) -> Option<Promise> {
        match features.input {
            _ if !self.knows() => None,
            Some(_) => self.sized(features),
            None => self.unknown(features),
        }
    }

    /// Of unknown size: the mean over the sizes that others of unknown size turned out to have.
    fn unknown(&self, features: &Features) -> Option<Promise> {
        let each: Vec<Promise> = self
            .surprises
            .iter()
            .rev()
            .step_by(4)
            .filter_map(|size| self.sized(&Features { input: Some(Bytes(*size)), ..*features }))
            .collect();
        if each.is_empty() {
            return self.sized(features);
        }
        let mean = |of: fn(&Promise) -> AmountPrediction| {
            let n = each.len() as f64;
            let p50 = each.iter().map(|one| of(one).p50).sum::<f64>() / n;
            let p95 = each.iter().map(|one| of(one).p95).fold(0.0, f64::max);
            AmountPrediction { p50, p95 }
        };
        Some(Promise {
            seconds: mean(|one| one.seconds),
            cpu_seconds: mean(|one| one.cpu_seconds),
            io_bytes: mean(|one| one.io_bytes),
            peak_bytes: mean(|one| one.peak_bytes),
            output_bytes: each[0].output_bytes.map(|first| {
                let sum: f64 = each.iter().map(|one| one.output_bytes.unwrap_or(first).p50).sum();
                let p95 = each.iter().map(|one| one.output_bytes.unwrap_or(first).p95).fold(0.0, f64::max);
                AmountPrediction { p50: sum / each.len() as f64, p95 }
            }),
        })
    }

    fn sized(&self, features: &Features) -> Option<Promise> {
        let memory = self.memory.predict(features);
        let bytes = |value: Bytes| value.0 as f64;
        let output = self.output.predict(features).filter(|_| self.output.results() >= ENOUGH);
        Some(Promise {
            seconds: self.seconds.predict(features)?,
            cpu_seconds: self.cpu.predict(features)?,
            io_bytes: self.io.predict(features)?,
            peak_bytes: AmountPrediction { p50: bytes(memory.p50), p95: bytes(memory.p95.max(memory.p50)) },
            output_bytes: output,
        })
    }

    /// The ladder of allocations for the peak memory of a task.
    #[must_use]
    pub fn memory(&self, features: &Features) -> MemoryPrediction {
        self.memory.predict(features)
    }

    /// Forgets all but the last `keep` results (at most 24): tasks have become others than they were.
    pub fn forget_all_but(&mut self, keep: usize) {
        let latest = std::mem::take(&mut self.latest);
        let surprises = std::mem::take(&mut self.surprises);
        let sorts = std::mem::take(&mut self.sorts);
        *self = Self { surprises, sorts, ..Self::default() };
        let from = latest.len().saturating_sub(keep);
        for (features, took) in latest.into_iter().skip(from) {
            self.observe(&features, took);
        }
        self.stale = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(seconds: f64) -> Took {
        Took {
            seconds,
            cpu: seconds / 2.0,
            io: seconds * 1e6,
            peak: seconds * 1e7,
            output: Some(seconds * 1e5),
        }
    }

    fn sized(bytes: u64) -> Features {
        Features::sized(Bytes(bytes))
    }

    fn promise(model: &mut Expectations, features: &Features) -> Option<Promise> {
        let class = model.class(features);
        model.promise(class)
    }

    fn learned() -> Expectations {
        let mut model = Expectations::default();
        for i in 1..60u64 {
            let size = (i * 31 % 59 + 1) * 1_000_000;
            model.observe(&sized(size), took(size as f64 / 1e6));
        }
        model.refresh();
        model
    }

    #[test]
    fn nothing_is_said_before_three_results_and_everything_afterwards() {
        let mut model = Expectations::default();
        model.observe(&sized(1), took(1.0));
        model.observe(&sized(1), took(1.0));
        model.refresh();
        assert_eq!(promise(&mut model, &sized(1)), None);
        let mut model = learned();
        let promise = promise(&mut model, &sized(30_000_000)).unwrap();
        for (amount, truth) in [
            (promise.seconds, 30.0),
            (promise.cpu_seconds, 15.0),
            (promise.io_bytes, 30e6),
            (promise.peak_bytes, 3e8),
            (promise.output_bytes.unwrap(), 3e6),
        ] {
            assert!((amount.p50 / truth - 1.0).abs() < 0.1 && amount.p95 >= amount.p50, "{amount:?} {truth}");
        }
    }

    #[test]
    fn of_unknown_size_is_as_others_of_unknown_size_turned_out() {
        let mut model = learned();
        (0..20).for_each(|_| model.surprised(50_000_000));
        model.refresh();
        let promise = promise(&mut model, &Features::default()).unwrap();
        assert!((promise.seconds.p50 / 50.0 - 1.0).abs() < 0.1, "{promise:?}");
        (0..SURPRISES as u64).for_each(|i| model.surprised(1 + i));
        model.refresh();
        assert_eq!(model.cautious_size(), Some(58));
    }

    #[test]
    fn what_was_forgotten_is_not_said_again() {
        let mut model = learned();
        (0..6).for_each(|i| model.observe(&sized(30_000_000 + i), took(90.0)));
        model.forget_all_but(6);
        model.refresh();
        let promise = promise(&mut model, &sized(30_000_000)).unwrap();
        assert!((promise.seconds.p50 / 90.0 - 1.0).abs() < 0.05, "{promise:?}");
        assert!(model.reaches(Some(40_000_000)) && !model.reaches(Some(60_000_000)) && !model.reaches(None));
    }

    #[test]
    fn what_is_promised_of_packed_files_is_another_thing_than_of_plain_ones() {
        let input = |name: &[u8], size: u64| Features { kind: Kind::of(name), ..sized(size) };
        let mut model = Expectations::default();
        for i in 0..60u64 {
            let size = (i * 31 % 59 + 1) * 1_000_000;
            let (name, times): (&[u8], _) = if i % 2 == 0 { (b"a.gz", 5.0) } else { (b"a.txt", 1.0) };
            model.observe(&input(name, size), took(times * size as f64 / 1e6));
        }
        for (name, times) in [(&b"b.gz"[..], 5.0), (b"b.txt", 1.0)] {
            let promise = promise(&mut model, &input(name, 30_000_000)).unwrap();
            for (amount, truth) in
                [(promise.seconds, 30.0), (promise.peak_bytes, 3e8), (promise.io_bytes, 3e7)]
            {
                assert!((amount.p50 / truth / times - 1.0).abs() < 0.2, "{amount:?} {times} x {truth}");
            }
        }
    }

    /// Names without an end need five times what a `.txt` of their size needs, packed ones three times.
    #[test]
    fn rare_ends_that_come_first_shut_no_kind_out_and_the_rest_is_no_kind_of_its_own() {
        let input = |name: &str| Features { kind: Kind::of(name.as_bytes()), ..sized(30_000_000) };
        let mut model = Expectations::default();
        let come = |model: &mut Expectations, name: &str, count: u32| {
            for rare in 0..count {
                model.class(&input(&format!("a.{name}{rare}")));
            }
        };
        come(&mut model, "rare", 12);
        for i in 0..120u64 {
            let size = (i * 31 % 59 + 1) * 1_000_000;
            let (name, times) = [("a", 5.0), ("a.txt", 1.0), ("a.gz", 3.0), ("a.txt", 1.0)][i as usize % 4];
            let features = Features { input: Some(Bytes(size)), ..input(name) };
            model.class(&features);
            model.observe(&features, took(times * size as f64 / 1e6));
        }
        model.refresh();
        come(&mut model, "more", 100);
        for (name, times) in [("b", 5.0), ("b.gz", 3.0), ("b.txt", 1.0), ("b.rare3", 1.0), ("b.more99", 1.0)]
        {
            let promise = promise(&mut model, &input(name)).unwrap();
            let (seconds, peak) = (promise.seconds.p50 / 30.0, promise.peak_bytes.p50 / 3e8);
            assert!(
                (seconds / times - 1.0).abs() < 0.2 && (peak / times - 1.0).abs() < 0.2,
                "{name}: {promise:?}"
            );
        }
        let room = model.promises.iter().flatten().count();
        assert_eq!(room, 3, "kinds that do not lie apart share a promise");
    }
}
