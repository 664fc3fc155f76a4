//! Samples of process trees.

use std::collections::{BTreeMap, HashMap};

use orchestrator_core::metrics::ProcessSample;
use orchestrator_core::{AttemptId, Bytes};
use orchestrator_ports::ProbeTarget;
use rustix::process::{Resource, getrlimit};

use crate::discover::{Discovery, Marks, read_stat};
use crate::member::{Counters, Member};
use crate::stat::Budget;

/// Descriptors kept open at most: an eighth of the limit, and no more than this.
const DESCRIPTORS: u64 = 8192;
/// A stat line is shorter: its name is cut after 64 bytes and its numbers have at most 20 digits.
const BUFFER: usize = 2048;

/// A watched tree.
#[derive(Debug)]
struct Tree {
    attempt: AttemptId,
    start_ticks: u64,
    /// Of members that vanished without a watched parent to inherit it.
    lost: Counters,
    /// As last reported.
    reported: Counters,
}

/// Watches process trees.
#[derive(Debug)]
pub(crate) struct TreeWatch {
    trees: HashMap<u32, Tree>,
    marks: HashMap<u32, Marks>,
    /// By number, so that parents are mostly read before their children: a child that is reaped in between is then
    /// missed for one sample rather than counted twice.
    members: BTreeMap<u32, Member>,
    discovery: Discovery,
    budget: Budget,
    buffer: Vec<u8>,
    page_size: u64,
    ticks_per_second: u64,
}

impl TreeWatch {
    pub(crate) fn new() -> Self {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self {
            trees: HashMap::new(),
            marks: HashMap::new(),
            members: BTreeMap::new(),
            discovery: Discovery::new(),
            budget: Budget::new((limit / 8).min(DESCRIPTORS)),
            buffer: vec![0; BUFFER],
            page_size: rustix::param::page_size() as u64,
            ticks_per_second: rustix::param::clock_ticks_per_second(),
        }
    }

    /// Reads the targets' trees, in the order of the targets; those that have ended are left out. With the live
    /// processes of each tree, the main process first.
    pub(crate) fn read(&mut self, targets: &[ProbeTarget]) -> Vec<(ProcessSample, Vec<u32>)> {
        self.drop_others(targets);
        for target in targets {
            self.adopt(target);
        }
        if self.trees.is_empty() {
            return Vec::new();
        }
        self.discovery.look(&mut self.members, &self.marks, &mut self.buffer);
        self.refresh();
        let mut readings = self.gather();
        targets.iter().filter_map(|target| readings.remove(&target.identity.pid)).collect()
    }

    /// Forgets trees that are no targets any more, or whose number stands for another attempt's process.
    fn drop_others(&mut self, targets: &[ProbeTarget]) {
        let wanted: HashMap<u32, (AttemptId, u64)> = targets
            .iter()
            .map(|target| (target.identity.pid, (target.attempt, target.identity.start_ticks)))
            .collect();
        let before = self.trees.len();
        self.trees.retain(|main, tree| wanted.get(main) == Some(&(tree.attempt, tree.start_ticks)));
        if self.trees.len() == before {
            return;
        }
        let (trees, budget) = (&self.trees, &mut self.budget);
        self.marks.retain(|main, _| trees.contains_key(main));
        self.members.retain(|_, member| {
            let stays = trees.contains_key(&member.main);
            if !stays {
                member.close(budget);
            }
            stays
        });
    }

    /// Watches the target's tree from now on, if its main process still is the one that is meant.
    fn adopt(&mut self, target: &ProbeTarget) {
        let main = target.identity.pid;
        if self.trees.contains_key(&main) {
            return;
        }
        let Some(stat) = read_stat(main, &mut self.buffer) else { return };
        if stat.start_ticks != target.identity.start_ticks {
            return;
        }
        let tree = Tree {
            attempt: target.attempt,
            start_ticks: stat.start_ticks,
            lost: Counters::default(),
            reported: Counters::default(),
        };
        self.trees.insert(main, tree);
        self.marks.insert(main, Marks::of(main));
        if let Some(mut before) = self.members.insert(main, Member::new(main, main, stat)) {
            before.close(&mut self.budget);
        }
        self.discovery.doubt_since(stat.start_ticks);
    }

    /// Reads all members. What a vanished one used is its parent's now, if that is watched; else it is kept as lost.
    fn refresh(&mut self) {
        let mut gone = Vec::new();
        for member in self.members.values_mut() {
            if !member.refresh(&mut self.budget, &mut self.buffer) {
                gone.push(member.pid);
            }
        }
        for pid in &gone {
            let Some(mut member) = self.members.remove(pid) else { continue };
            member.close(&mut self.budget);
            let inherited = self.members.contains_key(&member.stat.ppid) || gone.contains(&member.stat.ppid);
            if let Some(tree) = self.trees.get_mut(&member.main)
                && !inherited
            {
                tree.lost.add(&member.counters());
            }
        }
    }

    /// Sums the members of each tree. A tree whose main process is gone, or is all that is left of it and has ended, has
    /// ended.
    fn gather(&mut self) -> HashMap<u32, (ProcessSample, Vec<u32>)> {
        let mut readings: HashMap<u32, (ProcessSample, Vec<u32>)> = HashMap::with_capacity(self.trees.len());
        let mut totals: HashMap<u32, Counters> = HashMap::with_capacity(self.trees.len());
        for member in self.members.values() {
            let Some(tree) = self.trees.get(&member.main) else { continue };
            totals.entry(member.main).or_insert(tree.lost).add(&member.counters());
            let (sample, pids) =
                readings.entry(member.main).or_insert_with(|| (empty(tree.attempt), Vec::new()));
            sample.states[state_column(member.stat.state)] += 1;
            if member.stat.is_dead() {
                continue;
            }
            sample.rss.0 += member.stat.rss_pages * self.page_size;
            sample.virtual_memory.0 += member.stat.virtual_bytes;
            sample.processes += 1;
            sample.threads += member.stat.threads;
            pids.push(member.pid);
        }
        readings.retain(|main, (sample, _)| self.members.contains_key(main) && sample.processes > 0);
        for (main, (sample, pids)) in &mut readings {
            pids.sort_unstable_by_key(|pid| (pid != main, *pid));
            let (Some(tree), Some(total)) = (self.trees.get_mut(main), totals.get_mut(main)) else {
                continue;
            };
            total.never_below(&tree.reported);
            tree.reported = *total;
            sample.cpu_time = total.cpu_time(self.ticks_per_second);
            sample.read_bytes = Bytes(total.io.read_bytes);
            sample.write_bytes = Bytes(total.io.write_bytes);
            sample.read_ops = total.io.read_ops;
            sample.write_ops = total.io.write_ops;
        }
        readings
    }
}

fn empty(attempt: AttemptId) -> ProcessSample {
    ProcessSample {
        attempt,
        cpu_time: std::time::Duration::ZERO,
        rss: Bytes(0),
        virtual_memory: Bytes(0),
        read_bytes: Bytes(0),
        write_bytes: Bytes(0),
        read_ops: 0,
        write_ops: 0,
        processes: 0,
        threads: 0,
        states: [0; 5],
    }
}

/// Running, sleeping, uninterruptible, stopped, zombie.
fn state_column(state: u8) -> usize {
    match state {
        b'R' => 0,
        b'D' => 2,
        b'T' | b't' => 3,
        b'Z' | b'X' | b'x' => 4,
        _ => 1,
    }
}
