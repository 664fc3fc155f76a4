//! The step.

use super::attempt::{Attempt, Live, Phase, Slots};
use super::governing::law_of;
use super::queue::Queue;
use super::refusal::{SpawnBackoff, SpawnCeiling};
use super::stopping::Mode;
use super::tasks::Tasks;
use super::timers::Timers;
use super::{
    CapacityAnswer, Command, Counts, Discovered, Event, Fact, Fingerprint, KnownTasks, Policy, RunFault,
    ScanReport, StoredTask, TaskState, TerminationReason,
};
use crate::capacity::bottleneck::Bottleneck;
use crate::capacity::control::{Control, ControlState, Head};
use crate::capacity::{Answers, Baseline, Calibration};
use crate::config::model::ResumeKey;
use crate::metrics::{ProcessSample, SystemSample};
use crate::outlook::Outlook;
use crate::placement::Placer;
use crate::predict::{RunTimes, Watches};
use crate::{SlotId, TaskId, Timestamp};

/// What a step decided: facts first to be recorded as one, then commands to be performed.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// What became true.
    pub facts: Vec<Fact>,
    /// What is to be done once the facts are recorded.
    pub commands: Vec<Command>,
}

/// What a state directory knows at the start of a run.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Its tasks.
    pub tasks: KnownTasks,
    /// Tasks that are new work because the command changed since they became final.
    pub stale: Vec<TaskId>,
    /// Try again what had failed for good.
    pub retry_failed: bool,
    /// The first attempt id never given out.
    pub next_attempt: u64,
    /// The baseline stored for this binary and flags.
    pub baseline: Option<Baseline>,
    /// What earlier runs learned of this binary and flags.
    pub learned: Option<ControlState>,
}

/// The scheduler: all state of a run, changed by [`Scheduler::step`] alone.
#[derive(Clone)]
pub struct Scheduler {
    pub(super) policy: Policy,
    pub(super) tasks: Tasks,
    pub(super) queue: Queue,
    pub(super) live: Live,
    pub(super) slots: Slots,
    /// Attempts that hold a slot.
    pub(crate) holding: u32,
    /// Attempts between exit and the end of publication.
    pub(super) unpublished: usize,
    pub(super) timers: Timers,
    /// What the capacity plugins say.
    pub(super) answers: Answers,
    /// The control law, where it decides.
    pub(super) control: Option<Control>,
    /// Which processors attempts are given.
    pub(super) placer: Placer,
    /// Input sizes by task, as far as they were told; `u64::MAX` = unknown.
    pub(super) input_sizes: Vec<u64>,
    /// The task that came next and did not fit, and since when.
    pub(super) head: Head,
    /// The moment of the last step.
    pub(super) now: Timestamp,
    pub(super) calibration: Calibration,
    /// What the rest of the run is expected to take.
    pub(crate) outlook: Outlook,
    /// Whether it was said that the outputs will not fit.
    pub(super) space_told: bool,
    /// Sizes of early inputs, for the choice of calibration inputs.
    pub(super) sizes: Vec<(u64, TaskId)>,
    pub(crate) run_times: RunTimes,
    /// What is usual, and completed tasks learned from since the last sample.
    pub(super) watches: Watches,
    pub(super) watched: u32,
    /// What the run is bound by, over time.
    pub(crate) bottleneck: Bottleneck,
    pub(super) spawn_backoff: Option<SpawnBackoff>,
    pub(super) spawn_ceiling: Option<SpawnCeiling>,
    pub(super) mode: Mode,
    pub(super) next_attempt: u64,
    pub(crate) completed_here: u64,
    pub(crate) failed_here: u64,
    pub(crate) retried_here: u64,
    pub(crate) terminated_here: u64,
    pub(crate) flaky: u64,
    pub(crate) system: SystemSample,
    pub(crate) own_cpu_cores: f64,
    pub(crate) own_rss: u64,
    pub(crate) started_at: Timestamp,
    stale: Vec<TaskId>,
    retry_failed: bool,
    scan: Option<ScanReport>,
    missing: u64,
    finished: bool,
    wake_at: Option<Timestamp>,
    facts: Vec<Fact>,
    pub(super) commands: Vec<Command>,
}

