//! Memory: what there is, what is in use, what can be had.

use std::time::Instant;

use crate::cgroup::{self, LIMITS_EVERY, LevelWatch, Levels};
use crate::text::{KernelFile, field};

/// Bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Memory {
    /// The smaller of the machine's and the control group's limit.
    pub(crate) total: u64,
    /// `total − available`.
    pub(crate) used: u64,
    /// Can be had without swapping: `MemAvailable`, and under a control group's limit no more than is left below it.
    pub(crate) available: u64,
    /// Swap in use on the machine.
    pub(crate) swap_used: u64,
}

/// Watches it.
#[derive(Debug)]
pub(crate) struct MemoryWatch {
    machine: KernelFile,
    levels: LevelWatch,
    /// Those of the levels that limit us.
    limiting: Levels,
    /// When that is looked at again.
    again: Instant,
}

impl MemoryWatch {
    /// Begins to watch.
    pub(crate) fn new() -> Self {
        let machine = KernelFile::open("/proc/meminfo");
        let (levels, limiting) = (LevelWatch::new("memory"), Levels::default());
        Self { machine, levels, limiting, again: Instant::now() }
    }

    /// Memory now; zeros where the machine does not tell.
    pub(crate) fn read(&mut self) -> Memory {
        let machine = parse(self.machine.read());
        let now = Instant::now();
        if now >= self.again {
            self.again = now + LIMITS_EVERY;
            self.limiting = cgroup::limiting_memory(self.levels.now(), machine.total);
        }
        limited(machine, cgroup::tightest_memory(&self.limiting, machine.total))
    }
}

/// Parses `/proc/meminfo`.
fn parse(text: &str) -> Memory {
    let bytes = |name| field(text, name).unwrap_or(0) * 1024;
    let swap_used = bytes("SwapTotal").saturating_sub(bytes("SwapFree"));
    of_machine(bytes("MemTotal"), bytes("MemAvailable"), swap_used)
}

fn of_machine(total: u64, available: u64, swap_used: u64) -> Memory {
    let available = available.min(total);
    Memory { total, used: total - available, available, swap_used }
}

fn limited(machine: Memory, group: Option<cgroup::GroupMemory>) -> Memory {
    let Some(group) = group else { return machine };
    let available = group.limit.saturating_sub(group.used).min(machine.available);
    Memory { total: group.limit, used: group.limit - available, available, swap_used: machine.swap_used }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::GroupMemory;

    #[test]
    fn used_is_what_cannot_be_had() {
        let memory = of_machine(1000, 600, 30);
        assert_eq!(memory, Memory { total: 1000, used: 400, available: 600, swap_used: 30 });
        assert_eq!(of_machine(0, 600, 0).used, 0);
    }

    #[test]
    fn the_kernels_words_are_understood() {
        let text = "MemTotal:       24684096 kB\nMemFree:         1234567 kB\nMemAvailable:   20000000 kB\n\
                    SwapCached:            0 kB\nSwapTotal:       1000000 kB\nSwapFree:         400000 kB\n";
        let memory = parse(text);
        assert_eq!((memory.total, memory.available), (24_684_096 << 10, 20_000_000 << 10));
        assert_eq!((memory.used, memory.swap_used), (4_684_096 << 10, 600_000 << 10));
    }

    #[test]
    fn this_machine_has_memory() {
        let memory = MemoryWatch::new().read();
        assert!(memory.total > 0 && memory.used > 0 && memory.used <= memory.total, "{memory:?}");
    }

    #[test]
    fn a_group_cannot_have_more_than_the_machine() {
        let machine = of_machine(1_024_000, 614_400, 0);
        let roomy = limited(machine, Some(GroupMemory { limit: 900_000, used: 0 }));
        assert_eq!((roomy.total, roomy.available, roomy.used), (900_000, 614_400, 285_600));
        let tight = limited(machine, Some(GroupMemory { limit: 100_000, used: 70_000 }));
        assert_eq!((tight.total, tight.available, tight.used), (100_000, 30_000, 70_000));
        let over = limited(machine, Some(GroupMemory { limit: 100_000, used: 170_000 }));
        assert_eq!(over.available, 0);
    }
}
