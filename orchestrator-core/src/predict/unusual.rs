//! What is unusual about a task: it runs far longer, or uses far more memory, than others of its kind and size.
//!
//! The rule joins three conditions, because each of them alone is met by healthy tasks: the amount is more than five times
//! what was expected, more than half as large again as the largest ever seen, and its log-ratio to what was expected lies
//! more than six robust standard deviations (1.4826 · median absolute deviation; Iglewicz and Hoaglin 1993) above the
//! usual one. Such a task is hopeless rather than unusual: of 11,733 recorded tasks that ended well 0.03 % met it.
//!
//! A small task that takes as long as a large one is unusual too, but this is said only with more behind it: more than eight
//! times what was expected, twelve deviations, and twice the largest miss of late, the first five and one in a hundred left out (neither
//! what was said when nothing was known nor one task that was sick and yet ended well must hide all that come after it). With it 0.06 % of the recorded
//! tasks are told of.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::amount::AmountPredictor;
use super::features::Features;
use super::fit::median;

/// Results before anything is judged, and results that the spread is taken from.
const ENOUGH: usize = 10;
const KEPT: usize = 200;
/// Robust standard deviations.
const DEVIATIONS: f64 = 6.0;
/// Of a spread of zero nobody can be six away: it is taken to be at least this (log-ratio).
const SMALLEST_SPREAD: f64 = 0.05;
const HOPELESS: f64 = 5.0;
const BEYOND_LARGEST: f64 = 1.5;
/// What is unusual for its size alone, though others took as long: this multiple of what was expected, so many deviations
/// away, this multiple of the largest miss of late, after so many results.
const FOR_ITS_SIZE: f64 = 8.0;
const DEVIATIONS_FOR_ITS_SIZE: f64 = 12.0;
const BEYOND_LARGEST_MISS: f64 = 2.0;
const ENOUGH_FOR_ITS_SIZE: usize = 30;
/// Of so many misses one is left out, and the first few: they are those of a predictor that knew next to nothing.
const LEFT_OUT: usize = 100;
const FIRST: usize = 5;
/// Nothing that takes less time than this, in seconds, is worth a word.
const SHORTEST: f64 = 5.0;
/// A task is suspected to be stuck after so long without any sign of life, or this multiple of the longest pause seen.
const IDLE: Duration = Duration::from_secs(60);
const IDLE_TIMES: u32 = 5;

/// How unusual an amount is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Worth a warning.
    Unusual,
    /// So far out that ending the task is defensible.
    Hopeless,
}

/// Learns one amount (run time, peak memory) of one kind of task and judges amounts.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    expected: AmountPredictor,
    /// ln(true / expected) of late.
    misses: VecDeque<f64>,
    /// How many of the very first are still among them.
    first: usize,
    centre: f64,
    spread: f64,
    smallest: f64,
    largest: f64,
    /// The largest of the misses of late, the very first and one in a hundred left out.
    worst: f64,
}

impl Watch {
    /// Takes the amount of a task that ended well.
    pub fn observe(&mut self, features: &Features, amount: f64) {
        if !(amount.is_finite() && amount > 0.0) {
            return;
        }
        if let Some(expected) = self.expected.predict(features) {
            if self.misses.len() == KEPT {
                self.misses.pop_front();
                self.first = self.first.saturating_sub(1);
            } else if self.misses.len() < FIRST {
                self.first += 1;
            }
            let miss = (amount / expected.p50).ln();
            self.misses.push_back(miss);
            let mut sorted: Vec<f64> = self.misses.iter().copied().collect();
            self.centre = median(&mut sorted);
            self.worst = self.worst();
            let mut away: Vec<f64> = sorted.iter().map(|miss| (miss - self.centre).abs()).collect();
            self.spread = (1.4826 * median(&mut away)).max(SMALLEST_SPREAD);
        }
        let first = self.largest <= 0.0;
        self.smallest = if first { amount } else { self.smallest.min(amount) };
        self.largest = self.largest.max(amount);
        self.expected.observe(features, amount);
    }

