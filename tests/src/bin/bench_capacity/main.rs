//! The control law against every fixed number and other rivals on the simulated workloads.
//!
//! `bench_capacity [FIRST LAST]` prints the table over these seeds (3–8 unless given: the constants of the law were set on
//! seeds 1 and 2).
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use orchestrator_tests::capacity_sim::render;

fn main() {
    let mut seeds = std::env::args().skip(1).filter_map(|word| word.parse().ok());
    let (first, last) = (seeds.next().unwrap_or(3), seeds.next().unwrap_or(8));
    println!("{}", render(first..=last));
}
