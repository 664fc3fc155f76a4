//! A long queue: how soon the first process runs, what waiting costs, and what a task costs however many there are.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::measure::{self, median, peak_memory};
use super::peers::{ORCHESTRATOR, Work, configuration};
use super::report::Report;
use super::sampler::{Host, PATIENCE};
use super::{Stage, workloads};
use crate::error::Failure;
use crate::shell;

/// The largest directory that is made; ten million names are given to the scheduler alone.
const FILES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const NAMES: [usize; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
/// Directories of up to so many files are also worked through (`long` does it with a million).
const WORKED: usize = 100_000;

/// Measures queues of growing length.
///
/// # Errors
/// The orchestrator or the program of the tests fails.
pub(super) fn measure(stage: &Stage) -> Result<Report, Failure> {
    let names: &[usize] = if stage.quick { &NAMES[..2] } else { &NAMES };
    let files: &[usize] = if stage.quick { &FILES[..2] } else { &FILES };
    let mut rows = Vec::new();
    for count in names {
        let real = files.contains(count).then(|| started(stage, *count)).transpose()?;
        let worked = files.contains(count) && *count <= WORKED;
        let each = worked.then(|| microseconds(stage, *count)).transpose()?;
        let alone = scheduler(stage, *count)?;
        let number = |key: &str| alone[key].as_f64().unwrap_or(f64::NAN);
        rows.push(vec![
            count.to_string(),
            real.map_or("–".to_owned(), |(first, _)| format!("{:.0} ms", first * 1e3)),
            real.map_or("–".to_owned(), |(_, memory)| format!("{:.1} MB", memory as f64 / 1e6)),
            each.map_or("–".to_owned(), |each| format!("{each:.0}")),
            format!("{:.1} MB", number("resident") / 1e6),
            format!("{:.0}", number("bytes")),
            format!("{:.0}", number("discovery_ns")),
            format!("{:.0}", number("scheduling_ns")),
        ]);
    }
    let columns = [
        "files",
        "first process after",
        "host's peak memory, all queued",
        "own CPU µs/task, t0",
        "scheduler with as many names",
        "bytes/name",
        "CPU ns to discover one",
        "CPU ns to schedule one",
    ];
    Ok(Report {
        name: "queue",
        about: "Directories of empty files, state and capture on; the process is started 5 times and the median taken. \
                The last four columns: the scheduler alone, on names of 33 bytes in folders of 1,000, from discovery to \
                publication."
            .to_owned(),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    })
}

/// Seconds from the start to the first process (median), and the host's peak memory once all files are queued.
fn started(stage: &Stage, count: usize) -> Result<(f64, u64), Failure> {
    let rounds = if stage.quick { 1 } else { 5 };
    let (mut firsts, mut memory) = (Vec::new(), 0);
    for round in 0..rounds {
        let folder = stage.folder.join("work");
        workloads::fresh(&folder)?;
        let mut host = start(stage, count, &folder)?;
        let start = Instant::now();
        while host.processes() == 0 && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_micros(500));
        }
        firsts.push(start.elapsed().as_secs_f64());
        if round + 1 == rounds {
            wait_for_scan(&folder, count);
            memory = peak_memory(host.0.id());
        }
    }
    Ok((median(firsts), memory))
}

/// A host whose processes only wait.
fn start(stage: &Stage, count: usize, folder: &Path) -> Result<Host, Failure> {
    let script = folder.join("sleeper");
    fs::write(&script, "#!/bin/sh\nexec sleep 600\n").map_err(|error| Failure::file(&script, error))?;
    shell::quietly(Command::new("chmod").arg("+x").arg(&script))?;
    let directory = workloads::files(&stage.folder, count)?;
    let work = Work { program: script, arguments: Vec::new(), directory, count, jobs: 2 };
    let config = folder.join("config.yaml");
    fs::write(&config, configuration(&work, folder, "")).map_err(|error| Failure::file(&config, error))?;
    let mut command = Command::new(&stage.orchestrator);
    command.arg("run").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = command.spawn();
    started.map(Host).map_err(|source| Failure::Start { program: "orchestrator".to_owned(), source })
}

/// Waits until the host says that it knows all files.
fn wait_for_scan(folder: &Path, count: usize) {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let counts = &live(folder)["snapshot"]["counts"];
        let all: u64 = counts.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_u64()).sum();
        if all >= count as u64 {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// What a host said last; null before it said anything.
pub(super) fn live(folder: &Path) -> Value {
    let text = fs::read(folder.join("out/.orchestrator/live.json")).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Own CPU time a task of t0; of short runs several.
fn microseconds(stage: &Stage, count: usize) -> Result<f64, Failure> {
    let rounds = (20_000 / count).max(1);
    let program = workloads::program(&stage.folder, "t0")?;
    let directory = workloads::files(&stage.folder, count)?;
    let work = Work { program, arguments: Vec::new(), directory, count, jobs: 2 };
    let folder = stage.folder.join("work");
    let mut seconds = 0.0;
    for _ in 0..rounds {
        let command = (ORCHESTRATOR.command)(stage, &work, &folder)?;
        seconds += measure::run(command, &stage.folder.join("log"))?.own_cpu;
    }
    Ok(seconds / (rounds * count) as f64 * 1e6)
}

/// The scheduler alone, in a process of its own.
fn scheduler(stage: &Stage, count: usize) -> Result<Value, Failure> {
    let program = stage.orchestrator.with_file_name("bench_queue");
    let said = shell::capture(Command::new(program).arg(count.to_string()))?;
    serde_json::from_slice(&said).map_err(|source| Failure::Parse { tool: "bench_queue", source })
}
