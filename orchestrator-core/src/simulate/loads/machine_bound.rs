//! Workloads bound by one thing that is not memory.

use super::{Load, many, small, stray, work};
use crate::simulate::{Chance, Kind, Machine};

pub(super) fn cpu(chance: &mut Chance) -> Load {
    let tasks = many(800, chance, |chance| {
        let seconds = chance.log_normal(20.0, 0.6);
        let input = seconds * 5.0 * stray(chance, 0.1);
        small(chance, Kind::Cpu, seconds, input)
    });
    Load { machine: Machine::default(), work: work(tasks, true) }
}

pub(super) fn sleep(chance: &mut Chance) -> Load {
    let tasks = many(3000, chance, |chance| {
        let seconds = chance.log_normal(20.0, 0.5);
        let input = seconds * 3.0 * stray(chance, 0.1);
        small(chance, Kind::Wait, seconds, input)
    });
    Load { machine: Machine::default(), work: work(tasks, false) }
}

pub(super) fn disk(chance: &mut Chance) -> Load {
    let tasks = many(500, chance, |chance| {
        let size = chance.log_normal(2000.0, 0.5);
        small(chance, Kind::Disk, size, size)
    });
    Load { machine: Machine::default(), work: work(tasks, false) }
}

pub(super) fn bandwidth(chance: &mut Chance) -> Load {
    let tasks = many(500, chance, |chance| {
        let seconds = chance.log_normal(20.0, 0.5);
        let input = seconds * 50.0 * stray(chance, 0.1);
        small(chance, Kind::Bandwidth, seconds, input)
    });
    Load { machine: Machine { cores: 32.0, ..Machine::default() }, work: work(tasks, true) }
}

pub(super) fn bandwidth_unseen(chance: &mut Chance) -> Load {
    let mut load = bandwidth(chance);
    load.work.streams = false;
    load
}

pub(super) fn threads(chance: &mut Chance) -> Load {
    let tasks = many(250, chance, |chance| {
        let seconds = chance.log_normal(60.0, 0.5);
        let mut task = small(chance, Kind::Cpu, seconds, seconds * 5.0);
        task.threads = 4.0;
        task.peak *= 6.0;
        task.peak_at = 0.5;
        task
    });
    Load { machine: Machine::default(), work: work(tasks, true) }
}

pub(super) fn threads_any(chance: &mut Chance) -> Load {
    let tasks = many(300, chance, |chance| {
        let seconds = chance.log_normal(60.0, 0.5);
        let input = chance.log_normal(300.0, 0.5);
        let mut task = small(chance, Kind::Cpu, seconds, input);
        task.threads = 1.0 + chance.below(8) as f64;
        task
    });
    Load { machine: Machine::default(), work: work(tasks, true) }
}

pub(super) fn tiny(chance: &mut Chance) -> Load {
    let tasks = many(6000, chance, |chance| {
        let seconds = chance.log_normal(1.0, 0.5);
        let input = seconds * 5.0 * stray(chance, 0.1);
        small(chance, Kind::Cpu, seconds, input)
    });
    Load { machine: Machine::default(), work: work(tasks, true) }
}
