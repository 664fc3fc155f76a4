//! The oracle: after every step it says whether the scheduler kept the laws of the house.
//!
//! It shares no code with the scheduler: it has its own reading of the policy (`rules`, `capacity`), its own fold
//! of the facts, and follows every attempt by the commands and events alone.

mod admission;
mod after;
mod capacity;
mod outcome;
mod places;
mod rules;
mod shadow;
mod stops;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use orchestrator_core::placement::Topology;
use orchestrator_core::scheduler::{
    Command, Event, Fact, InputPath, Policy, Scheduler, Step, StopLevel, TerminationReason,
};
use orchestrator_core::{AttemptId, TaskId, Timestamp};

use self::capacity::{Calibration, Capacity};
use self::rules::Walls;
use self::shadow::{Cause, Phase, Shadow};
use super::ledger::{Check, Ledger, ensure};
use super::tally::Tally;

/// What the run is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    Working,
    Draining(Option<Timestamp>),
    Stopping(Cause),
}

/// The machine refused to start a process.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    /// Then, or when it was tried again.
    last: Timestamp,
    /// Not tried again for so long; doubles with every refusal.
    delay: Duration,
    /// There was nothing to try, so that the waiting may be over.
    over: bool,
}

impl Refusal {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(5);
}

/// After a refusal: how many may run at once, until it is lifted.
#[derive(Clone, Copy, Debug)]
struct Ceiling {
    limit: u32,
    lifted: Timestamp,
}

impl Ceiling {
    const LIFT: Duration = Duration::from_secs(2);

    fn after(before: Option<Self>, holding: u32, now: Timestamp) -> Self {
        let three_quarters = (holding * 3).div_ceil(4).max(1);
        Self { limit: before.map_or(three_quarters, |old| old.limit.min(three_quarters)), lifted: now }
    }

    fn lift(&mut self, now: Timestamp, most: u32) {
        while self.lifted + Self::LIFT <= now && self.limit < most {
            self.limit += (self.limit / 8).max(1);
            self.lifted = self.lifted + Self::LIFT;
        }
    }
}

/// What the oracle knows of a run.
#[derive(Clone, Debug)]
pub(super) struct Oracle {
    policy: Policy,
    /// The fold of every fact of every step.
    pub(super) ledger: Ledger,
    /// Tasks of earlier runs that were final.
    finals: BTreeSet<TaskId>,
    stale: Vec<TaskId>,
    retry_failed: bool,
    /// Tasks whose input a scan of this run has found, or that had an attempt end in this run.
    seen: BTreeSet<TaskId>,
    touched: BTreeSet<TaskId>,
    /// Retries of earlier runs that come sooner than recorded.
    hurried: BTreeMap<TaskId, Timestamp>,
    /// Found and never recorded.
    fresh: BTreeMap<TaskId, InputPath>,
    live: BTreeMap<AttemptId, Shadow>,
    /// Whose checks were not waited for in this step, and why.
    given_up: Vec<(AttemptId, TerminationReason)>,
    capacity: Capacity,
    calibration: Calibration,
    walls: Walls,
    mode: Mode,
    halted: bool,
    refused: Option<Refusal>,
    ceiling: Option<Ceiling>,
    topology: Topology,
    scan_over: bool,
    finished: bool,
    completed: u64,
    failed: u64,
    steps: u64,
    tally: Tally,
}

/// What the runtime knows beside the step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings {
    pub(super) now: Timestamp,
    /// When the scheduler will be woken, by its wishes so far (this step's included).
    pub(super) wish: Option<Timestamp>,
}

impl Oracle {
    pub(super) fn new(
        policy: Policy,
        ledger: Ledger,
        stale: Vec<TaskId>,
        retry_failed: bool,
        baseline: bool,
    ) -> Self {
        let finals = ledger.rows.iter().filter(|(_, row)| row.is_final()).map(|(task, _)| *task).collect();
        Self {
            capacity: Capacity::new(policy.limits, policy.capacity_plugins),
            calibration: Calibration::new(policy.calibration, baseline),
            policy,
            finals,
            ledger,
            stale,
            retry_failed,
            seen: BTreeSet::new(),
            touched: BTreeSet::new(),
            hurried: BTreeMap::new(),
            fresh: BTreeMap::new(),
            live: BTreeMap::new(),
            given_up: Vec::new(),
            walls: Walls::default(),
            mode: Mode::Working,
            halted: false,
            refused: None,
            ceiling: None,
            topology: Topology::default(),
            scan_over: false,
            finished: false,
            completed: 0,
            failed: 0,
            steps: 0,
            tally: Tally::default(),
        }
    }

