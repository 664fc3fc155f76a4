//! Birth of one process: standard streams, program, environment, pidfd.
//!
//! The only way in is [`Spawner::spawn`]. It goes the quicker of two ways, found out at the start: `clone3` of our own
//! (`birth.rs`), whose outcome is known a little later ([`Spawner::settle`]), or where that is not to be had `std::process::Command`, which without `pre_exec` uses `posix_spawn`. The
//! cost of neither grows with the host's memory; a `pre_exec` hook here would silently turn the second into a fork.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use orchestrator_core::scheduler::SpawnFault;
use orchestrator_ports::Launch;
use rustix::process::{PidfdFlags, Resource, Rlimit, pidfd_open, prlimit};

use crate::birth::{self, Cradle};
use crate::capture::Capture;
use crate::error::ExecError;
use crate::image::Common;
use crate::nursery::{Nursery, Occupied, Outcome};
use crate::streams::{Stream, Streams};
use crate::ticks::Ticks;
use crate::{affinity, fault, program, reap, registry, signal};

/// How processes are started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LaunchPath {
    /// `clone3` with `CLONE_VM` and `CLONE_PIDFD`.
    Clone3,
    /// `posix_spawn`, then `pidfd_open`.
    PosixSpawn,
}

impl LaunchPath {
    /// The best one that this kernel allows; tries it.
    #[must_use]
    pub fn best() -> Self {
        if birth::is_possible() { Self::Clone3 } else { Self::PosixSpawn }
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
    /// Where the child is until it has become its program; `None` when it has.
    pub(crate) cradle: Option<Cradle>,
}

/// How a birth went.
#[derive(Debug)]
pub(crate) enum Settled {
    /// It is not known yet.
    Pending(Occupied),
    /// The child is the program.
    Born,
    /// It could not become it, and has ended.
    Failed(SpawnFault),
}

/// Process, pidfd, and the cradle that it has not left yet.
type Newborn = (u32, OwnedFd, Option<Cradle>);

/// Starts processes, one at a time.
#[derive(Debug)]
pub(crate) struct Spawner {
    path: LaunchPath,
    nursery: Nursery,
    common: Option<Arc<Common>>,
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
        let path =
            if wanted == Some(LaunchPath::PosixSpawn) { LaunchPath::PosixSpawn } else { LaunchPath::best() };
        let (nursery, common, ticks) = (Nursery::default(), None, Ticks::new());
        Ok(Self { path, nursery, common, null, ticks, open_files })
    }

    /// Starts the process in a group of its own and enters it in the register of children.
    ///
    /// # Errors
    /// The fault, told apart; nothing is left of the try.
    pub(crate) fn spawn(&mut self, launch: &Launch) -> Result<Spawned, SpawnFault> {
        let Streams { child, captures } = Streams::open(launch)?;
        let before = self.ticks.now();
        // The child's ends are closed with this: a pipe held open here would never end.
        let (pid, pidfd, cradle) = match self.path {
            LaunchPath::Clone3 => self.by_clone(launch, child)?,
            LaunchPath::PosixSpawn => self.by_command(launch, child)?,
        };
        let start_ticks = self.ticks.of_child(pid, before);
        Ok(Spawned { pid, start_ticks, pidfd, captures, cradle })
    }

    /// Asks how a birth went; `ended` says that the child is known to have ended.
    pub(crate) fn settle(&mut self, occupied: Occupied, ended: bool) -> Settled {
        match self.nursery.settle(occupied, ended) {
            Outcome::Pending(occupied) => Settled::Pending(occupied),
            Outcome::Born => Settled::Born,
            Outcome::Failed(error, launch) => Settled::Failed(program_fault(&error, &launch)),
        }
    }

    fn by_clone(&mut self, launch: &Launch, streams: [Stream; 3]) -> Result<Newborn, SpawnFault> {
        let failed = |error: io::Error| program_fault(&error, launch);
        let common = Common::renew(&mut self.common, launch).map_err(failed)?;
        let mut cradle = self.nursery.take().map_err(|error| fault::of_machine("stack", &error))?;
        let raw = [&streams[0], &streams[1], &streams[2]].map(|stream| stream.raw(&self.null));
        let born = cradle.image().fill(launch, common).and_then(|call| {
            let mut children = registry::lock();
            let (pid, pidfd) = cradle.bear(call, raw, self.open_files)?;
            children.insert(pid);
            Ok((pid, pidfd))
        });
        let (pid, pidfd) = match born {
            Ok(born) => born,
            Err(error) => {
                self.nursery.give_back(cradle);
                return Err(failed(error));
            }
        };
        Ok((pid, pidfd, Some(cradle)))
    }

    fn by_command(&self, launch: &Launch, streams: [Stream; 3]) -> Result<Newborn, SpawnFault> {
        let mut command = command(launch);
        let [stdin, stdout, stderr] = streams;
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        let mut children = registry::lock();
        // What is started inherits the processors of this thread.
        let confined = launch.cpus.as_ref().and_then(affinity::confine);
        let child = command.spawn().map_err(|error| program_fault(&error, launch))?;
        // The child's copies of the streams must not stay open here: a pipe would never end.
        drop(command);
        drop(confined);
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
        Ok((pid, pidfd, None))
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
    command.envs(settings.env.iter().map(|(name, value)| (name, value))).envs(launch.env.iter());
    if let Some(directory) = &settings.working_directory {
        command.current_dir(directory);
    }
    command
}

/// Ends a child that cannot be watched.
fn undo(pid: u32, error: &io::Error) -> SpawnFault {
    signal::to_group(pid, rustix::process::Signal::KILL);
    reap::reap_blocking(pid);
    fault::of_machine("pidfd_open", error)
}
