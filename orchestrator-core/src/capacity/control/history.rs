//! What was seen at each concurrency of late: the memory that tells congestion from a hard stretch of work.
//!
//! A step up is judged by the step before it; where a machine jams slowly — a disk with ever more streams, run times longer
//! than an epoch — each step looks innocent. So the mean rate at every concurrency that was tried is kept, and the present
//! one is compared with all smaller ones: where fewer got clearly more done, as many as then are enough.

use super::progress::{Measure, Rate};

/// Concurrency is told apart by this factor.
const FACTOR: f64 = 1.2;
/// Seconds that a mean reaches back at most, and after which what was not seen again is forgotten.
const MEMORY: f64 = 60.0;
const FORGET: f64 = 900.0;
/// Only as much as this factor fewer are compared.
const FEWER: f64 = 1.25;
/// Fewer must have been faster by this share, and by so many standard errors.
const FASTER: f64 = 0.2;
const ERRORS: f64 = 2.5;
/// Completed tasks are compared from so many on, over so many seconds at least, as far back as so many run times; how unlike
/// they are makes their number as uncertain as if they were fewer.
const COUNTED: f64 = 10.0;
const COUNTED_FOR: f64 = 20.0;
const COUNTED_WALLS: f64 = 20.0;
const LATELY_WALLS: f64 = 3.0;
/// What was seen so many completed tasks ago says nothing any more: where all stands still time does not count.
const FORGET_DONE: f64 = 400.0;
const UNLIKE: f64 = 1.6;
/// What keeps less than this share of a core busy each, and moves more bytes than so many a second each, is bound by the disk.
const IDLE: f64 = 0.1;
const MOVES: f64 = 1e5;
/// Of fewer such ones so many seconds must have been seen.
const SEEN: f64 = 2.0;
/// A comparison with a larger standard error says nothing.
const LARGEST_ERROR: f64 = 0.35;

#[derive(Clone, Copy, Debug)]
struct Level {
    running: f64,
    rate: Rate,
    seconds: f64,
    last: f64,
    done: Count,
    /// Tasks completed at any concurrency when this one was last seen.
    of_all: f64,
}

/// Tasks completed, and the seconds in which they were; both fade.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    done: f64,
    over: f64,
}

impl Count {
    fn add(&mut self, done: f64, over: f64, memory: f64) {
        self.done += done;
        self.over += over;
        let fade = (memory / self.over.max(1e-9)).min(1.0);
        self.done *= fade;
        self.over *= fade;
    }
}

impl Level {
    fn add(&mut self, now: f64, running: f64, rate: Rate, seconds: f64) {
        let weight = seconds / (self.seconds + seconds);
        let mix = |old: f64, new: f64| old + (new - old) * weight;
        self.running = mix(self.running, running);
        self.rate = Rate {
            io: mix(self.rate.io, rate.io),
            cpu: mix(self.rate.cpu, rate.cpu),
            speed: match (self.rate.speed, rate.speed) {
                (Some(old), Some(new)) => Some(mix(old, new)),
                (old, new) => new.or(old),
            },
        };
        self.seconds = (self.seconds + seconds).min(MEMORY);
        self.last = now;
    }

    /// Relative error of its rate: as many tasks as ran, and came and went, stand for all.
    fn error(&self, spread: f64, wall: f64) -> f64 {
        spread / (self.running * (1.0 + self.seconds / wall)).max(1.0).sqrt()
    }
}

/// A concurrency at which more was done than is now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Better {
    /// How many ran.
    pub(super) running: f64,
    /// How much faster.
    pub(super) gain: f64,
}

/// Rates by concurrency.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    levels: Vec<Option<Level>>,
    /// At any concurrency: of late, and in all.
    lately: Count,
    of_all: f64,
}

fn place(running: f64) -> usize {
    (running.max(1.0).ln() / FACTOR.ln()).round() as usize
}

impl History {
    /// So many ran for so long, and moved this much.
    pub(super) fn add(&mut self, now: f64, running: f64, rate: Rate, seconds: f64) {
        let at = place(running);
        if self.levels.len() <= at {
            self.levels.resize(at + 1, None);
        }
        match &mut self.levels[at] {
            Some(level) if now - level.last <= FORGET => level.add(now, running, rate, seconds),
            empty => {
                *empty = Some(Level {
                    running,
                    rate,
                    seconds,
                    last: now,
                    done: Count::default(),
                    of_all: self.of_all,
                })
            }
        }
    }

    /// With so many running, so many were completed in so many seconds; `wall` is a usual run time.
    pub(super) fn completed(&mut self, running: f64, done: f64, over: f64, wall: f64) {
        self.of_all += done;
        self.lately.add(done, over, (LATELY_WALLS * wall).max(MEMORY));
        if let Some(Some(level)) = self.levels.get_mut(place(running)) {
            level.done.add(done, over, (COUNTED_WALLS * wall).max(MEMORY));
            level.of_all = self.of_all;
        }
    }

    /// The limit was cut: what was completed before says nothing about what follows.
    pub(super) fn cut(&mut self) {
        self.lately = Count::default();
    }

    /// A smaller concurrency at which clearly more tasks were completed than are now; the best of them. What runs goes on
    /// to end as before when more are started, unless they are in each other's way.
    pub(super) fn more_done(&self, running: f64, wall: f64) -> Option<Better> {
        let here = self.levels.get(place(running))?.as_ref()?.done;
        if here.over < wall.max(COUNTED_FOR) {
            return None;
        }
        let gains = [here, self.lately].into_iter().filter(|present| present.over > 0.0);
        let gains = gains.filter_map(|present| self.more_than(present, running));
        gains.max_by(|a, b| a.gain.total_cmp(&b.gain))
    }

