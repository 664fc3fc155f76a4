//! The outlook of a run: kept up by the scheduler, shown in its snapshot.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::accuracy::Errors;
use super::backlog::Backlog;
use super::{
    Accuracy, Class, Drift, Drifted, Eta, Expectations, Pace, Promise, Rest, RunningTask, Took, estimate,
};
use crate::capacity::control::Completed;
use crate::predict::Features;
use crate::{Bytes, Timestamp};

/// Completed tasks that are learned from in a second: where they come by the thousand, these say it all.
const LEARNED_A_SECOND: u32 = 20;
/// Results of earlier runs that are taken in with a reading, and in all.
const RECALLED: usize = 30;
const RECALLED_IN_ALL: usize = 150;
/// From so many results on the usual residual of results of earlier runs is known.
const JUDGED: usize = 10;
/// A process begins with its parent's largest resident memory as its own, so a peak up to this multiple of the host's says
/// "at most this".
const BEYOND_OWN: f64 = 1.2;
/// Nothing is said of the end in the first moments of a run …
const FIRST_MOMENTS: Duration = Duration::from_secs(1);
/// … and where nothing was known before it, not before so much time or this share of the work.
const COLD: Duration = Duration::from_secs(15);
const COLD_SHARE: f64 = 0.05;

/// What was first said of the end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FirstEta {
    /// So long after the start of the run.
    pub said_after: Duration,
    /// What was said.
    pub eta: Eta,
}

/// What a run is expected to take, and how right that was so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The size of a typical input among those that wait; absent where none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_bytes: Option<u64>,
    /// What a task with that input is expected to take; absent before three results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Promise>,
    /// What waits and runs will still write to the output directory; absent before three results with output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<Bytes>,
    /// What was first said of the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<FirstEta>,
    /// How right predictions of run time were.
    #[serde(default)]
    pub accuracy: Accuracy,
    /// How often tasks changed so much that everything was learned anew.
    #[serde(default)]
    pub relearned: u32,
}

/// The state behind a [`Forecast`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Outlook {
    backlog: Backlog,
    pub(crate) model: Expectations,
    pace: Pace,
    errors: Errors,
    memory: Drift,
    cpu: Drift,
    /// Peak memory below which nothing can be told, bytes.
    floor: f64,
    /// Results since the last reading that are to be held against what was said of them.
    unjudged: Vec<(Took, Promise)>,
    earlier: VecDeque<Completed>,
    /// Whether results of earlier runs were known.
    warm: bool,
    /// Tasks that are final.
    finals: u64,
    first: Option<FirstEta>,
    second: u64,
    learned: u32,
    relearned: u32,
    frozen: u32,
}

impl Outlook {
    /// An outlook that earlier runs' results are taken into, a few with each reading.
    pub(crate) fn new(earlier: Vec<Completed>) -> Self {
        let from = earlier.len().saturating_sub(RECALLED_IN_ALL);
        let warm = !earlier.is_empty();
        Self { earlier: earlier.into_iter().skip(from).collect(), warm, ..Self::default() }
    }

    /// A task waits.
    pub(crate) fn queued(&mut self, features: &Features) {
        self.backlog.add(self.model.class(features));
    }

    /// A waiting task gets a slot; what is expected of it.
    pub(crate) fn admitted(&mut self, features: &Features) -> Option<Promise> {
        let class = self.model.class(features);
        self.backlog.remove(class);
        self.model.promise(class)
    }

    /// Until now so many held a slot.
    pub(crate) fn advance(&mut self, now: Timestamp, holding: u32) {
        self.pace.advance(now, holding.saturating_sub(self.frozen));
    }

    /// An attempt ended after which its task is final: its work is done.
    pub(crate) fn done(&mut self, promise: Option<&Promise>, ran: f64) {
        self.finals += 1;
        self.pace.done(promise.map_or(ran, |promise| promise.seconds.p50));
    }

