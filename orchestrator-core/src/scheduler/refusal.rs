//! What follows when the machine refuses to start a process (`EAGAIN` of a limit of processes, no memory for one more).

use std::time::Duration;

use super::Scheduler;
use crate::Timestamp;

/// No new process before `until`; twice as long with each refusal.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpawnBackoff {
    pub(super) until: Timestamp,
    delay: Duration,
}

const FIRST_SPAWN_DELAY: Duration = Duration::from_millis(50);
const LONGEST_SPAWN_DELAY: Duration = Duration::from_secs(5);

impl SpawnBackoff {
    /// After another refusal.
    fn longer(before: Option<Self>, now: Timestamp) -> Self {
        let delay = before.map_or(FIRST_SPAWN_DELAY, |old| (old.delay * 2).min(LONGEST_SPAWN_DELAY));
        Self { until: now + delay, delay }
    }

    /// One try was made.
    pub(super) fn tried(&mut self, now: Timestamp) {
        self.until = now + self.delay;
    }
}

/// How many may run at once after a refusal: three quarters of what ran then, since the processes that run need room for
/// their own; an eighth more (at least one) each time that two seconds have passed without another refusal.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpawnCeiling {
    pub(super) limit: u32,
    pub(super) raise_at: Timestamp,
}

const RAISE_AFTER: Duration = Duration::from_secs(2);

impl SpawnCeiling {
    fn lower(before: Option<Self>, holding: u32, now: Timestamp) -> Self {
        let limit = before.map_or(u32::MAX, |old| old.limit);
        Self { limit: limit.min(holding - holding / 4).max(1), raise_at: now + RAISE_AFTER }
    }

    /// As it stands at `now`; `None` once it is no less than `most`.
    fn at(mut self, now: Timestamp, most: u32) -> Option<Self> {
        while self.raise_at <= now && self.limit < most {
            self.limit = self.limit.saturating_add((self.limit / 8).max(1));
            self.raise_at = self.raise_at + RAISE_AFTER;
        }
        (self.limit < most).then_some(self)
    }
}

impl Scheduler {
    /// The machine refused to start a process that no longer counts among those that hold a slot.
    pub(super) fn machine_refused(&mut self, now: Timestamp) {
        self.spawn_backoff = Some(SpawnBackoff::longer(self.spawn_backoff, now));
        self.spawn_ceiling = Some(SpawnCeiling::lower(self.spawn_ceiling, self.holding, now));
    }

    /// Lifts the ceiling as time passes.
    pub(super) fn raise_spawn_ceiling(&mut self, now: Timestamp) {
        let most = self.answers.limits().max.unwrap_or(u32::MAX);
        self.spawn_ceiling = self.spawn_ceiling.and_then(|ceiling| ceiling.at(now, most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_falls_with_each_refusal_and_is_lifted_step_by_step() {
        let start = Timestamp(1_000_000);
        let at = |seconds| start + Duration::from_secs(seconds);
        let first = SpawnCeiling::lower(None, 16, start);
        assert_eq!(first.limit, 12);
        assert_eq!(SpawnCeiling::lower(Some(first), 40, start).limit, 12, "never up by a refusal");
        assert_eq!(SpawnCeiling::lower(Some(first), 0, start).limit, 1, "one may always be tried");
        assert_eq!(first.at(at(1), 40).unwrap().limit, 12);
        assert_eq!(first.at(at(2), 40).unwrap().limit, 13);
        assert_eq!(first.at(at(8), 40).unwrap().limit, 16);
        assert!(first.at(at(3600), 40).is_none());
    }
}