    fn worst(&self) -> f64 {
        let mut later: Vec<f64> = self.misses.iter().skip(self.first).copied().collect();
        let at = later.len().saturating_sub(1 + later.len() / LEFT_OUT);
        if later.is_empty() { 0.0 } else { *later.select_nth_unstable_by(at, f64::total_cmp).1 }
    }

    /// What is expected of a task; `None` before the first result.
    #[must_use]
    pub fn expected(&self, features: &Features) -> Option<f64> {
        self.expected.predict(features).map(|expected| expected.p50)
    }

    /// Judges an amount (of a task that still runs: so far); `None` if it is not unusual, or too little is known.
    #[must_use]
    pub fn judge(&self, features: &Features, amount: f64) -> Option<Severity> {
        if self.misses.len() < ENOUGH {
            return None;
        }
        let beyond = amount > BEYOND_LARGEST * self.largest;
        // The cheap conditions first: a running task is asked about at every sample.
        let long_for_some = amount > FOR_ITS_SIZE * self.smallest && self.misses.len() >= ENOUGH_FOR_ITS_SIZE;
        if !beyond && !long_for_some {
            return None;
        }
        let times = amount / self.expected(features)?.max(1e-9);
        let deviations = (times.ln() - self.centre) / self.spread;
        let for_its_size = times > FOR_ITS_SIZE
            && deviations > DEVIATIONS_FOR_ITS_SIZE
            && times.ln() > self.worst + BEYOND_LARGEST_MISS.ln();
        match beyond {
            true if times > HOPELESS && deviations > DEVIATIONS => Some(Severity::Hopeless),
            false if for_its_size => Some(Severity::Unusual),
            _ => None,
        }
    }
}

/// What may be wrong with a running attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Suspicion {
    /// It runs far longer than expected.
    Slow {
        /// So far.
        running: Duration,
        /// What was expected.
        expected: Duration,
    },
    /// It uses far more memory than expected.
    Large {
        /// Now, bytes.
        rss: u64,
        /// What was expected at most, bytes.
        expected: u64,
    },
    /// It shows no sign of life: no CPU time, no bytes, no calls.
    Idle {
        /// For so long.
        since: Duration,
    },
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow { running, expected } => write!(
                f,
                "has run for {:.0} s, {:.0} s were expected for its size",
                running.as_secs_f64(),
                expected.as_secs_f64()
            ),
            Self::Large { rss, expected } => write!(
                f,
                "uses {} of memory, {} were expected for its size",
                crate::Bytes(*rss),
                crate::Bytes(*expected)
            ),
            Self::Idle { since } => {
                write!(f, "has shown no sign of life for {:.0} s and may be stuck", since.as_secs_f64())
            }
        }
    }
}

/// The watches over the tasks of a run.
#[derive(Clone, Debug, Default)]
pub struct Watches {
    times: Watch,
    memory: Watch,
    longest_pause: Duration,
}

impl Watches {
    /// Takes what a task took that ended well, and its longest pause without a sign of life.
    pub fn observe(&mut self, features: &Features, seconds: f64, peak: f64, pause: Duration) {
        self.times.observe(features, seconds);
        self.memory.observe(features, peak);
        self.longest_pause = self.longest_pause.max(pause);
    }

