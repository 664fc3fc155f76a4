//! The control law against every fixed number and other rivals on the simulated workloads.
//!
//! `bench_capacity [--write FILE] [FIRST LAST]` makes the table over these seeds (21–26 unless given: the constants of
//! the law were set on seeds 1 to 12) and prints it, or puts it between the marks in a document. After `universes` the same for
//! universes made up at random (3001–3200 unless given).
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::fs;
use std::process::ExitCode;

use orchestrator_tests::capacity_sim::{render, render_universes};

const BEGIN: &str = "<!-- cargo xtask bench capacity --write docs/capacity.md: begin -->\n";
const BEGIN_UNIVERSES: &str =
    "<!-- cargo xtask bench capacity universes --write docs/capacity.md: begin -->\n";
const END: &str = "<!-- end -->";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let file = words.iter().position(|word| word == "--write").and_then(|at| words.get(at + 1));
    let mut seeds = words.iter().filter_map(|word| word.parse().ok());
    let (first, last) = (seeds.next(), seeds.next());
    let (begin, table) = if words.iter().any(|word| word == "universes") {
        (BEGIN_UNIVERSES, render_universes(first.unwrap_or(3001)..=last.unwrap_or(3200)))
    } else {
        (BEGIN, render(first.unwrap_or(21)..=last.unwrap_or(26)))
    };
    let Some(file) = file else {
        println!("{table}");
        return ExitCode::SUCCESS;
    };
    match write(file, begin, &table) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("bench_capacity: {file}: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn write(file: &str, begin: &str, table: &str) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let (before, rest) = text.split_once(begin).ok_or("the mark where the table begins is missing")?;
    let (_, after) = rest.split_once(END).ok_or("the mark where the table ends is missing")?;
    fs::write(file, format!("{before}{begin}\n{table}\n{END}{after}")).map_err(|error| error.to_string())
}
