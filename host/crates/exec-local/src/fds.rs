//! File descriptors: what a child costs, and how many children the limit allows.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that the host holds for one running attempt: pidfd, two pipes, two capture files.
pub const FDS_PER_CHILD: u64 = 5;

/// Kept free for everything else: database, plugins, scans, the other ends of pipes during a launch. The sampler may
/// keep another eighth of the limit.
const RESERVE: u64 = 64;
const SAMPLER_SHARE: u64 = 8;

/// Raises the soft limit of open files to the hard one. Returns the limit before, for the children (`None` when nothing
/// changed): they get it back right after exec.
pub(crate) fn raise_fd_limit() -> Option<Rlimit> {
    let before = getrlimit(Resource::Nofile);
    if before.current == before.maximum {
        return None;
    }
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    setrlimit(Resource::Nofile, raised).ok().map(|()| before)
}

/// How many children the limit of open files allows at once, besides what is open now; at least 1. `None` when there
/// is no limit.
#[must_use]
pub fn max_children_by_fds() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile).current?;
    Some(max_children_under(limit))
}

/// The same under another limit, before it is in force.
#[must_use]
pub fn max_children_under(limit: u64) -> u64 {
    let open = fs::read_dir("/proc/self/fd").map_or(0, |directory| directory.count() as u64);
    allowed(limit, open)
}

fn allowed(limit: u64, open: u64) -> u64 {
    (limit.saturating_sub(limit / SAMPLER_SHARE + open + RESERVE) / FDS_PER_CHILD).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_leaves_few_children_but_never_none() {
        assert_eq!(allowed(1024, 60), 154);
        assert_eq!(allowed(64, 20), 1);
        assert!(max_children_by_fds().is_none_or(|count| count >= 1));
    }
}
