//! The machine's processors.

use std::collections::BTreeSet;

use super::CpuSet;
use crate::Bytes;

/// A processor that may be used.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cpu {
    /// Its number in the kernel.
    pub id: u32,
    /// Its physical core: the lowest processor of the same core.
    pub core: u32,
    /// Its last-level cache: the lowest processor that shares it.
    pub cache: u32,
    /// Its memory node.
    pub node: u32,
}

/// A memory node that has usable processors.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Node {
    /// Its number in the kernel.
    pub id: u32,
    /// Its memory; 0 where that is not known.
    pub memory: Bytes,
}

/// The processors that the host may use, and how they belong together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Topology {
    cpus: Vec<Cpu>,
    nodes: Vec<Node>,
}

impl Topology {
    /// Processors and the nodes that are known. Nodes without a usable processor are left out; one that a processor names
    /// and nobody knows is added, with memory unknown. Processors with a number beyond 65535 anywhere are left out.
    #[must_use]
    pub fn new(mut cpus: Vec<Cpu>, known: &[Node]) -> Self {
        cpus.retain(|cpu| [cpu.id, cpu.core, cpu.cache, cpu.node].iter().all(|id| *id < CpuSet::MOST));
        cpus.sort_unstable();
        cpus.dedup_by_key(|cpu| cpu.id);
        let ids: BTreeSet<u32> = cpus.iter().map(|cpu| cpu.node).collect();
        let node = |id: u32| {
            known.iter().find(|node| node.id == id).copied().unwrap_or(Node { id, memory: Bytes(0) })
        };
        Self { nodes: ids.into_iter().map(node).collect(), cpus }
    }

    /// The usable processors by number.
    #[must_use]
    pub fn cpus(&self) -> &[Cpu] {
        &self.cpus
    }

    /// Nodes with usable processors, by number.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All usable processors.
    #[must_use]
    pub fn all(&self) -> CpuSet {
        self.cpus.iter().map(|cpu| cpu.id).collect()
    }

    /// The usable processors of a node.
    #[must_use]
    pub fn of_node(&self, node: u32) -> CpuSet {
        self.cpus.iter().filter(|cpu| cpu.node == node).map(|cpu| cpu.id).collect()
    }

    /// Physical cores.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.cpus.iter().map(|cpu| cpu.core).collect::<BTreeSet<_>>().len()
    }

    /// Last-level caches.
    #[must_use]
    pub fn caches(&self) -> usize {
        self.cpus.iter().map(|cpu| cpu.cache).collect::<BTreeSet<_>>().len()
    }
}
