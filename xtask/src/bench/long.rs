//! A long run in small: memory and cost over very many tasks in one run, and what is left of them.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::measure::{cpu_seconds, median, resident};
use super::peers::{Work, configuration};
use super::report::Report;
use super::{Stage, workloads};
use crate::error::Failure;
use crate::shell;

/// Runs very many tasks and looks at the host while it does.
///
/// # Errors
/// The orchestrator fails.
pub(super) fn measure(stage: &Stage) -> Result<Report, Failure> {
    let count = if stage.quick { 3_000 } else { 1_000_000 };
    let folder = stage.folder.join("work");
    workloads::fresh(&folder)?;
    let program = workloads::program(&stage.folder, "t0")?;
    let directory = workloads::files(&stage.folder, count)?;
    let work = Work { program, arguments: Vec::new(), directory, count, jobs: 2 };
    let config = folder.join("config.yaml");
    fs::write(&config, configuration(&work, &folder, "")).map_err(|error| Failure::file(&config, error))?;
    let mut command = Command::new(&stage.orchestrator);
    command.args(["run", "--json"]).arg(&config);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let mut host =
        command.spawn().map_err(|source| Failure::Start { program: "orchestrator".to_owned(), source })?;
    let (mut memory, mut cpu) = (Vec::new(), 0.0);
    while matches!(host.try_wait(), Ok(None)) {
        memory.push(resident(host.id()));
        cpu = cpu_seconds(host.id()).max(cpu);
        thread::sleep(Duration::from_millis(50));
    }
    let seconds = start.elapsed().as_secs_f64();
    memory.retain(|bytes| *bytes > 0);
    // The first hundredth of the run: 10,000 of a million tasks.
    let early = memory.get(memory.len() / 100).copied().unwrap_or(0);
    let late = memory.last().copied().unwrap_or(0);
    let state = folder.join("out/.orchestrator/state.db");
    let bytes = fs::metadata(&state).map_err(|error| Failure::file(&state, error))?.len();
    let again = |words: &[&str]| -> Result<f64, Failure> {
        let mut times = Vec::new();
        for _ in 0..3 {
            let start = Instant::now();
            let mut command = Command::new(&stage.orchestrator);
            shell::capture(command.args(words).arg(&config))?;
            times.push(start.elapsed().as_secs_f64());
        }
        Ok(median(times))
    };
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    Ok(Report {
        name: "long",
        about: format!("{count} tasks (t0) in one run, 2 at a time, record and capture on."),
        columns: ["what", "value"].map(str::to_owned).to_vec(),
        rows: vec![
            row("tasks/s over the whole run", format!("{:.0}", count as f64 / seconds)),
            row("own CPU µs/task", format!("{:.0}", cpu / count as f64 * 1e6)),
            row("resident after 1 % of the run", format!("{:.1} MB", early as f64 / 1e6)),
            row(
                "resident at the end",
                format!("{:.1} MB ({:.2} ×)", late as f64 / 1e6, late as f64 / early.max(1) as f64),
            ),
            row("state file, a task", format!("{:.0} bytes", bytes as f64 / count as f64)),
            row("answering `status`", format!("{:.2} s", again(&["status"])?)),
            row("a run that finds nothing to do", format!("{:.2} s", again(&["run"])?)),
        ],
    })
}
