//! When a child was born, in clock ticks since boot, without asking /proc.
//!
//! The kernel notes a process's birth by its boot-time clock and shows it in `/proc/PID/stat` divided down to ticks (100 a
//! second). Read before and after the birth, the same clock brackets it: when both readings fall into one tick, that is
//! the child's. Only else (once in some hundred launches) /proc is asked, which costs as much as a third of a launch.

use rustix::time::{ClockId, clock_gettime};

use crate::stat;

/// How far the reckoning can be relied on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ticks {
    /// Ticks are this many nanoseconds long; not yet held against what /proc says of a child.
    Unproved(u64),
    /// The kernel's answer about a child was the same.
    Proved(u64),
    /// It was another one (a time namespace, say): /proc is asked every time.
    Refuted,
}

impl Ticks {
    /// Not yet proved.
    pub(crate) fn new() -> Self {
        let length = 1_000_000_000_u64.checked_div(rustix::param::clock_ticks_per_second());
        length.filter(|length| *length > 0).map_or(Self::Refuted, Self::Unproved)
    }

    /// Now, in ticks.
    pub(crate) fn now(self) -> Option<u64> {
        let (Self::Unproved(length) | Self::Proved(length)) = self else { return None };
        let time = clock_gettime(ClockId::Boottime);
        let nanoseconds =
            u64::try_from(time.tv_sec).ok()? * 1_000_000_000 + u64::try_from(time.tv_nsec).ok()?;
        Some(nanoseconds / length)
    }

    /// When an unreaped child was born whose birth began at `before`.
    pub(crate) fn of_child(&mut self, pid: u32, before: Option<u64>) -> u64 {
        let reckoned = before.filter(|_| self.now() == before);
        if let (Self::Proved(_), Some(reckoned)) = (*self, reckoned) {
            return reckoned;
        }
        let told = stat::start_ticks(pid);
        if let (Self::Unproved(length), Some(reckoned), Some(told)) = (*self, reckoned, told) {
            *self = if reckoned == told { Self::Proved(length) } else { Self::Refuted };
        }
        told.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reckoning_agrees_with_the_kernel() {
        let mut ticks = Ticks::new();
        for _ in 0..200 {
            let before = ticks.now();
            let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
            let reckoned = ticks.of_child(child.id(), before);
            assert_eq!(Some(reckoned), stat::start_ticks(child.id()));
            child.wait().unwrap();
        }
        assert!(matches!(ticks, Ticks::Proved(_)), "{ticks:?}");
    }

    #[test]
    fn a_reckoning_that_is_wrong_once_is_never_used_again() {
        let Ticks::Unproved(length) = Ticks::new() else { panic!("no length") };
        let mut ticks = Ticks::Unproved(length * 2);
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let told = stat::start_ticks(child.id());
        while ticks == Ticks::Unproved(length * 2) {
            // Until both readings fall into one (wrong) tick.
            let before = ticks.now();
            assert_eq!(Some(ticks.of_child(child.id(), before)), told);
        }
        assert_eq!((ticks, ticks.now()), (Ticks::Refuted, None));
        child.wait().unwrap();
    }
}
