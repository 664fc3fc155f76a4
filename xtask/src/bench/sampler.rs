//! What observing costs: many sleeping processes, sampled often, and an idle host.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::measure::{median, resident};
use super::peers::{Work, configuration};
use super::report::Report;
use super::{Stage, workloads};
use crate::error::Failure;
use crate::shell;

/// Until so many processes run, at most.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// The bundled collector, asked once a second.
const COLLECTOR: &str = "orchestrator-plugin-system-metrics";
const ENTRY: &str = "{name: system_metrics, class: SystemMetricsCollector, interval: 1s}";

/// One row of the table.
struct Setting {
    processes: usize,
    interval: &'static str,
    /// Readings a second; 0 where there is hardly any.
    rate: f64,
    plugin: bool,
}

impl Setting {
    fn row(&self, shares: &[f64], memory: u64) -> Vec<String> {
        let share = median(shares.iter().copied());
        let each = share * 1e6 / (self.rate * self.processes as f64);
        vec![
            self.processes.to_string(),
            self.interval.to_owned(),
            if self.plugin { "system metrics, 1 s" } else { "none" }.to_owned(),
            format!("{:.2} %", share * 100.0),
            if self.rate > 0.0 { format!("{each:.2}") } else { "–".to_owned() },
            format!("{:.1}", memory as f64 / 1e6),
        ]
    }
}

/// Measures the host's CPU time while its processes sleep.
///
/// # Errors
/// The orchestrator cannot be started, or the collector cannot be built.
pub(super) fn measure(stage: &Stage) -> Result<Report, Failure> {
    let (many, seconds, rounds) = if stage.quick { (50, 2, 1) } else { (1_000, 6, 3) };
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // It lands beside the program, which is where bundled plugins are looked for.
    build.args(["build", "--locked", "--release", "--quiet", "-p", COLLECTOR]).current_dir(&stage.root);
    shell::run(&mut build)?;
    let settings = [
        (many, "100ms", 10.0, false),
        (many, "100ms", 10.0, true),
        (many, "1s", 1.0, false),
        (many, "1s", 1.0, true),
        (many, "30s", 0.0, false),
        (1, "1s", 1.0, false),
    ];
    let settings =
        settings.map(|(processes, interval, rate, plugin)| Setting { processes, interval, rate, plugin });
    let mut seen = vec![(Vec::new(), 0); settings.len()];
    for _ in 0..rounds {
        for (setting, (shares, memory)) in settings.iter().zip(&mut seen) {
            let (share, resident) = sleeping(stage, setting, seconds)?;
            shares.push(share);
            *memory = resident;
        }
    }
    let rows = settings.iter().zip(&seen).map(|(setting, (shares, memory))| setting.row(shares, *memory));
    let columns =
        ["processes", "sampled every", "plugins", "of a core", "µs a process a sample", "resident MB"];
    Ok(Report {
        name: "sampler",
        about: format!(
            "The host's own CPU time over {seconds} s while all its processes sleep (record and capture on), from 8 s after \
             their start on; medians of {rounds} rounds in turn. µs: everything the host does, shared by its processes and samples."
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    })
}

/// The share of one core, and resident memory.
fn sleeping(stage: &Stage, setting: &Setting, seconds: u64) -> Result<(f64, u64), Failure> {
    let folder = stage.folder.join("work");
    workloads::fresh(&folder)?;
    // The file's name is no time that `sleep` could be given.
    let script = folder.join("sleeper");
    fs::write(&script, "#!/bin/sh\nexec sleep 600\n").map_err(|error| Failure::file(&script, error))?;
    shell::quietly(Command::new("chmod").arg("+x").arg(&script))?;
    let count = setting.processes;
    let directory = workloads::files(&stage.folder, count)?;
    let work = Work { program: script, arguments: Vec::new(), directory, count, jobs: count };
    let config = folder.join("config.yaml");
    let mut text = configuration(&work, &folder, &format!("metrics: {{interval: {}}}\n", setting.interval));
    if setting.plugin {
        text = text.replace("{metrics: [],", &format!("{{metrics: [{ENTRY}],"));
    }
    fs::write(&config, text).map_err(|error| Failure::file(&config, error))?;
    let mut command = Command::new(&stage.orchestrator);
    command.arg("run").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started =
        command.spawn().map_err(|source| Failure::Start { program: "orchestrator".to_owned(), source })?;
    let mut host = Host(started);
    let start = Instant::now();
    while host.processes() < count && start.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(100));
    }
    // What starting them brought with it is over: sleepers are read in full once more after four to six seconds, and
    // seldom from then on.
    thread::sleep(Duration::from_secs(8));
    let (before, from) = (cpu_time(host.0.id()), Instant::now());
    thread::sleep(Duration::from_secs(seconds));
    let share = cpu_time(host.0.id()).saturating_sub(before).as_secs_f64() / from.elapsed().as_secs_f64();
    Ok((share, resident(host.0.id())))
}

/// CPU time of a process's threads so far, to the nanosecond.
fn cpu_time(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let turns = tasks.filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
    let used = turns.filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    Duration::from_nanos(used.sum())
}

/// An orchestrator that is ended with its processes when it is no longer wanted.
pub(super) struct Host(pub(super) Child);

impl Host {
    /// How many children it has.
    pub(super) fn processes(&mut self) -> usize {
        let pid = self.0.id();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        children.map(|list| list.split_whitespace().count()).sum()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let pid = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw);
        for _ in 0..3 {
            // Drain, stop, leave at once: one signal each.
            if let Some(pid) = pid {
                let _gone = rustix::process::kill_process(pid, rustix::process::Signal::INT);
            }
            thread::sleep(Duration::from_millis(300));
        }
        let _ended = self.0.wait();
    }
}
