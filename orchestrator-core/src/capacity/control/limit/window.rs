//! What was done between two decisions about the limit.

use crate::capacity::control::progress::Rate;

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
