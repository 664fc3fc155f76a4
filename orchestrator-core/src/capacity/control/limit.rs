//! The throughput limit: how many at once still help.
//!
//! Two time scales. In flight: concurrency grows by half every two seconds (ramp) until a step brings less than half of
//! the progress it should (brake), holds, and tries again. From ten completions on a knee of run time over concurrency,
//! where one is believed, is the limit, probed by 10–15 % now and then. Where a knee was given up, or where a bound is
//! slower than fewer at once were on the way up, growth is gentle and fewer are tried now and then, to see whether there
//! is a knee after all.

use self::trial::{Next, Trials, Verdict};
use self::window::{Epoch, FAR, STEP, Window};
use super::history::{Better, History};
use super::kinds::KindLaw;
use super::knee::KneeFinder;
use super::progress::{Measure, Progress, Rate};

/// Never more at once, whatever progress says.
pub(super) const LARGEST: f64 = 512.0;
/// Growth of the limit in a step of the ramp, and where there may be a knee.
const RAMP: f64 = 1.5;
const GENTLE: f64 = 1.1;
/// Where the other bounds allow [`FAR`] more than the limit, the processes hardly compute: it grows by this factor, by the other
/// where they only wait.
const FAST_RAMP: f64 = 2.0;
const WAITING_RAMP: f64 = 3.0;
/// A step is judged if concurrency grew by [`STEP`], above this number, over this time (s).
const JUDGED_ABOVE: f64 = 4.5;
const JUDGED_FOR: f64 = 2.0;
/// With less than this of the progress that fewer made it is more than little that is missing.
const SLOWER: f64 = 0.9;
/// The same for the slow average at a bound.
const NOISE_SLOW: f64 = 2.0;
/// A measure of progress with a larger relative spread is not believed.
const SPREAD: f64 = 0.5;
/// Seconds that a brake holds at first, growth of that, and longest; median run times where growth is gentle.
const HOLD: (f64, f64, f64) = (8.0, 1.7, 600.0);
const HOLD_WALLS: f64 = 6.0;
/// Congestion takes the limit down to this share at least and at most, by how much faster fewer were.
const DROP_AT_ONCE: (f64, f64) = (0.4, 0.6);
/// Usual run time while none is known, s.
const UNKNOWN_WALL: f64 = 30.0;
/// Share of the cores that a single step does not go below, and the number that nothing goes below.
const FEW: f64 = 0.25;
const FEWEST: f64 = 4.0;
/// With every brake the next step up is larger by so much, below the few that are always worth a try, for so many brakes: what a
/// small step brings, chance decides.
const LARGER_STEP: f64 = 0.25;
const LARGER_STEPS: u32 = 8;
/// It holds no longer than this where it was congested, s.
const LONGEST_PAUSE: f64 = 60.0;
/// The limit lies this much above the knee: too few cost more than too many.
const ABOVE_KNEE: f64 = 1.1;
/// It falls to no less than this share in an epoch.
const DROP: f64 = 0.97;
/// One epoch in so many probes each side of the knee.
const PROBES: u32 = 12;
/// Where fewer turned out to get as much done they are kept for so many usual run times at least.
const KEPT_WALLS: f64 = 10.0;
/// Where another bound is the smaller one the limit follows it down, and keeps this share of itself in each epoch: other
/// people's load of a few seconds is no reason to grow from few again. (Of 0, 0.85 to 0.97 and 1 those from 0.85 to 0.93 did
/// best on universes 1001 to 1100 and 3001 to 3100, and differed by less than universes do.)
const KEEP: f64 = 0.9;
/// Epochs over which the rate at a bound is averaged; steps of the ramp that are remembered.
const SLOW: f64 = 8.0;
const STEPS: usize = 24;
/// Seconds between two decisions: at least, at most.
const EPOCH: (f64, f64) = (2.0, 30.0);
/// Seconds after a step before its effect is measured.
const SETTLING: f64 = 1.0;
/// Tasks that end within less than a second show sooner what a step brought: decisions come after this many median run
/// times, and this share of the times above at least.
const SHORT_WALLS: f64 = 2.0;
const SHORTEST: f64 = 0.4;
/// Where tasks wait for somebody else there is nothing on this machine that more of them could jam, and nothing to be judged while
/// they run. The times above shrink to this share then: a step with every reading.
const WAITING: f64 = 0.08;
/// With nothing completed for so many run times (and epochs) half as many are tried, and kept from this gain on.
const STILL_WALLS: f64 = 4.0;
const WORTH_IT: f64 = 1.1;
/// Of those at most this multiple of what runs is allowed: memory may hold them back.
const AHEAD: f64 = 4.0;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    Ramp,
    Brake,
    Knee,
}

