//! Readers of /proc, control groups and pressure: system-wide and per process tree.
//!
//! [`SystemProbe`] implements the `Probe` port. The figures of CPU, disks and processes come from the kernel's text files
//! directly: for the per-process ones that is the hot path (kept-open descriptors and `pread`, about 2 µs a process and
//! sample). Memory and load of the machine come from sysinfo; what affinity and control groups make of them is read here.

mod cgroup;
mod cost;
mod cpu;
mod discover;
mod disk;
mod error;
mod member;
mod memory;
mod pressure;
mod probe;
mod stat;
mod system;
mod text;
mod tree;

pub use cost::SelfCost;
pub use error::ProbeError;
pub use pressure::{Pressure, Stall, pressure};
pub use probe::SystemProbe;
