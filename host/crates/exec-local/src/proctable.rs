//! Kinship of the machine's processes at one moment, and whose descendants they are.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs;

use crate::pidlog::Candidates;
use crate::registry;
use crate::signal;
use crate::stat::{Stat, environment, read_stat};

/// Processes as they were seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcTable {
    entries: Vec<Stat>,
    /// Environments of orphans that somebody asked for: every attempt asks for the same ones.
    environments: RefCell<HashMap<u32, HashSet<Vec<u8>>>>,
}

/// An attempt's tree, for those who look for its members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TreeKey<'a> {
    /// Main process, alive or still unreaped: its number is its own.
    pub(crate) main: u32,
    /// `NAME=value` entries that only its processes were started with.
    pub(crate) marker: &'a [Vec<u8>],
}

/// The members of a tree besides the main process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members {
    /// Those that live.
    pub(crate) alive: Vec<Stat>,
    /// Those that ended and that nobody but us can reap.
    pub(crate) ended: Vec<Stat>,
}

impl ProcTable {
    /// Reads the processes that can be found at the candidates.
    pub(crate) fn read(candidates: &Candidates) -> Self {
        let entries = match candidates {
            Candidates::Numbers(numbers) => numbers.iter().filter_map(|&pid| read_stat(pid)).collect(),
            Candidates::Spans(_) | Candidates::Everywhere => {
                #[cfg(test)]
                LISTINGS.with(|listings| listings.set(listings.get() + 1));
                every_pid().filter(|&pid| candidates.contain(pid)).filter_map(read_stat).collect()
            }
        };
        Self { entries, ..Self::default() }
    }

    /// Reads all processes.
    pub(crate) fn read_all() -> Self {
        Self::read(&Candidates::Everywhere)
    }

    /// Adds what can be found at more candidates.
    pub(crate) fn extend(&mut self, candidates: &Candidates) {
        let more = Self::read(candidates).entries;
        let known: HashSet<u32> = more.iter().map(|entry| entry.pid).collect();
        self.entries.retain(|entry| !known.contains(&entry.pid));
        self.entries.extend(more);
    }

    /// What was seen.
    pub(crate) fn entries(&self) -> &[Stat] {
        &self.entries
    }

    /// The tree's members: its process group and session, orphans that came to us and bear the marker, and all
    /// descendants of these.
    pub(crate) fn members(&self, key: TreeKey<'_>) -> Members {
        if self.entries.is_empty() {
            return Members::default();
        }
        let me = std::process::id();
        // Held while judging: a child that is being launched is never taken for an orphan.
        let launched = registry::lock();
        let mut tree = HashSet::from([key.main]);
        let mut members = Members::default();
        for entry in
            self.entries.iter().filter(|entry| entry.pid != key.main && !launched.contains(&entry.pid))
        {
            let grouped = entry.pgid == key.main || entry.sid == key.main;
            if entry.is_dead() {
                if grouped && entry.ppid == me {
                    members.ended.push(*entry);
                }
            } else if grouped || (entry.ppid == me && self.bears(entry.pid, key.marker)) {
                tree.insert(entry.pid);
                members.alive.push(*entry);
            }
        }
        drop(launched);
        self.close_over(&mut tree, &mut members.alive);
        members
    }

    /// Whether the process was started with this marker.
    fn bears(&self, pid: u32, marker: &[Vec<u8>]) -> bool {
        if marker.is_empty() {
            return false;
        }
        let mut environments = self.environments.borrow_mut();
        let environment = environments.entry(pid).or_insert_with(|| environment(pid));
        marker.iter().all(|wanted| environment.contains(wanted))
    }

    /// Adds the living descendants of the tree until no more are found.
    pub(crate) fn close_over(&self, tree: &mut HashSet<u32>, alive: &mut Vec<Stat>) {
        loop {
            let before = alive.len();
            for entry in &self.entries {
                if !entry.is_dead() && tree.contains(&entry.ppid) && tree.insert(entry.pid) {
                    alive.push(*entry);
                }
            }
            if alive.len() == before {
                return;
            }
        }
    }

    /// Orphans that ended while they were ours: nobody else can reap them. Children in the host's own process group
    /// are left to the room that launched them.
    pub(crate) fn ended_orphans(&self) -> Vec<u32> {
        let me = std::process::id();
        let Some(own) = read_stat(me) else { return Vec::new() };
        let launched = registry::lock();
        let orphans = self.entries.iter().filter(|entry| {
            entry.is_dead() && entry.ppid == me && entry.pgid != own.pgid && !launched.contains(&entry.pid)
        });
        orphans.map(|entry| entry.pid).collect()
    }

    /// Living orphans that came to us after leaving the host's session: no room launches such a child, so some
    /// attempt's process did, whatever its environment says. With their descendants.
    pub(crate) fn escaped_orphans(&self) -> Vec<Stat> {
        if self.entries.is_empty() {
            return Vec::new();
        }
        let me = std::process::id();
        let Some(own) = read_stat(me) else { return Vec::new() };
        let mut tree = HashSet::new();
        let mut alive = Vec::new();
        {
            let launched = registry::lock();
            for entry in &self.entries {
                let ours = entry.ppid == me && !launched.contains(&entry.pid);
                if ours && entry.sid != own.sid && !entry.is_dead() {
                    tree.insert(entry.pid);
                    alive.push(*entry);
                }
            }
        }
        self.close_over(&mut tree, &mut alive);
        alive
    }
}

/// Signals these processes, each only if it is still the one that was seen.
pub(crate) fn signal_each(processes: &[Stat], wanted: rustix::process::Signal) {
    for process in processes {
        if let Some(pidfd) = signal::open(process) {
            signal::to_pidfd(&pidfd, wanted);
        }
    }
}

/// The numbers of all processes (threads excluded).
fn every_pid() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
thread_local! {
    /// How often this thread listed /proc.
    pub(crate) static LISTINGS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}
