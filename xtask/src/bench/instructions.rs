//! What a task costs the scheduler in instructions: figures that do not depend on what else the machine does.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::Stage;
use super::report::Report;
use crate::error::Failure;
use crate::shell;

const PROGRAM: &str = "bench_instructions";
/// Each row: what is counted, the phase at its end, the phase at its beginning, and whether each task has its share.
const ROWS: [(&str, &str, &str, bool); 7] = [
    ("an input is discovered", "discovered", "begun", true),
    ("an attempt is admitted", "admitted", "discovered", true),
    ("its process has started", "started", "admitted", true),
    ("its process was read", "sampled", "started", true),
    ("its process has ended, nothing waits", "ended", "shown", true),
    ("a task is admitted, started and ended, 8 at a time", "worked", "discovered", true),
    ("a snapshot while all run", "shown", "sampled", false),
];

/// Counts the instructions of the scheduler, phase by phase.
///
/// # Errors
/// Valgrind is not there, or the program of the tests fails.
pub(super) fn measure(stage: &Stage) -> Result<Report, Failure> {
    if !shell::succeeds(Command::new("valgrind").arg("--version")) {
        let remedy = "install the package `valgrind`";
        return Err(Failure::Missing { what: "valgrind", remedy });
    }
    let tasks = if stage.quick { 500 } else { 10_000 };
    let mut rows = Vec::new();
    for (what, end, begin, shared) in ROWS {
        let counted = until(stage, tasks, end)?.saturating_sub(until(stage, tasks, begin)?);
        let each = if shared { counted / tasks } else { counted };
        rows.push(vec![what.to_owned(), each.to_string()]);
    }
    let columns = ["what the scheduler does", "instructions"];
    Ok(Report {
        name: "instructions",
        about: format!(
            "{tasks} tasks, the scheduler alone, counted by callgrind: the program up to the end of a phase less the same \
             program up to its beginning, shared by the tasks (not that of the snapshot, which is of all {tasks})."
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    })
}

/// Instructions of the program that takes so many tasks to a phase.
fn until(stage: &Stage, tasks: u64, phase: &str) -> Result<u64, Failure> {
    let counts = stage.folder.join("callgrind.out");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet"]).arg(out_file(&counts));
    command.arg(stage.orchestrator.with_file_name(PROGRAM)).args([&tasks.to_string(), phase]);
    // Variables are instructions, too.
    let path = std::env::var_os("PATH").unwrap_or_default();
    shell::quietly(command.env_clear().env("PATH", path))?;
    let text = fs::read_to_string(&counts).map_err(|error| Failure::file(&counts, error))?;
    total(&text).ok_or(Failure::Missing {
        what: "the sum in callgrind's output",
        remedy: "see whether this version of valgrind writes a line `totals:`",
    })
}

fn out_file(path: &Path) -> String {
    format!("--callgrind-out-file={}", path.display())
}

/// The line that ends callgrind's output (or, before it, its summary).
fn total(text: &str) -> Option<u64> {
    let sum = |key| text.lines().rev().find_map(|line| line.strip_prefix(key));
    sum("totals:").or_else(|| sum("summary:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn the_sum_is_at_the_end() {
        assert_eq!(total("version: 1\nevents: Ir\nfn=(1)\n1 5\n\ntotals: 12345\n"), Some(12_345));
        assert_eq!(total("summary: 7\nfn=(1)\n"), Some(7));
        assert_eq!(total("events: Ir\n"), None);
    }
}
