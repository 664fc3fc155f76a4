//! Birth of one process: standard streams, environment, `posix_spawn`, pidfd.
//!
//! The only way in is [`spawn`]. `std::process::Command` without `pre_exec` uses `posix_spawn` (vfork semantics), whose
//! cost does not grow with the host's memory; a `pre_exec` hook here would silently turn it into a fork.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use orchestrator_core::scheduler::SpawnFault;
use orchestrator_ports::{InputSource, Launch, OutputSink};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{PidfdFlags, Resource, Rlimit, pidfd_open, prlimit};

use crate::capture::Capture;
use crate::{fault, reap, registry, signal, stat};

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

/// Starts the process in a group of its own and enters it in the register of children. `open_files` is the limit to
/// give back to the child when the host raised its own; it takes effect right after exec (a program that reads its
/// limit in its first microseconds may see the host's).
///
/// # Errors
/// The fault, told apart; nothing is left of the try.
pub(crate) fn spawn(launch: &Launch, open_files: Option<Rlimit>) -> Result<Spawned, SpawnFault> {
    let (stdout, out_capture) = output(&launch.stdout)?;
    let (stderr, err_capture) = output(&launch.stderr)?;
    let mut command = command(launch)?;
    command.stdin(input(&launch.stdin)?).stdout(stdout).stderr(stderr);

    let mut children = registry::lock();
    let directory = launch.settings.working_directory.as_deref();
    let child = command.spawn().map_err(|error| fault::of_program(&error, &launch.program, directory))?;
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
    if let Some(limit) = open_files {
        let _ = prlimit(signal::as_pid(pid), Resource::Nofile, limit);
    }
    let start_ticks = stat::start_ticks(pid).unwrap_or(0);
    Ok(Spawned { pid, start_ticks, pidfd, captures: [out_capture, err_capture] })
}

/// Program, arguments, environment and directory.
fn command(launch: &Launch) -> Result<Command, SpawnFault> {
    let settings = &launch.settings;
    let program = locate(launch);
    let mut command = Command::new(&program);
    command.arg0(&launch.program).args(&launch.args).process_group(0);
    if settings.clear_env {
        command.env_clear();
    }
    command.envs(settings.env.iter().map(pair)).envs(launch.env.iter().map(pair));
    if let Some(directory) = &settings.working_directory {
        command.current_dir(directory);
    }
    Ok(command)
}

fn pair((name, value): &(OsString, OsString)) -> (&OsStr, &OsStr) {
    (name, value)
}

/// The program as the kernel will be asked for it. A relative path is meant from the host's directory, not the
/// child's; a bare name is looked up in the `PATH` that the child gets. (Left to itself, `Command` would fork for the
/// latter.)
fn locate(launch: &Launch) -> PathBuf {
    let program = &launch.program;
    if program.components().count() > 1 || program.has_root() {
        return std::path::absolute(program).unwrap_or_else(|_| program.clone());
    }
    let set = launch.env.iter().rev().chain(launch.settings.env.iter().rev());
    let Some((_, path)) = set.into_iter().find(|(name, _)| name == "PATH") else { return program.clone() };
    let found =
        std::env::split_paths(path).map(|directory| directory.join(program)).find(|file| is_executable(file));
    found.unwrap_or_else(|| Path::new("/nonexistent").join(program))
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Opens standard input. Never blocks, whatever the path names.
fn input(source: &InputSource) -> Result<Stdio, SpawnFault> {
    let InputSource::File(path) = source else { return Ok(Stdio::null()) };
    let fail = |error: io::Error| fault::of_input(&error, path);
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(fail)?;
    if file.metadata().map_err(fail)?.is_dir() {
        return Err(fail(io::ErrorKind::IsADirectory.into()));
    }
    blocking(&file).map_err(fail)?;
    Ok(file.into())
}

/// Opens a file or a pipe for standard output or error.
fn output(sink: &OutputSink) -> Result<(Stdio, Option<Capture>), SpawnFault> {
    match sink {
        OutputSink::Null => Ok((Stdio::null(), None)),
        OutputSink::File(path) => {
            let fail = |error: io::Error| fault::of_output(&error, path);
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).custom_flags(libc::O_NONBLOCK);
            let file = options.open(path).map_err(fail)?;
            blocking(&file).map_err(fail)?;
            Ok((file.into(), None))
        }
        OutputSink::Capture { path, max_bytes } => {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)
                .and_then(|ends| fcntl_setfl(&ends.0, OFlags::NONBLOCK).map(|()| ends))
                .map_err(|error| fault::of_machine("pipe", &error.into()))?;
            Ok((writer.into(), Some(Capture::new(reader, path.clone(), *max_bytes))))
        }
    }
}

/// Takes back the flag that kept the opening from blocking: the child expects an ordinary file.
fn blocking(file: &File) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(file.as_fd())?;
    Ok(fcntl_setfl(file.as_fd(), flags - OFlags::NONBLOCK)?)
}

/// Ends a child that cannot be watched.
fn undo(pid: u32, error: &io::Error) -> SpawnFault {
    signal::to_group(pid, rustix::process::Signal::KILL);
    reap::reap_blocking(pid);
    fault::of_machine("pidfd_open", error)
}
