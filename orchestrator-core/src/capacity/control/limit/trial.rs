//! Whether fewer at once get as much done.
//!
//! Where a bound is slower than fewer at once were on the way up there may be a knee below it, which no single step shows: where
//! company slows some tasks down and others not, what runs is another mix after each step, and takes several run times to
//! settle. So fewer are tried for that long, and judged by what is done once the mix has settled.

use super::window::{Epoch, Window};
use crate::capacity::control::progress::Measure;

/// Share of those that run at the bound that is tried.
const FEWER: f64 = 0.75;
/// From and until so many usual run times after its beginning a trial is looked at; it is compared with what was done at the bound
/// for as long.
const WALLS: (f64, f64) = (2.0, 6.0);
/// Fewer are kept if they get this share done of what was done before, and a standard error more. With less than the other, and a
/// standard error less, over a usual run time nothing suffered from company.
const KEPT: f64 = 0.99;
const LOST: f64 = 0.84;
/// Epochs at the bound before the first trial; twice as many before each one more, until so many have shown nothing.
const EPOCHS: u32 = 4;
const ENOUGH: u32 = 3;

/// A trial that goes on.
#[derive(Clone, Debug)]
struct Trial {
    /// The limit before it, and what was done at the bound.
    limit: f64,
    before: Epoch,
    /// When it is looked at, s.
    from: f64,
    until: f64,
    window: Window,
}

/// What a trial has shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    /// Nothing yet.
    GoesOn,
    /// Fewer get as much done.
    Fewer(Epoch),
    /// They do not: back to this limit.
    Back(f64),
    /// Fewer get as much less done as they are fewer: there is no knee. Back to this limit.
    NoKnee(f64),
}

/// What comes next at a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Next {
    Stay,
    /// So many are tried.
    Try(f64),
    /// Trials enough have shown nothing.
    NoKnee,
}

/// The trials since a knee was suspected.
#[derive(Clone, Debug, Default)]
pub(super) struct Trials {
    goes_on: Option<Trial>,
    made: u32,
    /// Epochs at the bound since the last one.
    epochs: u32,
    /// What was done at the bound of late.
    at_bound: Window,
}

impl Trials {
    /// A knee is suspected anew.
    pub(super) fn begin_anew(&mut self) {
        (self.made, self.epochs) = (0, 0);
    }

    /// The limit has changed for another reason.
    pub(super) fn stop(&mut self) {
        self.goes_on = None;
        self.at_bound = Window::default();
    }

    pub(super) fn goes_on(&self) -> bool {
        self.goes_on.is_some()
    }

    /// The limit before the trial that goes on.
    pub(super) fn before(&self) -> Option<f64> {
        self.goes_on.as_ref().map(|trial| trial.limit)
    }

    /// An epoch at the bound, with this limit; `wall` is a usual run time, s. A trial begins where there `may_be` a knee.
    pub(super) fn at_bound(&mut self, now: f64, limit: f64, epoch: Epoch, wall: f64, may_be: bool) -> Next {
        let long = (WALLS.1 - WALLS.0) * wall;
        self.at_bound.add(epoch.seconds, epoch.running, epoch.rate);
        if self.at_bound.seconds > 2.0 * long {
            self.at_bound.fade();
        }
        self.epochs += 1;
        if !may_be || self.at_bound.seconds < long || self.epochs < EPOCHS << self.made {
            return Next::Stay;
        }
        self.epochs = 0;
        self.made += 1;
        if self.made > ENOUGH {
            return Next::NoKnee;
        }
        let [from, until] = [WALLS.0, WALLS.1].map(|walls| now + walls * wall);
        let before = self.at_bound.mean();
        self.goes_on = Some(Trial { limit, before, from, until, window: Window::default() });
        Next::Try((FEWER * before.running).max(1.0))
    }

    /// An epoch of the trial that goes on; `None` if there is none.
    pub(super) fn look(&mut self, now: f64, measure: &Measure, epoch: Epoch, wall: f64) -> Option<Verdict> {
        let trial = self.goes_on.as_mut()?;
        if now >= trial.from {
            trial.window.add(epoch.seconds, epoch.running, epoch.rate);
        }
        let verdict = trial.verdict(now, measure, wall);
        if !matches!(verdict, Verdict::GoesOn) {
            self.goes_on = None;
        }
        if matches!(verdict, Verdict::Fewer(_)) {
            self.made = 0;
            self.at_bound = Window::default();
        }
        Some(verdict)
    }
}

impl Trial {
    fn verdict(&self, now: f64, measure: &Measure, wall: f64) -> Verdict {
        if self.window.seconds <= 0.0 {
            return Verdict::GoesOn;
        }
        let fewer = self.window.mean();
        let gain = measure.gain(self.before.rate, fewer.rate);
        let tasks = |epoch: &Epoch| (epoch.running * epoch.seconds / wall).max(1.0);
        let error = measure.spread * (1.0 / tasks(&self.before) + 1.0 / tasks(&fewer)).sqrt();
        match now >= self.until {
            false if gain < LOST - error && self.window.seconds >= wall => Verdict::NoKnee(self.limit),
            false => Verdict::GoesOn,
            true if gain < KEPT + error => Verdict::Back(self.limit),
            true => Verdict::Fewer(fewer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::control::progress::{Progress, Rate};

    const WALL: f64 = 10.0;

    /// Bytes moved are what counts.
    fn measure() -> Measure {
        Progress::default().measure(Rate { io: 1e12, ..Rate::default() }, 1.0)
    }

    fn epoch(running: f64, rate: f64) -> Epoch {
        Epoch { running, rate: Rate { io: rate, cpu: 0.0, speed: None }, seconds: 5.0 }
    }

    /// The verdict on fewer that get `early` done in the first run times of the trial, and `settled` later; 12 was done before.
    fn verdict(early: f64, settled: f64) -> Verdict {
        let (mut trials, mut now, mut began) = (Trials::default(), 0.0, None);
        for _ in 0..100 {
            now += 5.0;
            let Some(from) = began else {
                let next = trials.at_bound(now, 24.0, epoch(24.0, 12.0), WALL, true);
                began = (next == Next::Try(18.0)).then_some(now);
                continue;
            };
            let rate = if now < from + WALLS.0 * WALL { early } else { settled };
            match trials.look(now, &measure(), epoch(18.0, rate), WALL) {
                Some(Verdict::GoesOn) => {}
                verdict => return verdict.unwrap(),
            }
        }
        unreachable!("trials end")
    }

    #[test]
    fn fewer_are_judged_by_what_they_do_once_the_mix_has_settled() {
        assert!(matches!(verdict(7.0, 13.0), Verdict::Fewer(_)));
        assert!(matches!(verdict(14.0, 11.0), Verdict::Back(24.0)));
        assert!(matches!(verdict(9.0, 9.0), Verdict::NoKnee(24.0)));
    }

    #[test]
    fn trials_become_rare_and_end_where_they_show_nothing() {
        let (mut trials, mut tries) = (Trials::default(), 0);
        for step in 1..200 {
            let now = 5.0 * f64::from(step);
            if trials.goes_on() {
                trials.look(now, &measure(), epoch(18.0, 11.0), WALL);
                continue;
            }
            match trials.at_bound(now, 24.0, epoch(24.0, 12.0), WALL, true) {
                Next::Try(_) => tries += 1,
                Next::NoKnee => return assert_eq!(tries, ENOUGH),
                Next::Stay => {}
            }
        }
        unreachable!("{tries} trials");
    }
}
