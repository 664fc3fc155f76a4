//! The supervisor's view of one instance.

use super::complaints::Complaints;
use crate::instance::context::Context;
use crate::instance::jobs::JobSender;
use crate::instance::worker::{Collected, Job};
use crate::instance::{InstanceFailure, InstanceFault, InstanceSpec, InstanceStats};
use orchestrator_plugin_api::PluginKind;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Rounds in a row that may fail before a metrics instance is given up.
pub(super) const FAILED_ROUNDS: u32 = 10;

/// Lateness of the supervisor itself that says nothing about a plugin.
const FORGIVEN: Duration = Duration::from_millis(100);

/// An instance: Starting → Idle ⇄ Busy; from each of them to Failed, which is final.
pub(super) enum State {
    /// Its thread loads and constructs it.
    Starting,
    /// It waits for a job.
    Idle,
    /// It does a job; to be looked at again at `check`.
    Busy { check: Instant },
    /// It was given up; the sentence says why.
    Failed { sentence: String },
}

/// The generation of a slot's first worker.
pub(super) const FIRST: u32 = 0;

pub(super) struct Slot {
    /// Which worker is the present one.
    pub(super) generation: u32,
    pub(super) spec: InstanceSpec,
    pub(super) path: Option<PathBuf>,
    pub(super) state: State,
    pub(super) stats: Arc<Mutex<InstanceStats>>,
    pub(super) complaints: Complaints,
    /// Nothing where the thread never started, or was given up.
    thread: Option<Thread>,
    /// Not asked before this moment; `interval`, or the plugin's own wish after an error.
    pub(super) due: Option<Instant>,
    pub(super) failed_rounds: u32,
    /// The process with which the next round begins.
    pub(super) first: usize,
    /// What a metrics instance measured last.
    pub(super) collected: Collected,
    /// What a capacity instance answered last.
    pub(super) answer: Option<Result<(u32, String), String>>,
}

struct Thread {
    jobs: JobSender,
    context: &'static Context,
}

impl Slot {
    pub(super) fn new(spec: &InstanceSpec, path: Option<PathBuf>) -> Self {
        Self {
            generation: FIRST,
            spec: spec.clone(),
            path,
            state: State::Starting,
            stats: Arc::new(Mutex::new(InstanceStats::new(&spec.name, spec.kind, &spec.class))),
            complaints: Complaints::default(),
            thread: None,
            due: None,
            failed_rounds: 0,
            first: 0,
            collected: Collected::default(),
            answer: None,
        }
    }

    pub(super) fn attach(&mut self, jobs: JobSender, context: &'static Context) {
        self.thread = Some(Thread { jobs, context });
    }

    pub(super) fn is(&self, kind: PluginKind) -> bool {
        self.spec.kind == kind
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, State::Idle) && self.due.is_none_or(|due| due <= now)
    }

    /// Hands a job over; `false` where the thread is gone.
    pub(super) fn give(&mut self, job: Job, now: Instant) -> bool {
        let Some(thread) = &self.thread else { return false };
        // A metrics job of many processes renews its mark with every call; the check looks at that.
        self.state = State::Busy { check: now + self.spec.deadline };
        // Rounds are no clockwork: one that comes a tenth early is meant.
        self.due = self.spec.interval.map(|interval| now + interval.mul_f64(0.9));
        thread.jobs.send(job).is_ok()
    }

    /// Log records that were dropped since the last round.
    pub(super) fn renew_allowance(&self) -> u32 {
        self.thread.as_ref().map(|thread| thread.context.renew_allowance()).unwrap_or_default()
    }

    /// Whether a call has missed its deadline; looks again later where none has.
    pub(super) fn is_overdue(&mut self, now: Instant, late: Duration) -> bool {
        let State::Busy { check } = &mut self.state else { return false };
        if now < *check {
            return false;
        }
        // When we ourselves were stopped or starved, the plugin was so as well: it gets a fresh allowance.
        if late > FORGIVEN.max(self.spec.deadline / 2) {
            *check = now + self.spec.deadline;
            return false;
        }
        // Between two calls of a job nothing is overdue.
        let end = self.thread.as_ref().and_then(|thread| thread.context.call_ends());
        *check = end.unwrap_or(now + self.spec.deadline);
        *check <= now
    }

    /// Gives the instance up. Its thread, if it lives, is abandoned: it ends when the plugin lets it.
    pub(super) fn give_up(&mut self, fault: InstanceFault) -> InstanceFailure {
        let failure = failure_of(&self.spec, self.path.clone(), fault);
        self.state = State::Failed { sentence: failure.to_string() };
        self.thread = None;
        self.collected = Collected::default();
        failure
    }
}

/// The failure of an instance whose supervisor got no thread.
pub(super) fn without_thread(spec: &InstanceSpec, error: &io::Error) -> InstanceFailure {
    let error = io::Error::new(error.kind(), error.to_string());
    failure_of(spec, None, InstanceFault::Thread(error))
}

fn failure_of(spec: &InstanceSpec, path: Option<PathBuf>, fault: InstanceFault) -> InstanceFailure {
    InstanceFailure {
        instance: spec.name.clone(),
        kind: spec.kind,
        class: spec.class.clone(),
        path,
        required: spec.required,
        fault,
    }
}
