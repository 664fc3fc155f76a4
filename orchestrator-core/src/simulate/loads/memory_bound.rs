//! Workloads bound by memory.

use super::{Load, many, stray, work};
use crate::simulate::{Chance, Kind, Machine, Phase, Task};

fn task(seconds: f64, input: f64, peak: f64, peak_at: f64) -> Task {
    let phases = vec![Phase { kind: Kind::Cpu, amount: seconds }];
    Task { phases, threads: 1.0, input, base: 0.1, peak: peak.max(0.1), peak_at }
}

pub(super) fn grow(chance: &mut Chance) -> Load {
    let tasks = many(400, chance, |chance| {
        let size = chance.log_normal(1.0, 0.8);
        let peak = (4.0 * size * stray(chance, 0.15)).min(40.0);
        let peak_at = chance.uniform(0.3, 0.97);
        task(40.0 * size.powf(0.8), size * 400.0, peak, peak_at)
    });
    Load { machine: Machine::default(), work: work(tasks, true) }
}

pub(super) fn late(chance: &mut Chance) -> Load {
    let tasks = many(400, chance, |chance| {
        let peak = (4.0 * chance.log_normal(1.0, 0.8)).min(40.0);
        let seconds = 40.0 * chance.log_normal(1.0, 0.4);
        task(seconds, 400.0 * stray(chance, 0.05), peak, 0.94)
    });
    Load { machine: Machine::default(), work: work(tasks, true) }
}

pub(super) fn bimodal(chance: &mut Chance) -> Load {
    let tasks = many(600, chance, |chance| {
        let large = chance.uniform(0.0, 1.0) < 0.1;
        let peak = if large { 12.0 } else { 0.3 } * stray(chance, 0.1);
        task(chance.log_normal(30.0, 0.4), 300.0 * stray(chance, 0.3), peak, 0.7)
    });
    Load { machine: Machine::default(), work: work(tasks, true) }
}

pub(super) fn steep(chance: &mut Chance) -> Load {
    let tasks = many(400, chance, |chance| {
        let size = chance.log_normal(1.0, 0.6);
        let peak = (3.0 * size.powf(1.4) * stray(chance, 0.1)).min(40.0);
        let peak_at = chance.uniform(0.5, 0.99);
        task(30.0 * size, size * 400.0, peak, peak_at)
    });
    Load { machine: Machine::default(), work: work(tasks, true) }
}

pub(super) fn few_long(chance: &mut Chance) -> Load {
    let tasks = many(60, chance, |chance| {
        let size = chance.log_normal(1.0, 0.5);
        let peak = (6.0 * size * stray(chance, 0.2)).min(30.0);
        task(400.0 * size, size * 4000.0, peak, 0.8)
    });
    Load { machine: Machine::default(), work: work(tasks, true) }
}
