//! How many processes run, and how much of the expected work each does in a second of its own.
//!
//! Work is counted in promised seconds: a task that was promised ten and is done in twenty does half a second of work a
//! second, and so do places that stand empty between tasks half of the time. What is left of the work at this pace is what
//! is left of the run, whatever made predictions too short: other people's load, places that are filled slowly, retries.

use crate::Timestamp;

/// The pace is that of the last so many tasks' worth of work, and of so many seconds besides: a few large tasks among small
/// ones must not decide alone.
const MEMORY_TASKS: f64 = 30.0;
const MEMORY_SECONDS: f64 = 20.0;
/// At first it is taken to be as promised, as if so many tasks and seconds had confirmed it.
const ASSUMED_TASKS: f64 = 3.0;
const ASSUMED_SECONDS: f64 = 2.0;
/// The number that runs is averaged over this time, and its spread over that, s.
const ACTIVE_SECONDS: f64 = 5.0;
const SPREAD_SECONDS: f64 = 60.0;
const SLOWEST: f64 = 0.05;
const FASTEST: f64 = 10.0;

/// Follows the pace.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    at: Option<Timestamp>,
    /// Seconds that processes ran since the last reading.
    slots: f64,
    seconds: f64,
    done: f64,
    in_flight: f64,
    /// Work and seconds of late.
    work: f64,
    spent: f64,
    active: f64,
    variance: f64,
}

impl Pace {
    /// Until now so many ran (what stood still not counted).
    pub fn advance(&mut self, now: Timestamp, active: u32) {
        let seconds = self.at.map_or(0.0, |at| now.since(at).as_secs_f64());
        self.at = Some(now);
        self.slots += seconds * f64::from(active);
        self.seconds += seconds;
    }

    /// An attempt ended that is worth so much work; none if it has to be done again.
    pub fn done(&mut self, work: f64) {
        self.done += work;
    }

    /// Looks: of what runs so much is done, and a usual task is so much work.
    pub fn read(&mut self, in_flight: f64, usual: f64) {
        let work =
            std::mem::take(&mut self.done) + in_flight - std::mem::replace(&mut self.in_flight, in_flight);
        let (slots, seconds) = (std::mem::take(&mut self.slots), std::mem::take(&mut self.seconds));
        let kept = (-slots / (MEMORY_TASKS * usual.max(1e-3) + MEMORY_SECONDS * self.active.max(1.0))).exp();
        self.work = self.work * kept + work;
        self.spent = self.spent * kept + slots;
        if seconds <= 0.0 {
            return;
        }
        let mean = slots / seconds;
        if self.active <= 0.0 {
            self.active = mean;
        }
        let away = mean - self.active;
        self.active += (1.0 - (-seconds / ACTIVE_SECONDS).exp()) * away;
        self.variance += (1.0 - (-seconds / SPREAD_SECONDS).exp()) * (away * away - self.variance);
    }

    /// Work that a running process does in a second, where a usual task is so much work.
    #[must_use]
    pub fn each(&self, usual: f64) -> f64 {
        let assumed = ASSUMED_TASKS * usual.max(1e-3) + ASSUMED_SECONDS * self.active.max(1.0);
        ((self.work + assumed) / (self.spent + assumed)).clamp(SLOWEST, FASTEST)
    }

    /// How many ran of late.
    #[must_use]
    pub fn active(&self) -> f64 {
        self.active
    }

    /// The relative spread of that number.
    #[must_use]
    pub fn spread(&self) -> f64 {
        if self.active > 0.0 { (self.variance.sqrt() / self.active).min(1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_as_fast_as_promised_is_half_the_pace() {
        let mut pace = Pace::default();
        let mut in_flight = 0.0;
        for second in 0..200u64 {
            pace.advance(Timestamp(second * 1_000_000), 4);
            // Each of four places does half a promised second; every tenth second four tasks of 5 promised seconds end.
            in_flight += if second > 0 { 2.0 } else { 0.0 };
            if second % 10 == 0 && second > 0 {
                pace.done(20.0);
                in_flight -= 20.0;
            }
            pace.read(in_flight, 5.0);
        }
        assert!((pace.each(5.0) - 0.5).abs() < 0.05, "{pace:?}");
        assert!((pace.active() - 4.0).abs() < 1e-6 && pace.spread() < 0.01, "{pace:?}");
    }

    #[test]
    fn nothing_known_is_as_promised() {
        assert_eq!((Pace::default().each(3.0), Pace::default().active()), (1.0, 0.0));
    }
}
