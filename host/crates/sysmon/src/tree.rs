//! Samples of process trees.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use orchestrator_core::metrics::ProcessSample;
use orchestrator_core::{AttemptId, Bytes};
use orchestrator_ports::{ProbeTarget, TreeReading};
use rustix::process::{Resource, getrlimit};

use crate::discover::{Discovery, Marks, read_stat};
use crate::member::{Counters, Look, Member};
use crate::quiet::Quiet;
use crate::stat::Budget;

/// Descriptors kept open at most: an eighth of the limit, and no more than this.
const DESCRIPTORS: u64 = 8192;
/// A stat line is shorter: its name is cut after 64 bytes and its numbers have at most 20 digits.
const BUFFER: usize = 2048;

/// So many sleepers are asked one by one: that is as cheap as asking whether anybody can have run.
const FEW: usize = 16;

/// A watched tree.
#[derive(Debug)]
struct Tree {
    attempt: AttemptId,
    start_ticks: u64,
    /// Of members that vanished without a watched parent to inherit it.
    lost: Counters,
    /// As last reported.
    reported: Counters,
    /// What its members add up to, with the live ones' numbers, the main process first; `None` when it has ended.
    reading: Option<TreeReading>,
    /// `None` while nothing has changed since the reading was made.
    sum: Option<Sum>,
}

/// Members of a tree, added up.
#[derive(Debug)]
struct Sum {
    sample: ProcessSample,
    counters: Counters,
    pids: Vec<u32>,
}

impl Tree {
    fn is(&self, target: &ProbeTarget) -> bool {
        self.attempt == target.attempt && self.start_ticks == target.identity.start_ticks
    }

    /// Something has changed: its members are added up again.
    fn begin(&mut self) {
        self.sum.get_or_insert_with(|| Sum {
            sample: empty(self.attempt),
            counters: Counters::default(),
            pids: Vec::new(),
        });
    }
}

/// Watches process trees.
#[derive(Debug)]
pub(crate) struct TreeWatch {
    /// As asked for last; `None` where some could not be watched, and are tried again.
    targets: Option<Vec<ProbeTarget>>,
    /// As answered last.
    readings: Arc<Vec<TreeReading>>,
    trees: HashMap<u32, Tree>,
    marks: HashMap<u32, Marks>,
    /// By number, so that parents are mostly read before their children: a child that is reaped in between is then
    /// missed for one sample rather than counted twice.
    members: BTreeMap<u32, Member>,
    discovery: Discovery,
    quiet: Quiet,
    /// Sleeping members of other control groups than ours.
    strays: BTreeSet<u32>,
    /// Trees of which some member ran between the last two looks at it, sorted.
    awake: Vec<u32>,
    budget: Budget,
    buffer: Vec<u8>,
    page_size: u64,
    ticks_per_second: u64,
}

impl TreeWatch {
    pub(crate) fn new() -> Self {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self {
            targets: None,
            readings: Arc::default(),
            trees: HashMap::new(),
            marks: HashMap::new(),
            members: BTreeMap::new(),
            discovery: Discovery::new(),
            quiet: Quiet::new(),
            strays: BTreeSet::new(),
            awake: Vec::new(),
            budget: Budget::new((limit / 8).min(DESCRIPTORS)),
            buffer: vec![0; BUFFER],
            page_size: rustix::param::page_size() as u64,
            ticks_per_second: rustix::param::clock_ticks_per_second(),
        }
    }

    /// Reads the targets' trees, in the order of the targets; those that have ended are left out. With the live
    /// processes of each tree, the main process first.
    pub(crate) fn read(&mut self, targets: &[ProbeTarget]) -> Arc<Vec<TreeReading>> {
        let same = self.targets.as_deref() == Some(targets);
        if !same {
            self.change_targets(targets);
        }
        if self.trees.is_empty() {
            self.readings = Arc::default();
            return Arc::default();
        }
        // In this order: what happens from here on counts for the next time.
        let all = self.members.len() <= FEW || self.quiet.is_over(!self.strays.is_empty(), &mut self.buffer);
        if same && !all && self.awake.is_empty() {
            return Arc::clone(&self.readings);
        }
        self.discovery.look(&mut self.members, &self.marks, &mut self.buffer);
        self.refresh(all);
        if self.gather() || !same {
            let reading = |target: &ProbeTarget| self.trees.get(&target.identity.pid)?.reading.clone();
            let mut readings = Vec::with_capacity(targets.len());
            readings.extend(targets.iter().filter_map(reading));
            self.readings = Arc::new(readings);
        }
        Arc::clone(&self.readings)
    }

