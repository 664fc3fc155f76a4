//! Work made of recorded tasks: what a trace or an earlier run measured, run again on another machine.

use super::work::{Kind, Phase, Task, Work};

/// A task as it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recorded {
    /// Size of its input, bytes; `None` if unknown.
    pub input: Option<u64>,
    /// Run time, s.
    pub seconds: f64,
    /// Largest resident memory, bytes.
    pub peak: f64,
    /// Cores that it kept busy on average; `None` if unknown: one.
    pub cores: Option<f64>,
    /// Bytes read and written; `None` if unknown.
    pub io: Option<f64>,
}

/// Rounds of waiting and computing that a task's life is divided into: nobody knows when it did which.
const ROUNDS: u32 = 4;
/// Share of its peak that a task starts with, and share of its work at which it reaches it: memory grows late.
const BASE: f64 = 0.1;
const PEAK_AT: f64 = 0.9;
/// Bytes a second beyond which the time that a task does not compute counts as time at the disk.
const DISK_BOUND: f64 = 5e6;
/// MB/s of one disk stream where nothing is known.
const RATE: f64 = 200.0;

/// Work that consists of these tasks, in the order given. What a task did beside computing counts as time at the disk
/// where it moved bytes all the while, else as waiting; a task that kept more than one core busy has as many threads.
#[must_use]
pub fn recorded_work(name: &str, tasks: &[Recorded]) -> Work {
    let mut rates: Vec<f64> = tasks.iter().filter_map(disk_rate).collect();
    rates.sort_unstable_by(f64::total_cmp);
    let rate = rates.get(rates.len() / 2).map_or(RATE, |rate| rate / 1e6);
    let streams = tasks.iter().filter(|task| task.io.is_some_and(|io| io > 0.0)).count() * 2 > tasks.len();
    Work {
        name: name.to_owned(),
        tasks: tasks.iter().map(|task| made_of(task, rate)).collect(),
        rate,
        streams,
        duty: 0.02,
    }
}

/// Bytes a second moved while not computing, of a task that is bound by the disk then.
fn disk_rate(task: &Recorded) -> Option<f64> {
    let rest = task.seconds * (1.0 - task.cores.unwrap_or(1.0)).max(0.0);
    let rate = task.io? / rest.max(1e-3);
    (rest > 0.1 * task.seconds && rate > DISK_BOUND).then_some(rate)
}

fn made_of(task: &Recorded, rate: f64) -> Task {
    let seconds = task.seconds.max(0.05);
    let cores = task.cores.unwrap_or(1.0).max(0.0);
    let rest = seconds * (1.0 - cores).max(0.0);
    let other = match disk_rate(task) {
        Some(_) => Phase { kind: Kind::Disk, amount: rest * rate },
        None => Phase { kind: Kind::Wait, amount: rest },
    };
    let cpu = Phase { kind: Kind::Cpu, amount: seconds * cores };
    let mut phases = Vec::new();
    for phase in [other, cpu].repeat(ROUNDS as usize) {
        if phase.amount > 1e-6 {
            phases.push(Phase { amount: phase.amount / f64::from(ROUNDS), ..phase });
        }
    }
    let peak = (task.peak / 1e9).max(1e-6);
    Task {
        phases,
        threads: cores.max(1.0),
        input: task.input.map_or(0.0, |bytes| bytes as f64 / 1e6),
        base: BASE * peak,
        peak,
        peak_at: PEAK_AT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_takes_as_long_alone_as_it_was_measured() {
        let task = |cores, io| Recorded { input: Some(5), seconds: 20.0, peak: 3e9, cores, io };
        let tasks =
            [task(Some(0.25), Some(3e9)), task(Some(4.0), None), task(None, None), task(Some(0.0), None)];
        let work = recorded_work("w", &tasks);
        for task in &work.tasks {
            assert!((work.alone(task) - 20.0).abs() < 1e-6, "{task:?}");
        }
        assert_eq!(work.rate, 200.0, "3 GB in the 15 s that it did not compute");
        assert_eq!((work.tasks[1].threads, work.tasks[1].peak), (4.0, 3.0));
        assert!(work.tasks[3].phases.iter().all(|phase| phase.kind == Kind::Wait));
    }
}
