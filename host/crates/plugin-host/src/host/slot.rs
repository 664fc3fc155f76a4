//! The supervisor's view of one instance.

use super::complaints::Complaints;
use super::pace::Pace;
use super::restarts::Restarts;
use super::state::{Errand, Happening, State};
use crate::instance::context::Context;
use crate::instance::jobs::JobSender;
use crate::instance::worker::{Collected, Job};
use crate::instance::{
    InstanceFailure, InstanceFault, InstanceSpec, InstanceState, InstanceStats, LibraryFacts,
};
use crate::library::{FileFault, FileProblem, PluginFile, Trust};
use orchestrator_core::AttemptId;
use orchestrator_core::config::model::Isolation;
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_api::PluginKind;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Rounds in a row that may fail before a metrics instance is given up.
pub(super) const FAILED_ROUNDS: u32 = 10;

/// Lateness of the supervisor itself that says nothing about a plugin.
const FORGIVEN: Duration = Duration::from_millis(100);

/// Beyond its deadlines, what a job of an isolated instance may take: more than any of them can.
const LAST_RESORT: Duration = Duration::from_secs(10);

/// One instance of the configuration, whichever worker stands behind it.
pub(super) struct Slot {
    pub(super) spec: InstanceSpec,
    /// The library it was made of; nothing where none exports its class.
    pub(super) file: Option<PluginFile>,
    state: State,
    stats: Arc<Mutex<InstanceStats>>,
    pub(super) complaints: Complaints,
    /// Workers started so far: each has its own number, so that a late voice is known as one.
    generations: u32,
    /// The present worker; nothing where none stands behind it.
    running: Option<Running>,
    /// A successor on its way.
    pub(super) change: Option<Change>,
    pub(super) pace: Pace,
    pub(super) restarts: Restarts,
    pub(super) failed_rounds: u32,
    /// The process with which the next round begins.
    pub(super) first: usize,
    /// What a metrics instance measured last.
    pub(super) reading: Option<Reading>,
    /// Whether it ever told something about a process.
    pub(super) knows_processes: bool,
    /// What a capacity instance answered last.
    pub(super) answer: Option<Result<(u32, String), String>>,
}

/// A worker at work.
pub(super) struct Running {
    pub(super) generation: u32,
    pub(super) jobs: JobSender,
    pub(super) context: &'static Context,
}

/// A successor with another configuration or another library.
pub(super) enum Change {
    /// The present instance is to hand out its state first.
    Wanted { spec: InstanceSpec, file: PluginFile },
    /// Its worker was started.
    Starting(Successor),
}

pub(super) struct Successor {
    pub(super) running: Running,
    pub(super) spec: InstanceSpec,
    pub(super) file: PluginFile,
    /// Given up then.
    pub(super) until: Instant,
    /// So long the present instance is not asked, lest the state that was handed over grows old.
    pub(super) hold: Instant,
    /// It is ready and waits for the present instance to end its job.
    pub(super) ready: bool,
    /// It goes on from the present instance's state.
    pub(super) moved: bool,
}

/// What an instance measured.
pub(super) struct Reading {
    pub(super) at: Instant,
    pub(super) system: Metrics,
    pub(super) processes: Vec<(AttemptId, Arc<Metrics>)>,
    /// Processes that it was asked about.
    pub(super) asked: usize,
}

/// Whose voice it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Speaker {
    /// The worker that stands behind the instance.
    Present,
    /// The one that is to take its place.
    Successor,
    /// One that was given up.
    Nobody,
}

