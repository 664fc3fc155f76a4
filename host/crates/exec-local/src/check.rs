//! Validation commands, run to their end under a time limit.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use orchestrator_core::scheduler::ExitStatus;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{PidfdFlags, Signal, pidfd_open};

use crate::proctable::{ProcTable, TreeKey};
use crate::{reap, registry, signal};

/// Tells one check's processes from all others.
const MARKER: &str = "ORCHESTRATOR_CHECK_ID";
static COUNTER: AtomicU64 = AtomicU64::new(1);
/// Bytes of output kept for the message.
const KEPT: usize = 4096;
/// A check that still forks after so many rounds of SIGKILL is left alone.
const ROUNDS: usize = 16;
/// After the kill, a process that hangs in the kernel is given up.
const UNKILLABLE: Duration = Duration::from_secs(5);

/// How a check ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CheckOutcome {
    /// How.
    pub status: ExitStatus,
    /// The first 4 KiB of what it wrote to standard output and error.
    pub output: Vec<u8>,
}

/// Why a check has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// No command was given.
    #[error("the check has no command")]
    Empty,
    /// It could not be started.
    #[error("{program} could not be started: {source}")]
    Spawn {
        /// What was to be run.
        program: String,
        /// The operating system's words.
        source: io::Error,
    },
    /// It ran too long and was killed with all its descendants.
    #[error("it ran longer than its limit of {:.1} s and was killed", limit.as_secs_f64())]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// All checks were ended before it had come to its end.
    #[error("it was ended with the run")]
    Ended,
}

/// The checks that run, so that they can be ended together.
#[derive(Debug)]
pub struct Checks {
    /// Readable once they are to end.
    ending: OwnedFd,
    running: Mutex<Running>,
    all_gone: Condvar,
}

#[derive(Debug, Default)]
struct Running {
    checks: usize,
    /// None is begun any more.
    ended: bool,
}

impl Checks {
    /// None yet.
    ///
    /// # Errors
    /// No descriptor is to be had.
    pub fn new() -> io::Result<Self> {
        let ending = eventfd(0, EventfdFlags::CLOEXEC)?;
        Ok(Self { ending, running: Mutex::default(), all_gone: Condvar::new() })
    }

