//! Little work on a small machine: it is over before much could be learned. All cores may be busy here.

use super::{Load, many, small, stray, work};
use crate::simulate::{Chance, Kind, Machine, Phase, Task};

fn machine(memory: f64) -> Machine {
    let machine = Machine { cores: 2.0, memory, system_memory: 0.02, disk: 300.0, ..Machine::default() };
    Machine { cpu_threshold: 1.0, ..machine }
}

/// Like a compressor with a large window: memory grows with the file until the end, evenly spread sizes over a factor of
/// forty, the largest needs four to eight tenths of what is allowed.
pub(super) fn files(chance: &mut Chance) -> Load {
    let count = 10 + chance.below(11);
    let power = chance.uniform(0.8, 1.1);
    let spread = chance.uniform(0.02, 0.1);
    let mut places: Vec<usize> = (0..count).collect();
    chance.shuffle(&mut places);
    let tasks = places.into_iter().map(|place| {
        let size = 40f64.powf(place as f64 / (count - 1) as f64);
        let phases = vec![Phase { kind: Kind::Cpu, amount: 0.25 * size * stray(chance, 0.05) }];
        let peak = 0.01 * size.powf(power) * stray(chance, spread);
        Task { phases, threads: 1.0, input: size, base: 0.003, peak: peak.max(0.003), peak_at: 0.97 }
    });
    let tasks: Vec<Task> = tasks.collect();
    let largest = tasks.iter().map(|task| task.peak).fold(0.0, f64::max);
    let memory = largest / chance.uniform(0.4, 0.8) / 0.75;
    Load { machine: machine(memory), work: work(tasks, true) }
}

/// Like a compressor with a window: memory grows with the file up to the window, which the largest files exceed.
pub(super) fn windows(chance: &mut Chance) -> Load {
    let count = 10 + chance.below(8);
    let window = chance.uniform(20.0, 100.0);
    let mut sizes: Vec<f64> = (0..count).map(|place| 80f64.powf(place as f64 / (count - 1) as f64)).collect();
    chance.shuffle(&mut sizes);
    let tasks: Vec<Task> = sizes.into_iter().map(|size| compress(chance, size, window)).collect();
    let largest = tasks.iter().map(|task| task.peak).fold(0.0, f64::max);
    Load { machine: machine(largest / chance.uniform(0.3, 0.85) / 0.75), work: work(tasks, true) }
}

/// Small texts, then a few images some three hundred times as large.
pub(super) fn texts_then_images(chance: &mut Chance) -> Load {
    let mut tasks = many(30 + chance.below(40), chance, |chance| compress(chance, 0.125, 64.0));
    tasks.extend(many(5 + chance.below(5), chance, |chance| {
        let size = 36.0 * stray(chance, 0.03);
        compress(chance, size, 64.0)
    }));
    let largest = tasks.iter().map(|task| task.peak).fold(0.0, f64::max);
    Load { machine: machine(largest * chance.uniform(1.6, 4.0) / 0.75), work: work(tasks, true) }
}

/// `xz -9e` of files of this many MB as measured: 0.14 s and 9 MB for each MB of a window's worth, 25 MB and 0.05 s besides.
fn compress(chance: &mut Chance, size: f64, window: f64) -> Task {
    Task {
        phases: vec![Phase { kind: Kind::Cpu, amount: 0.05 + 0.14 * size * stray(chance, 0.05) }],
        threads: 1.0,
        input: size,
        base: 0.025,
        peak: 0.025 + 0.009 * size.min(window) * stray(chance, 0.02),
        peak_at: (window / size).min(0.97),
    }
}

pub(super) fn images(chance: &mut Chance) -> Load {
    let seconds = chance.uniform(0.3, 3.0);
    let tasks = many(16, chance, |chance| {
        let seconds = seconds * stray(chance, 0.05);
        let mut task = small(chance, Kind::Cpu, seconds, 8.0);
        task.peak = 0.05 * stray(chance, 0.02);
        task
    });
    Load { machine: machine(0.5), work: work(tasks, false) }
}

pub(super) fn naps(chance: &mut Chance) -> Load {
    let seconds = chance.uniform(0.5f64.ln(), 3f64.ln()).exp();
    let count = 1000 + chance.below(2000);
    let tasks = many(count, chance, |chance| {
        let seconds = seconds * stray(chance, 0.1);
        let mut task = small(chance, Kind::Wait, seconds, 0.001);
        (task.base, task.peak) = (0.001, 0.002);
        task
    });
    let mut load = Load { machine: machine(0.5), work: work(tasks, false) };
    load.work.duty = 0.003;
    load
}
