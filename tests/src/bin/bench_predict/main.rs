//! What a prediction costs with 300 kept results, and a reading of the control law with 1,000 running tasks.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use orchestrator_core::capacity::control::{
    AttemptReading, Candidate, Control, ControlRules, Ending, MachineReading, Used,
};
use orchestrator_core::predict::{AmountPredictor, Features, MemoryPredictor, MemoryRules};
use orchestrator_core::simulate::Chance;
use orchestrator_core::{AttemptId, Bytes, TaskId, Timestamp};

const ROUNDS: usize = 20_000;
const WARM: usize = 300;
const RUNNING: u64 = 1000;
const READINGS: u64 = 2000;

fn main() {
    let mut memory = MemoryPredictor::new(MemoryRules::default());
    let mut seconds = AmountPredictor::default();
    let mut chance = Chance::new(1);
    let mut times: [Vec<Duration>; 4] = Default::default();
    for round in 0..ROUNDS {
        let size = chance.log_normal(1e9, 1.0);
        let features = Features::sized(Bytes(size as u64));
        let peak = Bytes((size * chance.uniform(0.5, 1.5)) as u64 + 100_000_000);
        let wall = chance.log_normal(10.0, 0.5);
        let mut time = |at: usize, work: &mut dyn FnMut()| {
            let start = Instant::now();
            work();
            if round > WARM {
                times[at].push(start.elapsed());
            }
        };
        time(0, &mut || drop(black_box(memory.predict(black_box(&features)))));
        time(1, &mut || memory.observe(&features, peak, wall));
        time(2, &mut || _ = black_box(seconds.predict(black_box(&features))));
        time(3, &mut || seconds.observe(&features, wall));
    }
    println!("| with 300 kept results | p50 | p99 |\n|---|---|---|");
    let names = ["predict memory", "learn memory", "predict an amount", "learn an amount"];
    for (name, times) in names.into_iter().zip(&mut times) {
        row(name, times);
    }
    let (mut readings, mut starts) = control();
    row("a reading of the control law, 1,000 running", &mut readings);
    row("whether another may start beside 1,000", &mut starts);
}

fn row(name: &str, times: &mut [Duration]) {
    times.sort_unstable();
    println!("| {name} | {:.2?} | {:.2?} |", times[times.len() / 2], times[times.len() * 99 / 100]);
}

/// The law with as many running as it is asked to bear, one of which ends and is followed by another between two readings.
fn control() -> (Vec<Duration>, Vec<Duration>) {
    let mut law = Control::new(ControlRules::default());
    let mut chance = Chance::new(2);
    let mut candidate = |task: u64| {
        let input = Some(chance.log_normal(1e9, 1.0) as u64);
        Candidate { task: TaskId(task as u32), input, kind: None }
    };
    (1..=RUNNING).for_each(|id| law.started(Timestamp(1), AttemptId(id), candidate(id)));
    let (mut readings, mut starts) = (Vec::new(), Vec::new());
    for round in 1..=READINGS {
        let now = Timestamp(round * 1_000_000);
        let seen: Vec<AttemptReading> = (round..round + RUNNING)
            .map(|id| {
                let age = round.min(RUNNING + round - id) as f64;
                AttemptReading { attempt: AttemptId(id), cpu: 0.02 * age, io: 1e6 * age, rss: 1e6 * age }
            })
            .collect();
        let machine = MachineReading {
            cores: 64.0,
            cores_busy: 20.0,
            memory_total: 4e12,
            memory_used: 5e11,
            disk_fill: 0.1,
        };
        let start = Instant::now();
        let interventions = black_box(law.sampled(now, machine, black_box(&seen)));
        readings.push(start.elapsed());
        drop(interventions);
        let used = Used { peak: 1e9, cpu: 20.0, io: 1e9 };
        law.ended(now, AttemptId(round), Ending::Completed, used);
        let next = candidate(RUNNING + round);
        let start = Instant::now();
        _ = black_box(law.may_start(black_box(next)));
        starts.push(start.elapsed());
        law.started(now, AttemptId(RUNNING + round), next);
    }
    (readings, starts)
}
