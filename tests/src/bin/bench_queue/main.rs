//! What a long queue costs the scheduler: `cargo xtask bench queue` builds this in release mode and runs it.
//!
//! `bench_queue COUNT` drives the real scheduler through so many tasks and prints one JSON object: bytes a queued name
//! takes, and CPU time a task.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod scheduler;

use std::process::ExitCode;

fn main() -> ExitCode {
    let count = std::env::args().nth(1).and_then(|word| word.parse().ok());
    count.map_or(ExitCode::from(2), |count| {
        println!("{}", scheduler::measure(count));
        ExitCode::SUCCESS
    })
}