impl Scheduler {
    /// A scheduler over what the state knows. Nothing happens before [`Event::RunStarted`].
    #[must_use]
    pub fn new(policy: Policy, restored: Restored) -> Self {
        let KnownTasks(tasks) = restored.tasks;
        let mut answers = Answers::new(policy.limits, policy.capacity_plugins);
        let learned = restored.learned.iter().flat_map(|learned| &learned.completed);
        let earlier = learned.filter(|one| one.is_sane()).copied().collect();
        let control =
            law_of(&policy).map(|rules| Control::restore(rules, &restored.learned.unwrap_or_default()));
        if control.is_some() {
            answers.cover(policy.covered.clone());
        }
        Self {
            queue: Queue::starting_at(tasks.restored_len()),
            answers,
            control,
            placer: Placer::new(policy.placement),
            input_sizes: Vec::new(),
            head: Head::default(),
            now: Timestamp::default(),
            calibration: Calibration::new(policy.calibration, restored.baseline),
            tasks,
            policy,
            live: Live::default(),
            slots: Slots::default(),
            holding: 0,
            unpublished: 0,
            timers: Timers::default(),
            outlook: Outlook::new(earlier),
            space_told: false,
            sizes: Vec::new(),
            run_times: RunTimes::default(),
            watches: Watches::default(),
            watched: 0,
            bottleneck: Bottleneck::default(),
            spawn_backoff: None,
            spawn_ceiling: None,
            mode: Mode::Working,
            next_attempt: restored.next_attempt.max(1),
            completed_here: 0,
            failed_here: 0,
            retried_here: 0,
            terminated_here: 0,
            flaky: 0,
            system: SystemSample::default(),
            own_cpu_cores: 0.0,
            own_rss: 0,
            started_at: Timestamp::default(),
            stale: {
                let mut stale = restored.stale;
                stale.sort_unstable();
                stale
            },
            retry_failed: restored.retry_failed,
            scan: None,
            missing: 0,
            finished: false,
            wake_at: None,
            facts: Vec::new(),
            commands: Vec::new(),
        }
    }

    /// Takes one event, at `now` (never earlier than the previous step's), and decides.
    pub fn step(&mut self, now: Timestamp, event: Event) -> Step {
        self.now = now;
        self.outlook.advance(now, self.holding);
        self.hear(now, event);
        self.check_drain(now);
        self.fire_timers(now);
        self.check_calibrated();
        self.raise_spawn_ceiling(now);
        self.admit(now);
        self.set_wake(now);
        self.check_finished();
        Step { facts: std::mem::take(&mut self.facts), commands: std::mem::take(&mut self.commands) }
    }

