//! Which processors we may use, and how they belong together: cores, last-level caches, memory nodes.
//!
//! Read from `/sys/devices/system/{cpu,node}`. What is not told there (a container without /sys, an old kernel) is taken
//! to be as simple as it can be: each processor a core with a cache of its own, all on one node.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use orchestrator_core::Bytes;
use orchestrator_core::placement::{Cpu, CpuSet, Node, Topology};

use crate::cpu::affinity;

/// Where the kernel tells of processors and nodes.
pub const DEVICES: &str = "/sys/devices/system";
/// Levels of cache that are looked for.
const CACHES: usize = 8;

/// The processors of our affinity mask on this machine; nothing where the kernel does not tell them.
#[must_use]
pub fn usable() -> Topology {
    read(Path::new(DEVICES), &affinity())
}

/// The processors that a process may run on; `None` when it does not exist.
#[must_use]
pub fn of_process(pid: u32) -> Option<CpuSet> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    CpuSet::parse(text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?)
}

/// The topology that a tree like [`DEVICES`] tells, of those of these processors that are online.
#[must_use]
pub fn read(devices: &Path, processors: &[usize]) -> Topology {
    let allowed: CpuSet = processors.iter().filter_map(|&cpu| u32::try_from(cpu).ok()).collect();
    let cpus = devices.join("cpu");
    let online = list(&cpus.join("online")).unwrap_or_else(|| allowed.clone());
    let (mut nodes, mut node_of) = (Vec::new(), BTreeMap::new());
    for id in list(&devices.join("node/online")).unwrap_or_default().iter() {
        let node = devices.join(format!("node/node{id}"));
        let own = list(&node.join("cpulist")).unwrap_or_default();
        node_of.extend(own.iter().map(|cpu| (cpu, id)));
        nodes.push(Node { id, memory: Bytes(memory(&node).unwrap_or(0)) });
    }
    let (mut cores, mut caches) = (Groups::default(), Groups::default());
    let cpu = |id: u32| Cpu {
        id,
        core: cores.of(id, || siblings(&cpus.join(format!("cpu{id}/topology")))),
        cache: caches.of(id, || last_level(&cpus.join(format!("cpu{id}/cache")))),
        node: node_of.get(&id).copied().unwrap_or(0),
    };
    Topology::new(allowed.iter().filter(|id| online.contains(*id)).map(cpu).collect(), &nodes)
}

/// Sets of processors that share something; a file of one of them speaks for all.
#[derive(Default)]
struct Groups(BTreeMap<u32, u32>);

impl Groups {
    /// The lowest processor of the group; one of which nothing is known is a group of its own.
    fn of(&mut self, cpu: u32, read: impl FnOnce() -> Option<CpuSet>) -> u32 {
        if let Some(known) = self.0.get(&cpu) {
            return *known;
        }
        let group = read().filter(|group| group.contains(cpu));
        let lowest = group.as_ref().and_then(|group| group.iter().next()).unwrap_or(cpu);
        self.0.extend(group.iter().flat_map(CpuSet::iter).map(|cpu| (cpu, lowest)));
        lowest
    }
}

/// The threads of a core; the file has a newer and an older name.
fn siblings(topology: &Path) -> Option<CpuSet> {
    list(&topology.join("core_cpus_list")).or_else(|| list(&topology.join("thread_siblings_list")))
}

/// Who shares the cache of the highest level.
fn last_level(caches: &Path) -> Option<CpuSet> {
    let level = |at: usize| {
        let cache = caches.join(format!("index{at}"));
        let level: u32 = fs::read_to_string(cache.join("level")).ok()?.trim().parse().ok()?;
        Some((level, cache))
    };
    let (_, last) = (0..CACHES).map_while(level).max_by_key(|(level, _)| *level)?;
    list(&last.join("shared_cpu_list"))
}

/// Bytes of memory of a node: `Node 0 MemTotal:  1048576 kB` in its `meminfo`.
fn memory(node: &Path) -> Option<u64> {
    let text = fs::read_to_string(node.join("meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.split_once("MemTotal:"))?.1;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

fn list(path: &Path) -> Option<CpuSet> {
    CpuSet::parse(&fs::read_to_string(path).ok()?)
}

#[cfg(test)]
mod tests;
