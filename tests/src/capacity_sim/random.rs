//! Workloads made up at random, as different from each other as they come: the adversary of the control law.
//!
//! A seed is a universe: a machine (2 to 64 cores), one to three classes of tasks, each with phases of its own, run times
//! (0.2 s to 10 min, light or heavy tails), a law of memory (constant, growing with size, unrelated to it, two kinds) and
//! an input that tells much, little or nothing; mixed, one after the other, or sorted by size; other people's load in
//! some. Sizes of all are drawn so that memory, cores, disk or nothing binds, about equally often.

use orchestrator_core::simulate::loads::Load;
use orchestrator_core::simulate::{Background, Chance, Kind, Machine, Phase, Task, Work};

/// Cores and memory (GB) of machines.
const MACHINES: [(f64, f64); 7] =
    [(2.0, 4.0), (4.0, 8.0), (8.0, 32.0), (16.0, 32.0), (16.0, 64.0), (32.0, 128.0), (64.0, 256.0)];
/// Tasks: fewest, most.
const TASKS: (f64, f64) = (20.0, 5000.0);
/// Mean run time of a class alone, s.
const SECONDS: (f64, f64) = (0.2, 600.0);
/// Seconds that all tasks together take on all cores: least, most.
const ALL: (f64, f64) = (150.0, 6000.0);
/// What all cores' tasks need at their peaks, as a multiple of the memory.
const PRESSURE: (f64, f64) = (0.02, 4.0);
/// No task needs more than this share of the memory.
const LARGEST: f64 = 0.55;

/// How the memory of a class goes with its inputs.
#[derive(Clone, Copy, Debug)]
enum Memory {
    Constant,
    Grows { power: f64, stray: f64 },
    Unrelated { sigma: f64 },
    Bimodal { share: f64, factor: f64 },
}

/// What is common to the tasks of a class.
#[derive(Clone, Debug)]
struct Class {
    /// Share of each phase, and its kind.
    phases: Vec<(Kind, f64)>,
    threads: f64,
    seconds: f64,
    sigma: f64,
    /// Run time goes with size to this power; 0 = unrelated.
    time_power: f64,
    /// Mean input, MB; 0 = unknown.
    input: f64,
    memory: Memory,
    /// Mean peak, GB.
    peak: f64,
    peak_at: (f64, f64),
}

fn log_uniform(chance: &mut Chance, (low, high): (f64, f64)) -> f64 {
    chance.uniform(low.ln(), high.ln()).exp()
}

fn likely(chance: &mut Chance, share: f64) -> bool {
    chance.uniform(0.0, 1.0) < share
}

fn any<T: Copy>(chance: &mut Chance, items: &[T]) -> T {
    items[chance.below(items.len())]
}

/// The workload of a universe.
#[must_use]
pub fn random(seed: u64) -> Load {
    let chance = &mut Chance::new(seed ^ 0x00c0_ffee);
    let machine = machine(chance);
    let streams = likely(chance, 0.5);
    let rate = log_uniform(chance, (50.0, 500.0)).min(machine.disk);
    let classes = 1 + chance.below(3);
    let seconds = log_uniform(chance, SECONDS);
    let input = if likely(chance, 0.1) { 0.0 } else { log_uniform(chance, (1.0, 3000.0)) };
    let classes: Vec<Class> = (0..classes).map(|_| class(chance, &machine, seconds, input)).collect();
    let mean = classes.iter().map(|class| class.seconds).sum::<f64>() / classes.len() as f64;
    let most = (ALL.1 * machine.cores / mean).clamp(TASKS.0, TASKS.1);
    let fewest = (ALL.0 * machine.cores / mean).clamp(TASKS.0, most);
    let count = log_uniform(chance, (fewest, most * 1.001)) as usize;
    let tasks = tasks(chance, &classes, count, &machine, rate);
    Load { machine, work: Work { name: format!("universe {seed}"), tasks, rate, streams, duty: 0.05 } }
}

fn machine(chance: &mut Chance) -> Machine {
    let (cores, memory) = any(chance, &MACHINES);
    let background = if likely(chance, 0.3) {
        let every = if likely(chance, 0.5) { chance.uniform(40.0, 400.0) } else { 0.0 };
        let from = chance.uniform(0.0, if every > 0.0 { 0.6 * every } else { 300.0 });
        Background {
            cores: cores * chance.uniform(0.0, 0.6),
            memory: memory * chance.uniform(0.0, 0.25),
            from,
            until: from + chance.uniform(20.0, if every > 0.0 { every - from + 20.0 } else { 600.0 }),
            every,
        }
    } else {
        Background::default()
    };
    Machine {
        cores,
        memory,
        disk: log_uniform(chance, (150.0, 3000.0)),
        disk_streams: 1.0 + chance.below(10) as f64,
        disk_loss: chance.uniform(0.0, 0.15),
        bandwidth_streams: (cores * chance.uniform(0.2, 0.8)).ceil(),
        background,
        system_memory: (0.02 * memory).max(0.2),
        ..Machine::default()
    }
}