    /// A smaller concurrency than `running` at which clearly more tasks were completed than `present`; the best of them.
    fn more_than(&self, present: Count, running: f64) -> Option<Better> {
        let fewer = self.levels[..place(running)].iter().flatten().filter(|level| {
            level.done.done >= COUNTED
                && FEWER * level.running <= running
                && self.of_all - level.of_all <= FORGET_DONE
        });
        let gains = fewer.filter_map(|level| {
            let expected = level.done.done / level.done.over * present.over;
            let found = present.done.max(1.0);
            let error = UNLIKE * (1.0 / level.done.done + 1.0 / found).sqrt();
            let gain = expected / found;
            (gain.ln() > (1.0 + FASTER).ln() + ERRORS * error)
                .then_some(Better { running: level.running, gain })
        });
        gains.max_by(|a, b| a.gain.total_cmp(&b.gain))
    }

    /// A smaller concurrency at which clearly more bytes were moved than are now, where what runs does nothing else: a disk that
    /// suffers from company. Says so also where tasks are so unlike that nothing else about their progress can be believed.
    pub(super) fn more_moved(&self, now: f64, running: f64, wall: f64) -> Option<Better> {
        let present = (*self.levels.get(place(running))?)?;
        let (io, cpu) = (present.rate.io / running, present.rate.cpu / running);
        if present.seconds < wall.clamp(6.0, 0.8 * MEMORY) || cpu > IDLE || io < MOVES {
            return None;
        }
        let fewer = self.levels[..place(running)].iter().flatten().filter(|level| {
            FEWER * level.running <= present.running && now - level.last <= FORGET && level.seconds >= SEEN
        });
        let gains = fewer.filter_map(|level| {
            let error = level.error(UNLIKE, wall).hypot(present.error(UNLIKE, wall));
            let gain = level.rate.io / present.rate.io;
            (error <= LARGEST_ERROR && gain > 1.0 + FASTER + ERRORS * error)
                .then_some(Better { running: level.running, gain })
        });
        gains.max_by(|a, b| a.gain.total_cmp(&b.gain))
    }

    /// A smaller concurrency at which clearly more was done than is now, with `running`; the best of them. `wall` is a
    /// usual run time: what was seen for a shorter time is no full cycle of work.
    pub(super) fn better(&self, now: f64, running: f64, measure: &Measure, wall: f64) -> Option<Better> {
        let present = (*self.levels.get(place(running))?)?;
        if present.seconds < wall.clamp(6.0, 0.8 * MEMORY) {
            return None;
        }
        let mut best: Option<Better> = None;
        for level in self.levels[..place(running)].iter().flatten() {
            let error = level.error(measure.spread, wall).hypot(present.error(measure.spread, wall));
            let fewer = FEWER * level.running <= present.running && now - level.last <= FORGET;
            if !fewer || error > LARGEST_ERROR {
                continue;
            }
            let gain = measure.gain(present.rate, level.rate);
            if gain > 1.0 + FASTER + ERRORS * error && best.is_none_or(|best| gain > best.gain) {
                best = Some(Better { running: level.running, gain });
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five finish one task a second; then `then` a second do with fifty.
    fn found(then: f64, seconds: f64) -> Option<Better> {
        let mut history = History::default();
        history.add(30.0, 5.0, Rate::default(), 30.0);
        history.completed(5.0, 30.0, 30.0, 5.0);
        history.add(30.0 + seconds, 50.0, Rate::default(), seconds);
        history.completed(50.0, then * seconds, seconds, 5.0);
        history.more_done(50.0, 5.0)
    }

    /// Five move 500 MB in a second; then fifty move `then`, and each keeps so much of a core busy.
    fn moved(then: f64, cpu: f64, seconds: f64) -> Option<Better> {
        let mut history = History::default();
        history.add(40.0, 5.0, Rate { io: 5e8, cpu: 0.1, speed: None }, 40.0);
        history.add(40.0 + seconds, 50.0, Rate { io: then, cpu: 50.0 * cpu, speed: None }, seconds);
        history.more_moved(40.0 + seconds, 50.0, 1.0)
    }

    #[test]
    fn a_disk_that_moves_less_for_many_than_for_few_is_jammed() {
        let jam = moved(1e8, 0.01, 20.0).unwrap();
        assert!(jam.running == 5.0 && (4.9..5.1).contains(&jam.gain), "{jam:?}");
        assert!(moved(4.5e8, 0.01, 20.0).is_none(), "about as much");
        assert!(moved(1e8, 0.5, 20.0).is_none(), "they compute");
        assert!(moved(1e6, 0.01, 20.0).is_none(), "they wait");
        assert!(moved(1e8, 0.01, 2.0).is_none(), "for a moment");
    }

    #[test]
    fn what_gets_less_done_than_fewer_did_is_a_jam() {
        let jam = found(0.1, 60.0).unwrap();
        assert!(jam.running == 5.0 && (8.0..12.0).contains(&jam.gain), "{jam:?}");
        for (then, seconds) in [(1.0, 60.0), (5.0, 60.0), (0.7, 60.0), (0.1, 10.0)] {
            assert!(found(then, seconds).is_none(), "{then} a second for {seconds} s");
        }
    }
}
