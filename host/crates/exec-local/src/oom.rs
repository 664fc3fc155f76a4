//! Whether the kernel's out-of-memory killer was at work.
//!
//! The kernel does not tell a parent why its child got SIGKILL. What can be known: the counter of OOM kills in our own
//! memory control group (`memory.events` in version 2, `memory.oom_control` in version 1), or where there is none the
//! machine's (`/proc/vmstat`). A rise shortly before a death by a SIGKILL that was not ours is taken for its cause;
//! each counted kill explains one death. Wrong only when somebody else's `kill -9` falls into the same two seconds.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a counted kill may wait for the death that it explains.
const FRESH: Duration = Duration::from_secs(2);

/// Watches the counter.
#[derive(Debug)]
pub(crate) struct OomWatch {
    source: Option<PathBuf>,
    seen: u64,
    unexplained: u64,
    risen_at: Instant,
}

impl OomWatch {
    /// Begins to watch the counter nearest to our own processes.
    pub(crate) fn new() -> Self {
        let source = sources().into_iter().find(|path| read(path).is_some());
        let seen = source.as_ref().and_then(read).unwrap_or(0);
        Self { source, seen, unexplained: 0, risen_at: Instant::now() }
    }

    /// Reads the counter.
    pub(crate) fn observe(&mut self) {
        let Some(count) = self.source.as_ref().and_then(read) else { return };
        self.note(count, Instant::now());
    }

    /// Whether a kill was counted shortly before now that explains a death by SIGKILL. Uses it up.
    pub(crate) fn explains_a_death(&mut self) -> bool {
        self.observe();
        self.take(Instant::now())
    }

    fn note(&mut self, count: u64, now: Instant) {
        if count > self.seen {
            self.unexplained += count - self.seen;
            self.risen_at = now;
        }
        self.seen = count;
    }

    fn take(&mut self, now: Instant) -> bool {
        if self.unexplained == 0 || now.duration_since(self.risen_at) > FRESH {
            self.unexplained = 0;
            return false;
        }
        self.unexplained -= 1;
        true
    }
}

/// The counters, nearest first.
fn sources() -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for line in fs::read_to_string("/proc/self/cgroup").unwrap_or_default().lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let group = group.trim_start_matches('/');
        if controllers.is_empty() {
            for mount in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
                paths.push(PathBuf::from(mount).join(group).join("memory.events"));
                paths.push(PathBuf::from(mount).join("memory.events"));
            }
        } else if controllers.split(',').any(|name| name == "memory") {
            paths.push(PathBuf::from("/sys/fs/cgroup/memory").join(group).join("memory.oom_control"));
        }
    }
    paths.push(PathBuf::from("/proc/vmstat"));
    paths
}

/// The value of the line `oom_kill N`.
fn read(path: &PathBuf) -> Option<u64> {
    parse(&fs::read_to_string(path).ok()?)
}

fn parse(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_found_among_its_neighbours() {
        assert_eq!(parse("low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\noom_group_kill 0\n"), Some(1));
        assert_eq!(parse("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!(parse("nr_free_pages 1\n"), None);
    }

    #[test]
    fn each_counted_kill_explains_one_death_and_not_for_long() {
        let now = Instant::now();
        let mut watch = OomWatch { source: None, seen: 4, unexplained: 0, risen_at: now };
        assert!(!watch.take(now));
        watch.note(6, now);
        assert!(watch.take(now));
        assert!(watch.take(now));
        assert!(!watch.take(now));
        watch.note(7, now);
        assert!(!watch.take(now + FRESH + Duration::from_millis(1)));
    }
}