/// What the limit needs to know of the moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: f64,
    /// Tasks that run and are not frozen.
    pub(super) active: f64,
    /// The smallest of the other bounds.
    pub(super) others: f64,
    /// How many the cores bear.
    pub(super) bears: f64,
    pub(super) cores: f64,
}

/// The limit.
#[derive(Clone, Debug)]
pub(super) struct ThroughputLimit {
    limit: f64,
    mode: Mode,
    ramp: f64,
    hold: f64,
    hold_until: f64,
    window: Window,
    window_from: f64,
    next_epoch: f64,
    /// What the times are shortened by; 1 unless tasks are short.
    haste: f64,
    /// Whether what runs waits for somebody else.
    waits: bool,
    epochs: u32,
    /// Where the knee lies.
    centre: f64,
    trials: Trials,
    /// Brakes since the limit last grew of itself.
    brakes: u32,
    /// Steps of the ramp.
    steps: Vec<Epoch>,
    /// Slow average at a bound.
    slow: Option<Epoch>,
    /// The step that the next one is judged against.
    before: Option<Epoch>,
    completed_since: f64,
    /// Completed since the last decision, and when that was.
    counted: f64,
    counted_from: f64,
    /// When something was last completed, or half as many were last tried for want of that; what was before those.
    looked_at: f64,
    halved_from: Option<(f64, Epoch)>,
    /// As many as ran at once and helped; the same of an earlier run, until it proves wrong.
    helped: f64,
    known: f64,
    history: History,
}

impl Default for ThroughputLimit {
    fn default() -> Self {
        Self {
            limit: 1.0,
            mode: Mode::Ramp,
            ramp: RAMP,
            hold: HOLD.0,
            hold_until: 0.0,
            window: Window::default(),
            window_from: 0.0,
            next_epoch: 0.0,
            haste: 1.0,
            waits: false,
            epochs: 0,
            centre: 1.0,
            trials: Trials::default(),
            brakes: 0,
            steps: Vec::new(),
            slow: None,
            before: None,
            completed_since: 0.0,
            counted: 0.0,
            counted_from: 0.0,
            looked_at: 0.0,
            halved_from: None,
            helped: 1.0,
            known: 1.0,
            history: History::default(),
        }
    }
}

impl ThroughputLimit {
    /// The limit as it stands; whole tasks are its floor.
    pub(super) fn limit(&self) -> f64 {
        self.limit.min(LARGEST)
    }

    /// As many as there are cores are worth a try.
    pub(super) fn begin(&mut self, cores: f64) {
        self.limit = self.limit.max(cores.floor()).min(LARGEST);
    }

    pub(super) fn is_ramping(&self) -> bool {
        self.mode == Mode::Ramp
    }

    /// Whether fewer are tried than a moment ago.
    pub(super) fn tries_fewer(&self) -> bool {
        self.trials.goes_on()
    }

    /// More than this are too many: nobody is stopped for a trial of fewer.
    pub(super) fn stops_above(&self) -> f64 {
        self.trials.before().unwrap_or(self.limit).min(LARGEST)
    }