    /// Runs `argv` in a process group of its own, with standard input from `/dev/null`, in `directory` (the host's own when
    /// `None`), with `env` added to the host's environment. Blocks the calling thread until it ends, at most for `limit`;
    /// then, or when it leaves processes behind, its group and descendants are killed.
    ///
    /// # Errors
    /// When it cannot be started, runs too long, or is ended by [`end`](Self::end). An exit code other than 0 is an outcome,
    /// not an error.
    pub fn run(
        &self,
        argv: &[OsString],
        directory: Option<&Path>,
        env: &[(OsString, OsString)],
        limit: Duration,
    ) -> Result<CheckOutcome, CheckError> {
        let (program, args) = argv.split_first().ok_or(CheckError::Empty)?;
        let mut command = Command::new(program);
        command.args(args).process_group(0).stdin(Stdio::null());
        let marker = format!("{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        command.envs(env.iter().map(|(name, value)| (name, value))).env(MARKER, &marker);
        if let Some(directory) = directory {
            command.current_dir(directory);
        }
        let failed = |source| CheckError::Spawn { program: program.to_string_lossy().into_owned(), source };
        let marker = format!("{MARKER}={marker}").into_bytes();
        self.begin()?;
        let outcome = OneCheck::start(command, marker)
            .map_err(failed)
            .and_then(|check| check.wait(limit, &self.ending));
        let mut running = self.running();
        running.checks -= 1;
        if running.checks == 0 {
            self.all_gone.notify_all();
        }
        outcome
    }

    /// Ends those that run with their descendants and waits until they are gone (not for one that hangs in the kernel). None
    /// is begun any more.
    pub fn end(&self) {
        let mut running = self.running();
        running.ended = true;
        // A counter that nobody reads takes one more.
        let _ = rustix::io::write(&self.ending, &1_u64.to_ne_bytes());
        let gone = self.all_gone.wait_timeout_while(running, 2 * UNKILLABLE, |running| running.checks > 0);
        drop(gone);
    }

    fn begin(&self) -> Result<(), CheckError> {
        let mut running = self.running();
        if running.ended {
            return Err(CheckError::Ended);
        }
        running.checks += 1;
        Ok(())
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A check that runs. Dropping it kills and reaps it.
struct OneCheck {
    pid: u32,
    pidfd: OwnedFd,
    marker: [Vec<u8>; 1],
    pipe: Option<OwnedFd>,
    output: Vec<u8>,
    reaped: bool,
}

impl OneCheck {
    fn start(mut command: Command, marker: Vec<u8>) -> io::Result<Self> {
        // Orphans of the check come to us, where their mark is found.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        fcntl_setfl(&reader, OFlags::NONBLOCK)?;
        command.stderr(writer.try_clone()?).stdout(writer);
        let mut children = registry::lock();
        let pid = command.spawn()?.id();
        drop(command);
        let Some(opened) = signal::as_pid(pid).map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let pidfd = opened.inspect_err(|_| {
            signal::to_group(pid, Signal::KILL);
            reap::reap_blocking(pid);
        })?;
        children.insert(pid);
        Ok(Self { pid, pidfd, marker: [marker], pipe: Some(reader), output: Vec::new(), reaped: false })
    }

    fn wait(mut self, limit: Duration, ending: &OwnedFd) -> Result<CheckOutcome, CheckError> {
        self.await_end(limit, ending)?;
        self.read_output();
        let status = self.end().unwrap_or(ExitStatus::Signal(9));
        Ok(CheckOutcome { status, output: std::mem::take(&mut self.output) })
    }

    /// Reads output until the main process ends.
    fn await_end(&mut self, limit: Duration, ending: &OwnedFd) -> Result<(), CheckError> {
        let deadline = Instant::now().checked_add(limit);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // Rounded up, lest the last wait be one of zero length, over and over.
            let timeout = left.and_then(|left| Timespec::try_from(left + Duration::from_millis(1)).ok());
            let mut watched =
                vec![PollFd::new(&self.pidfd, PollFlags::IN), PollFd::new(ending, PollFlags::IN)];
            if let Some(pipe) = &self.pipe {
                watched.push(PollFd::new(pipe, PollFlags::IN));
            }
            match poll(&mut watched, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return Err(CheckError::TimedOut { limit }),
            }
            let [has_ended, is_to_end] = [0, 1].map(|index| !watched[index].revents().is_empty());
            if has_ended {
                return Ok(());
            }
            if is_to_end {
                return Err(CheckError::Ended);
            }
            drop(watched);
            self.read_output();
            if left.is_some_and(|left| left.is_zero()) {
                return Err(CheckError::TimedOut { limit });
            }
        }
    }

    /// Takes what the pipe holds; the surplus over what is kept is thrown away.
    fn read_output(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        let mut buffer = [0_u8; 16 * 1024];
        // At most a mebibyte a turn, so that a check that talks without end still meets its limit.
        for _ in 0..64 {
            match rustix::io::read(pipe.as_fd(), &mut buffer) {
                Ok(length) if length > 0 => {
                    let room = KEPT.saturating_sub(self.output.len());
                    self.output.extend_from_slice(&buffer[..length.min(room)]);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Ok(_) | Err(_) => {
                    self.pipe = None;
                    return;
                }
            }
        }
    }

    /// Kills what is left of the group and its descendants, and reaps the main process.
    fn end(&mut self) -> Option<ExitStatus> {
        self.kill_descendants();
        signal::to_group(self.pid, Signal::KILL);
        let patience = Timespec::try_from(UNKILLABLE).unwrap_or_default();
        let _ = poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&patience));
        // Those born while the others were killed, now ours.
        self.kill_descendants();
        for pid in ProcTable::read_all().ended_orphans() {
            let _ = reap::reap(pid);
        }
        let mut children = registry::lock();
        let status = reap::reap(self.pid).ok().flatten().map(|reaped| reaped.status);
        children.remove(&self.pid);
        self.reaped = true;
        status
    }
}

impl OneCheck {
    /// Kills descendants and waits for their end until none is found.
    fn kill_descendants(&self) {
        let key = TreeKey { main: self.pid, marker: &self.marker };
        let patience = Timespec::try_from(UNKILLABLE).unwrap_or_default();
        for _ in 0..ROUNDS {
            let found = ProcTable::read_all().members(key);
            let held: Vec<_> =
                found.alive.iter().filter_map(|stat| Some((stat.pid, signal::open(stat)?))).collect();
            for (_, pidfd) in &held {
                signal::to_pidfd(pidfd, Signal::KILL);
            }
            for (pid, pidfd) in &held {
                let _ = poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&patience));
                let _ = reap::reap(*pid);
            }
            for ended in &found.ended {
                let _ = reap::reap(ended.pid);
            }
            if held.is_empty() {
                return;
            }
        }
    }
}

impl Drop for OneCheck {
    fn drop(&mut self) {
        if !self.reaped {
            self.end();
        }
    }
}