    /// Judges one step.
    ///
    /// # Errors
    /// The law that was broken.
    pub(super) fn check(
        &mut self,
        at: Surroundings,
        event: &Event,
        step: &Step,
        scheduler: &Scheduler,
    ) -> Check {
        self.steps += 1;
        self.given_up.clear();
        let now = at.now;
        let stuck = self.stuck(now, event);
        let surplus = self.hear(now, event);
        let expected = self.expect(now, event, scheduler)?;
        let planned = |fact: &Fact| matches!(fact, Fact::TaskNamed { .. } | Fact::AttemptPlanned { .. });
        let admission = step.facts.iter().position(planned).unwrap_or(step.facts.len());
        let (outcome, admitted) = step.facts.split_at(admission);
        let ended = self.check_outcome(now, event, expected, outcome)?;
        let looked = matches!(event, Event::Sampled { .. });
        self.check_stops(now, step, &surplus, &stuck, looked)?;
        self.check_admission(now, admitted, step)?;
        self.check_commands(now, event, step, outcome, &ended)?;
        self.check_after(at, event, scheduler)
    }

    /// What an event changes by itself. Returns the attempts that are to be stopped as surplus.
    fn hear(&mut self, now: Timestamp, event: &Event) -> Vec<AttemptId> {
        match event {
            Event::CapacityAnswered(answers) => {
                let holding = self.holding();
                self.capacity.answered(answers, holding);
                return self.surplus(holding);
            }
            Event::PolicyChanged(policy) => {
                self.capacity.set_limits(policy.limits);
                self.policy = Policy {
                    has_output: self.policy.has_output,
                    calibration: self.policy.calibration,
                    calibrate_only: self.policy.calibrate_only,
                    capacity_plugins: self.policy.capacity_plugins,
                    resume_key: self.policy.resume_key,
                    ..(**policy).clone()
                };
            }
            Event::StopRequested(level) => {
                self.mode = match (level, self.mode) {
                    (StopLevel::Drain, Mode::Working | Mode::Draining(None)) => {
                        Mode::Draining(Some(now + self.policy.drain))
                    }
                    (StopLevel::Now, Mode::Working | Mode::Draining(_)) => {
                        Mode::Stopping(if self.halted { Cause::Halted } else { Cause::Shutdown })
                    }
                    (_, mode) => mode,
                };
            }
            Event::TopologyRead(topology) => self.topology = topology.clone(),
            Event::ScanFinished(_) => self.scan_over = true,
            _ => {}
        }
        vec![]
    }

    /// When a waiting task may be tried (again).
    fn due(&self, task: TaskId) -> Option<Timestamp> {
        let recorded = self.ledger.rows.get(&task).and_then(|row| row.retry_at);
        self.hurried.get(&task).copied().or(recorded)
    }

    /// Attempts that hold a slot.
    fn holding(&self) -> u32 {
        self.live.values().filter(|shadow| shadow.slot.is_some()).count() as u32
    }

    /// Whether the control law decides how many run.
    fn law_decides(&self) -> bool {
        self.policy.law.is_some() && !self.capacity.limits.fixed
    }

    /// Whether one measured attempt runs at a time and nothing else.
    fn measures_alone(&self) -> bool {
        let limits = self.capacity.limits;
        self.calibration.is_open()
            && (!limits.fixed || self.policy.calibrate_only)
            && (!self.law_decides() || self.policy.calibrate_only)
    }

    /// Whether any attempt stands still.
    pub(super) fn any_frozen(&self) -> bool {
        self.live.values().any(|shadow| shadow.frozen.is_some())
    }

    /// Attempts between exit and the end of publication.
    fn unpublished(&self) -> usize {
        self.live.values().filter(|shadow| !shadow.holds_process()).count()
    }

    /// Tasks in all.
    fn total(&self) -> u64 {
        (self.ledger.rows.len() + self.fresh.len()) as u64
    }

    /// Whether an event of an attempt means something now.
    pub(super) fn listens(&self, event: &Event) -> bool {
        let phase = |attempt: &AttemptId| self.live.get(attempt).map(|shadow| shadow.phase);
        match event {
            Event::AttemptStarted { attempt, .. } | Event::LaunchFailed { attempt, .. } => {
                phase(attempt) == Some(Phase::Launching)
            }
            Event::AttemptExited { attempt, .. } => self.live.get(attempt).is_some_and(Shadow::holds_process),
            Event::OutputValidated { attempt, .. } => phase(attempt) == Some(Phase::Validating),
            Event::OutputPublished { attempt } | Event::PublishFailed { attempt, .. } => {
                phase(attempt) == Some(Phase::Publishing)
            }
            _ => false,
        }
    }

    /// Whether an attempt's process is known to run.
    pub(super) fn runs(&self, attempt: AttemptId) -> bool {
        self.live.get(&attempt).is_some_and(|shadow| shadow.phase == Phase::Running)
    }

