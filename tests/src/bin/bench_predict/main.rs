//! What a prediction costs with 300 kept results.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use orchestrator_core::Bytes;
use orchestrator_core::predict::{AmountPredictor, Features, MemoryPredictor, MemoryRules};
use orchestrator_core::simulate::Chance;

const ROUNDS: usize = 20_000;
const WARM: usize = 300;

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
        times.sort_unstable();
        println!("| {name} | {:.2?} | {:.2?} |", times[times.len() / 2], times[times.len() * 99 / 100]);
    }
}