    /// Whether what runs neither computes nor moves data.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    pub(super) fn words(&self) -> &'static str {
        match self.mode {
            _ if self.tries_fewer() => "trying whether fewer get as much done",
            Mode::Ramp => "growing step by step as long as more is faster",
            Mode::Brake => "the last step brought little",
            Mode::Knee => "more at once makes each slower",
        }
    }

    /// As many as helped in an earlier run are worth a try.
    pub(super) fn begin_again(&mut self, helped: f64) {
        self.known = helped.min(LARGEST);
        self.begin(self.known);
    }

    /// As many as ran at once so far and helped.
    pub(super) fn helped(&self) -> f64 {
        self.helped
    }

    /// What an earlier run made worth a try, until it proves wrong; 1 then.
    pub(super) fn known(&self) -> f64 {
        self.known
    }

    pub(super) fn completed(&mut self) {
        self.completed_since += 1.0;
        self.counted += 1.0;
    }

    /// During `seconds` until `now`, `active` tasks moved this much.
    pub(super) fn sampled(&mut self, now: f64, seconds: f64, active: f64, rate: Rate) {
        if now < self.window_from + SETTLING * self.haste {
            return;
        }
        self.window.add(seconds, active, rate);
    }

    /// Decides anew, if it is time.
    pub(super) fn decide(
        &mut self,
        moment: Moment,
        progress: &Progress,
        knees: &KneeFinder,
        kinds: &KindLaw,
    ) {
        self.waits = progress.waits().unwrap_or_else(|| self.window.waits(moment.bears));
        // So few are worth a try wherever the cores bear them, as soon as that is known.
        if self.epochs == 0 && moment.bears.is_finite() && moment.bears >= FAR * self.limit {
            self.limit = self.limit.max(FEWEST);
        }
        let haste = if self.waits { self.haste.min(WAITING) } else { self.haste };
        if moment.now < self.next_epoch || self.window.seconds < 0.5 * EPOCH.0 * haste {
            return;
        }
        self.epochs = self.epochs.wrapping_add(1);
        let epoch = self.window.mean();
        let old = self.limit;
        let wall = knees.median_wall();
        let measure = progress.measure(epoch.rate, epoch.running);
        self.history.add(moment.now, epoch.running, epoch.rate, epoch.seconds);
        let over = moment.now - std::mem::replace(&mut self.counted_from, moment.now);
        let done = std::mem::take(&mut self.counted);
        if done > 0.0 {
            self.looked_at = moment.now;
        }
        self.history.completed(epoch.running, done, over, wall.unwrap_or(UNKNOWN_WALL));
        let fewer = self
            .history
            .better(moment.now, epoch.running, &measure, wall.unwrap_or(UNKNOWN_WALL))
            .or_else(|| self.history.more_done(epoch.running, wall.unwrap_or(UNKNOWN_WALL)))
            .or_else(|| self.history.more_moved(moment.now, epoch.running, wall.unwrap_or(UNKNOWN_WALL)))
            .filter(|_| epoch.running > JUDGED_ABOVE);
        if let Some(fewer) = fewer {
            self.congested(moment, fewer, epoch);
        } else if !self.stands_still(moment, &measure, epoch, wall) {
            match knees.find(self.mode == Mode::Knee, kinds) {
                Some(knee) => self.at_knee((knee.at * ABOVE_KNEE).max(fewest(moment.cores)), epoch.running),
                None => self.in_flight(moment, &measure, epoch, wall),
            }
        }
        let patient = self.mode == Mode::Knee || self.ramp == GENTLE;
        self.haste = match wall {
            _ if self.waits => WAITING,
            Some(wall) => (SHORT_WALLS * wall / EPOCH.0).clamp(SHORTEST, 1.0),
            None => 1.0,
        };
        let length = match wall {
            Some(wall) if patient => (0.5 * wall).clamp(EPOCH.0, EPOCH.1),
            _ => EPOCH.0 * self.haste,
        };
        let (grew, settling) = (self.limit > old, SETTLING * self.haste);
        self.next_epoch = moment.now + length + if grew { settling } else { 0.0 };
        self.window = Window::default();
        self.window_from = if grew { moment.now } else { moment.now - settling };
    }

    /// Nothing was completed for long: half as many are tried, and kept if they get more done. Whether it did anything.
    fn stands_still(&mut self, moment: Moment, measure: &Measure, epoch: Epoch, wall: Option<f64>) -> bool {
        let patience = STILL_WALLS * wall.unwrap_or(UNKNOWN_WALL).max(EPOCH.1);
        if let Some((limit, before)) = self.halved_from.take() {
            self.looked_at = moment.now;
            if measure.gain(before.rate, epoch.rate) > WORTH_IT {
                self.hold_until = moment.now + patience;
                self.proved_wrong();
            } else {
                self.limit = limit;
            }
            return true;
        }
        if moment.now - self.looked_at < patience || epoch.running < 2.0 * JUDGED_ABOVE || self.waits {
            return false;
        }
        self.halved_from = Some((self.limit, epoch));
        self.mode = Mode::Brake;
        self.trials.stop();
        self.limit = (0.5 * epoch.running).max(fewest(moment.cores));
        true
    }

    fn at_knee(&mut self, knee: f64, running: f64) {
        let from = if self.mode == Mode::Knee { DROP * self.centre } else { 0.5 * running };
        self.centre = knee.max(from);
        self.mode = Mode::Knee;
        self.trials.stop();
        let centre = self.centre;
        self.limit = match self.epochs % PROBES {
            0 => (0.9 * centre).min(centre - 1.0),
            half if half == PROBES / 2 => (1.15 * centre).max(centre + 1.0),
            _ => centre,
        }
        .max(1.0);
        self.helped = centre;
    }

    fn in_flight(&mut self, moment: Moment, measure: &Measure, epoch: Epoch, wall: Option<f64>) {
        let usual = wall.unwrap_or(UNKNOWN_WALL).max(EPOCH.0);
        match self.trials.look(moment.now, measure, epoch, usual) {
            Some(Verdict::GoesOn) => return,
            Some(Verdict::Fewer(fewer)) => return self.keep(fewer, moment, usual),
            Some(Verdict::Back(limit)) => return self.limit = limit,
            Some(Verdict::NoKnee(limit)) => {
                self.limit = limit;
                return self.unsuspicious();
            }
            None => {}
        }
        if self.mode == Mode::Knee {
            self.mode = Mode::Ramp;
            self.before = None;
            self.suspicious();
        }
        let bound = moment.others.min(LARGEST);
        let capped = self.limit >= bound || !self.waits && moment.active < 0.9 * self.limit.floor();
        let believed = measure.spread < SPREAD && !self.waits;
        let judged = believed && epoch.seconds >= JUDGED_FOR * self.haste;
        let before = self.before.filter(|before| {
            judged
                && before.factor_to(&epoch) >= STEP
                && epoch.running > JUDGED_ABOVE
                && epoch.brought_little(before, measure)
        });
        if let Some(before) = before {
            let slower = measure.gain(before.rate, epoch.rate) < SLOWER;
            self.brake(moment, wall, before.running.max(if slower { 1.0 } else { few(moment.cores) }));
        } else if self.mode == Mode::Brake {
            self.before = Some(epoch);
            self.release(moment);
        } else if capped {
            self.stay(moment, measure, epoch, usual);
        } else if wall.is_none() || believed || self.waits || self.completed_since >= moment.active {
            self.grow(epoch, bound);
        }
    }

    fn brake(&mut self, moment: Moment, wall: Option<f64>, back: f64) {
        self.mode = Mode::Brake;
        self.brakes = (self.brakes + 1).min(LARGER_STEPS);
        self.hold = (self.hold * HOLD.1).min(HOLD.2);
        let walls = if self.ramp == GENTLE { HOLD_WALLS * wall.unwrap_or(0.0) } else { 0.0 };
        self.hold_until = moment.now + self.hold.max(walls);
        self.limit = back.max(fewest(moment.cores));
        self.trials.stop();
        self.proved_wrong();
        self.completed_since = 0.0;
    }

    /// Fewer got as much done as more did before.
    fn keep(&mut self, fewer: Epoch, moment: Moment, wall: f64) {
        self.mode = Mode::Brake;
        self.hold = (self.hold * HOLD.1).min(HOLD.2);
        self.hold_until = moment.now + self.hold.max(KEPT_WALLS * wall);
        self.proved_wrong();
        self.slow = Some(fewer);
        self.before = Some(fewer);
        self.completed_since = 0.0;
    }

    fn proved_wrong(&mut self) {
        (self.helped, self.known) = (self.limit, 1.0);
    }

    /// Fewer got clearly more done: as many as then.
    fn congested(&mut self, moment: Moment, fewer: Better, epoch: Epoch) {
        self.mode = Mode::Brake;
        self.hold_until = moment.now + self.hold.min(LONGEST_PAUSE);
        self.trials.stop();
        self.before = Some(epoch);
        let share = (1.0 / fewer.gain).clamp(DROP_AT_ONCE.0, DROP_AT_ONCE.1);
        self.limit = fewer.running.max(share * epoch.running).max(fewest(moment.cores));
        self.proved_wrong();
        self.history.cut();
        self.completed_since = 0.0;
    }

    /// Tries again when the brake has held long enough.
    fn release(&mut self, moment: Moment) {
        let enough = self.ramp != GENTLE && self.completed_since >= moment.active.max(5.0);
        if moment.now >= self.hold_until || enough {
            self.mode = Mode::Ramp;
            self.completed_since = 0.0;
            let step = self.ramp.min(1.25);
            let far = (self.limit * (step + LARGER_STEP * f64::from(self.brakes))).min(few(moment.cores));
            self.limit = (self.limit * step).max(self.limit + 1.0).max(far);
        }
    }

    /// Another bound is the smaller one.
    fn stay(&mut self, moment: Moment, measure: &Measure, epoch: Epoch, wall: f64) {
        let few = epoch.running <= JUDGED_ABOVE;
        let may_be = self.ramp == GENTLE && measure.spread < SPREAD && !self.waits && !few;
        match self.trials.at_bound(moment.now, self.limit, epoch, wall, may_be) {
            Next::Try(fewer) => return self.limit = fewer,
            Next::NoKnee => self.unsuspicious(),
            Next::Stay => {}
        }
        self.average(measure, epoch);
        self.helped = self.helped.max(epoch.running);
        self.before = Some(epoch);
        let floor = moment.cores.floor().clamp(1.0, FEWEST).max(self.known);
        self.limit = self.limit.min((1.5 * moment.active).max(KEEP * self.limit)).max(floor);
    }

    fn grow(&mut self, epoch: Epoch, bound: f64) {
        self.trials.stop();
        self.brakes = 0;
        if self.steps.len() < STEPS {
            self.steps.push(epoch);
        }
        let far = |before: Epoch| epoch.running >= STEP * before.running || epoch.running < before.running;
        if self.ramp != GENTLE || self.before.is_none_or(far) {
            self.before = Some(epoch);
        }
        let far_below = self.ramp == RAMP && bound >= FAR * self.limit;
        let step = match far_below {
            true if self.waits => WAITING_RAMP,
            true => FAST_RAMP,
            false => self.ramp,
        };
        self.helped = self.helped.max(epoch.running);
        let most = if self.waits { AHEAD * epoch.running.max(1.0) } else { LARGEST };
        self.limit = (self.limit * step).max(self.limit + 1.0).min(most.max(self.limit)).min(LARGEST);
        self.completed_since = 0.0;
    }

    fn suspicious(&mut self) {
        self.ramp = GENTLE;
        self.trials.begin_anew();
    }

    fn unsuspicious(&mut self) {
        self.ramp = RAMP;
        self.steps.clear();
        self.slow = None;
    }

    /// At a bound for long and yet slower than with fewer at once on the way up: there may be a knee.
    fn average(&mut self, measure: &Measure, epoch: Epoch) {
        let old = self.slow.unwrap_or(epoch);
        let mix = |old: f64, new: f64| old + (new - old) / SLOW;
        let slow = Epoch {
            running: mix(old.running, epoch.running),
            rate: Rate {
                io: mix(old.rate.io, epoch.rate.io),
                cpu: mix(old.rate.cpu, epoch.rate.cpu),
                speed: old.rate.speed.zip(epoch.rate.speed).map(|(old, new)| mix(old, new)),
            },
            ..epoch
        };
        self.slow = Some(slow);
        let slower = |step: &Epoch| {
            step.running > JUDGED_ABOVE
                && slow.running >= STEP * step.running
                && measure.gain(step.rate, slow.rate)
                    < 1.0 - NOISE_SLOW * measure.spread / step.running.sqrt()
        };
        if self.ramp != GENTLE && measure.spread < SPREAD && self.steps.iter().any(slower) {
            self.suspicious();
        }
    }
}

/// So few are always worth a try: too few cost in proportion, too many a part.
fn few(cores: f64) -> f64 {
    (FEW * cores).max(1.0)
}

/// Fewer than this only another bound demands.
fn fewest(cores: f64) -> f64 {
    cores.clamp(1.0, FEWEST)
}

#[cfg(test)]
mod tests;
mod trial;
mod window;
