//! What plugins cost: one call in each isolation, and a fleet of instances beside a run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::measure::cpu_seconds;
use super::report::Report;
use super::sampler::{Host, PATIENCE};
use super::{Stage, workloads};
use crate::error::Failure;
use crate::shell;

/// The cheapest class of the test libraries: it answers from what it is handed.
const CRATE: &str = "tests/fixtures/plugins/misbehaving";
const LIBRARY: &str = "libmisbehaving_plugin.so";
const CLASS: &str = "Echoes";

/// Measures one call of a plugin that does next to nothing: what is left is the way to it and back.
///
/// # Errors
/// The plugin cannot be built or measured.
pub(super) fn calls(stage: &Stage) -> Result<Report, Failure> {
    let library = library(stage)?;
    let mut command = Command::new(&stage.orchestrator);
    command.args(["plugin", "bench", "--class", CLASS, "--format", "json"]).arg(library);
    let output =
        command.output().map_err(|source| Failure::Start { program: "orchestrator".to_owned(), source })?;
    let words = "orchestrator plugin bench";
    if !output.status.success() {
        return Err(Failure::Step { command: words.to_owned(), status: output.status.to_string() });
    }
    let said: Value = serde_json::from_slice(&output.stdout)
        .map_err(|source| Failure::Parse { tool: "orchestrator plugin bench", source })?;
    let number = |row: &Value, key: &str| format!("{:.2}", row[key].as_f64().unwrap_or(f64::NAN));
    let rows = said["rows"].as_array().into_iter().flatten().map(|row| {
        vec![
            row["isolation"].as_str().unwrap_or_default().to_owned(),
            row["batch"].to_string(),
            number(row, "p50_us"),
            number(row, "p99_us"),
            number(row, "own_p50_us"),
        ]
    });
    let columns = ["isolation", "processes a round", "µs a call, p50", "p99", "of which in the plugin"];
    Ok(Report {
        name: "calls",
        about:
            "One call of a metrics plugin that answers from what it is handed, the round's own cost included."
                .to_owned(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    })
}

/// Measures what 50 instances over 500 sleeping processes cost at one round a second.
///
/// # Errors
/// The orchestrator cannot be started.
pub(super) fn fleet(stage: &Stage) -> Result<Report, Failure> {
    let (instances, processes, seconds) = if stage.quick { (5, 20, 3) } else { (50, 500, 20) };
    let library = library(stage)?;
    let mut rows = Vec::new();
    for isolation in ["", "in_process", "process", "sandbox"] {
        let count = if isolation.is_empty() { 0 } else { instances };
        let seen = beside(stage, &library, (isolation, count), processes, seconds)?;
        rows.push(vec![
            if count == 0 { "none".to_owned() } else { format!("{count} {isolation}") },
            format!("{:.1} %", seen.host * 100.0),
            format!("{:.1} %", seen.runners * 100.0),
            format!("{:.0}", seen.tick_p50 * 1e6),
            format!("{:.0}", seen.tick_p99 * 1e6),
        ]);
    }
    let columns =
        ["instances", "host, of a core", "their processes, of a core", "tick p50, µs", "tick p99, µs"];
    Ok(Report {
        name: "fleet",
        about: format!(
            "{instances} metrics instances over {processes} sleeping processes, one round a second, for {seconds} s."
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    })
}

/// What was seen of a host and its plugins.
struct Seen {
    host: f64,
    runners: f64,
    tick_p50: f64,
    tick_p99: f64,
}

fn beside(
    stage: &Stage,
    library: &Path,
    (isolation, instances): (&str, usize),
    processes: usize,
    seconds: u64,
) -> Result<Seen, Failure> {
    let folder = stage.folder.join("work");
    workloads::fresh(&folder)?;
    let directory = workloads::files(&stage.folder, processes)?;
    let config = folder.join("config.yaml");
    let text = configuration(&directory, &folder, library, (isolation, instances), processes);
    fs::write(&config, text).map_err(|error| Failure::file(&config, error))?;
    let events = folder.join("events");
    let file = File::create(&events).map_err(|error| Failure::file(&events, error))?;
    let mut command = Command::new(&stage.orchestrator);
    command.args(["run", "--format", "json"]).arg(&config);
    command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null());
    let started =
        command.spawn().map_err(|source| Failure::Start { program: "orchestrator".to_owned(), source })?;
    let mut host = Host(started);
    let start = Instant::now();
    while host.processes() < processes + if isolated(isolation) { instances } else { 0 }
        && start.elapsed() < PATIENCE
    {
        thread::sleep(Duration::from_millis(100));
    }
    // What starting them brought with it is over.
    thread::sleep(Duration::from_secs(2));
    let pid = host.0.id();
    let runners = runners(pid);
    let used = |runners: &[u32]| (cpu_seconds(pid), runners.iter().map(|pid| cpu_seconds(*pid)).sum::<f64>());
    let (before, from) = (used(&runners), Instant::now());
    thread::sleep(Duration::from_secs(seconds));
    let (after, wall) = (used(&runners), from.elapsed().as_secs_f64());
    drop(host);
    let text = fs::read_to_string(&events).map_err(|error| Failure::file(&events, error))?;
    let last: Value = serde_json::from_str(text.lines().last().unwrap_or_default())
        .map_err(|source| Failure::Parse { tool: "orchestrator run", source })?;
    let tick = |key: &str| last["ticks"][key].as_f64().unwrap_or(f64::NAN);
    Ok(Seen {
        host: (after.0 - before.0) / wall,
        runners: (after.1 - before.1) / wall,
        tick_p50: tick("p50_seconds"),
        tick_p99: tick("p99_seconds"),
    })
}

fn isolated(isolation: &str) -> bool {
    matches!(isolation, "process" | "sandbox")
}

fn configuration(
    directory: &Path,
    folder: &Path,
    library: &Path,
    (isolation, instances): (&str, usize),
    processes: usize,
) -> String {
    let plugins = library.parent().unwrap_or(Path::new("."));
    let entries: String = (0..instances)
        .map(|n| format!("    - {{name: p{n}, class: {CLASS}, isolation: {isolation}}}\n"))
        .collect();
    let metrics =
        if entries.is_empty() { "  metrics: []\n".to_owned() } else { format!("  metrics:\n{entries}") };
    format!(
        "binary: {{path: sh, flags: [\"-c\", \"exec sleep 600\", \"{{input_file}}\"]}}\n\
         input: {{files_directory: {}}}\n\
         output: {{directory: {}, validation: {{required: false}}}}\n\
         calibration: {{enabled: false}}\n\
         concurrency: {{mode: fixed, max: {processes}}}\n\
         metrics: {{interval: 1s}}\n\
         plugins:\n  directories: [{}]\n  capacity: []\n{metrics}",
        directory.display(),
        folder.join("out").display(),
        plugins.display(),
    )
}

/// The host's children that serve plugins.
fn runners(host: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{host}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let pids = children
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>());
    let serves = |pid: &u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == b"plugin-runner")
    };
    pids.filter(serves).collect()
}

/// Builds the library in release mode, outside the workspace, as a third party would.
fn library(stage: &Stage) -> Result<PathBuf, Failure> {
    let target = stage.tools.join("plugins");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--quiet", "--manifest-path"]);
    cargo.arg(stage.root.join(CRATE).join("Cargo.toml")).arg("--target-dir").arg(&target);
    shell::run(&mut cargo)?;
    Ok(target.join("release").join(LIBRARY))
}
