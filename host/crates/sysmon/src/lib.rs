//! Readers of /proc, control groups and pressure: system-wide and per process tree.
//!
//! [`SystemProbe`] implements the `Probe` port. The figures of CPU, disks and processes come from the kernel's text files
//! through descriptors that stay open: for the per-process ones that is the hot path (one `pread` of less than 1 µs for a
//! process that sleeps). What affinity and control groups make of the machine's memory and processors is read here, too.

#![expect(unsafe_code, reason = "sched_getaffinity has no safe wrapper for more than 1,024 processors")]

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
mod quiet;
mod stat;
mod system;
mod text;
pub mod topology;
mod tree;

pub use cost::SelfCost;
pub use error::ProbeError;
pub use pressure::{Pressure, Stall, pressure};
pub use probe::SystemProbe;
