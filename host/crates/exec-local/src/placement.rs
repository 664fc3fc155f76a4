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
/// So many births a second are worth a bond.
const FAST: f64 = 1000.0;
/// With fewer it ends; between the two it stays as it is.
const SLOW: f64 = 500.0;
/// A larger part of the time spent waiting for the core ends the bond.
const PATIENCE: f64 = 0.25;
/// How many looks the thread stays free after that.
const FREE: u32 = 20;

/// When the thread that holds the executor is bound to the core that it is on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Binding {
    /// While many children are born, and nobody else wants the core.
    #[default]
    WhileBirthsComeFast,
    /// Always, where it has a choice.
    Always,
}

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
    binding: Binding,
    bond: Bond,
    /// The thread's own mask, which children get back, as it was when the bond was made; `None` where there is to be no
    /// bond ever.
    mask: Option<CpuSet>,
    /// What the bond made of it.
    here: CpuSet,
    births: u32,
    looked: Instant,
    waited: Duration,
}

impl Placement {
    /// Free; `is_wanted` says whether children can take their mask back.
    pub(crate) fn new(is_wanted: bool, binding: Binding) -> Self {
        let mask = is_wanted.then(|| sched_getaffinity(None).ok()).flatten();
        let (looked, waited) = (Instant::now(), Duration::ZERO);
        Self { binding, bond: Bond::None(0), mask, here: CpuSet::new(), births: 0, looked, waited }
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
        if gone < LOOK || self.mask.is_none() || (self.births == 0 && self.bond == Bond::None(0)) {
            return;
        }
        let waited = Self::waited();
        let share = waited.saturating_sub(self.waited).as_secs_f64() / gone.as_secs_f64();
        (self.looked, self.waited) = (now, waited);
        let rate = f64::from(std::mem::take(&mut self.births)) / gone.as_secs_f64();
        let next = match self.binding {
            Binding::WhileBirthsComeFast => self.bond.next(rate, share),
            Binding::Always => Bond::Core,
        };
        self.bond = match (self.bond, next) {
            (Bond::None(_), Bond::Core) => self.bind(),
            (Bond::Core, Bond::None(_)) => {
                self.unbind();
                next
            }
            (Bond::Core, Bond::Core) if !self.is_here() => Bond::None(FREE),
            _ => next,
        };
    }

    /// Binds the thread to the core that it is on, unless it has no other anyway.
    fn bind(&mut self) -> Bond {
        self.mask = sched_getaffinity(None).ok();
        if self.mask.is_none_or(|mask| mask.count() < 2) {
            return Bond::None(FREE);
        }
        self.here = CpuSet::new();
        self.here.set(sched_getcpu());
        if sched_setaffinity(None, &self.here).is_err() {
            // A sandbox that forbids it: never again.
            self.mask = None;
            return Bond::None(0);
        }
        Bond::Core
    }

    /// Whether the bond stands as it was made: somebody may have given the thread other cores (`taskset`, a cpuset).
    fn is_here(&self) -> bool {
        sched_getaffinity(None).is_ok_and(|now| now == self.here)
    }

    /// Gives the thread its own mask back, unless somebody has given it another.
    fn unbind(&mut self) {
        if let Some(mask) = &self.mask
            && self.is_here()
        {
            let _ = sched_setaffinity(None, mask);
        }
    }

    /// Ends the bond for good.
    pub(crate) fn let_go(&mut self) {
        if self.bond == Bond::Core {
            self.unbind();
        }
        (self.bond, self.mask) = (Bond::None(0), None);
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
    /// After a look: births a second, and what share of the time was spent waiting for the core.
    fn next(self, rate: f64, share: f64) -> Self {
        match self {
            Self::Core if share > PATIENCE => Self::None(FREE),
            Self::Core if rate >= SLOW => Self::Core,
            Self::None(0 | 1) if rate >= FAST => Self::Core,
            Self::Core | Self::None(0 | 1) => Self::None(0),
            Self::None(looks) => Self::None(looks - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bond_is_for_fast_births_and_ends_where_the_core_is_wanted() {
        assert_eq!(Bond::None(0).next(2000.0, 0.9), Bond::Core);
        assert_eq!(Bond::None(0).next(100.0, 0.0), Bond::None(0));
        assert_eq!(Bond::Core.next(2000.0, 0.1), Bond::Core);
        assert_eq!(Bond::Core.next(100.0, 0.1), Bond::None(0));
        let mut bond = Bond::Core.next(2000.0, 0.5);
        let mut free = 0;
        while bond != Bond::Core {
            bond = bond.next(2000.0, 0.5);
            free += 1;
        }
        assert_eq!(free, FREE);
    }

    #[test]
    fn between_fast_and_slow_a_bond_stays_as_it_is() {
        for bond in [Bond::None(0), Bond::Core] {
            assert_eq!(bond.next((FAST + SLOW) / 2.0, 0.0), bond);
        }
    }

    #[test]
    fn the_thread_is_bound_and_let_go_and_its_children_are_not() {
        let mut placement = Placement::new(true, Binding::WhileBirthsComeFast);
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

    #[test]
    fn who_gives_the_thread_other_cores_meanwhile_is_obeyed() {
        let mut placement = Placement::new(true, Binding::Always);
        let own = sched_getaffinity(None).unwrap();
        if own.count() < 2 {
            return;
        }
        placement.born();
        placement.review(placement.looked + LOOK);
        assert_eq!(placement.bond, Bond::Core);
        let mut other = CpuSet::new();
        let free = (0..CpuSet::MAX_CPU).find(|core| own.is_set(*core) && !placement.here.is_set(*core));
        other.set(free.unwrap());
        sched_setaffinity(None, &other).unwrap();
        placement.review(placement.looked + LOOK);
        assert_eq!(placement.mask(), None);
        assert_eq!(sched_getaffinity(None).unwrap(), other);
        placement.let_go();
        assert_eq!(sched_getaffinity(None).unwrap(), other);
    }
}
