//! Starts on memory that those who run do not need yet.
//!
//! A task at the head of the queue whose peak does not fit beside theirs is no loss where it can be stopped in time: it goes on until
//! what it uses, and what the others will need at most, is all there is; then it stands still, until one of them has given its
//! memory back. So the older ones reach their peaks whatever it does, and one by one all come to their end: the state stays safe in the
//! sense of the banker's algorithm (Dijkstra, EWD 623, 1965), with stopping in place of denying. One at a time, and never the oldest: it is
//! an ordinary one as soon as its peak fits, or nothing older runs.
//!
//! Others count it with what it uses now, and its place is kept like that of the head of the queue that was overtaken for long: a
//! younger one may start beside it if it ends before there is room for all of it, or leaves enough then (`backfill.rs`).

use super::fleet::{FrozenFor, Member, active};
use super::forecast::{Course, Forecast};
use super::law::Control;
use super::reading::Candidate;
use super::surplus::{Intervention, set};
use crate::AttemptId;

/// It is worth it where it comes through this share of its work, or of what is left of it, before it has to stop.
const WORTH: f64 = 0.1;
/// Tasks that take no longer than this may be at their peak before a few readings, made sooner for their sake, show them growing, s.
const QUICK: f64 = 1.5;
/// It is stopped when what it may grow by until the next reading, times this, is all there is.
const AHEAD: f64 = 2.0;

impl Control {
    /// Whether an attempt runs on memory that others do not need yet, so that readings are wanted soon.
    #[must_use]
    pub fn is_risking(&self) -> bool {
        self.preemptible.is_some()
    }

    /// Whether a task may start whose peak does not fit: there is room for it to get on, and it can be stopped.
    pub(super) fn may_start_preemptible(&self, candidate: Candidate) -> bool {
        if !self.rules.freeze || self.preemptible.is_some() || self.active < self.fleet.len() {
            return false;
        }
        let room = self.start_below() - self.others - self.forecast.peak(self.caution());
        self.run_time(candidate).is_some_and(|usual| usual.seconds > QUICK)
            && self.gets_on(&self.course_of(candidate), 0.0, room)
            && self.survives(candidate, &self.need(candidate)).is_ok()
    }

    /// Whether one that goes on like this, and uses so much, comes through enough of its work with so many bytes.
    fn gets_on(&self, course: &Course, rss: f64, room: f64) -> bool {
        let (most, share) = (course.most(self.caution()), course.share());
        let then = share + WORTH * (1.0 - share);
        let [now, then] = [share, then].map(|share| self.growth.likely(share) * most);
        then.max(rss + (then - now)) <= room
    }

    /// Whether it stands still for those before it.
    pub(super) fn preemptible_stands(&self) -> bool {
        let member = self.preemptible.and_then(|attempt| self.fleet.get(&attempt));
        member.is_some_and(|member| member.frozen == Some(FrozenFor::Room))
    }

    /// It is gone.
    pub(super) fn forget_preemptible(&mut self, attempt: AttemptId) {
        if self.preemptible.take_if(|one| *one == attempt).is_some() {
            self.kept = None;
        }
    }

    /// Others count it with what it uses now; before it was ever seen, with all that it needs.
    pub(super) fn counts_as_still(&self, attempt: AttemptId, member: &Member) -> bool {
        self.preemptible == Some(attempt) && member.seen.is_some()
    }

    /// What is to come without it, as others have it.
    pub(super) fn others_of(&self, attempt: AttemptId) -> Forecast {
        let others = self.fleet.iter().filter(|(one, _)| **one != attempt).map(|(_, member)| member.course);
        Forecast::new(&others.collect::<Vec<_>>(), &self.growth)
    }

    /// One of those that it stands aside for has ended: until the next reading nobody else takes what it needs.
    pub(super) fn keep_place_of_preemptible(&mut self) {
        let Some(attempt) = self.preemptible else { return };
        let Some(course) = self.fleet.get(&attempt).map(|member| self.going_on(member)) else { return };
        let Some(member) = self.fleet.get_mut(&attempt) else { return };
        let before = std::mem::replace(&mut member.course, course);
        self.forecast.remove(&before, &self.growth);
        self.forecast.add(&course, &self.growth);
    }

    /// Stops the one that was started on others' memory when they need it, and lets it go on when they do not; `since` seconds after
    /// the last reading. One that stands still for another reason is left to that.
    pub(super) fn preempt(&mut self, since: f64) -> Option<Intervention> {
        self.kept = None;
        let attempt = self.preemptible?;
        let member = self.fleet.get(&attempt)?;
        if member.frozen.is_some_and(|why| why != FrozenFor::Room) {
            return None;
        }
        let (caution, of) = (self.caution(), self.start_below() - self.others);
        let (others, course) = (self.others_of(attempt), self.going_on(member));
        let is_oldest = self.fleet.keys().next() == Some(&attempt);
        if is_oldest || !self.rules.freeze || others.with(&course, &self.growth, caution) <= of {
            return self.becomes_ordinary(attempt, others, course);
        }
        let room = of - others.peak(caution);
        self.kept = Some(self.reserved(&others, &course));
        let crowded = self.machine.memory_used > self.start_below();
        match member.frozen {
            None if active(&self.fleet) > 1 && room - member.rss() <= AHEAD * member.grows * since => {
                set(&mut self.fleet, attempt, Some(FrozenFor::Room));
                Some(Intervention::Freeze(attempt))
            }
            Some(_) if !crowded && self.gets_on(&course, member.rss(), room) => Some(self.let_go_on(attempt)),
            _ => None,
        }
    }

