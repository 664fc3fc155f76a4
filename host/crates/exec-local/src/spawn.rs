//! Birth of one process: standard streams, program, environment, pidfd.
//!
//! The only way in is [`Spawner::spawn`]. It goes the quicker of two ways, found out at the start: `clone3` of our own
//! (`birth.rs`), or where that is not to be had `std::process::Command`, which without `pre_exec` uses `posix_spawn`. The
//! cost of neither grows with the host's memory; a `pre_exec` hook here would silently turn the second into a fork.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use orchestrator_core::scheduler::SpawnFault;
use orchestrator_ports::Launch;
use rustix::process::{PidfdFlags, Resource, Rlimit, pidfd_open, prlimit};

use crate::birth::{Birth, Clone3, as_rlimit};
use crate::capture::Capture;
use crate::error::ExecError;
use crate::image::Image;
use crate::streams::Streams;
use crate::ticks::Ticks;
use crate::{fault, program, reap, registry, signal};

/// How processes are started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LaunchPath {
    /// `clone3` with `CLONE_VM`, `CLONE_VFORK`, `CLONE_PIDFD`.
    Clone3,
    /// `posix_spawn`, then `pidfd_open`.
    PosixSpawn,
}

impl LaunchPath {
    /// The best one that this kernel allows; tries it.
    #[must_use]
    pub fn best() -> Self {
        if Clone3::try_new().is_some() { Self::Clone3 } else { Self::PosixSpawn }
    }
}

impl fmt::Display for LaunchPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clone3 => "clone3 (shared memory until exec, pidfd at birth)",
            Self::PosixSpawn => "posix_spawn (clone3 is not to be had here)",
        })
    }
}

/// A process that runs and is watched.
#[derive(Debug)]
pub(crate) struct Spawned {
    /// Process id, also its group's.
    pub(crate) pid: u32,
    /// Clock ticks since boot.
    pub(crate) start_ticks: u64,
    /// Readable once it has ended.
    pub(crate) pidfd: OwnedFd,
    /// Captured standard output and error.
    pub(crate) captures: [Option<Capture>; 2],
}

/// Starts processes, one at a time.
#[derive(Debug)]
pub(crate) struct Spawner {
    clone: Option<Clone3>,
    image: Image,
    null: File,
    ticks: Ticks,
    /// The limit to give back to children when the host raised its own.
    open_files: Option<Rlimit>,
}

impl Spawner {
    /// Goes the best way, or the one that is `wanted` if it can be gone.
    ///
    /// # Errors
    /// `/dev/null` cannot be opened.
    pub(crate) fn new(wanted: Option<LaunchPath>, open_files: Option<Rlimit>) -> Result<Self, ExecError> {
        let null = OpenOptions::new().read(true).write(true).open("/dev/null").map_err(ExecError::Null)?;
        let clone = if wanted == Some(LaunchPath::PosixSpawn) { None } else { Clone3::try_new() };
        Ok(Self { clone, image: Image::default(), null, ticks: Ticks::new(), open_files })
    }

    /// Starts the process in a group of its own and enters it in the register of children.
    ///
    /// # Errors
    /// The fault, told apart; nothing is left of the try.
    pub(crate) fn spawn(&mut self, launch: &Launch) -> Result<Spawned, SpawnFault> {
        let Streams { child, captures } = Streams::open(launch)?;
        let before = self.ticks.now();
        let (pid, pidfd) = if self.clone.is_some() {
            // The child's ends are closed when this returns: a pipe held open here would never end.
            self.by_clone(launch, Streams { child, captures: [None, None] })?
        } else {
            self.by_command(launch, Streams { child, captures: [None, None] })?
        };
        let start_ticks = self.ticks.of_child(pid, before);
        Ok(Spawned { pid, start_ticks, pidfd, captures })
    }

    fn by_clone(&mut self, launch: &Launch, streams: Streams) -> Result<(u32, OwnedFd), SpawnFault> {
        let failed = |error: io::Error| program_fault(&error, launch);
        let Some(clone) = &mut self.clone else { return Err(failed(io::ErrorKind::Unsupported.into())) };
        let call = self.image.fill(launch).map_err(failed)?;
        let [stdin, stdout, stderr] = &streams.child;
        let streams = [stdin, stdout, stderr].map(|stream| stream.raw(&self.null));
        let mut birth = Birth { call, streams, open_files: self.open_files.map(as_rlimit), errno: 0 };
        let mut children = registry::lock();
        let (pid, pidfd) = clone.born(&mut birth).map_err(failed)?;
        if birth.errno != 0 {
            reap::reap_blocking(pid);
            return Err(failed(io::Error::from_raw_os_error(birth.errno)));
        }
        children.insert(pid);
        Ok((pid, pidfd))
    }

    fn by_command(&self, launch: &Launch, streams: Streams) -> Result<(u32, OwnedFd), SpawnFault> {
        let mut command = command(launch);
        let [stdin, stdout, stderr] = streams.child;
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        let mut children = registry::lock();
        let child = command.spawn().map_err(|error| program_fault(&error, launch))?;
        // The child's copies of the streams must not stay open here: a pipe would never end.
        drop(command);
        let pid = child.id();
        let pidfd = match signal::as_pid(pid).map(|pid| pidfd_open(pid, PidfdFlags::empty())) {
            Some(Ok(pidfd)) => pidfd,
            Some(Err(error)) => return Err(undo(pid, &error.into())),
            None => return Err(undo(pid, &io::ErrorKind::InvalidData.into())),
        };
        children.insert(pid);
        drop(children);
        if let Some(limit) = self.open_files {
            // After exec: a program that reads its limit in its first microseconds may see the host's.
            let _ = prlimit(signal::as_pid(pid), Resource::Nofile, limit);
        }
        Ok((pid, pidfd))
    }
}

fn program_fault(error: &io::Error, launch: &Launch) -> SpawnFault {
    fault::of_program(error, &launch.program, launch.settings.working_directory.as_deref())
}

/// Program, arguments, environment and directory.
fn command(launch: &Launch) -> Command {
    let settings = &launch.settings;
    let mut command = Command::new(program::locate(launch));
    command.arg0(&launch.program).args(&launch.args).process_group(0);
    if settings.clear_env {
        command.env_clear();
    }
    command.envs(settings.env.iter().map(pair)).envs(launch.env.iter().map(pair));
    if let Some(directory) = &settings.working_directory {
        command.current_dir(directory);
    }
    command
}

fn pair((name, value): &(OsString, OsString)) -> (&OsStr, &OsStr) {
    (name, value)
}

/// Ends a child that cannot be watched.
fn undo(pid: u32, error: &io::Error) -> SpawnFault {
    signal::to_group(pid, rustix::process::Signal::KILL);
    reap::reap_blocking(pid);
    fault::of_machine("pidfd_open", error)
}
