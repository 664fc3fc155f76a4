//! What observing costs: many sleeping processes, sampled often, and an idle host.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::measure::{cpu_seconds, resident};
use super::peers::{Work, configuration};
use super::report::Report;
use super::{Stage, workloads};
use crate::error::Failure;
use crate::shell;

/// Until so many processes run, at most.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Measures the host's CPU time while its processes sleep.
///
/// # Errors
/// The orchestrator cannot be started.
pub(super) fn measure(stage: &Stage) -> Result<Report, Failure> {
    let (count, seconds) = if stage.quick { (50, 2) } else { (1_000, 10) };
    let mut rows = Vec::new();
    for (count, interval) in [(count, "100ms"), (count, "1s"), (count, "30s"), (1, "1s")] {
        let (share, memory) = sleeping(stage, count, interval, seconds)?;
        rows.push(vec![
            count.to_string(),
            interval.to_owned(),
            format!("{:.2} %", share * 100.0),
            format!("{:.1}", memory as f64 / 1e6),
        ]);
    }
    let columns = ["processes", "sampled every", "of a core", "resident MB"];
    Ok(Report {
        name: "sampler",
        about: format!(
            "The host's own CPU time over {seconds} s while all its processes sleep (record and capture on)."
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    })
}

/// The share of one core, and resident memory.
fn sleeping(stage: &Stage, count: usize, interval: &str, seconds: u64) -> Result<(f64, u64), Failure> {
    let folder = stage.folder.join("work");
    workloads::fresh(&folder)?;
    // The file's name is no time that `sleep` could be given.
    let script = folder.join("sleeper");
    fs::write(&script, "#!/bin/sh\nexec sleep 600\n").map_err(|error| Failure::file(&script, error))?;
    shell::quietly(Command::new("chmod").arg("+x").arg(&script))?;
    let directory = workloads::files(&stage.folder, count)?;
    let work = Work { program: script, arguments: Vec::new(), directory, count, jobs: count };
    let config = folder.join("config.yaml");
    let more = format!("metrics: {{interval: {interval}}}\n");
    fs::write(&config, configuration(&work, &folder, &more))
        .map_err(|error| Failure::file(&config, error))?;
    let mut command = Command::new(&stage.orchestrator);
    command.arg("run").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started =
        command.spawn().map_err(|source| Failure::Start { program: "orchestrator".to_owned(), source })?;
    let mut host = Host(started);
    let start = Instant::now();
    while host.processes() < count && start.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(100));
    }
    // What starting them brought with it is over.
    thread::sleep(Duration::from_secs(2));
    let (before, from) = (cpu_seconds(host.0.id()), Instant::now());
    thread::sleep(Duration::from_secs(seconds));
    let share = (cpu_seconds(host.0.id()) - before) / from.elapsed().as_secs_f64();
    Ok((share, resident(host.0.id())))
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