impl Slot {
    /// A slot that nothing stands behind yet.
    pub(super) fn new(spec: &InstanceSpec, first_wait: Duration) -> Self {
        Self {
            spec: spec.clone(),
            file: None,
            state: State::Disabled,
            stats: Arc::new(Mutex::new(InstanceStats::new(&spec.name, spec.kind, &spec.class))),
            complaints: Complaints::default(),
            generations: 0,
            running: None,
            change: None,
            pace: Pace::new(spec.interval),
            restarts: Restarts::new(first_wait),
            failed_rounds: 0,
            first: 0,
            reading: None,
            knows_processes: false,
            answer: None,
        }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Lets something happen to it; `false` where that means nothing in its state.
    pub(super) fn happen(&mut self, happening: Happening) -> bool {
        let Some(next) = self.state.after(happening) else { return false };
        let silent = matches!(
            (&self.state, &next),
            (State::Idle | State::Busy { .. }, State::Idle | State::Busy { .. })
        );
        self.state = next;
        if !silent {
            let (state, sentence) = shown(&self.state);
            let mut stats = self.stats();
            stats.state = state;
            stats.sentence = sentence.map(str::to_owned);
        }
        true
    }

    pub(super) fn stats(&self) -> MutexGuard<'_, InstanceStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn share_stats(&self) -> Arc<Mutex<InstanceStats>> {
        Arc::clone(&self.stats)
    }

    pub(super) fn is(&self, kind: PluginKind) -> bool {
        self.spec.kind == kind
    }

    /// Whether its code runs in a process of its own, so that all that happens to it can be mended.
    pub(super) fn is_isolated(&self) -> bool {
        self.spec.isolation != Isolation::InProcess
    }

    pub(super) fn next_generation(&mut self) -> u32 {
        self.generations += 1;
        self.generations
    }

    /// Takes another configuration and library; what it cost so far stays booked.
    pub(super) fn become_of(&mut self, spec: InstanceSpec, file: PluginFile) {
        self.pace = Pace::new(spec.interval);
        {
            let mut stats = self.stats();
            stats.slowed_to = None;
            stats.class.clone_from(&spec.class);
            stats.library = Some(LibraryFacts::of(&file));
        }
        self.spec = spec;
        self.file = Some(file);
        self.failed_rounds = 0;
        self.first = 0;
    }

    /// Takes note that the library it was made of was read and judged again.
    pub(super) fn judged_again(&mut self, file: PluginFile) {
        self.stats().library = Some(LibraryFacts::of(&file));
        self.file = Some(file);
    }

    /// Why the library it was made of is trusted no longer, whatever has become of its file.
    pub(super) fn distrust(&self, rules: &Trust) -> Option<FileProblem> {
        let file = self.file.as_ref()?;
        let fault = file.is_trusted_by(rules).err()?;
        Some(FileProblem::new(&file.path, FileFault::Distrusted(fault)))
    }

    pub(super) fn attach(&mut self, running: Running) {
        self.running = Some(running);
    }

    /// Lets the present worker go: its thread ends as soon as the plugin lets it.
    pub(super) fn detach(&mut self) {
        self.running = None;
    }

    pub(super) fn speaker(&self, generation: u32) -> Speaker {
        if self.running.as_ref().is_some_and(|running| running.generation == generation) {
            return Speaker::Present;
        }
        match &self.change {
            Some(Change::Starting(successor)) if successor.running.generation == generation => {
                Speaker::Successor
            }
            _ => Speaker::Nobody,
        }
    }

    /// Whether a round may ask it now or soon.
    pub(super) fn takes_part(&self) -> bool {
        matches!(self.state, State::Idle | State::Busy { errand: Errand::Snapshot, .. })
    }

    /// When a round would ask it, at the earliest; `None` where none would, as things are.
    pub(super) fn due_at(&self, now: Instant) -> Option<Instant> {
        if self.is(PluginKind::Capacity) {
            // What it answers, or why it does not, is news in every round.
            return Some(now);
        }
        let first = !self.has_met() && self.pace.may_hurry(now);
        let at = if first { now } else { self.pace.due_at().unwrap_or(now) };
        self.takes_part().then_some(at)
    }

    /// Whether it was ever asked about a process, as far as that still counts.
    pub(super) fn has_met(&self) -> bool {
        self.reading.as_ref().is_some_and(|reading| reading.asked > 0)
    }

