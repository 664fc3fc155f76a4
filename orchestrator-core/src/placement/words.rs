//! The machine and the user's wish in words, for `check`.

use super::{Placement, Topology};

/// The machine: `2 NUMA nodes, 16 cores, 32 CPUs, 2 last-level caches`.
#[must_use]
pub fn summary(topology: &Topology) -> String {
    if topology.cpus().is_empty() {
        return "the kernel does not tell which CPUs may be used".to_owned();
    }
    [
        (topology.nodes().len(), "NUMA node"),
        (topology.cores(), "core"),
        (topology.cpus().len(), "CPU"),
        (topology.caches(), "last-level cache"),
    ]
    .map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" }))
    .join(", ")
}

/// What the wish means on this machine.
#[must_use]
pub fn meaning(rule: Placement, topology: &Topology) -> String {
    let nodes = || {
        let one = |node: &super::Node| format!("node {}: CPUs {}", node.id, topology.of_node(node.id));
        topology.nodes().iter().map(one).collect::<Vec<_>>().join("; ")
    };
    let several = topology.nodes().len() > 1;
    match rule {
        Placement::None => "none: left to the kernel".to_owned(),
        _ if topology.cpus().is_empty() => format!("{rule}: left to the kernel, the CPUs are not known"),
        Placement::Auto if several => {
            format!(
                "auto: one node for each process that fits into one, once it is known what they need ({})",
                nodes()
            )
        }
        Placement::Node if several => format!("node: one for each process ({})", nodes()),
        Placement::Auto | Placement::Node => format!("{rule}: left to the kernel, there is one NUMA node"),
        Placement::Core(count) if count as usize >= topology.cpus().len() => {
            format!("{rule}: left to the kernel, that is all CPUs there are")
        }
        Placement::Core(1) => format!("core: one CPU for each process, out of {}", topology.all()),
        Placement::Core(count) => format!("{rule}: {count} CPUs for each process, out of {}", topology.all()),
    }
}
