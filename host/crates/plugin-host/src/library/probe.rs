//! A trial load in a process of its own.
//!
//! Opening a library runs its constructors, and a damaged one kills the loader (31 of 60 random bit flips did): what an
//! unknown file does to a process is tried out on a child. The child is the host's own program with a hidden subcommand,
//! which calls [`probe_here`].

use super::load::Library;
use super::problem::{FileFault, FileProblem, ProbeFault};
use super::verified::VerifiedFile;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How a trial load is made.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The program to start, as a rule the host's own.
    pub program: PathBuf,
    /// Its arguments before the path of the bytes, `/proc/self/fd/0` (`["plugin-probe"]`).
    pub arguments: Vec<OsString>,
    /// How long the trial may take.
    pub deadline: Duration,
}

impl Probe {
    /// The host's own program with the hidden subcommand `plugin-probe`.
    ///
    /// # Errors
    /// The program's path cannot be found out.
    pub fn this_program() -> io::Result<Self> {
        let program = std::env::current_exe()?;
        Ok(Self { program, arguments: vec!["plugin-probe".into()], deadline: Duration::from_secs(10) })
    }

    /// Loads the checked bytes in a child, which finds them at its standard input; an error says how the child ended.
    pub(crate) fn try_out(&self, file: &VerifiedFile) -> Result<(), ProbeFault> {
        let bytes = file.sealed().as_fd().try_clone_to_owned().map_err(ProbeFault::Start)?;
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .arg("/proc/self/fd/0")
            .stdin(Stdio::from(bytes))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(ProbeFault::Start)?;
        let ended = wait(&child, self.deadline).map_err(ProbeFault::Start);
        if !matches!(ended, Ok(true)) {
            let _ = child.kill();
        }
        let status = child.wait().map_err(ProbeFault::Start)?;
        match (ended?, status.signal()) {
            (false, _) => Err(ProbeFault::TimedOut { after: self.deadline }),
            (true, Some(signal)) => Err(ProbeFault::Crashed { signal }),
            (true, None) if status.success() => Ok(()),
            (true, None) => Err(ProbeFault::Refused { reason: words_of(&mut child) }),
        }
    }
}

/// The child's side of a trial load: loads the file and says what came of it. Whom it belongs to and who signed it, the
/// parent has checked.
///
/// # Errors
/// The file is no plugin library that this host can use.
pub fn probe_here(file: &Path) -> Result<(), FileProblem> {
    let opened = File::open(file).map_err(|error| FileProblem::new(file, FileFault::Unreadable(error)))?;
    let received = VerifiedFile::receive(opened.into(), file, None)?;
    Library::load_verified(&received, None).map(|_| ())
}

/// Whether the child ended in time.
fn wait(child: &Child, deadline: Duration) -> io::Result<bool> {
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return Ok(true) };
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    let limit = Timespec::try_from(deadline).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&limit))? > 0)
}

/// The last line that the child wrote to its standard error.
fn words_of(child: &mut Child) -> String {
    let mut text = String::new();
    if let Some(stderr) = child.stderr.as_mut() {
        let _ = stderr.take(64 * 1024).read_to_string(&mut text);
    }
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it gave no reason").to_owned()
}