    fn change_targets(&mut self, targets: &[ProbeTarget]) {
        let known = targets.iter().filter(|target| self.knows(target)).count();
        if known < self.trees.len() {
            self.drop_others(targets);
        }
        if known < targets.len() {
            targets.iter().for_each(|target| self.adopt(target));
        }
        self.targets = targets.iter().all(|target| self.knows(target)).then(|| targets.to_vec());
    }

    fn knows(&self, target: &ProbeTarget) -> bool {
        self.trees.get(&target.identity.pid).is_some_and(|tree| tree.is(target))
    }

    /// Forgets trees that are no targets any more, or whose number stands for another attempt's process.
    fn drop_others(&mut self, targets: &[ProbeTarget]) {
        let wanted: HashMap<u32, &ProbeTarget> =
            targets.iter().map(|target| (target.identity.pid, target)).collect();
        self.trees.retain(|main, tree| wanted.get(main).is_some_and(|target| tree.is(target)));
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
            reading: None,
            sum: None,
        };
        self.trees.insert(main, tree);
        self.marks.insert(main, Marks::of(main));
        if let Some(mut before) = self.members.insert(main, Member::new(main, main, stat)) {
            before.close(&mut self.budget);
            if let Some(tree) = self.trees.get_mut(&before.main) {
                tree.begin();
            }
        }
        self.discovery.doubt_since(stat.start_ticks);
    }

    /// Looks at all members, or at those of trees in which somebody is awake. What a vanished one used is its parent's
    /// now, if that is watched; else it is kept as lost.
    fn refresh(&mut self, all: bool) {
        let now = Instant::now();
        let (mut gone, mut awake) = (Vec::new(), Vec::new());
        for member in self.members.values_mut() {
            // A tree is looked at as a whole, lest a child's use be counted twice when its parent has reaped it.
            if !all && member.asleep && self.awake.binary_search(&member.main).is_err() {
                continue;
            }
            let look = member.refresh(now, &mut self.budget, &mut self.buffer);
            if !member.asleep {
                awake.push(member.main);
            } else if member.is_to_be_placed(now) {
                // Where those are who are awake does not matter: they are looked at every time.
                if self.quiet.has(member.pid) {
                    self.strays.remove(&member.pid);
                } else {
                    self.strays.insert(member.pid);
                }
            }
            if look == Look::Same {
                continue;
            }
            if look == Look::Gone {
                gone.push(member.pid);
            }
            if let Some(tree) = self.trees.get_mut(&member.main) {
                tree.begin();
            }
        }
        self.strays.retain(|pid| self.members.contains_key(pid));
        awake.sort_unstable();
        awake.dedup();
        self.awake = awake;
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

    /// Adds up the members of trees in which something has changed; whether there are any.
    fn gather(&mut self) -> bool {
        if self.trees.values().all(|tree| tree.sum.is_none()) {
            return false;
        }
        for member in self.members.values() {
            let Some(sum) = self.trees.get_mut(&member.main).and_then(|tree| tree.sum.as_mut()) else {
                continue;
            };
            sum.counters.add(&member.counters());
            sum.sample.states[state_column(member.stat.state)] += 1;
            if member.stat.is_dead() {
                continue;
            }
            sum.sample.rss.0 += member.stat.rss_pages * self.page_size;
            sum.sample.virtual_memory.0 += member.stat.virtual_bytes;
            sum.sample.processes += 1;
            sum.sample.threads += member.stat.threads;
            sum.pids.push(member.pid);
        }
        for (main, tree) in &mut self.trees {
            if let Some(sum) = tree.sum.take() {
                // A tree whose main process is gone, or is all that is left of it and has ended, has ended.
                let lives = sum.sample.processes > 0 && self.members.contains_key(main);
                tree.reading = lives.then(|| tree.report(*main, sum, self.ticks_per_second));
            }
        }
        true
    }
}

