//! Processes that a host which was killed (`kill -9`, out of memory) left running: found and ended by the next one,
//! before it starts work of its own.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use orchestrator_core::scheduler::ProcessIdentity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::proctable::ProcTable;
use crate::signal;
use crate::stat::{Stat, has_environment, read_stat};

/// A process of an earlier host.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Orphan {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
}

/// Why orphans could not be ended.
#[derive(Debug, thiserror::Error)]
pub enum OrphanError {
    /// They got SIGKILL and are still there.
    #[error("{} processes of an earlier run are still there after SIGKILL, the first with pid {}; end them by hand or restart the machine", left.len(), left.first().map_or(0, |orphan| orphan.pid))]
    Unkillable {
        /// Those.
        left: Vec<Orphan>,
    },
}

/// Finds what an earlier host of this state left running: processes whose environment holds
/// `ORCHESTRATOR_STATE_ID=<state_id>`; recorded processes of this boot (same pid and start time) with their groups and
/// sessions; and all descendants of these. The caller and its ancestors are never among them. `recorded` must come
/// from this boot (see [`boot_id`](crate::boot_id)).
#[must_use]
pub fn find_orphans(state_id: &str, recorded: &[ProcessIdentity]) -> Vec<Orphan> {
    let orphan = |stat: Stat| Orphan { pid: stat.pid, start_ticks: stat.start_ticks };
    find(state_id, recorded).into_iter().map(orphan).collect()
}

/// Ends what [`find_orphans`] finds, with SIGKILL, and waits until it is gone; looks again until nothing is found.
/// Returns how many there were.
///
/// # Errors
/// When some are still there after `patience`.
pub fn kill_orphans(
    state_id: &str,
    recorded: &[ProcessIdentity],
    patience: Duration,
) -> Result<usize, OrphanError> {
    let deadline = Instant::now() + patience;
    let mut ended = HashSet::new();
    loop {
        let found = find(state_id, recorded);
        if found.is_empty() {
            return Ok(ended.len());
        }
        let held: Vec<(Stat, OwnedFd)> =
            found.into_iter().filter_map(|stat| Some((stat, signal::open(&stat)?))).collect();
        for (stat, pidfd) in &held {
            signal::to_pidfd(pidfd, Signal::KILL);
            ended.insert((stat.pid, stat.start_ticks));
        }
        let left: Vec<Orphan> = held
            .iter()
            .filter(|(_, pidfd)| !ends_before(pidfd, deadline))
            .map(|(stat, _)| Orphan { pid: stat.pid, start_ticks: stat.start_ticks })
            .collect();
        if !left.is_empty() {
            return Err(OrphanError::Unkillable { left });
        }
    }
}

fn ends_before(pidfd: &OwnedFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or_default();
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

fn find(state_id: &str, recorded: &[ProcessIdentity]) -> Vec<Stat> {
    let table = ProcTable::read_all();
    let marker = [[b"ORCHESTRATOR_STATE_ID=", state_id.as_bytes()].concat()];
    let recorded: HashMap<u32, u64> =
        recorded.iter().map(|identity| (identity.pid, identity.start_ticks)).collect();
    let spared = own_line();
    // Only a leader that lives and is the recorded one vouches for its group: a free number may be anybody's by now.
    let leaders: HashSet<u32> = table
        .entries()
        .iter()
        .filter(|entry| recorded.get(&entry.pid) == Some(&entry.start_ticks))
        .map(|entry| entry.pid)
        .collect();
    let mut tree = HashSet::new();
    let mut alive = Vec::new();
    for entry in table.entries().iter().filter(|entry| !entry.is_dead() && !spared.contains(&entry.pid)) {
        let led = [entry.pid, entry.pgid, entry.sid].iter().any(|number| leaders.contains(number));
        if led || has_environment(entry.pid, &marker) {
            tree.insert(entry.pid);
            alive.push(*entry);
        }
    }
    table.close_over(&mut tree, &mut alive);
    alive.retain(|entry| !spared.contains(&entry.pid));
    alive
}

/// This process and its ancestors.
fn own_line() -> HashSet<u32> {
    let mut line = HashSet::new();
    let mut pid = std::process::id();
    while pid > 1 && line.insert(pid) {
        pid = read_stat(pid).map_or(0, |stat| stat.ppid);
    }
    line
}