    /// A task ended well.
    pub(crate) fn completed(
        &mut self,
        now: Timestamp,
        features: &Features,
        promise: Option<&Promise>,
        took: Took,
    ) {
        let second = now.0 / 1_000_000;
        if second != self.second {
            (self.second, self.learned) = (second, 0);
        }
        let within = promise.filter(|_| self.model.reaches(features.input.map(|bytes| bytes.0)));
        if let Some(promise) = promise {
            self.errors.add(promise.seconds, took.seconds);
        }
        // What came earlier is learned first: else a change since then would be taken for what was always so.
        if self.learned >= LEARNED_A_SECOND || !self.earlier.is_empty() {
            return;
        }
        self.learned += 1;
        self.model.observe(features, took);
        self.unjudged.extend(within.map(|promise| (took, *promise)));
    }

    /// Holds what ended since the last reading against what was said of it, by a host whose own resident memory was
    /// `own_peak` at most so far. What has changed, if tasks have begun to take another multiple of what was said, and how many of
    /// the last results are of the new kind.
    pub(crate) fn judge(&mut self, own_peak: Bytes) -> Option<(Drifted, usize)> {
        self.floor = BEYOND_OWN * own_peak.0 as f64;
        let results = std::mem::take(&mut self.unjudged);
        let all = results.len();
        for (at, (took, promise)) in results.into_iter().enumerate() {
            if let Some((drifted, count)) = self.compare(took, promise) {
                // Those that came after the alarm are of the new kind too.
                let count = (count + all - at - 1).max(3);
                self.model.forget_all_but(count);
                (self.memory, self.cpu, self.earlier) = Default::default();
                self.relearned += 1;
                return Some((drifted, count));
            }
        }
        None
    }

    fn compare(&mut self, took: Took, promise: Promise) -> Option<(Drifted, usize)> {
        let memory = self.memory.observe(beyond(self.floor, took.peak, promise.peak_bytes.p50));
        let cpu = self.cpu.observe(residual(took.cpu.max(0.01), promise.cpu_seconds.p50.max(0.01)));
        match (memory, cpu) {
            (Some((factor, count)), _) => Some((Drifted::Memory(factor), count)),
            // Of two that change together memory is worth more to know.
            (None, Some((factor, count))) => match self.memory.leans() {
                Some((more, since)) => Some((Drifted::Memory(more), since)),
                None => Some((Drifted::Cpu(factor), count)),
            },
            (None, None) => None,
        }
    }

    /// Takes in some results of earlier runs.
    fn recall(&mut self) {
        for one in self.earlier.drain(..self.earlier.len().min(RECALLED)) {
            let said = self.model.predict(&one.features()).filter(|_| self.model.results() >= JUDGED);
            if let Some(said) = said {
                self.memory.settle(beyond(self.floor, one.peak, said.peak_bytes.p50));
                self.cpu.settle(residual(one.cpu.max(0.01), said.cpu_seconds.p50.max(0.01)));
            }
            let took = Took { seconds: one.seconds, cpu: one.cpu, io: one.io, peak: one.peak, output: None };
            self.model.observe(&one.features(), took);
        }
    }

    /// A reading: so many stand still, and these run.
    pub(crate) fn read(&mut self, frozen: u32, running: impl Iterator<Item = (f64, Option<Promise>)>) {
        self.recall();
        self.frozen = frozen;
        self.model.refresh();
        let classes: Vec<Class> = self.backlog.classes().map(|(class, _)| class).collect();
        for class in classes {
            self.model.promise(class);
        }
        let in_flight =
            running.map(|(ran, promise)| promise.map_or(ran, |promise| ran.min(promise.seconds.p50))).sum();
        let usual = self.usual();
        self.pace.read(in_flight, usual);
    }

    /// Promised run time of a typical task, s.
    fn usual(&mut self) -> f64 {
        let typical = self.backlog.typical();
        self.model.promise(typical).map_or(1.0, |promise| promise.seconds.p50)
    }

