//! What a long queue costs: `cargo xtask bench queue` builds this in release mode and runs it.
//!
//! `bench_queue [LARGEST]` prints two tables, each from 1,000 files up to LARGEST (1,000,000 unless given):
//! the scheduler alone, and the whole program on directories of empty files.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod scheduler;
mod start;

use std::process::{Command, ExitCode};

const SIZES: [usize; 7] = [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, count] = words.as_slice()
        && word == "--scheduler"
    {
        return count.parse().map_or(ExitCode::from(2), |count| {
            println!("{}", scheduler::measure(count));
            ExitCode::SUCCESS
        });
    }
    let largest = words.first().and_then(|word| word.parse().ok()).unwrap_or(1_000_000);
    let sizes: Vec<usize> = SIZES.into_iter().filter(|size| *size <= largest).collect();

    println!(
        "The scheduler alone, 8 slots: discovery, then start, exit, validation and publication of every task"
    );
    println!("{}", scheduler::HEADER);
    for size in &sizes {
        // A process each, so that no size inherits another's memory.
        let own = std::env::current_exe().unwrap_or_default();
        let status = Command::new(own).args(["--scheduler", &size.to_string()]).status();
        if !status.is_ok_and(|status| status.success()) {
            return ExitCode::FAILURE;
        }
    }

    println!("\nThe whole program on a directory of empty files, warm cache");
    println!("{}", start::HEADER);
    let mut first = None;
    for size in &sizes {
        let seen = start::measure(*size);
        println!("{}", seen.row(first.get_or_insert(seen)));
    }
    ExitCode::SUCCESS
}
