//! Tasks taken through the real scheduler up to one phase and no further: `cargo xtask bench instructions` counts what each
//! takes under `callgrind` and subtracts.
//!
//! `bench_instructions COUNT PHASE` does that for so many tasks and prints nothing.

mod world;

use std::process::ExitCode;

use world::{Phase, World};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let count = words.next().and_then(|word| word.parse().ok());
    let phase = words.next().and_then(|word| Phase::named(&word));
    let (Some(count), Some(phase)) = (count, phase) else { return ExitCode::from(2) };
    let mut world = World::new();
    world.reach(phase, count);
    // What it takes to free all of it belongs to no phase.
    std::mem::forget(world);
    ExitCode::SUCCESS
}