    /// It counts with all that it will need from now on. Where that is too much for those who were started since, the youngest
    /// of them takes its part.
    fn becomes_ordinary(
        &mut self,
        attempt: AttemptId,
        mut others: Forecast,
        course: Course,
    ) -> Option<Intervention> {
        others.add(&course, &self.growth);
        self.forecast = others;
        let youngest = self.fleet.keys().next_back().copied().filter(|one| *one != attempt);
        let fits = self.forecast.peak(self.caution()) <= self.start_below() - self.others;
        self.preemptible = youngest.filter(|_| self.rules.freeze && !fits);
        let member = self.fleet.get_mut(&attempt)?;
        member.course = course;
        member.frozen.is_some().then(|| self.let_go_on(attempt))
    }

    fn let_go_on(&mut self, attempt: AttemptId) -> Intervention {
        set(&mut self.fleet, attempt, None);
        Intervention::Thaw(attempt)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use crate::capacity::control::surplus::Intervention;
    use crate::capacity::control::{
        AttemptReading, Candidate, Control, ControlRules, Ending, MachineReading, Used,
    };
    use crate::{AttemptId, TaskId, Timestamp};

    const GIGABYTE: f64 = 1e9;
    const LIMIT: f64 = 10.0;
    /// Seconds between two readings.
    const STEP: f64 = 0.25;

    /// One that computes for so long, and whose memory grows as its work goes on.
    #[derive(Clone, Copy, Debug)]
    struct Runs {
        attempt: u32,
        peak: f64,
        seconds: f64,
        ran: f64,
        frozen: bool,
    }

    /// A machine of four cores on which the law lives through whatever happens.
    struct World {
        law: Control,
        now: f64,
        running: Vec<Runs>,
        /// Largest memory in use, GB, and what was done to whom.
        most: f64,
        done: Vec<Intervention>,
    }

    fn candidate(attempt: u32) -> Candidate {
        Candidate { task: TaskId(attempt), input: Some(1_000_000), kind: None }
    }

    impl World {
        /// One that knows tasks of such a peak, GB, and run time.
        fn knowing(peak: f64, seconds: f64) -> Self {
            let law = Control::new(ControlRules { memory_threshold: 1.0, ..ControlRules::default() });
            let mut world = Self { law, now: 1.0, running: Vec::new(), most: 0.0, done: Vec::new() };
            for attempt in 1..=6 {
                world.start(attempt, peak, seconds);
                world.go_on(seconds + STEP);
            }
            assert!(world.running.is_empty() && world.done.is_empty());
            world.most = 0.0;
            world
        }

        fn at(&self) -> Timestamp {
            Timestamp((self.now * 1e6) as u64)
        }

        fn start(&mut self, attempt: u32, peak: f64, seconds: f64) {
            self.law.started(self.at(), AttemptId(u64::from(attempt)), candidate(attempt));
            self.running.push(Runs { attempt, peak, seconds, ran: 0.0, frozen: false });
        }

        fn go_on(&mut self, seconds: f64) {
            let until = self.now + seconds;
            while self.now < until {
                self.step();
            }
        }

        fn step(&mut self) {
            self.now += STEP;
            let now = self.at();
            self.running.iter_mut().filter(|one| !one.frozen).for_each(|one| one.ran += STEP);
            for one in self.running.extract_if(.., |one| one.ran >= one.seconds) {
                let used = Used { peak: one.peak * GIGABYTE, cpu: one.seconds, io: 0.0 };
                self.law.ended(now, AttemptId(u64::from(one.attempt)), Ending::Completed, used);
            }
            let rss = |one: &Runs| one.peak * one.ran / one.seconds;
            let used: f64 = self.running.iter().map(rss).sum();
            self.most = self.most.max(used);
            let readings: Vec<AttemptReading> = self
                .running
                .iter()
                .map(|one| AttemptReading {
                    attempt: AttemptId(u64::from(one.attempt)),
                    cpu: one.ran,
                    io: 0.0,
                    rss: rss(one) * GIGABYTE,
                })
                .collect();
            let machine = MachineReading {
                cores: 4.0,
                cores_busy: self.running.iter().filter(|one| !one.frozen).count() as f64,
                memory_total: LIMIT * GIGABYTE,
                memory_used: used * GIGABYTE,
                disk_fill: 0.1,
            };
            for intervention in self.law.sampled(now, machine, &readings) {
                let (Intervention::Freeze(id) | Intervention::Thaw(id) | Intervention::Evict(id)) =
                    intervention;
                if let Some(one) = self.running.iter_mut().find(|one| u64::from(one.attempt) == id.0) {
                    one.frozen = !matches!(intervention, Intervention::Thaw(_));
                }
                self.done.push(intervention);
            }
        }

        /// Whether this one may start as one that can be stopped, though its peak does not fit.
        fn overtakes_itself(&self, attempt: u32) -> bool {
            let head = candidate(attempt);
            assert!(self.law.may_start(head).is_err());
            self.law.overtaking(head, Duration::ZERO, [((), head)].into_iter()).is_some()
        }
    }

    #[test]
    fn what_does_not_fit_starts_stops_in_time_and_ends_sooner_than_had_it_waited() {
        let mut world = World::knowing(6.0, 60.0);
        world.start(7, 6.0, 60.0);
        world.go_on(10.0);
        assert!(world.overtakes_itself(8));
        world.start(8, 6.0, 60.0);
        assert!(!world.overtakes_itself(9), "one at a time");
        world.go_on(50.0);
        assert!(world.done.contains(&Intervention::Freeze(AttemptId(8))), "{:?}", world.done);
        world.go_on(45.0);
        assert!(world.running.is_empty(), "{:?}", world.running);
        assert!(
            world.most <= LIMIT && world.law.preemptible.is_none() && world.law.kept.is_none(),
            "{}",
            world.most
        );
    }

    #[test]
    fn where_nothing_may_be_stopped_nothing_is_risked() {
        let mut world = World::knowing(6.0, 60.0);
        world.law.set_rules(ControlRules { freeze: false, ..world.law.rules });
        world.start(7, 6.0, 60.0);
        world.go_on(10.0);
        assert!(!world.overtakes_itself(8));
    }

    #[test]
    fn one_that_stands_still_goes_on_when_nothing_may_be_stopped_any_more() {
        let mut world = World::knowing(6.0, 60.0);
        world.start(7, 6.0, 60.0);
        world.go_on(10.0);
        assert!(world.overtakes_itself(8));
        world.start(8, 6.0, 60.0);
        world.go_on(49.0);
        assert!(world.running.iter().any(|one| one.frozen), "{:?}", world.done);
        world.law.set_rules(ControlRules { freeze: false, ..world.law.rules });
        world.go_on(STEP);
        assert!(!world.running.iter().any(|one| one.frozen) && world.law.preemptible.is_none());
    }

    #[test]
    fn who_comes_after_it_leaves_its_place_and_it_is_never_stopped_for_them() {
        let mut world = World::knowing(6.0, 60.0);
        world.start(7, 6.0, 60.0);
        world.go_on(10.0);
        assert!(world.overtakes_itself(8));
        world.start(8, 6.0, 60.0);
        // At the end of the oldest, before the next reading, and ever after: nobody takes what the second needs.
        for attempt in 9..400 {
            world.step();
            let (head, waited) = (candidate(attempt), Duration::ZERO);
            if world.law.may_start_any().is_ok()
                && (world.law.may_start(head).is_ok()
                    || world.law.overtaking(head, waited, [((), head)].into_iter()).is_some())
            {
                world.start(attempt, 6.0, 60.0);
            }
            let oldest = world.running.iter().map(|one| one.attempt).min();
            assert!(!world.running.iter().any(|one| one.frozen && Some(one.attempt) == oldest));
        }
        let stopped_for_younger = world.done.windows(2).any(|two| {
            matches!(two, [Intervention::Freeze(AttemptId(8)), Intervention::Freeze(AttemptId(9..))])
        });
        assert!(world.most <= LIMIT && !stopped_for_younger, "{} {:?}", world.most, world.done);
        assert!(!world.done.iter().any(|one| matches!(one, Intervention::Evict(_))), "{:?}", world.done);
    }

    proptest! {
        /// Whatever the two are like, the older one comes to its end with the memory it needs, and nothing is evicted.
        #[test]
        fn the_others_reach_their_peak(
            peak in 5.2..9.0f64,
            seconds in 20.0..300.0f64,
            after in 0.05..0.9f64,
            larger in 0.9..1.1f64,
        ) {
            let mut world = World::knowing(peak, seconds);
            world.start(7, peak, seconds);
            world.go_on(after * seconds);
            let head = candidate(8);
            if world.law.may_start(head).is_ok() || world.overtakes_itself(8) {
                world.start(8, larger * peak, seconds);
            }
            world.go_on(2.5 * seconds);
            let evicted = world.done.iter().any(|one| matches!(one, Intervention::Evict(_)));
            prop_assert!(world.running.is_empty() && !evicted && world.most <= LIMIT, "{} {:?}", world.most, world.done);
        }
    }
}
