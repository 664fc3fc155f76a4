//! `plugin reload`: a live run reads its configuration and its plugin directories again; what came of it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use orchestrator_plugin_host::ReloadReport;
use orchestrator_store::{HostIdentity, StateReader};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use thiserror::Error;

use crate::cli::{ReloadArgs, Selection};
use crate::commands::state::now;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;
use crate::views::status_file::Live;

/// Longest wait for the run's answer: a plugin may take half a minute to start.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at what the run says; it says something every second.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why a live run was not made to reload its plugins, or why that is not known.
#[derive(Debug, Error)]
pub(crate) enum ReloadError {
    /// Nothing runs there.
    #[error("no run is under way in {}; the next one reads everything anew", .0.display())]
    NoRun(PathBuf),
    /// It cannot be reached from here.
    #[error("the run is {0}, which cannot be reached from here; reload it there")]
    OutOfReach(String),
    /// It does not answer.
    #[error("{0} has not answered within {after} s; look at what it says itself", after = PATIENCE.as_secs())]
    Silent(String),
    /// It ended meanwhile.
    #[error("the run ended before it had reloaded anything")]
    Ended,
    /// The system refuses.
    #[error("{holder} cannot be sent a signal ({source}); only its owner may do that")]
    Signal {
        /// Which process.
        holder: String,
        /// Why.
        source: io::Error,
    },
    /// The run refused.
    #[error("{0}")]
    Refused(String),
}

/// Sends SIGHUP to exactly the process that holds the state, and waits for what came of it.
pub(super) fn reload(args: &ReloadArgs, session: &Session) -> Result<Exit, Failure> {
    let state = match &args.state_dir {
        Some(directory) => directory.clone(),
        None => {
            let selection = Selection { config: args.config.clone(), ..Selection::default() };
            session.load(&selection)?.config.state_directory()
        }
    };
    let report = ask(&state)?;
    if session.json() {
        session.print_json(&report)?;
    }
    if let Some(refused) = report.refused {
        return Err(ReloadError::Refused(refused).into());
    }
    if !session.json() {
        report.lines.iter().try_for_each(|line| session.print(&line.sentence))?;
    }
    let good = report.lines.iter().all(|line| line.outcome.is_good());
    Ok(if good { Exit::Success } else { Exit::Unavailable })
}

fn ask(state: &Path) -> Result<ReloadReport, Failure> {
    let no_run = || ReloadError::NoRun(state.to_owned());
    let holder = StateReader::open(state)
        .ok()
        .and_then(|reader| reader.overview(now()).ok())
        .and_then(|overview| overview.live)
        .ok_or_else(no_run)?;
    let name = holder.to_string();
    let process = holder.process.ok_or_else(|| ReloadError::OutOfReach(name.clone()))?;
    let run = Run::open(&process, name)?;
    let end = Instant::now() + PATIENCE;
    // A run that speaks listens to signals; a SIGHUP before that would end it. What it said a moment ago may not know of
    // a reload that somebody else has asked for.
    let began = SystemTime::now();
    let before = run.wait(end, || Live::read_after(state, began))?.reloads;
    run.hang_up()?;
    let newer = || Live::read(state)?.reload.filter(|report| report.number > before);
    Ok(run.wait(end, newer)?)
}

/// The process of a run, held so that no other one can be taken for it.
struct Run {
    process: OwnedFd,
    name: String,
}

impl Run {
    fn open(identity: &HostIdentity, name: String) -> Result<Self, ReloadError> {
        if identity.is_alive().is_none() {
            return Err(ReloadError::OutOfReach(name));
        }
        let pid = i32::try_from(identity.pid).ok().and_then(Pid::from_raw).ok_or(ReloadError::Ended)?;
        let process = pidfd_open(pid, PidfdFlags::empty()).map_err(|_| ReloadError::Ended)?;
        // Asked once more now that the pid cannot go to another process unnoticed.
        if identity.is_alive() != Some(true) {
            return Err(ReloadError::Ended);
        }
        Ok(Self { process, name })
    }

    fn hang_up(&self) -> Result<(), ReloadError> {
        pidfd_send_signal(&self.process, Signal::HUP)
            .map_err(|error| ReloadError::Signal { holder: self.name.clone(), source: error.into() })
    }

    /// Looks until something is found, the process ends, or the time is up.
    fn wait<T>(&self, end: Instant, look: impl Fn() -> Option<T>) -> Result<T, ReloadError> {
        let pause = Timespec::try_from(LOOK_EVERY).unwrap_or_default();
        loop {
            let found = look();
            if let Some(found) = found {
                return Ok(found);
            }
            let ended = poll(&mut [PollFd::new(&self.process, PollFlags::IN)], Some(&pause));
            if ended.is_ok_and(|count| count > 0) {
                return Err(ReloadError::Ended);
            }
            if Instant::now() >= end {
                return Err(ReloadError::Silent(self.name.clone()));
            }
        }
    }
}
