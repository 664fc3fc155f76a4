//! The real scheduler in a random world, recorded by the real store: after every step, and after every kill, what is
//! stored is what lives.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use orchestrator_core::config::model::{ConcurrencyMode, Config};
use orchestrator_core::metrics::Usage;
use orchestrator_core::scheduler::{
    Command, Discovered, Event, ExitStatus, FailureReason, Fingerprint, OutputFault, Policy, ProcessIdentity,
    Restored, ScanReport, Scheduler, SpawnFault, Step, StoredTask, TaskState,
};
use orchestrator_core::{AttemptId, Timestamp};
use orchestrator_store::StateDir;

use crate::common::*;

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

fn policy() -> Policy {
    let mut config = Config::default();
    config.binary.flags.clear();
    config.concurrency.mode = ConcurrencyMode::Fixed;
    let mut policy = Policy::from_config(&config);
    policy.limits.max = Some(5);
    policy.has_output = true;
    policy.retry.max_attempts = 3;
    policy
}

fn restored(state: &StateDir) -> Restored {
    let loaded = state.all("command").unwrap();
    Restored {
        tasks: loaded.tasks.into_iter().collect(),
        stale: loaded.stale,
        retry_failed: false,
        next_attempt: loaded.next_attempt,
        baseline: state.baseline("binary").unwrap(),
        learned: None,
    }
}

/// What a store must give back of what the scheduler holds: COMPLETED tasks have no more than their state.
fn essence(tasks: impl Iterator<Item = StoredTask>) -> Vec<StoredTask> {
    tasks
        .map(|mut task| {
            if task.state == TaskState::Completed {
                task.detail = orchestrator_core::scheduler::StoredState::default();
            }
            task
        })
        .collect()
}

/// The world's answer to a command, in time.
fn answer(command: Command, dice: &mut Dice) -> Vec<Event> {
    match command {
        Command::Launch { attempt, .. } if dice.chance(10) => {
            let reason = match dice.below(3) {
                0 => FailureReason::InputVanished,
                1 => FailureReason::Spawn(SpawnFault::Machine { detail: "EAGAIN".into() }),
                _ => FailureReason::Spawn(SpawnFault::Input { detail: "E2BIG".into() }),
            };
            vec![Event::LaunchFailed { attempt, reason }]
        }
        Command::Launch { attempt, task, .. } => {
            let identity = ProcessIdentity { pid: 100 + task.0, start_ticks: attempt.0 };
            let fingerprint = Fingerprint { size: u64::from(task.0), version: 1 };
            let started = Event::AttemptStarted { attempt, identity, fingerprint };
            let status = match dice.below(4) {
                0 => ExitStatus::Code(dice.below(3) as i32),
                1 => ExitStatus::Signal(9),
                _ => ExitStatus::Code(0),
            };
            let usage = Usage { wall: Duration::from_millis(dice.below(50)), ..usage() };
            let oom = dice.chance(3);
            vec![started, Event::AttemptExited { attempt, status, usage, oom, leaked: false }]
        }
        Command::Validate { attempt, .. } if dice.chance(10) => {
            vec![Event::OutputValidated { attempt, verdict: Err(OutputFault::Missing) }]
        }
        Command::Validate { attempt, .. } => {
            vec![Event::OutputValidated { attempt, verdict: Ok(vec![output(attempt.0 as u32)]) }]
        }
        Command::Publish { attempt, .. } if dice.chance(5) => {
            vec![Event::PublishFailed { attempt, reason: FailureReason::DiskFull }]
        }
        Command::Publish { attempt, .. } => vec![Event::OutputPublished { attempt }],
        _ => Vec::new(),
    }
}

struct World {
    scheduler: Scheduler,
    live: Live,
    now: Timestamp,
    waiting: VecDeque<Event>,
    last_attempt: AttemptId,
}

impl World {
    /// One step, recorded before its commands are done. Whether the run is over.
    fn step(&mut self, event: Event, dice: &mut Dice) -> bool {
        let Step { facts, commands } = self.scheduler.step(self.now, event);
        if !facts.is_empty() {
            self.live.record(facts);
        }
        let mut over = false;
        for command in commands {
            over |= command == Command::Finish;
            if let Command::Launch { attempt, .. } = &command {
                assert!(*attempt > self.last_attempt, "an attempt id was given out twice");
                self.last_attempt = *attempt;
            }
            self.waiting.extend(answer(command, dice));
        }
        over
    }

    fn next(&mut self, dice: &mut Dice) -> Event {
        self.now = self.now + Duration::from_millis(dice.below(2_000));
        if self.waiting.is_empty() || dice.chance(10) {
            return Event::Ticked;
        }
        // Attempts run side by side: the oldest few answer in any order (but each its own in order).
        let at = dice.below(self.waiting.len().min(4) as u64) as usize;
        let whose = |event: &Event| match event {
            Event::AttemptStarted { attempt, .. } | Event::AttemptExited { attempt, .. } => Some(*attempt),
            _ => None,
        };
        let first = self.waiting.iter().position(|event| whose(event) == whose(&self.waiting[at]));
        self.waiting.remove(first.unwrap_or(at)).unwrap()
    }
}

fn universe(directory: &Path, seed: u64) {
    let mut dice = Dice(seed);
    let mut last_attempt = AttemptId(0);
    let mut now = Timestamp(1_760_000_000_000_000);
    for life in 0..30_u32 {
        let state = open(directory).unwrap();
        let scheduler = Scheduler::new(policy(), restored(&state));
        let live = begin_as(state, &info());
        let mut world = World { scheduler, live, now, waiting: VecDeque::new(), last_attempt };
        world.step(Event::RunStarted, &mut dice);
        let found = (0..30).map(|task| Discovered {
            path: path(task),
            fingerprint: Some(Fingerprint {
                size: u64::from(task),
                version: 1 + i64::from((life + task) / 5),
            }),
        });
        world.step(Event::InputsDiscovered(found.collect()), &mut dice);
        world.step(Event::ScanFinished(ScanReport::default()), &mut dice);
        for _ in 0..dice.below(80) {
            let event = world.next(&mut dice);
            if world.step(event, &mut dice) {
                break;
            }
        }
        let lived = essence(world.scheduler.recorded());
        (now, last_attempt) = (world.now, world.last_attempt);
        // The kill: nothing is told to the store.
        drop(world.live.guard);
        let stored = open(directory).unwrap().all("command").unwrap();
        assert_eq!(essence(stored.tasks.into_iter()), lived, "seed {seed}, life {life}");
        assert!(stored.next_attempt > last_attempt.0);
    }
}

#[test]
fn what_is_stored_is_what_lives() {
    for seed in 0..6 {
        let keep = tempfile::tempdir().unwrap();
        universe(keep.path(), seed);
    }
}
