//! Where a process runs: which processors the next attempt is given.
//!
//! - [`Topology`] is the machine as it was read: processors with their physical core, last-level cache and memory node.
//! - [`Placement`] is what the user wants (`concurrency.placement`).
//! - [`Placer`] decides, attempt by attempt, and knows what is where.
//! - [`CpuSet`] is a set of processors, as the kernel takes and writes it.
//!
//! Pure: the topology comes in as an event, the set of processors leaves with the launch command.
//!
//! Invariants
//! - A place lies within the processors of the topology, which are those that the host itself may use.
//! - Under `core` no processor is given to one more attempt while another one holds fewer. That comes before nearness: the
//!   processors of one attempt lie on one node only as long as one has enough of those that the fewest hold.
//! - An attempt without a place inherits the host's processors: the kernel decides, as if nobody had asked.
//! - What an attempt held is free again when its slot is.

mod cpu_set;
mod placer;
mod rule;
mod topology;
mod words;

pub use cpu_set::CpuSet;
pub use placer::{Needs, Place, Placer};
pub use rule::Placement;
pub use topology::{Cpu, Node, Topology};
pub use words::{meaning, summary};

#[cfg(test)]
mod tests;