    /// Time that is left; `None` before enough is known.
    pub(crate) fn eta(
        &self,
        elapsed: Duration,
        running: impl Iterator<Item = (f64, Option<Promise>)>,
    ) -> Option<Eta> {
        let share = self.finals as f64 / (self.finals + self.backlog.total()).max(1) as f64;
        let early = !self.warm && elapsed < COLD && share < COLD_SHARE;
        if elapsed < FIRST_MOMENTS || early || !self.model.knows() {
            return None;
        }
        let mut rest = Rest::default();
        let mut unsaid = 0;
        for (class, count) in self.backlog.classes() {
            match self.model.said(class) {
                Some(promise) => rest.waiting(count, promise.seconds),
                None => unsaid += count,
            }
        }
        let typical = self.model.said(self.backlog.typical()).or_else(|| self.model.typical())?;
        rest.waiting(unsaid, typical.seconds);
        for (ran, promise) in running {
            rest.running(RunningTask { ran, seconds: promise.unwrap_or(typical).seconds });
        }
        let model = self.errors.of_the_mean(self.model.results());
        let each = self.pace.each(typical.seconds.p50);
        (!rest.is_empty()).then(|| estimate(&rest, self.pace.active(), each, model, self.pace.spread()))
    }

    /// Keeps what is said of the end, if it is the first that is said.
    pub(crate) fn say(&mut self, said_after: Duration, eta: Eta) {
        self.first.get_or_insert(FirstEta { said_after, eta });
    }

    /// Whether something was said of the end.
    pub(crate) fn has_spoken(&self) -> bool {
        self.first.is_some()
    }

    /// Bytes that what waits and what runs will still publish; `None` before three results with output.
    pub(crate) fn output(&self, running: impl Iterator<Item = (f64, Option<Promise>)>) -> Option<Bytes> {
        let usual = self.model.typical()?.output_bytes?.p50;
        let of = |promise: Option<Promise>| {
            promise.and_then(|promise| promise.output_bytes).map_or(usual, |output| output.p50)
        };
        let waiting: f64 =
            self.backlog.classes().map(|(class, count)| count as f64 * of(self.model.said(class))).sum();
        let running: f64 = running.map(|(_, promise)| of(promise)).sum();
        Some(Bytes((waiting + running).max(0.0) as u64))
    }

    /// As it is shown.
    pub(crate) fn forecast(&self, running: impl Iterator<Item = (f64, Option<Promise>)>) -> Forecast {
        let typical = self.backlog.typical();
        let each = match self.backlog.total() {
            0 => None,
            _ => self.model.said(typical),
        };
        Forecast {
            input_bytes: typical.size.middle().filter(|_| each.is_some()),
            each: each.or_else(|| self.model.typical()),
            output_bytes: self.output(running),
            first: self.first,
            accuracy: self.errors.accuracy(),
            relearned: self.relearned,
        }
    }
}

fn residual(came: f64, said: f64) -> f64 {
    (came.max(1e-9) / said.max(1e-9)).ln()
}