fn class(chance: &mut Chance, machine: &Machine, seconds: f64, input: f64) -> Class {
    let kinds = [Kind::Cpu, Kind::Cpu, Kind::Cpu, Kind::Bandwidth, Kind::Disk, Kind::Wait];
    let phases = if likely(chance, 0.5) { 1 } else { 2 + chance.below(3) };
    let phases = (0..phases).map(|_| (any(chance, &kinds), chance.uniform(0.1, 1.0))).collect();
    let threads =
        if likely(chance, 0.75) { 1.0 } else { (2.0 + chance.below(6) as f64).min(0.5 * machine.cores) };
    let pressure = log_uniform(chance, PRESSURE);
    let memory = match chance.below(6) {
        0 | 1 => Memory::Constant,
        2 | 3 => Memory::Grows { power: chance.uniform(0.3, 1.5), stray: chance.uniform(0.02, 0.3) },
        4 => Memory::Unrelated { sigma: chance.uniform(0.3, 1.0) },
        _ => Memory::Bimodal { share: chance.uniform(0.03, 0.4), factor: chance.uniform(5.0, 50.0) },
    };
    let peak_at = chance.uniform(0.1, 0.95);
    Class {
        phases,
        threads: threads.max(1.0).floor(),
        seconds: (seconds * log_uniform(chance, (0.3, 3.0))).clamp(SECONDS.0, SECONDS.1),
        sigma: any(chance, &[0.1, 0.3, 0.5, 0.8, 1.2]),
        time_power: any(chance, &[0.0, 0.7, 1.0, 1.0]),
        input: input * log_uniform(chance, (0.2, 5.0)),
        memory,
        peak: pressure * machine.memory / machine.cores,
        peak_at: (peak_at, chance.uniform(peak_at, 0.99)),
    }
}

fn tasks(chance: &mut Chance, classes: &[Class], count: usize, machine: &Machine, rate: f64) -> Vec<Task> {
    let in_turn = classes.len() > 1 && likely(chance, 0.3);
    let mut tasks: Vec<Task> = (0..count)
        .map(|at| {
            let class = if in_turn { at * classes.len() / count } else { chance.below(classes.len()) };
            task(chance, &classes[class], machine, rate)
        })
        .collect();
    if !in_turn && likely(chance, 0.2) {
        tasks.sort_by(|a, b| a.input.total_cmp(&b.input));
        if likely(chance, 0.5) {
            tasks.reverse();
        }
    }
    tasks
}

fn task(chance: &mut Chance, class: &Class, machine: &Machine, rate: f64) -> Task {
    let size = chance.log_normal(1.0, class.sigma);
    let time = if class.time_power > 0.0 {
        size.powf(class.time_power) * (0.1 * chance.normal()).exp()
    } else {
        chance.log_normal(1.0, class.sigma)
    };
    let seconds = (class.seconds * time).clamp(0.05, 10.0 * class.seconds);
    let whole: f64 = class.phases.iter().map(|(_, share)| share).sum();
    let phases = class.phases.iter().map(|(kind, share)| {
        let seconds = seconds * share / whole;
        let amount = match kind {
            Kind::Cpu | Kind::Bandwidth => seconds * class.threads,
            Kind::Disk => seconds * rate,
            Kind::Wait => seconds,
        };
        Phase { kind: *kind, amount }
    });
    let peak = match class.memory {
        Memory::Constant => (0.1 * chance.normal()).exp(),
        Memory::Grows { power, stray } => size.powf(power) * (stray * chance.normal()).exp(),
        Memory::Unrelated { sigma } => chance.log_normal(1.0, sigma),
        Memory::Bimodal { share, factor } => {
            let large = if likely(chance, share) { factor } else { 1.0 };
            large / (1.0 + share * (factor - 1.0)) * (0.1 * chance.normal()).exp()
        }
    };
    let peak = (class.peak * peak).clamp(0.002, LARGEST * machine.memory);
    Task {
        phases: phases.collect(),
        threads: class.threads,
        input: class.input * size,
        base: (0.05 * peak).min(0.1),
        peak,
        peak_at: chance.uniform(class.peak_at.0, class.peak_at.1),
    }
}