impl Tree {
    fn report(&mut self, main: u32, sum: Sum, ticks_per_second: u64) -> TreeReading {
        let Sum { mut sample, mut counters, mut pids } = sum;
        counters.add(&self.lost);
        counters.never_below(&self.reported);
        self.reported = counters;
        sample.cpu_time = counters.cpu_time(ticks_per_second);
        sample.read_bytes = Bytes(counters.io.read_bytes);
        sample.write_bytes = Bytes(counters.io.write_bytes);
        sample.read_ops = counters.io.read_ops;
        sample.write_ops = counters.io.write_ops;
        pids.sort_unstable_by_key(|pid| (*pid != main, *pid));
        (sample, pids.into())
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

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    use orchestrator_core::scheduler::ProcessIdentity;

    use super::*;

    struct Subject {
        child: Child,
        watch: TreeWatch,
        target: ProbeTarget,
    }

    impl Subject {
        /// Watches a shell at work.
        fn run(script: &str) -> Self {
            let child = Command::new("/bin/sh").args(["-c", script]).process_group(0).spawn().unwrap();
            let (pid, mut watch) = (child.id(), TreeWatch::new());
            let start_ticks = read_stat(pid, &mut watch.buffer).unwrap().start_ticks;
            let identity = ProcessIdentity { pid, start_ticks };
            Self { child, watch, target: ProbeTarget { attempt: AttemptId(1), identity } }
        }

        /// Watches until `done` says that it is so.
        fn until(&mut self, done: impl Fn(&TreeWatch) -> bool) {
            let begun = Instant::now();
            while !done(&self.watch) {
                assert_eq!(self.watch.read(&[self.target]).len(), 1);
                assert!(begun.elapsed().as_secs() < 60, "{:?}", self.watch.members);
            }
        }

        /// Looks at it as when nobody else can have run, or at all.
        fn look(&mut self, all: bool) {
            self.watch.refresh(all);
            self.watch.gather();
        }
    }

    impl Drop for Subject {
        fn drop(&mut self) {
            let group = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            self.child.wait().unwrap();
        }
    }

    fn sleep(watch: &TreeWatch, members: usize) -> bool {
        watch.members.len() == members && watch.members.values().all(|member| member.asleep)
    }

    #[test]
    fn sleepers_are_left_alone_while_nobody_can_have_run() {
        let mut subject = Subject::run("exec sleep 600");
        subject.until(|watch| sleep(watch, 1));
        let main = subject.child.id();
        let before = subject.watch.trees[&main].reading.clone().unwrap();
        // As if it had run meanwhile.
        let mark = |watch: &mut TreeWatch| watch.members.get_mut(&main).unwrap().forget();
        mark(&mut subject.watch);
        subject.look(false);
        assert!(Arc::ptr_eq(&before.1, &subject.watch.trees[&main].reading.as_ref().unwrap().1));
        subject.look(true);
        let after = subject.watch.trees[&main].reading.clone().unwrap();
        assert_eq!(before.1, after.1);
        assert!(!Arc::ptr_eq(&before.1, &after.1), "who has run has another list");
        assert!(!sleep(&subject.watch, 1));
    }

    #[test]
    fn sleepers_of_other_control_groups_are_known_until_they_are_gone() {
        let mut subject = Subject::run("sleep 600 & wait");
        subject.until(|watch| sleep(watch, 2));
        assert!(subject.watch.strays.is_empty());
        let mut subject = Subject::run("sleep 600 & wait");
        subject.watch.quiet.move_away();
        subject.until(|watch| sleep(watch, 2));
        assert_eq!(subject.watch.strays.len(), 2);
        subject.watch.read(&[]);
        subject.look(true);
        assert!(subject.watch.strays.is_empty());
    }

    #[test]
    fn a_tree_in_which_somebody_is_awake_is_looked_at_as_a_whole() {
        let mut subject = Subject::run("sleep 600 & while :; do :; done");
        let main = subject.child.id();
        subject.until(|watch| {
            let is = |member: &Member| member.asleep == (member.pid != main);
            watch.members.len() == 2 && watch.members.values().all(is)
        });
        let child = *subject.watch.members.keys().find(|pid| **pid != main).unwrap();
        let pid = i32::try_from(child).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let begun = Instant::now();
        while subject.watch.trees[&main].reading.as_ref().unwrap().1.len() == 2 {
            subject.look(false);
            assert!(begun.elapsed().as_secs() < 60, "{:?}", subject.watch.members);
        }
    }
}