/// The residual as far as both are above a floor.
fn beyond(floor: f64, came: f64, said: f64) -> f64 {
    residual(came.max(floor), said.max(floor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outlook::classes::{CLASSES, Sorts};
    use crate::predict::Kind;

    fn at(seconds: f64) -> Timestamp {
        Timestamp((seconds * 1e6) as u64)
    }

    fn sized(bytes: u64) -> Features {
        Features::sized(Bytes(bytes))
    }

    fn took(size: u64, factor: f64) -> Took {
        let seconds = size as f64 / 1e6;
        Took {
            seconds,
            cpu: seconds,
            io: size as f64,
            peak: factor * 3.0 * size as f64,
            output: Some(size as f64 / 4.0),
        }
    }

    fn sizes(n: u64) -> impl Iterator<Item = u64> {
        (1..=n).map(|i| (i * 31 % 59 + 1) * 1_000_000)
    }

    /// Everything is learned and one process runs all the time.
    fn learned(outlook: &mut Outlook) -> f64 {
        let mut now = 0.0;
        for size in sizes(59) {
            let promise = outlook.model.predict(&sized(size));
            outlook.advance(at(now), 1);
            now += size as f64 / 1e6;
            outlook.advance(at(now), 1);
            outlook.done(promise.as_ref(), size as f64 / 1e6);
            outlook.completed(at(now), &sized(size), promise.as_ref(), took(size, 1.0));
            assert_eq!(outlook.judge(Bytes(0)), None);
            outlook.read(0, std::iter::empty());
        }
        now
    }

    #[test]
    fn a_few_large_ones_weigh_as_much_as_many_small_ones() {
        let eta = |count: u64, size: u64| {
            let mut outlook = Outlook::default();
            let now = learned(&mut outlook);
            (0..count).for_each(|_| outlook.queued(&sized(size)));
            outlook.read(0, std::iter::empty());
            outlook.eta(Duration::from_secs_f64(now), std::iter::empty()).unwrap().likely.as_secs_f64()
        };
        let (many, few) = (eta(50, 1_000_000), eta(1, 50_000_000));
        assert!((many / 50.0 - 1.0).abs() < 0.15, "{many}");
        assert!((few / 50.0 - 1.0).abs() < 0.15, "{few}");
        assert!(eta(1_000_000, 1_000_000) > 0.8e6);
    }

    #[test]
    fn cold_it_says_nothing_and_with_earlier_results_at_once() {
        let mut outlook = Outlook::default();
        outlook.queued(&sized(5_000_000));
        outlook.read(0, std::iter::empty());
        assert_eq!(outlook.eta(Duration::from_secs(60), std::iter::empty()), None);
        let earlier = sizes(40).map(|size| Completed {
            input: Some(size),
            kind: None,
            peak: 3.0 * size as f64,
            cpu: 1.0,
            io: 1.0,
            seconds: size as f64 / 1e6,
        });
        let mut outlook = Outlook::new(earlier.collect());
        outlook.queued(&sized(5_000_000));
        outlook.read(0, std::iter::empty());
        let eta = outlook.eta(Duration::from_secs(2), std::iter::empty()).unwrap();
        assert!((eta.likely.as_secs_f64() - 5.0).abs() < 1.0, "{eta:?}");
    }

    #[test]
    fn without_earlier_results_nothing_is_said_of_the_end_before_a_twentieth_or_a_while() {
        let mut outlook = Outlook::default();
        learned(&mut outlook);
        (0..2000).for_each(|_| outlook.queued(&sized(5_000_000)));
        outlook.read(0, std::iter::empty());
        let said = |outlook: &Outlook, seconds| {
            outlook.eta(Duration::from_secs(seconds), std::iter::empty()).is_some()
        };
        assert!(!said(&outlook, 14) && said(&outlook, 15));
        (0..60).for_each(|_| outlook.done(None, 5.0));
        assert!(said(&outlook, 14));
    }

    #[test]
    fn what_stands_still_makes_the_end_come_later() {
        let left = |frozen: u32| {
            let mut outlook = Outlook::default();
            let mut now = learned(&mut outlook);
            (0..100).for_each(|_| outlook.queued(&sized(10_000_000)));
            for _ in 0..30 {
                outlook.read(frozen, std::iter::empty());
                now += 1.0;
                outlook.advance(at(now), 4);
                outlook.done(None, f64::from(4 - frozen));
            }
            outlook.read(frozen, std::iter::empty());
            outlook.eta(Duration::from_secs_f64(now), std::iter::empty()).unwrap().likely.as_secs_f64()
        };
        assert!((left(2) / left(0) - 2.0).abs() < 0.2, "{} {}", left(2), left(0));
    }

    #[test]
    fn tasks_that_take_more_memory_are_learned_anew_and_told_once() {
        let mut outlook = Outlook::default();
        let mut now = learned(&mut outlook);
        let mut told = Vec::new();
        for size in sizes(59) {
            let promise = outlook.model.predict(&sized(size));
            now += 1.0;
            outlook.completed(at(now), &sized(size), promise.as_ref(), took(size, 2.1));
            told.extend(outlook.judge(Bytes(0)));
            outlook.read(0, std::iter::empty());
        }
        let [(Drifted::Memory(factor), _)] = told[..] else { panic!("{told:?}") };
        assert!((factor / 2.1 - 1.0).abs() < 0.1, "{factor}");
        let after = outlook.model.predict(&sized(30_000_000)).unwrap().peak_bytes.p50;
        assert!((after / (2.1 * 9e7) - 1.0).abs() < 0.1, "{after}");
    }

    /// A task's peak is never below the host's: one that grows is no change of tasks that need less than it does.
    #[test]
    fn a_host_that_grows_is_no_change_of_tasks_and_a_task_that_grows_beyond_it_is() {
        let ends = |outlook: &mut Outlook, from: u32, own: f64, peak: f64| {
            let (mut told, mut promise) = (Vec::new(), None);
            for i in 0..40 {
                if i % 8 == 0 {
                    promise = outlook.model.predict(&sized(1000));
                }
                let took = Took { peak: peak.max(own), ..took(1000, 1.0) };
                outlook.completed(at(f64::from(from + i)), &sized(1000), promise.as_ref(), took);
                if i % 8 == 7 {
                    told.extend(outlook.judge(Bytes(own as u64)));
                    outlook.read(0, std::iter::empty());
                }
            }
            told
        };
        let mut outlook = Outlook::default();
        assert_eq!(ends(&mut outlook, 0, 20e6, 2e6), []);
        assert_eq!(ends(&mut outlook, 40, 40e6, 2e6), []);
        assert_eq!(ends(&mut outlook, 80, 45e6, 2e6), []);
        let told = ends(&mut outlook, 120, 45e6, 150e6);
        assert!(matches!(told[..], [(Drifted::Memory(factor), 3..)] if factor > 1.5), "{told:?}");
    }

    #[test]
    fn what_outputs_will_need_is_summed_over_what_waits() {
        let mut outlook = Outlook::default();
        learned(&mut outlook);
        (0..1000).for_each(|_| outlook.queued(&sized(8_000_000)));
        outlook.read(0, std::iter::empty());
        let bytes = outlook.output(std::iter::empty()).unwrap().0 as f64;
        assert!((bytes / 2e9 - 1.0).abs() < 0.1, "{bytes}");
        let forecast = outlook.forecast(std::iter::empty());
        assert!(
            forecast.each.is_some() && forecast.accuracy.tasks > 40 && forecast.accuracy.median_error < 0.1
        );
    }

    /// Tables grow with the kinds that are told apart, not with the names that come, and lists with nothing.
    #[test]
    fn a_hundred_thousand_tasks_with_a_thousand_ends_of_names_leave_no_more_than_a_few() {
        let mut outlook = Outlook::default();
        for i in 0..100_000u64 {
            let kind = Kind::of(format!("x.k{}", i % 977).as_bytes());
            let features = Features { kind, ..sized((i * 31 % 59 + 1) * 1_000_000) };
            outlook.queued(&features);
            let promise = outlook.admitted(&features);
            let now = at(i as f64 / 4000.0);
            outlook.completed(now, &features, promise.as_ref(), took(5_000_000, 1.0));
            if i % 4000 == 3999 {
                outlook.judge(Bytes(0));
                outlook.read(0, std::iter::empty());
                assert!(outlook.unjudged.is_empty());
            }
        }
        assert!(outlook.backlog.total() == 0 && outlook.model.results() <= 300);
        assert!(outlook.backlog.room() <= (Sorts::MOST + 1) * CLASSES, "{}", outlook.backlog.room());
    }
}
