//! Runs a program and sees what it takes: time, CPU of its own (children excluded), memory.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::error::Failure;

/// Looks at memory so often.
const LOOK: Duration = Duration::from_millis(20);
/// `/proc/PID/stat` counts CPU time in these.
const TICK: f64 = 0.01;

/// What was seen of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Seconds from start to end.
    pub(super) wall: f64,
    /// Seconds of CPU time, user and system, of the program itself, in steps of 10 ms.
    pub(super) own_cpu: f64,
    /// Largest resident memory in bytes.
    pub(super) memory: u64,
}

/// Runs a command to its end. Output is dropped into `log`.
///
/// # Errors
/// It does not start or does not end well.
pub(super) fn run(mut command: Command, log: &Path) -> Result<Seen, Failure> {
    let file = |path: &Path| File::create(path).map_err(|error| Failure::file(path, error));
    let shown = command.get_program().to_string_lossy().into_owned();
    command.stdout(file(log)?).stderr(file(&log.with_extension("err"))?);
    let start = Instant::now();
    let mut child = command.spawn().map_err(|source| Failure::Start { program: shown.clone(), source })?;
    let mut memory = 0;
    let own_cpu = loop {
        memory = memory.max(peak_memory(child.id()));
        if ended(&child) {
            // A zombie still says what it used.
            break cpu_seconds(child.id());
        }
        thread::sleep(LOOK.min(start.elapsed() / 50));
    };
    let wall = start.elapsed().as_secs_f64();
    let status = child.wait().map_err(|source| Failure::Start { program: shown.clone(), source })?;
    if !status.success() {
        return Err(Failure::Step { command: shown, status: status.to_string() });
    }
    Ok(Seen { wall, own_cpu, memory })
}

/// Whether it has ended; it is left unreaped.
fn ended(child: &Child) -> bool {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    pid.is_none_or(|pid| matches!(waitid(WaitId::Pid(pid), options), Ok(Some(_)) | Err(_)))
}

/// CPU time of a process so far, its children excluded.
pub(super) fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let tail = stat.rsplit_once(')').map_or("", |(_, tail)| tail);
    let ticks = tail.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() * TICK
}

/// Largest resident memory so far; 0 when it has ended.
pub(super) fn peak_memory(pid: u32) -> u64 {
    status(pid, "VmHWM:")
}

/// Resident memory now; 0 when it has ended.
pub(super) fn resident(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

fn status(pid: u32, wanted: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(wanted));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// The middle one (of an even number, the lower middle); 0 of none.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}
