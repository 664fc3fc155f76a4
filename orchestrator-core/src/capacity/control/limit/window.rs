//! What was done between two decisions about the limit.

use crate::capacity::control::progress::{Measure, Rate};

/// Concurrency has grown if it did by this factor.
pub(super) const STEP: f64 = 1.15;
/// It brakes if progress grew by less than this share of what it should, and misses it by so many standard errors.
const GAIN: f64 = 0.45;
const NOISE: f64 = 0.7;

/// Where the cores bear this multiple of what runs, the processes hardly compute.
pub(super) const FAR: f64 = 4.0;
/// Tasks that neither compute (the cores bear many more) nor move more bytes than this a second each wait for somebody else.
const MOVES: f64 = 5e5;

/// Sums over an epoch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    io: f64,
    cpu: f64,
    speed: f64,
    /// Seconds in which the speed was known.
    known: f64,
    pub(super) seconds: f64,
    running: f64,
}

/// Mean concurrency and rate over an epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epoch {
    pub(super) running: f64,
    pub(super) rate: Rate,
    pub(super) seconds: f64,
}

impl Window {
    /// During so many seconds `active` tasks moved this much.
    pub(super) fn add(&mut self, seconds: f64, active: f64, rate: Rate) {
        self.io += rate.io * seconds;
        self.cpu += rate.cpu * seconds;
        if let Some(speed) = rate.speed {
            self.speed += speed * seconds;
            self.known += seconds;
        }
        self.seconds += seconds;
        self.running += active * seconds;
    }

    /// Half of it is forgotten.
    pub(super) fn fade(&mut self) {
        for sum in [
            &mut self.io,
            &mut self.cpu,
            &mut self.speed,
            &mut self.known,
            &mut self.seconds,
            &mut self.running,
        ] {
            *sum *= 0.5;
        }
    }

    /// Whether what ran waited for somebody else, where the cores bear so many.
    pub(super) fn waits(&self, bears: f64) -> bool {
        self.seconds > 0.0 && bears * self.seconds >= FAR * self.running && self.io < MOVES * self.running
    }

    pub(super) fn mean(&self) -> Epoch {
        let seconds = self.seconds;
        let speed = (self.known > 0.5 * seconds).then(|| self.speed / self.known);
        let rate = Rate { io: self.io / seconds, cpu: self.cpu / seconds, speed };
        Epoch { running: self.running / seconds, rate, seconds }
    }
}

impl Epoch {
    /// By which factor concurrency grew until a later one.
    pub(super) fn factor_to(&self, later: &Self) -> f64 {
        later.running / self.running.max(1e-9)
    }

    /// Whether the step up to it brought less progress than it should.
    pub(super) fn brought_little(&self, before: &Self, measure: &Measure) -> bool {
        let wanted = 1.0 + GAIN * (before.factor_to(self) - 1.0)
            - NOISE * measure.spread / before.running.max(1e-9).sqrt();
        measure.gain(before.rate, self.rate) < wanted
    }
}
