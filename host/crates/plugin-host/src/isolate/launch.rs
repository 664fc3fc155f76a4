//! Starting a runner, ending it, and telling how it ended.

use super::link;
use orchestrator_core::config::Signal;
use rustix::event::PollFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How a runner is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runner {
    /// The program, as a rule the host's own.
    pub program: PathBuf,
    /// Its arguments (`["plugin-runner"]`).
    pub arguments: Vec<OsString>,
}

impl Runner {
    /// This program, even where its file was replaced meanwhile, with the hidden subcommand `plugin-runner`.
    pub fn this_program() -> Self {
        Self { program: "/proc/self/exe".into(), arguments: vec!["plugin-runner".into()] }
    }

    fn spawn(&self, socket: OwnedFd) -> io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            // Each arena of the allocator reserves 64 MiB of the address space that is counted.
            .env("MALLOC_ARENA_MAX", "2")
            .current_dir("/")
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    }

    /// Starts a runner; our end of the socket comes with it.
    pub(super) fn start(&self) -> io::Result<(Process, OwnedFd)> {
        let (ours, theirs) = link::pair()?;
        let child = spawn(self.clone(), theirs)?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        let mut process = Process { child, handle: None };
        process.handle = Some(pidfd_open(pid, PidfdFlags::empty())?);
        Ok((process, ours))
    }
}

type Request = (Runner, OwnedFd, Sender<io::Result<Child>>);

/// Spawns from one permanent thread: a runner dies with the thread that it was spawned from.
fn spawn(runner: Runner, socket: OwnedFd) -> io::Result<Child> {
    static SPAWNER: OnceLock<Mutex<Option<Sender<Request>>>> = OnceLock::new();
    let (answer, answered) = channel();
    let mut spawner = SPAWNER.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if spawner.is_none() {
        let (sender, requests) = channel::<Request>();
        std::thread::Builder::new().name("plugin-spawner".to_owned()).spawn(move || {
            for (runner, socket, answer) in requests {
                let _ = answer.send(runner.spawn(socket));
            }
        })?;
        *spawner = Some(sender);
    }
    let request = (runner, socket, answer);
    let sent = spawner.as_ref().is_some_and(|sender| sender.send(request).is_ok());
    drop(spawner);
    if !sent {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    answered.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
}

/// A runner's process. It is killed and reaped when the value goes.
pub(super) struct Process {
    child: Child,
    handle: Option<OwnedFd>,
}

impl Process {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended by itself, and kills it when it has not; how it ended.
    pub(super) fn end(&mut self, patience: Duration) -> Ending {
        let by_itself = match &self.handle {
            Some(handle) => ends_within(handle.as_fd(), patience),
            None => false,
        };
        if !by_itself {
            let _ = self.child.kill();
        }
        match self.child.wait() {
            Ok(status) if by_itself => Ending::of(status),
            Ok(_) => Ending::Killed,
            Err(_) => Ending::Unknown,
        }
    }
}

/// Whether the process ends in that time; a signal that interrupts the wait does not shorten it.
fn ends_within(handle: BorrowedFd<'_>, patience: Duration) -> bool {
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match link::wait_for(&[(handle, PollFlags::IN)], Some(left)) {
            Ok(Some([true])) => return true,
            Ok(Some([false])) => {}
            Ok(None) | Err(_) => return false,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// How a runner's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By an exit with this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It cut itself off from the host, which killed it.
    Killed,
    /// Somebody else was told how.
    Unknown,
}

impl Ending {
    fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exit(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match Signal::new(i64::from(*number)) {
                Some(signal) => write!(f, "signal {number}, {signal}"),
                None => write!(f, "signal {number}"),
            },
            Self::Killed => write!(f, "cut itself off from the host"),
            Self::Unknown => write!(f, "nobody knows how"),
        }
    }
}
