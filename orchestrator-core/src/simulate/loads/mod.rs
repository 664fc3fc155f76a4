//! Workloads by name and seed.
//!
//! The constants of the control law were set on seeds 1 to 12; other seeds judge it.

mod few;
mod machine_bound;
mod memory_bound;
mod mixed;

use super::chance::Chance;
use super::machine::Machine;
use super::work::{Kind, Phase, Task, Work};

/// A workload: a machine and its work.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// The machine.
    pub machine: Machine,
    /// The work.
    pub work: Work,
}

type Make = fn(&mut Chance) -> Load;

/// Every workload: its name, what it is about, and how it is made.
const LOADS: [(&str, &str, Make); 26] = [
    ("cpu", "CPU-bound", machine_bound::cpu),
    ("sleep", "latency-bound", machine_bound::sleep),
    ("memgrow", "memory grows with size", memory_bound::grow),
    ("memgrow_late", "late peak, unrelated to size", memory_bound::late),
    ("disk", "disk-bound", machine_bound::disk),
    ("membw", "memory-bandwidth-bound, reads its input as it goes", machine_bound::bandwidth),
    ("membw_nostream", "memory-bandwidth-bound, no bytes to be seen", machine_bound::bandwidth_unseen),
    ("mixed", "phases: disk, CPU, wait, disk", mixed::phases),
    ("shift", "CPU-bound files, then latency-bound ones", mixed::shift),
    ("threads4", "four threads each", machine_bound::threads),
    ("background", "other people's load comes and goes", mixed::background),
    ("bimodal", "one in ten needs forty times the memory, unrelated to size", memory_bound::bimodal),
    ("steep", "memory grows faster than size", memory_bound::steep),
    ("few_long", "few, long, large tasks", memory_bound::few_long),
    ("memphases", "small CPU-bound files, then large memory-bound ones", mixed::small_then_large),
    ("tiny", "tasks of one second", machine_bound::tiny),
    ("threads_any", "one to eight threads, unrelated to size", machine_bound::threads_any),
    ("disk_cpu", "reads, then computes about as long", mixed::disk_then_cpu),
    ("half_bandwidth", "every second task bound by memory bandwidth", mixed::half_bandwidth),
    ("flicker", "other people's load every two minutes", mixed::flicker),
    ("two_cores", "two cores, 4 GB, memory grows with size", mixed::two_cores),
    ("few_files", "ten to twenty files of very different size, two cores, little memory", few::files),
    (
        "windows",
        "ten to seventeen files, memory grows up to a window, two cores, little memory",
        few::windows,
    ),
    (
        "texts_images",
        "small texts, then images of three hundred times the size, two cores",
        few::texts_then_images,
    ),
    ("few_images", "sixteen files alike, two cores", few::images),
    ("naps", "naps of half a second to three seconds, two cores", few::naps),
];

/// The names of all workloads.
pub fn names() -> impl Iterator<Item = &'static str> {
    LOADS.iter().map(|(name, _, _)| *name)
}

/// What a workload is about; `None` if there is no such one.
#[must_use]
pub fn about(name: &str) -> Option<&'static str> {
    LOADS.iter().find(|(known, _, _)| *known == name).map(|(_, about, _)| *about)
}

/// A workload by name and seed; `None` if there is no such one.
#[must_use]
pub fn load(name: &str, seed: u64) -> Option<Load> {
    let (_, _, make) = LOADS.iter().find(|(known, _, _)| *known == name)?;
    let mut load = make(&mut Chance::new(seed));
    load.work.name = name.to_owned();
    Some(load)
}

/// A task of small, constant memory.
fn small(chance: &mut Chance, kind: Kind, amount: f64, input: f64) -> Task {
    Task {
        phases: vec![Phase { kind, amount }],
        threads: 1.0,
        input,
        base: 0.05,
        peak: 0.15 * (0.2 * chance.normal()).exp(),
        peak_at: 0.3,
    }
}

/// A number around 1 by which an input size strays from what it stands for.
fn stray(chance: &mut Chance, sigma: f64) -> f64 {
    (sigma * chance.normal()).exp()
}

fn work(tasks: Vec<Task>, streams: bool) -> Work {
    Work { name: String::new(), tasks, rate: 200.0, streams, duty: 0.05 }
}

fn many(count: usize, chance: &mut Chance, mut task: impl FnMut(&mut Chance) -> Task) -> Vec<Task> {
    (0..count).map(|_| task(chance)).collect()
}
