//! Who was born a moment ago, of whom only the end is heard yet.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use orchestrator_core::AttemptId;

/// A child that lives for so long is told and its streams are listened to; one that ends sooner is told with its end.
const YOUTH: Duration = Duration::from_millis(20);
/// After so many streams in a row that were closed without a word, streams are no longer listened to from birth on.
const SILENT: u32 = 64;
/// A program that is not loaded by then, from a slow file system, is asked for at ever longer intervals, up to this one.
const LONGEST: Duration = Duration::from_millis(64);

/// Children whose start was not told.
#[derive(Debug)]
pub(crate) struct Young {
    /// In the order of their births.
    fresh: VecDeque<(Instant, AttemptId)>,
    /// Grown up, but not their program yet: asked for again at the moment.
    slow: Vec<AttemptId>,
    again: Instant,
    pause: Duration,
    /// Streams that may yet be silent until none is listened to from birth on.
    patience: u32,
}

impl Young {
    pub(crate) fn new(now: Instant) -> Self {
        Self { fresh: VecDeque::new(), slow: Vec::new(), again: now, pause: YOUTH, patience: SILENT }
    }

    /// One was born.
    pub(crate) fn born(&mut self, attempt: AttemptId, now: Instant) {
        self.fresh.push_back((now, attempt));
    }

    /// It is gone: nobody need wake for it.
    pub(crate) fn forget(&mut self, attempt: AttemptId) {
        if let Some(place) = self.fresh.iter().position(|(_, known)| *known == attempt) {
            self.fresh.remove(place);
        }
    }

    /// When somebody is to be looked at.
    pub(crate) fn next(&self) -> Option<Instant> {
        let grown_up = self.fresh.front().map(|(born, _)| *born + YOUTH);
        let asked = (!self.slow.is_empty()).then_some(self.again);
        grown_up.into_iter().chain(asked).min()
    }

    /// Those who are to be looked at now; nobody remembers them any more.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<AttemptId> {
        let mut due = Vec::new();
        while let Some((_, attempt)) = self.fresh.pop_front_if(|(born, _)| *born + YOUTH <= now) {
            due.push(attempt);
        }
        if self.slow.is_empty() {
            self.pause = YOUTH;
            self.again = now + YOUTH;
        } else if now >= self.again {
            due.append(&mut self.slow);
            self.pause = LONGEST.min(self.pause * 2);
            self.again = now + self.pause;
        }
        due
    }

    /// A captured stream was closed, after saying something or not.
    pub(crate) fn closed(&mut self, spoke: bool) {
        self.patience = if spoke { SILENT } else { self.patience.saturating_sub(1) };
    }

    /// Whether the next child's streams are worth two calls at its birth: those of the last ones said something. Else a
    /// child that is not silent may wait for somebody to empty its pipe until it has grown up.
    pub(crate) fn listens_from_birth(&self) -> bool {
        self.patience > 0
    }

    /// One that was due is not its program yet.
    pub(crate) fn put_off(&mut self, attempt: AttemptId) {
        self.slow.push(attempt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_become_its_program_is_asked_for_ever_less_often_and_holds_nobody_else_up() {
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let mut young = Young::new(begin);
        young.born(AttemptId(1), begin);
        let mut looks = 0;
        while let Some(next) = young.next().filter(|next| *next < at(1000)) {
            for attempt in young.due(next) {
                young.put_off(attempt);
            }
            looks += 1;
        }
        assert!((10..=25).contains(&looks), "{looks}");
        young.born(AttemptId(2), at(1000));
        assert!(young.next().unwrap() <= at(1000) + YOUTH);
        assert!(young.due(at(1000) + YOUTH).contains(&AttemptId(2)));
    }

    #[test]
    fn each_is_looked_at_in_its_own_time_and_who_is_gone_is_not() {
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let mut young = Young::new(begin);
        for (attempt, born) in [(1, 0), (2, 5), (3, 10)] {
            young.born(AttemptId(attempt), at(born));
        }
        young.forget(AttemptId(1));
        assert_eq!(young.next(), Some(at(5) + YOUTH));
        assert!(young.due(at(4) + YOUTH).is_empty());
        assert_eq!(young.due(at(5) + YOUTH), [AttemptId(2)]);
        young.forget(AttemptId(3));
        assert_eq!(young.next(), None);
    }

    #[test]
    fn who_spoke_is_listened_to_from_birth_and_many_silent_ones_are_not() {
        let mut young = Young::new(Instant::now());
        assert!(young.listens_from_birth(), "nothing is known yet");
        for _ in 0..SILENT {
            assert!(young.listens_from_birth());
            young.closed(false);
        }
        assert!(!young.listens_from_birth());
        young.closed(true);
        young.closed(false);
        assert!(young.listens_from_birth(), "a silent standard error beside it changes nothing");
    }

    #[test]
    fn after_a_slow_one_the_next_is_asked_for_soon_again() {
        let begin = Instant::now();
        let mut young = Young::new(begin);
        for round in 0..2 {
            young.born(AttemptId(round), begin);
            let now = young.next().unwrap();
            assert_eq!(young.due(now), [AttemptId(round)]);
            young.put_off(AttemptId(round));
            assert_eq!(young.next(), Some(now + YOUTH), "{round}");
            let now = now + 100 * YOUTH;
            assert_eq!(young.due(now), [AttemptId(round)]);
            assert_eq!(young.next(), None);
            young.due(now);
        }
    }
}