    /// Whether it can be handed a job at this moment.
    pub(super) fn is_free(&self, now: Instant) -> bool {
        let held = match &self.change {
            Some(Change::Starting(successor)) => now < successor.hold,
            Some(Change::Wanted { .. }) | None => false,
        };
        self.state == State::Idle && !held
    }

    /// Hands a job over; `false` where the thread is gone: its `Ended` is on the way.
    pub(super) fn give(&mut self, job: Job, now: Instant) -> bool {
        let errand = if matches!(job, Job::Snapshot) { Errand::Snapshot } else { Errand::Round };
        let Some(running) = &self.running else { return false };
        let sent = running.jobs.send(job).is_ok();
        // A metrics job of many processes renews its mark with every call; the check looks at that.
        self.happen(Happening::Asked { errand, now, check: now + self.spec.deadline });
        match errand {
            Errand::Round => self.pace.asked(now),
            Errand::Snapshot => self.restarts.asked(now),
        }
        sent
    }

    /// Log records that were dropped since the last round.
    pub(super) fn renew_allowance(&self) -> u32 {
        self.running.as_ref().map(|running| running.context.renew_allowance()).unwrap_or_default()
    }

    /// Whether a call has missed its deadline; looks again later where none has.
    pub(super) fn is_overdue(&mut self, now: Instant, late: Duration) -> bool {
        let State::Busy { check, since, .. } = self.state else { return false };
        if now < check {
            return false;
        }
        if self.is_isolated() {
            // Its worker keeps the deadline and kills its runner: we only see to it that a job ends at all.
            let end = since + self.spec.deadline * 3 + LAST_RESORT;
            self.happen(Happening::Spared { check: end });
            return end <= now;
        }
        // When we ourselves were stopped or starved, the plugin was so as well: it gets a fresh allowance.
        if late > FORGIVEN.max(self.spec.deadline / 2) {
            return !self.happen(Happening::Spared { check: now + self.spec.deadline });
        }
        // Between two calls of a job nothing is overdue.
        let end = self.running.as_ref().and_then(|running| running.context.call_ends());
        let check = end.unwrap_or(now + self.spec.deadline);
        self.happen(Happening::Spared { check });
        check <= now
    }

    /// Drops a reading that is too old to count; its age where there was one.
    pub(super) fn expire(&mut self, now: Instant, usual: Duration) -> Option<Duration> {
        let age = now.saturating_duration_since(self.reading.as_ref()?.at);
        let old = age > self.pace.lifetime(usual, self.spec.deadline);
        old.then(|| self.reading = None).map(|()| age)
    }

    /// The failure of this instance.
    pub(super) fn failure(&self, fault: InstanceFault) -> InstanceFailure {
        failure_of(&self.spec, self.file.as_ref().map(|file| file.path.clone()), fault)
    }
}

impl Reading {
    pub(super) fn of(collected: Collected, at: Instant) -> Self {
        let Collected { system, processes, asked, .. } = collected;
        Self { at, system, processes, asked }
    }
}

fn shown(state: &State) -> (InstanceState, Option<&str>) {
    match state {
        State::Starting { .. } => (InstanceState::Starting, None),
        State::Idle | State::Busy { .. } => (InstanceState::Running, None),
        State::Waiting { sentence, .. } => (InstanceState::Restarting, Some(sentence)),
        State::Failed { sentence } => (InstanceState::Failed, Some(sentence)),
        State::Disabled => (InstanceState::Disabled, None),
    }
}

/// The failure of an instance whose supervisor got no thread.
pub(super) fn without_thread(spec: &InstanceSpec, error: &io::Error) -> InstanceFailure {
    let error = io::Error::new(error.kind(), error.to_string());
    failure_of(spec, None, InstanceFault::Thread(error))
}

pub(super) fn failure_of(
    spec: &InstanceSpec,
    path: Option<PathBuf>,
    fault: InstanceFault,
) -> InstanceFailure {
    InstanceFailure {
        instance: spec.name.clone(),
        kind: spec.kind,
        class: spec.class.clone(),
        path,
        required: spec.required,
        fault,
    }
}