    /// What may be wrong with an attempt that has run (not stood still) for so long, uses so much memory and has shown no
    /// sign of life for so long.
    #[must_use]
    pub fn suspect(
        &self,
        features: &Features,
        running: Duration,
        rss: u64,
        idle: Duration,
    ) -> Option<Suspicion> {
        let seconds = running.as_secs_f64();
        if idle >= IDLE.max(self.longest_pause * IDLE_TIMES) {
            return Some(Suspicion::Idle { since: idle });
        }
        if seconds > SHORTEST && self.times.judge(features, seconds).is_some() {
            let expected = Duration::from_secs_f64(self.times.expected(features)?.clamp(0.0, 1e9));
            return Some(Suspicion::Slow { running, expected });
        }
        self.memory.judge(features, rss as f64)?;
        Some(Suspicion::Large { rss, expected: self.memory.expected(features)? as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bytes;

    fn sized(n: u64) -> Features {
        Features::sized(Bytes(n * 1_000_000))
    }

    fn learned() -> Watch {
        let mut watch = Watch::default();
        for i in 1..60u64 {
            watch.observe(&sized(i * 31 % 59 + 1), (i * 31 % 59 + 1) as f64 * (1.0 + 0.1 * (i % 3) as f64));
        }
        watch
    }

    #[test]
    fn all_three_conditions_must_be_met() {
        let watch = learned();
        assert_eq!(watch.judge(&sized(30), 40.0), None, "a little longer");
        assert_eq!(
            watch.judge(&sized(10), 50.0),
            None,
            "five times what was expected, but others took as long"
        );
        assert_eq!(watch.judge(&sized(5), 60.0), Some(Severity::Unusual), "far too long for its size");
        assert_eq!(watch.judge(&sized(30), 120.0), None, "four times what was expected");
        assert_eq!(watch.judge(&sized(30), 180.0), Some(Severity::Hopeless));
        assert_eq!(watch.judge(&sized(30), 300.0), Some(Severity::Hopeless));
        assert_eq!(Watch::default().judge(&sized(1), 1e9), None, "nothing is known");
    }

    /// One of two hundred took thirty times what was expected and ended well.
    #[test]
    fn one_sick_task_that_ended_well_does_not_hide_those_after_it() {
        let mut watch = learned();
        for i in 1..150u64 {
            let size = i * 31 % 59 + 1;
            let times = if i == 30 { 30.0 } else { 1.0 + 0.1 * (i % 3) as f64 };
            watch.observe(
                &sized(if i == 30 { 2 } else { size }),
                if i == 30 { 2.0 } else { size as f64 } * times,
            );
        }
        assert_eq!(watch.judge(&sized(3), 30.0), Some(Severity::Unusual));
    }

    /// The third result was twenty times what two had led to expect.
    #[test]
    fn what_was_said_when_nothing_was_known_hides_no_slow_task() {
        let mut watch = Watch::default();
        watch.observe(&sized(1), 0.5);
        watch.observe(&sized(1), 0.5);
        for i in 2..60u64 {
            watch.observe(&sized(i * 31 % 59 + 1), (i * 31 % 59 + 1) as f64 * (1.0 + 0.1 * (i % 3) as f64));
        }
        assert!(watch.misses[2] > 20f64.ln() && watch.misses.len() < LEFT_OUT, "{:?}", watch.misses);
        assert_eq!(watch.judge(&sized(3), 50.0), Some(Severity::Unusual));
        (0..KEPT as u64).for_each(|_| watch.observe(&sized(5), 5.0));
        assert_eq!(watch.first, 0, "they are gone");
    }

    #[test]
    fn a_pause_is_suspicious_when_it_is_long_for_this_program() {
        let mut watches = Watches::default();
        let idle = |watches: &Watches, seconds| {
            watches.suspect(&sized(1), Duration::from_secs(1000), 1, Duration::from_secs(seconds))
        };
        assert_eq!(idle(&watches, 59), None);
        assert!(matches!(idle(&watches, 60), Some(Suspicion::Idle { .. })));
        watches.observe(&sized(1), 100.0, 1e6, Duration::from_secs(40));
        assert_eq!(idle(&watches, 199), None);
        assert!(matches!(idle(&watches, 200), Some(Suspicion::Idle { .. })));
    }

    #[test]
    fn short_tasks_are_not_worth_a_word() {
        let mut watches = Watches::default();
        for i in 0..50 {
            watches.observe(&sized(i), 0.01, 1e6, Duration::ZERO);
        }
        assert_eq!(watches.suspect(&sized(3), Duration::from_secs(4), 1, Duration::ZERO), None);
        let slow = watches.suspect(&sized(3), Duration::from_secs(6), 1, Duration::ZERO);
        assert_eq!(slow.unwrap().to_string(), "has run for 6 s, 0 s were expected for its size");
        let large = watches.suspect(&sized(3), Duration::from_secs(1), 100 << 20, Duration::ZERO);
        assert!(matches!(large, Some(Suspicion::Large { .. })));
    }
}
