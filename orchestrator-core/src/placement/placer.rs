//! The decision: which processors the next attempt is given.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Cpu, CpuSet, Placement, Topology};
use crate::AttemptId;
use crate::outlook::Promise;

/// Under `auto`, a process that keeps this share of a node's processors busy may want more of them than it can show
/// there, and is left free.
const FILLS: f64 = 0.9;

/// What the next attempt is expected to need.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Needs {
    /// Cores that it keeps busy; `None` while nothing is known.
    pub cores: Option<f64>,
    /// Its peak memory, bytes; 0 while nothing is known.
    pub memory: f64,
}

impl Needs {
    /// By what is expected of a task of this size before it runs: mean cores over its run time, and the memory that 95 of
    /// 100 like it stay below.
    #[must_use]
    pub fn promised(promise: Option<&Promise>) -> Self {
        let Some(promise) = promise else { return Self::default() };
        let cores = promise.cpu_seconds.p50 / promise.seconds.p50;
        let known = |value: f64| value.is_finite() && value >= 0.0;
        let memory = Some(promise.peak_bytes.p95).filter(|memory| known(*memory)).unwrap_or(0.0);
        Self { cores: Some(cores).filter(|cores| known(*cores)), memory }
    }
}

/// Where an attempt runs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The memory node that it was given as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// Its processors, as a list such as `0-3,8`.
    pub cpus: CpuSet,
}

/// A place that is held, and what is reserved there.
#[derive(Clone, Debug)]
struct Held {
    place: Place,
    cores: f64,
    memory: f64,
}

/// Reservations on a node.
#[derive(Clone, Copy, Debug, Default)]
struct Reserved {
    attempts: u32,
    cores: f64,
    memory: f64,
}

/// Gives places to attempts and takes them back. With nothing to decide (`none`, one node) it costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Placer {
    rule: Placement,
    topology: Topology,
    held: BTreeMap<AttemptId, Held>,
    /// Attempts that hold the processor, by position in the topology (`core`).
    on_cpu: Vec<u32>,
    /// Reservations, by position of the node in the topology (`node`).
    on_node: Vec<Reserved>,
}

impl Placer {
    /// Nothing is known of the machine yet: everything is left to the kernel.
    #[must_use]
    pub fn new(rule: Placement) -> Self {
        Self { rule, ..Self::default() }
    }

    /// The user's wish has changed; it holds from the next attempt.
    pub fn set_rule(&mut self, rule: Placement) {
        self.rule = rule;
    }

    /// The machine is as it was read now. Running attempts keep what they hold as far as it exists.
    pub fn set_topology(&mut self, topology: Topology) {
        self.on_cpu = vec![0; topology.cpus().len()];
        self.on_node = vec![Reserved::default(); topology.nodes().len()];
        self.topology = topology;
        let held = std::mem::take(&mut self.held);
        held.values().for_each(|one| self.count(one, true));
        self.held = held;
    }

    /// Where the attempt is.
    #[must_use]
    pub fn place_of(&self, attempt: AttemptId) -> Option<&Place> {
        self.held.get(&attempt).map(|held| &held.place)
    }

    /// Whether no attempt holds a place.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    /// Chooses a place for an attempt and notes it; `None` leaves it free. `needs` is asked only where it matters.
    pub fn place(&mut self, attempt: AttemptId, needs: impl FnOnce() -> Needs) -> Option<&Place> {
        let held = match self.rule {
            Placement::Auto | Placement::Node if self.topology.nodes().len() > 1 => self.on_a_node(needs())?,
            Placement::Core(count) if (count as usize) < self.topology.cpus().len() => {
                let cpus = self.some_cpus(count as usize);
                Held { place: Place { node: None, cpus }, cores: f64::from(count), memory: 0.0 }
            }
            _ => return None,
        };
        self.release(attempt);
        self.count(&held, true);
        Some(&self.held.entry(attempt).or_insert(held).place)
    }

    /// The attempt's process is gone.
    pub fn release(&mut self, attempt: AttemptId) {
        if let Some(held) = self.held.remove(&attempt) {
            self.count(&held, false);
        }
    }

    fn count(&mut self, held: &Held, more: bool) {
        let Place { node, cpus } = &held.place;
        if let Some(node) = node {
            let Some(at) = self.topology.nodes().iter().position(|one| one.id == *node) else { return };
            let (on, sign) = (&mut self.on_node[at], if more { 1.0 } else { -1.0 });
            on.attempts = if more { on.attempts + 1 } else { on.attempts.saturating_sub(1) };
            // Nothing is left of nobody, whatever rounding left.
            let left = if on.attempts == 0 { 0.0 } else { 1.0 };
            on.cores = left * (on.cores + sign * held.cores);
            on.memory = left * (on.memory + sign * held.memory);
            return;
        }
        for cpu in cpus.iter() {
            if let Ok(at) = self.topology.cpus().binary_search_by_key(&cpu, |one| one.id) {
                let on = &mut self.on_cpu[at];
                *on = if more { *on + 1 } else { on.saturating_sub(1) };
            }
        }
    }

