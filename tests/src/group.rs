//! A control group with little memory, so that running out of it is cheap and harms nobody else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long what was killed may take to be gone.
const LEAVING: Duration = Duration::from_secs(10);

/// A group below our own; removed with all that still runs in it when dropped.
#[derive(Debug)]
pub struct MemoryGroup {
    directory: PathBuf,
    unified: bool,
}

impl MemoryGroup {
    /// A group with at most `limit` bytes, swap included; `None`, and a message, where there is no memory controller or
    /// it is not ours to use.
    #[must_use]
    pub fn new(limit: u64) -> Option<Self> {
        let made = Self::try_new(limit);
        if made.is_none() {
            eprintln!("skipped: no control group with a limit of memory can be made here (it takes root)");
        }
        made
    }

    fn try_new(limit: u64) -> Option<Self> {
        let (parent, unified) = own()?;
        if unified {
            // Refused where it is given on already, or where it is not ours; the files below tell.
            let _given_on = fs::write(parent.join("cgroup.subtree_control"), "+memory");
        }
        let directory = parent.join(format!("orchestrator-test-{}", std::process::id()));
        fs::create_dir(&directory).ok()?;
        let group = Self { directory, unified };
        let [memory, swap] = if unified {
            ["memory.max", "memory.swap.max"]
        } else {
            ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
        };
        fs::write(group.directory.join(memory), limit.to_string()).ok()?;
        // Without swap accounting there is no such file, and mostly no swap.
        let _no_swap = fs::write(group.directory.join(swap), if unified { 0 } else { limit }.to_string());
        Some(group)
    }

    /// The same command, to be run inside.
    #[must_use]
    pub fn command(&self, command: &Command) -> Command {
        let mut inside = Command::new("sh");
        inside.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(self.directory.join("cgroup.procs"));
        inside.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            inside.current_dir(directory);
        }
        inside
    }

    /// Processes that the kernel killed in it for want of memory.
    #[must_use]
    pub fn kills(&self) -> u64 {
        let file = if self.unified { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.directory.join(file)).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
    }

    fn end_all(&self) {
        let text = fs::read_to_string(self.directory.join("cgroup.procs")).unwrap_or_default();
        for pid in text.lines().filter_map(|line| line.parse().ok().and_then(Pid::from_raw)) {
            let _ended_meanwhile = kill_process(pid, Signal::KILL);
        }
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let start = Instant::now();
        while fs::remove_dir(&self.directory).is_err() && start.elapsed() < LEAVING {
            self.end_all();
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Our own group in the hierarchy that governs memory, and whether that is version 2.
fn own() -> Option<(PathBuf, bool)> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let lines = groups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        Some((controllers, path.trim_start_matches('/')))
    });
    let lines: Vec<_> = lines.collect();
    let first = lines.iter().find(|(names, _)| names.split(',').any(|name| name == "memory"));
    if let Some((_, path)) = first {
        return Some((Path::new("/sys/fs/cgroup/memory").join(path), false));
    }
    let (_, path) = lines.iter().find(|(names, _)| names.is_empty())?;
    let directory = Path::new("/sys/fs/cgroup").join(path);
    directory.join("cgroup.controllers").exists().then_some((directory, true))
}
