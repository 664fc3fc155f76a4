//! When the machine and its processes are read next.

use std::time::{Duration, Instant};

use orchestrator_core::capacity::CapacityDecision;

use crate::collector::Pace;

/// While capacity grows step by step, the effect of a step is looked at sooner than once an interval.
const WARM_UP_INTERVAL: Duration = Duration::from_millis(250);
/// In its first second a run under the law is looked at more often still: nothing is known of its tasks, and short ones have
/// ended by then.
const FIRST_INTERVAL: Duration = Duration::from_millis(100);
const FIRST: Duration = Duration::from_secs(1);

/// The times of the readings.
#[derive(Debug)]
pub(crate) struct Readings {
    /// `metrics.interval`: the longest time from one reading to the next that is wished.
    interval: Duration,
    began: Instant,
    next: Instant,
    /// Calibration measurements at the last reading: a new one is worth a reading at once.
    baseline_samples: u32,
}

impl Readings {
    /// The first one is due at once.
    pub(crate) fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, began: now, next: now, baseline_samples: 0 }
    }

    /// The run begins.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.began = now;
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// One was asked for: sets the time of the next. Gives what people are to know of the pace.
    pub(crate) fn asked(
        &mut self,
        now: Instant,
        capacity: &CapacityDecision,
        pace: &mut Pace,
    ) -> Option<String> {
        self.next = now + pace.pause(self.wish(now, capacity));
        pace.tell(self.interval)
    }

    /// There are so many calibration measurements: where that is news, the next reading is due at once.
    pub(crate) fn calibrated(&mut self, now: Instant, samples: u32) {
        if samples != self.baseline_samples {
            self.baseline_samples = samples;
            self.next = now;
        }
    }

    /// Something has begun that is to be looked at soon.
    pub(crate) fn hasten(&mut self, now: Instant, pace: Pace) {
        self.next = self.next.min(now + pace.pause(self.interval.min(WARM_UP_INTERVAL)));
    }

    /// The time from one to the next once nothing makes it shorter.
    pub(crate) fn pause(&self, pace: Pace) -> Duration {
        pace.pause(self.interval)
    }

    /// The time to the next reading if readings cost nothing.
    fn wish(&self, now: Instant, capacity: &CapacityDecision) -> Duration {
        if capacity.allowed.is_some() && now.duration_since(self.began) < FIRST {
            self.interval.min(FIRST_INTERVAL)
        } else if capacity.is_growing() {
            self.interval.min(WARM_UP_INTERVAL)
        } else {
            self.interval
        }
    }
}

#[cfg(test)]
mod tests {
    use orchestrator_core::capacity::Bound;
    use orchestrator_core::capacity::control::{Allowed, Hold};

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);

    fn decision(bound: Bound, allowed: Option<Allowed>) -> CapacityDecision {
        CapacityDecision { target: 2, bound, reason: String::new(), plugins: Vec::new(), allowed }
    }

    /// From a reading that is asked for so long after the beginning to the next.
    fn pause(interval: Duration, age: Duration, capacity: &CapacityDecision) -> Duration {
        let began = Instant::now();
        let mut readings = Readings::new(interval, began);
        readings.begin(began);
        assert_eq!(readings.asked(began + age, capacity, &mut Pace::default()), None);
        readings.next() - (began + age)
    }

    #[test]
    fn a_run_under_the_law_is_read_most_often_in_its_first_second_and_more_often_while_it_grows() {
        let law =
            |soon| decision(Bound::Law(Hold::Max { max: 4 }), Some(Allowed { soon, ..Allowed::default() }));
        let (early, late) = (Duration::from_millis(999), FIRST);
        assert_eq!(pause(INTERVAL, early, &law(false)), FIRST_INTERVAL);
        assert_eq!(pause(INTERVAL, late, &law(false)), INTERVAL);
        assert_eq!(pause(INTERVAL, late, &law(true)), WARM_UP_INTERVAL);
        assert_eq!(pause(INTERVAL, early, &decision(Bound::WarmUp, None)), WARM_UP_INTERVAL);
        assert_eq!(pause(INTERVAL, early, &decision(Bound::Max, None)), INTERVAL);
        let short = Duration::from_millis(50);
        assert_eq!(pause(short, early, &law(true)), short, "never less often than configured");
    }

    #[test]
    fn a_new_calibration_measurement_is_worth_a_reading_at_once_and_an_old_one_none() {
        let now = Instant::now();
        let mut readings = Readings::new(INTERVAL, now);
        readings.asked(now, &decision(Bound::Max, None), &mut Pace::default());
        readings.calibrated(now, 0);
        assert_eq!(readings.next(), now + INTERVAL);
        readings.calibrated(now + INTERVAL / 2, 1);
        assert_eq!(readings.next(), now + INTERVAL / 2);
        readings.asked(now + INTERVAL / 2, &decision(Bound::Max, None), &mut Pace::default());
        readings.calibrated(now + INTERVAL, 1);
        assert_eq!(readings.next(), now + INTERVAL / 2 + INTERVAL);
        readings.hasten(now + INTERVAL, Pace::default());
        readings.hasten(now + INTERVAL + WARM_UP_INTERVAL / 2, Pace::default());
        assert_eq!(readings.next(), now + INTERVAL + WARM_UP_INTERVAL, "once, not put off again and again");
    }
}