    fn hear(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::RunStarted => self.run_started(now),
            Event::InputsDiscovered(found) => found.into_iter().for_each(|one| self.discovered(one, now)),
            Event::ScanFinished(report) => self.scan_finished(report),
            Event::AttemptStarted { attempt, identity, fingerprint } => {
                self.attempt_started(attempt, identity, fingerprint, now);
            }
            Event::LaunchFailed { attempt, reason } => self.launch_failed(attempt, reason, now),
            Event::AttemptExited { attempt, status, usage, oom, leaked } => {
                self.attempt_exited(attempt, status, usage, oom, leaked, now);
            }
            Event::OutputValidated { attempt, verdict } => self.output_validated(attempt, verdict, now),
            Event::OutputPublished { attempt } => self.output_published(attempt, now),
            Event::PublishFailed { attempt, reason } => self.publish_failed(attempt, reason, now),
            Event::Sampled { system, processes, own_cpu_cores } => {
                self.sampled(system, &processes, own_cpu_cores, now);
            }
            Event::CapacityAnswered(answers) => self.capacity_answered(answers, now),
            // The wish is spent, whether the tick came in time or a little early: it is said again.
            Event::Ticked => self.wake_at = None,
            Event::StopRequested(level) => self.stop_requested(level, now),
            Event::TopologyRead(topology) => self.placer.set_topology(topology),
            Event::PolicyChanged(policy) => self.policy_changed(*policy, now),
        }
    }

    /// Settles what earlier runs left open: accepted outputs are published (again), lost attempts give their tasks
    /// back.
    fn run_started(&mut self, now: Timestamp) {
        self.started_at = now;
        self.keep_reservations();
        let open: Vec<_> = self
            .tasks
            .open()
            .filter_map(|(task, detail)| detail.open.clone().map(|open| (task, open)))
            .collect();
        for (task, open) in open {
            let id = open.attempt;
            self.next_attempt = self.next_attempt.max(id.0 + 1);
            let mut attempt = Attempt::new(task, SlotId(0), false, now);
            attempt.slot = None;
            match open.accepted {
                Some(outputs) => {
                    attempt.phase = Phase::Publishing;
                    self.live.insert(id, attempt);
                    self.unpublished += 1;
                    self.commands.push(Command::Publish { attempt: id, outputs });
                }
                None => {
                    self.record(Fact::AttemptTerminated {
                        attempt: id,
                        task,
                        reason: TerminationReason::Lost,
                        at: now,
                    });
                    self.commands.push(Command::Discard { attempt: id });
                }
            }
        }
    }

    fn discovered(&mut self, found: Discovered, now: Timestamp) {
        let Some((task, new)) = self.tasks.insert(found.path.as_bytes()) else { return };
        if !self.tasks.see(task) {
            return;
        }
        if new {
            self.note_size(task, found.fingerprint);
            if let Some(print) = found.fingerprint.filter(|_| self.calibration.is_open()) {
                self.sizes.push((print.size, task));
            }
            self.foresee(task);
            return self.queue.discovered(task);
        }
        match self.tasks.state(task) {
            TaskState::Pending | TaskState::Terminated => {
                self.note_size(task, found.fingerprint);
                self.foresee(task);
                match self.stored_retry(task, now) {
                    Some(at) => self.queue.delay(task, at),
                    None => self.queue.discovered(task),
                }
            }
            TaskState::Completed | TaskState::Failed => {
                if self.is_new_work(task, found.fingerprint) {
                    self.note_size(task, found.fingerprint);
                    self.record(Fact::TaskReset { task, at: now });
                    self.foresee(task);
                    self.queue.discovered(task);
                }
            }
            TaskState::Calibrating | TaskState::Running => {}
        }
    }

    /// When a task that failed in an earlier run is due; never later than the longest back-off from now, should the wall
    /// clock have been set back since.
    fn stored_retry(&self, task: TaskId, now: Timestamp) -> Option<Timestamp> {
        let retry = &self.policy.retry;
        let longest = now + retry.max_delay.get().mul_f64(1.0 + retry.jitter.clamp(0.0, 1.0));
        let at = self.tasks.detail(task)?.retry_at?;
        (at > now).then(|| at.min(longest))
    }

    /// Whether a final task is new work all the same: its command changed, its failures are to be tried again, or its
    /// input is another one than it was (one that failed without its input ever being seen has another one now).
    fn is_new_work(&self, task: TaskId, found: Option<Fingerprint>) -> bool {
        let failed = self.tasks.state(task) == TaskState::Failed;
        if self.stale.binary_search(&task).is_ok() || failed && self.retry_failed {
            return true;
        }
        let Some(found) = found else { return false };
        match (self.tasks.was_final_under(task, found), self.policy.resume_key) {
            (Some(same), ResumeKey::Metadata | ResumeKey::Content) => !same,
            (Some(_), ResumeKey::Lenient) => false,
            (None, _) => failed,
        }
    }

    /// The scan is over. Unfinished tasks of earlier runs whose input it did not find stay as they are: their files may
    /// come back, or were removed because nobody wants them any more.
    fn scan_finished(&mut self, report: ScanReport) {
        self.missing = self.tasks.unseen_pending();
        self.scan = Some(report);
        self.arrange_queue();
    }

    fn sampled(
        &mut self,
        system: SystemSample,
        processes: &[ProcessSample],
        own_cpu_cores: f64,
        now: Timestamp,
    ) {
        self.system = system;
        self.watched = 0;
        self.own_cpu_cores = own_cpu_cores;
        self.own_rss = processes.iter().map(|sample| sample.rss.0).sum();
        for sample in processes {
            self.watch_progress(sample, now);
            if let Some(id) = self.calibration.sampled(now, sample) {
                if let Some(attempt) = self.live.get_mut(&id) {
                    attempt.calibrating = false;
                    let task = attempt.task;
                    self.record(Fact::AttemptCalibrated { attempt: id, task });
                }
                self.note_baseline();
            }
        }
        self.refresh_relative_limits();
        self.look_ahead(&system, now);
        self.law_looks(&system, processes, now);
        self.note_bottleneck(processes, now);
    }

    /// The last calibration input has been measured: the baseline is a fact.
    pub(super) fn note_baseline(&mut self) {
        let baseline = self.calibration.baseline();
        if !self.calibration.is_open() && baseline.samples > 0 {
            self.record(Fact::Calibrated { baseline });
        }
    }

    fn capacity_answered(&mut self, answers: Vec<CapacityAnswer>, now: Timestamp) {
        self.answers.answered(answers, self.holding);
        if let Some(control) = &mut self.control {
            control.set_plugins(self.answers.bound());
        }
        self.stop_surplus(now);
    }

    fn policy_changed(&mut self, policy: Policy, now: Timestamp) {
        self.answers.set_limits(policy.limits);
        self.placer.set_rule(policy.placement);
        // What the rooms were built for holds for the whole run.
        self.policy = Policy {
            has_output: self.policy.has_output,
            calibration: self.policy.calibration,
            calibrate_only: self.policy.calibrate_only,
            capacity_plugins: self.policy.capacity_plugins,
            resume_key: self.policy.resume_key,
            ..policy
        };
        self.law_changes(now);
        self.reset_all_timers();
    }

    /// Records a fact: applying it is the only way in which a task's durable state changes.
    pub(super) fn record(&mut self, fact: Fact) {
        self.tasks.apply(&fact);
        self.facts.push(fact);
    }

    fn set_wake(&mut self, now: Timestamp) {
        let wanted = self.next_wake(now);
        if let Some(at) = wanted.filter(|_| wanted != self.wake_at) {
            self.commands.push(Command::WakeAt(at));
        }
        self.wake_at = wanted;
    }

    fn check_finished(&mut self) {
        let nothing_waits = self.scan.is_some() && self.queue.next_due().is_none();
        let over = self.live.is_empty() && (!self.mode.admits() || nothing_waits && self.holding == 0);
        // With free capacity and nothing live, whatever waited would have been admitted in this very step.
        if over
            && !self.finished
            && self.spawn_backoff.is_none_or(|_| !self.mode.admits() || !self.has_waiting())
        {
            debug_assert!(self.placer.is_idle(), "a place is held by nobody");
            self.finished = true;
            self.commands.push(Command::Finish);
        }
    }

    fn has_waiting(&self) -> bool {
        self.tasks.counts().pending > self.missing
    }

    /// Unfinished tasks of earlier runs whose input the scan did not find; known once the scan is over.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Attempts that hold a slot.
    #[must_use]
    pub fn holding(&self) -> u32 {
        self.holding
    }

    /// Tasks by state.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.tasks.counts()
    }

    /// Why the run ends early, if it does.
    #[must_use]
    pub fn fault(&self) -> Option<&RunFault> {
        self.mode.fault()
    }

    /// How the scan went, once it is over.
    #[must_use]
    pub fn scan_report(&self) -> Option<&ScanReport> {
        self.scan.as_ref()
    }

    /// What calibration measured of one instance's needs.
    #[must_use]
    pub fn baseline(&self) -> Baseline {
        self.calibration.baseline()
    }

    /// What is known of one instance's needs, for capacity plugins: as calibrated, and where the control law decides as
    /// it is seen now.
    #[must_use]
    pub fn needs(&self) -> Baseline {
        let baseline = self.calibration.baseline();
        match self.control.as_ref().and_then(Control::each) {
            Some((cpu_cores, rss_peak_bytes)) => {
                Baseline { samples: baseline.samples.max(1), cpu_cores, rss_peak_bytes, ..baseline }
            }
            None => baseline,
        }
    }

    /// What the control law has learned, to be kept for later runs; `None` where it does not decide.
    #[must_use]
    pub fn learned(&self) -> Option<ControlState> {
        self.control.as_ref().map(Control::state)
    }

    /// The tasks as a store that has recorded every fact would return them (for replay checks).
    pub fn recorded(&self) -> impl Iterator<Item = StoredTask> + '_ {
        self.tasks.recorded()
    }

    /// A task's path, by id.
    #[must_use]
    pub fn path(&self, task: TaskId) -> super::InputPath {
        self.tasks.path(task)
    }

    /// The id of a path, if it is known.
    #[must_use]
    pub fn find(&self, path: &[u8]) -> Option<TaskId> {
        self.tasks.find(path)
    }

    /// Bytes of heap that the table of tasks occupies.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.tasks.heap_bytes()
    }
}