    /// What was counted on the way.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Pairs commands with what happened in the step.
    fn check_commands(
        &mut self,
        now: Timestamp,
        event: &Event,
        step: &Step,
        outcome: &[Fact],
        ended: &[AttemptId],
    ) -> Check {
        let mut discarded = Vec::new();
        let mut validations = 0;
        let mut publications = 0;
        let (mut freezes, mut thaws) = (Vec::new(), Vec::new());
        for command in &step.commands {
            match command {
                Command::Launch { .. } | Command::Stop { .. } => {}
                Command::Freeze { attempt } => freezes.push(*attempt),
                Command::Thaw { attempt } => thaws.push(*attempt),
                Command::Validate { attempt, path } => {
                    validations += 1;
                    let checked = self.is_checked(*attempt);
                    ensure!(checked, "validation of attempt {attempt}, which is not to be validated");
                    let exited =
                        matches!(event, Event::AttemptExited { attempt: exited, .. } if exited == attempt);
                    ensure!(exited, "attempt {attempt} is validated although it did not exit just now");
                    if let Some(shadow) = self.live.get(attempt) {
                        let of_task = self.ledger.rows.get(&shadow.task).map(|row| &row.path);
                        ensure!(
                            of_task == Some(path),
                            "attempt {attempt} is validated under the path {path}"
                        );
                    }
                }
                Command::Publish { attempt, outputs } => {
                    publications += 1;
                    let shadow = self.live.get(attempt).filter(|shadow| shadow.phase == Phase::Publishing);
                    ensure!(
                        shadow.is_some(),
                        "publication of attempt {attempt}, which is not to be published"
                    );
                    let accepted = shadow
                        .and_then(|shadow| self.ledger.open_attempt(shadow.task))
                        .and_then(|open| open.accepted.as_ref());
                    ensure!(accepted == Some(outputs), "attempt {attempt} publishes what was not accepted");
                    self.tally.count(match event {
                        Event::RunStarted => "publication taken up again",
                        _ => "publication",
                    });
                }
                Command::Discard { attempt } => discarded.push(*attempt),
                Command::WakeAt(at) => {
                    ensure!(
                        *at > now,
                        "a wish to be woken at {at:?}, which is not after {now:?}: a busy loop"
                    );
                    self.tally.count("wish to be woken");
                }
                Command::Suspect { attempt, .. } => {
                    let runs = self.live.get(attempt).is_some_and(|shadow| shadow.phase == Phase::Running);
                    ensure!(runs, "attempt {attempt} is suspected, but does not run");
                    self.tally.count("suspected");
                }
                Command::WarnSpace { .. } => {}
                Command::WarnSlow { attempt, .. } => self.check_warning(now, *attempt)?,
                Command::Finish => {
                    ensure!(!self.finished, "finished twice");
                    self.finished = true;
                }
            }
        }
        let recorded =
            |wanted: fn(&Fact) -> Option<AttemptId>| outcome.iter().filter_map(wanted).collect::<Vec<_>>();
        let frozen = recorded(|fact| match fact {
            Fact::AttemptFrozen { attempt, .. } => Some(*attempt),
            _ => None,
        });
        let thawed = recorded(|fact| match fact {
            Fact::AttemptThawed { attempt, .. } => Some(*attempt),
            _ => None,
        });
        ensure!(frozen == freezes, "recorded as frozen: {frozen:?}, commanded: {freezes:?}");
        ensure!(thawed == thaws, "recorded as thawed: {thawed:?}, commanded: {thaws:?}");
        discarded.sort_unstable();
        let mut ended = ended.to_vec();
        ended.sort_unstable();
        ensure!(discarded == ended, "discarded {discarded:?}, but {ended:?} ended");
        let accepted = outcome.iter().filter(|fact| matches!(fact, Fact::OutputAccepted { .. })).count();
        let expected = match event {
            Event::RunStarted => self.live.len(),
            _ => accepted,
        };
        ensure!(publications == expected, "{publications} publications asked for, not {expected}");
        let validating = match event {
            Event::AttemptExited { attempt, .. } => usize::from(
                self.is_checked(*attempt)
                    && outcome.iter().any(|fact| matches!(fact, Fact::AttemptExited { .. })),
            ),
            _ => 0,
        };
        ensure!(validations == validating, "{validations} validations asked for, not {validating}");
        Ok(())
    }

    /// Whether its output is being checked, or was until this step gave it up.
    fn is_checked(&self, attempt: AttemptId) -> bool {
        self.live.get(&attempt).is_some_and(|shadow| shadow.phase == Phase::Validating)
            || self.given_up.iter().any(|(given_up, _)| *given_up == attempt)
    }

    fn check_warning(&mut self, now: Timestamp, attempt: AttemptId) -> Check {
        let (slow_after, walls) = (self.policy.timeouts.slow_after, &self.walls);
        let Some(shadow) = self.live.get_mut(&attempt) else {
            return Err(format!("a warning about attempt {attempt}, which is not live"));
        };
        ensure!(!shadow.warned, "a second warning about attempt {attempt}");
        ensure!(walls.is_due(slow_after, shadow.since, now), "attempt {attempt} is not slow");
        shadow.warned = true;
        self.tally.count("slow attempt reported");
        Ok(())
    }
}