    /// The node that the attempt leaves with the largest free share of what is scarcer there, processors or memory; none
    /// if no node is large enough for it.
    fn on_a_node(&self, needs: Needs) -> Option<Held> {
        let auto = self.rule == Placement::Auto;
        let cores = if auto { needs.cores? } else { needs.cores.unwrap_or(1.0) };
        let full = if auto { FILLS } else { 1.0 };
        let taken = |at: usize| {
            let node = self.topology.nodes()[at];
            let cpus = self.topology.cpus().iter().filter(|cpu| cpu.node == node.id).count() as f64;
            let (size, on) = (node.memory.0 as f64, self.on_node[at]);
            let fits = cores <= full * cpus.max(1.0 / full) && (size <= 0.0 || needs.memory <= size);
            let by_memory = if size > 0.0 { (on.memory + needs.memory) / size } else { 0.0 };
            let share = by_memory.max((on.cores + cores) / cpus);
            fits.then_some((share, on.attempts, at))
        };
        let (_, _, at) = (0..self.on_node.len())
            .filter_map(taken)
            .min_by(|a, b| a.0.total_cmp(&b.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))))?;
        let node = self.topology.nodes()[at].id;
        let place = Place { node: Some(node), cpus: self.topology.of_node(node) };
        Some(Held { place, cores, memory: needs.memory })
    }

    /// So many processors, fewer than there are: those that the fewest hold; of these first of cores, then of nodes and
    /// caches, that are idle otherwise. The second and further ones lie near the first.
    fn some_cpus(&self, count: usize) -> CpuSet {
        let cpus = self.topology.cpus();
        let mut sums = Sums::of(cpus, &self.on_cpu);
        let mut left: Vec<usize> = (0..cpus.len()).collect();
        let mut chosen: Vec<Cpu> = Vec::with_capacity(count);
        while chosen.len() < count {
            let first = chosen.first();
            let key = |at: usize| {
                let cpu = cpus[at];
                let far =
                    first.map_or([false; 2], |first| [cpu.node != first.node, cpu.cache != first.cache]);
                let cramped = first.is_none() && sums.least_on_node(cpu) < count;
                let [core, node, cache] = [sums.core(cpu), sums.node(cpu), sums.cache(cpu)];
                (self.on_cpu[at], far[0], cramped, core, far[1], node, cache, cpu.id)
            };
            let Some(next) = (0..left.len()).min_by_key(|next| key(left[*next])) else { break };
            let cpu = cpus[left.swap_remove(next)];
            sums.one_more_on(cpu);
            chosen.push(cpu);
        }
        chosen.into_iter().map(|cpu| cpu.id).collect()
    }
}

/// How much is held of what processors share: attempts and processors by the number of the core, the node, the cache.
struct Sums {
    core: Vec<(u32, u32)>,
    node: Vec<(u32, u32)>,
    cache: Vec<(u32, u32)>,
    /// By node, processors that as few hold as any, before the attempt in hand got its first.
    least: Vec<usize>,
}

impl Sums {
    fn of(cpus: &[Cpu], on: &[u32]) -> Self {
        let room = |id: fn(&Cpu) -> u32| cpus.iter().map(id).max().map_or(0, |most| most as usize + 1);
        let [cores, nodes, caches] = [room(|cpu| cpu.core), room(|cpu| cpu.node), room(|cpu| cpu.cache)];
        let nothing = |room: usize| vec![(0, 0); room];
        let (core, node, cache) = (nothing(cores), nothing(nodes), nothing(caches));
        let mut sums = Self { core, node, cache, least: vec![0; nodes] };
        let least = on.iter().min().copied().unwrap_or(0);
        for (cpu, on) in cpus.iter().zip(on) {
            let shared =
                [(&mut sums.core, cpu.core), (&mut sums.node, cpu.node), (&mut sums.cache, cpu.cache)];
            for (sums, id) in shared {
                let sum = &mut sums[id as usize];
                *sum = (sum.0 + on, sum.1 + 1);
            }
            sums.least[cpu.node as usize] += usize::from(*on == least);
        }
        sums
    }

    /// Another attempt holds the processor.
    fn one_more_on(&mut self, cpu: Cpu) {
        self.core[cpu.core as usize].0 += 1;
        self.node[cpu.node as usize].0 += 1;
        self.cache[cpu.cache as usize].0 += 1;
    }

    /// Attempts per processor, in 65536ths.
    fn share((on, cpus): (u32, u32)) -> u64 {
        (u64::from(on) << 16) / u64::from(cpus.max(1))
    }

    fn core(&self, cpu: Cpu) -> u64 {
        Self::share(self.core[cpu.core as usize])
    }

    fn node(&self, cpu: Cpu) -> u64 {
        Self::share(self.node[cpu.node as usize])
    }

    fn cache(&self, cpu: Cpu) -> u64 {
        Self::share(self.cache[cpu.cache as usize])
    }

    fn least_on_node(&self, cpu: Cpu) -> usize {
        self.least[cpu.node as usize]
    }
}
