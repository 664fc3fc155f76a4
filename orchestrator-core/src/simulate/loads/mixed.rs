//! Workloads of several kinds, in one task, one after the other, or beside other people's.

use super::{Load, many, small, stray, work};
use crate::simulate::{Background, Chance, Kind, Machine, Phase, Task};

fn phase(kind: Kind, amount: f64) -> Phase {
    Phase { kind, amount }
}

pub(super) fn phases(chance: &mut Chance) -> Load {
    let tasks = many(500, chance, |chance| {
        let size = chance.log_normal(1.0, 0.5);
        Task {
            phases: vec![
                phase(Kind::Disk, 600.0 * size),
                phase(Kind::Cpu, 15.0 * size),
                phase(Kind::Wait, 10.0 * size),
                phase(Kind::Disk, 200.0 * size),
            ],
            threads: 1.0,
            input: 600.0 * size,
            base: 0.1,
            peak: 1.5 * size * stray(chance, 0.2),
            peak_at: 0.6,
        }
    });
    Load { machine: Machine::default(), work: work(tasks, false) }
}

pub(super) fn shift(chance: &mut Chance) -> Load {
    let mut one = |kind: Kind, count: usize| {
        many(count, chance, |chance| {
            let seconds = chance.log_normal(20.0, 0.5);
            let input = seconds * 4.0 * stray(chance, 0.1);
            small(chance, kind, seconds, input)
        })
    };
    let mut tasks = one(Kind::Cpu, 300);
    tasks.extend(one(Kind::Wait, 1500));
    Load { machine: Machine::default(), work: work(tasks, false) }
}

fn beside(chance: &mut Chance, background: Background) -> Load {
    let tasks = many(700, chance, |chance| {
        let seconds = chance.log_normal(20.0, 0.6);
        let mut task = small(chance, Kind::Cpu, seconds, seconds * 5.0);
        task.base = 0.1;
        task.peak = 2.2 * stray(chance, 0.3);
        task.peak_at = 0.5;
        task
    });
    Load { machine: Machine { background, ..Machine::default() }, work: work(tasks, true) }
}

pub(super) fn background(chance: &mut Chance) -> Load {
    beside(chance, Background { cores: 8.0, memory: 16.0, from: 150.0, until: 450.0, every: 0.0 })
}

pub(super) fn flicker(chance: &mut Chance) -> Load {
    beside(chance, Background { cores: 6.0, memory: 12.0, from: 60.0, until: 120.0, every: 120.0 })
}

pub(super) fn small_then_large(chance: &mut Chance) -> Load {
    let mut tasks = many(400, chance, |chance| {
        let seconds = chance.log_normal(10.0, 0.5);
        small(chance, Kind::Cpu, seconds, seconds)
    });
    tasks.extend(many(150, chance, |chance| {
        let size = chance.log_normal(1.0, 0.5);
        let mut task = small(chance, Kind::Cpu, 60.0 * size, 1000.0 * size);
        task.peak = (6.0 * size * stray(chance, 0.15)).min(40.0);
        task.peak_at = 0.8;
        task
    }));
    Load { machine: Machine::default(), work: work(tasks, true) }
}

pub(super) fn disk_then_cpu(chance: &mut Chance) -> Load {
    let tasks = many(500, chance, |chance| {
        let size = chance.log_normal(1.0, 0.5);
        let mut task = small(chance, Kind::Disk, 1500.0 * size, 1500.0 * size);
        task.phases.push(phase(Kind::Cpu, 8.0 * size));
        task
    });
    Load { machine: Machine::default(), work: work(tasks, false) }
}

pub(super) fn half_bandwidth(chance: &mut Chance) -> Load {
    let mut number = 0;
    let tasks = many(500, chance, |chance| {
        number += 1;
        let kind = if number % 2 == 0 { Kind::Bandwidth } else { Kind::Cpu };
        let seconds = chance.log_normal(20.0, 0.5);
        let input = seconds * 50.0 * stray(chance, 0.1);
        small(chance, kind, seconds, input)
    });
    Load { machine: Machine { cores: 32.0, ..Machine::default() }, work: work(tasks, true) }
}

pub(super) fn two_cores(chance: &mut Chance) -> Load {
    let tasks = many(150, chance, |chance| {
        let size = chance.log_normal(1.0, 0.6);
        let mut task = small(chance, Kind::Cpu, 15.0 * size, 100.0 * size);
        task.base = 0.05;
        task.peak = (1.0 * size * stray(chance, 0.15)).min(2.2);
        task.peak_at = 0.8;
        task
    });
    let machine = Machine { cores: 2.0, memory: 4.0, system_memory: 0.3, disk: 300.0, ..Machine::default() };
    Load { machine, work: work(tasks, true) }
}
