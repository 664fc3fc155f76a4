//! A control group of our own with little memory, so that the law and its rivals share the limits of a small machine.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::error::Failure;

/// Memory is looked at so often.
const LOOK: Duration = Duration::from_millis(20);
/// `/proc/PID/stat` counts CPU time in these.
const TICK: f64 = 0.01;
/// Processes of a group that is given up are gone after this.
const LEAVING: Duration = Duration::from_secs(5);

/// A group with a limit of memory, below our own; removed with all that still runs in it when dropped.
#[derive(Debug)]
pub(super) struct Group {
    directory: PathBuf,
    unified: bool,
    limit: u64,
}

/// What was seen of a command that ran in a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Seconds from start to end.
    pub(super) wall: f64,
    /// Largest amount of memory held at once, bytes: usage less page cache.
    pub(super) peak: u64,
    /// Share of the time in which more than the threshold was held.
    pub(super) above: f64,
    /// Processes that the kernel killed for want of memory.
    pub(super) kills: u64,
    /// Cores kept busy by it and all that it waited for, on average.
    pub(super) cores: f64,
    /// Whether it ended well, and in time.
    pub(super) well: bool,
}

impl Group {
    /// A new group with at most `limit` bytes, swap included.
    ///
    /// # Errors
    /// There is no memory controller, or it is not ours to use.
    pub(super) fn new(limit: u64) -> Result<Self, Failure> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let missing = Failure::Missing {
            what: "a memory control group to run in",
            remedy: "run as root, or in a scope with a delegated memory controller",
        };
        let Some((parent, unified)) = own() else { return Err(missing) };
        if unified {
            // Refused where it is given on already, or where it is not ours; the files below tell.
            let _given_on = fs::write(parent.join("cgroup.subtree_control"), "+memory");
        }
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let directory = parent.join(format!("orchestrator-bench-{}-{number}", std::process::id()));
        fs::create_dir(&directory).map_err(|error| Failure::file(&directory, error))?;
        let group = Self { directory, unified, limit };
        let files = if unified {
            ["memory.max", "memory.swap.max"]
        } else {
            ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
        };
        let set = |file: &str, value: u64| fs::write(group.directory.join(file), value.to_string());
        if set(files[0], limit).is_err() {
            return Err(missing);
        }
        // Without swap accounting there is no such file, and mostly no swap.
        let _no_swap = set(files[1], if unified { 0 } else { limit });
        Ok(group)
    }

    /// The command as it runs inside.
    pub(super) fn command(&self, command: &Command) -> Command {
        let mut inside = Command::new("sh");
        inside.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(self.directory.join("cgroup.procs"));
        inside.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            inside.env(name, value.unwrap_or(OsStr::new("")));
        }
        if let Some(directory) = command.get_current_dir() {
            inside.current_dir(directory);
        }
        inside
    }

    /// Runs a command inside to its end, at most for `limit`; its output goes to `log`.
    ///
    /// # Errors
    /// It does not start.
    pub(super) fn run(
        &self,
        command: &Command,
        input: Option<File>,
        log: &Path,
        threshold: f64,
        limit: Duration,
    ) -> Result<Seen, Failure> {
        let out = File::create(log).map_err(|error| Failure::file(log, error))?;
        let error_output = out.try_clone().map_err(|error| Failure::file(log, error))?;
        let program = command.get_program().to_string_lossy().into_owned();
        let mut inside = self.command(command);
        inside.stdin(input.map_or(Stdio::null(), Stdio::from)).stdout(out).stderr(error_output);
        let (start, killed_before) = (Instant::now(), self.kills());
        let mut child = inside.spawn().map_err(|source| Failure::Start { program, source })?;
        let (mut peak, mut above, mut looks, mut late) = (0, 0_u32, 0_u32, false);
        while !ended(&child) {
            let held = self.held();
            peak = peak.max(held);
            above += u32::from(held as f64 > threshold * self.limit as f64);
            looks += 1;
            if start.elapsed() > limit {
                late = true;
                self.clear();
            }
            thread::sleep(LOOK);
        }
        let wall = start.elapsed().as_secs_f64();
        // A zombie still says what it used, and what those used that it waited for.
        let cores = cpu_of_all(child.id()) / wall;
        let well = child.wait().is_ok_and(|status| status.success()) && !late;
        self.clear();
        let above = f64::from(above) / f64::from(looks.max(1));
        Ok(Seen { wall, peak, above, kills: self.kills() - killed_before, cores, well })
    }

    /// Memory held now, bytes: usage less page cache, which the kernel takes back before anything is killed.
    pub(super) fn held(&self) -> u64 {
        let (usage, prefix) =
            if self.unified { ("memory.current", "") } else { ("memory.usage_in_bytes", "total_") };
        let stat = self.read("memory.stat");
        let cache: u64 = ["inactive_file", "active_file"]
            .iter()
            .map(|name| field(&stat, &format!("{prefix}{name}")))
            .sum();
        self.read(usage).trim().parse::<u64>().unwrap_or(0).saturating_sub(cache)
    }

    /// Processes that the kernel killed in it so far.
    pub(super) fn kills(&self) -> u64 {
        let file = if self.unified { "memory.events" } else { "memory.oom_control" };
        field(&self.read(file), "oom_kill")
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.directory.join(file)).unwrap_or_default()
    }

    fn members(&self) -> Vec<Pid> {
        let text = self.read("cgroup.procs");
        text.lines().filter_map(|line| line.parse().ok().and_then(Pid::from_raw)).collect()
    }

    /// Ends all that still runs inside.
    pub(super) fn clear(&self) {
        let start = Instant::now();
        loop {
            let members = self.members();
            // A zombie of our own waits for us, not for a signal.
            let alive = members.into_iter().filter(|pid| kill_process(*pid, Signal::KILL).is_ok());
            if alive.count() == 0 || start.elapsed() > LEAVING {
                return;
            }
            thread::sleep(LOOK);
            if self.members().iter().all(|pid| is_zombie(*pid)) {
                return;
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.clear();
        let start = Instant::now();
        while fs::remove_dir(&self.directory).is_err() && start.elapsed() < LEAVING {
            thread::sleep(LOOK);
        }
    }
}

/// Our own group's directory in the hierarchy that governs memory, and whether that is version 2.
fn own() -> Option<(PathBuf, bool)> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let of = |wanted: &dyn Fn(&str) -> bool| {
        groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            wanted(controllers).then(|| path.trim_start_matches('/').to_owned())
        })
    };
    if let Some(path) = of(&|names| names.split(',').any(|name| name == "memory")) {
        return Some((Path::new("/sys/fs/cgroup/memory").join(path), false));
    }
    let directory = Path::new("/sys/fs/cgroup").join(of(&|names| names.is_empty())?);
    directory.join("cgroup.controllers").exists().then_some((directory, true))
}

fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
    value.unwrap_or(0)
}

fn ended(child: &Child) -> bool {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    pid.is_none_or(|pid| matches!(waitid(WaitId::Pid(pid), options), Ok(Some(_)) | Err(_)))
}

fn tail_of_stat(pid: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").map_or_else(String::new, |(_, tail)| tail.to_owned())
}

fn is_zombie(pid: Pid) -> bool {
    let tail = tail_of_stat(pid.as_raw_nonzero().get().unsigned_abs());
    tail.is_empty() || tail.starts_with('Z')
}

/// CPU seconds of a process and of all children that were waited for, and theirs.
fn cpu_of_all(pid: u32) -> f64 {
    let tail = tail_of_stat(pid);
    let ticks = tail.split_whitespace().skip(11).take(4).filter_map(|word| word.parse::<f64>().ok());
    ticks.sum::<f64>() * TICK
}
