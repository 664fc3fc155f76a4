//! The whole program from its start to its first process, and its memory when the directory is scanned.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use orchestrator_tests::processes::wait_until;
use orchestrator_tests::scene::{QUICK, Scene};
use rustix::process::Signal;

pub(crate) const HEADER: &str = "     files | first process after | scanned after | resident memory | bytes/queued file beyond the first row";

const PATIENCE: Duration = Duration::from_secs(600);

/// What was seen of one start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    files: usize,
    first_process: Duration,
    scanned: Duration,
    resident: u64,
}

impl Seen {
    pub(crate) fn row(&self, least: &Self) -> String {
        let more = (self.files - least.files).max(1) as f64;
        let bytes = self.resident.saturating_sub(least.resident) as f64 / more;
        format!(
            "{:>10} | {:>17.0} ms | {:>11.2} s | {:>11.1} MiB | {bytes:>17.0}",
            self.files,
            self.first_process.as_secs_f64() * 1e3,
            self.scanned.as_secs_f64(),
            self.resident as f64 / f64::from(1 << 20),
        )
    }
}

/// Starts the orchestrator over `files` empty inputs; its processes wait, so that the queue stays full.
pub(crate) fn measure(files: usize) -> Seen {
    let scene = Scene::new();
    for number in 0..files {
        let path = scene.join(&format!("in/measurement-{number:07}.dat"));
        drop(File::create(path).expect("an empty input"));
    }
    let gate = scene.join("gate").to_string_lossy().into_owned();
    scene.fixture_config(&["--wait-for", &gate], QUICK);
    let log = scene.join("executions.log");
    let start = Instant::now();
    let host = scene.start(&["run", "config.yaml"]);
    while !log.exists() {
        assert!(start.elapsed() < PATIENCE, "no process was started:\n{}", host.said());
        std::thread::sleep(Duration::from_millis(1));
    }
    let first_process = start.elapsed();

    // The scan is over when the program has come to rest: no CPU time in half a second.
    let mut last = (cpu_ticks(host.pid()), Instant::now());
    wait_until("the scan ends", PATIENCE, || {
        let ticks = cpu_ticks(host.pid());
        if ticks > last.0 + 2 {
            last = (ticks, Instant::now());
        }
        last.1.elapsed() > Duration::from_millis(500)
    });
    let scanned = last.1 - start;
    let resident = resident(host.pid());
    host.signal(Signal::KILL);
    let _killed = host.wait();
    Seen { files, first_process, scanned, resident }
}

/// CPU time of a process in clock ticks, user and kernel.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let tail = stat.rsplit_once(')').map_or("", |(_, tail)| tail);
    tail.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// Resident memory in bytes.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() * 1024
}
