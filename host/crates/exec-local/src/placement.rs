//! Where the thread runs that looks after the children.
//!
//! A thread that launches many short processes is pulled from core to core by their ends: each wakes it where it died, and
//! the next child, born there, has to find another core. Kept where it is, it leaves the other cores to its children, and
//! a launch costs less. So while births come fast, the thread is bound to the core that it is on; where it then has to wait
//! for that core more than a little, somebody else needs it, and the thread is let go for a while.
//!
//! A child never keeps the bond: it takes the thread's own mask back before it becomes its program (`birth.rs`).

use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// Between two looks at how things go.
const LOOK: Duration = Duration::from_millis(50);
/// So many births between two looks are worth a bond.
const FAST: u32 = 50;
/// A larger part of the time spent waiting for the core ends the bond.
const PATIENCE: f64 = 0.8;
/// How many looks the thread stays free after that.
const FREE: u32 = 20;

/// The bond of a thread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Bond {
    /// It may run anywhere; for so many looks it is to stay so.
    None(u32),
    /// It stays on one core.
    Core,
}

/// What is known and done about it.
#[derive(Debug)]
pub(crate) struct Placement {
    bond: Bond,
    /// The thread's own mask, which children get back; only where it leaves a choice.
    mask: Option<CpuSet>,
    births: u32,
    looked: Instant,
    waited: Duration,
}

impl Placement {
    /// Free; `is_wanted` says whether children can take their mask back.
    pub(crate) fn new(is_wanted: bool) -> Self {
        let mask = is_wanted.then(|| sched_getaffinity(None).ok()).flatten().filter(|mask| mask.count() > 1);
        let (looked, waited) = (Instant::now(), Duration::ZERO);
        Self { bond: Bond::None(0), mask, births: 0, looked, waited }
    }

    /// What a child takes back that is born now.
    pub(crate) fn mask(&self) -> Option<&CpuSet> {
        self.mask.as_ref().filter(|_| self.bond == Bond::Core)
    }

    /// A child was born.
    pub(crate) fn born(&mut self) {
        self.births = self.births.saturating_add(1);
    }

    /// Decides, now and then.
    pub(crate) fn review(&mut self, now: Instant) {
        let gone = now.duration_since(self.looked);
        if gone < LOOK || (self.births == 0 && self.bond == Bond::None(0)) {
            return;
        }
        let Some(mask) = self.mask else { return };
        let waited = Self::waited();
        let share = waited.saturating_sub(self.waited).as_secs_f64() / gone.as_secs_f64();
        (self.looked, self.waited) = (now, waited);
        let births = std::mem::take(&mut self.births);
        let is_fast = f64::from(births) >= f64::from(FAST) * gone.as_secs_f64() / LOOK.as_secs_f64();
        let next = self.bond.next(is_fast, share);
        if next == self.bond {
            return;
        }
        let set = match next {
            Bond::Core => {
                let mut here = CpuSet::new();
                here.set(sched_getcpu());
                here
            }
            Bond::None(_) => mask,
        };
        let changes = self.bond == Bond::Core || next == Bond::Core;
        if changes && sched_setaffinity(None, &set).is_err() {
            // A sandbox that forbids it: never again.
            self.mask = None;
        }
        self.bond = next;
    }

    /// Ends the bond for good.
    pub(crate) fn let_go(&mut self) {
        if let (Bond::Core, Some(mask)) = (self.bond, self.mask.take()) {
            let _ = sched_setaffinity(None, &mask);
        }
        self.bond = Bond::None(0);
    }

    /// How long the thread has waited for a core in its life.
    fn waited() -> Duration {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        Duration::from_nanos(
            text.split_ascii_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0),
        )
    }
}

impl Bond {
    /// After a look: whether births come fast, and what share of the time was spent waiting for the core.
    fn next(self, is_fast: bool, share: f64) -> Self {
        match self {
            Self::Core if share > PATIENCE => Self::None(FREE),
            Self::Core if is_fast => Self::Core,
            Self::Core | Self::None(0 | 1) if !is_fast => Self::None(0),
            Self::Core | Self::None(0 | 1) => Self::Core,
            Self::None(looks) => Self::None(looks - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bond_is_for_fast_births_and_ends_where_the_core_is_wanted() {
        assert_eq!(Bond::None(0).next(true, 0.9), Bond::Core);
        assert_eq!(Bond::None(0).next(false, 0.0), Bond::None(0));
        assert_eq!(Bond::Core.next(true, 0.1), Bond::Core);
        assert_eq!(Bond::Core.next(false, 0.1), Bond::None(0));
        let mut bond = Bond::Core.next(true, 0.9);
        let mut free = 0;
        while bond != Bond::Core {
            bond = bond.next(true, 0.9);
            free += 1;
        }
        assert_eq!(free, FREE);
    }

    #[test]
    fn the_thread_is_bound_and_let_go_and_its_children_are_not() {
        let mut placement = Placement::new(true);
        let own = sched_getaffinity(None).unwrap();
        if own.count() < 2 {
            return;
        }
        (0..10_000).for_each(|_| placement.born());
        placement.review(placement.looked + LOOK);
        assert_eq!(sched_getaffinity(None).unwrap().count(), 1);
        assert_eq!(placement.mask(), Some(&own));
        placement.review(placement.looked + LOOK);
        assert_eq!(sched_getaffinity(None).unwrap(), own);
        assert_eq!(placement.mask(), None);
    }
}
