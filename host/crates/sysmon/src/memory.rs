//! Memory: what there is, what is in use, what can be had.

use std::fs;

use crate::cgroup;
use crate::text::field;

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

/// Reads it.
pub(crate) fn read() -> Memory {
    let machine = parse(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
    limited(machine, cgroup::tightest_memory(&cgroup::levels("memory"), machine.total))
}

fn parse(meminfo: &str) -> Memory {
    let bytes = |name| field(meminfo, name).map(|kilobytes| kilobytes * 1024);
    let total = bytes("MemTotal").unwrap_or(0);
    let available = bytes("MemAvailable").or_else(|| bytes("MemFree")).unwrap_or(0).min(total);
    let swap_used = bytes("SwapTotal").unwrap_or(0).saturating_sub(bytes("SwapFree").unwrap_or(0));
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

    const MEMINFO: &str =
        "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 600 kB\nSwapTotal: 50 kB\nSwapFree: 20 kB\n";

    #[test]
    fn used_is_what_cannot_be_had() {
        let memory = parse(MEMINFO);
        let expected = Memory { total: 1_024_000, used: 409_600, available: 614_400, swap_used: 30_720 };
        assert_eq!(memory, expected);
        assert_eq!(parse(""), Memory::default());
    }

    #[test]
    fn a_group_cannot_have_more_than_the_machine() {
        let machine = parse(MEMINFO);
        let roomy = limited(machine, Some(GroupMemory { limit: 900_000, used: 0 }));
        assert_eq!((roomy.total, roomy.available, roomy.used), (900_000, 614_400, 285_600));
        let tight = limited(machine, Some(GroupMemory { limit: 100_000, used: 70_000 }));
        assert_eq!((tight.total, tight.available, tight.used), (100_000, 30_000, 70_000));
        let over = limited(machine, Some(GroupMemory { limit: 100_000, used: 170_000 }));
        assert_eq!(over.available, 0);
    }
}
