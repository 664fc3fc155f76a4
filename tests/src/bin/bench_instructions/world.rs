//! The real scheduler and a world that does what it is told, phase by phase.

use std::hint::black_box;
use std::time::Duration;

use orchestrator_core::config::model::Config;
use orchestrator_core::metrics::{ProcessSample, SystemSample, Usage};
use orchestrator_core::scheduler::{
    Command, Discovered, Event, ExitStatus, Fingerprint, InputPath, Policy, ProcessIdentity, Restored,
    ScanReport, Scheduler,
};
use orchestrator_core::{AttemptId, Bytes, Timestamp};

/// As many as a scan delivers at once.
const BATCH: usize = 1_024;
/// Slots while tasks are discovered, and while they are worked through.
const SLOTS: u32 = 8;

/// How far tasks are taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, PartialOrd)]
pub(crate) enum Phase {
    /// The scheduler exists.
    Begun,
    /// All wait, but for those in the first slots.
    Discovered,
    /// All are to be launched: there are as many slots.
    Admitted,
    /// All run.
    Started,
    /// All were read once.
    Sampled,
    /// A snapshot was made.
    Shown,
    /// All have ended.
    Ended,
    /// From `Discovered`: all have been started and ended, a slot at a time.
    Worked,
}

impl Phase {
    const ALL: [(&'static str, Self); 8] = [
        ("begun", Self::Begun),
        ("discovered", Self::Discovered),
        ("admitted", Self::Admitted),
        ("started", Self::Started),
        ("sampled", Self::Sampled),
        ("shown", Self::Shown),
        ("ended", Self::Ended),
        ("worked", Self::Worked),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, phase)| *phase)
    }
}

pub(crate) struct World {
    scheduler: Scheduler,
    now: Timestamp,
    /// Attempts that were ordered and have not been started.
    ordered: Vec<AttemptId>,
}

impl World {
    pub(crate) fn new() -> Self {
        let scheduler = Scheduler::new(policy(SLOTS), Restored::default());
        let mut world = Self { scheduler, now: Timestamp(1), ordered: Vec::new() };
        world.step(Event::RunStarted);
        world
    }

    /// Takes so many tasks to the phase.
    pub(crate) fn reach(&mut self, phase: Phase, count: usize) {
        if phase >= Phase::Discovered {
            self.discover(count);
        }
        if phase == Phase::Worked {
            return self.work(count);
        }
        if phase >= Phase::Admitted {
            let slots = u32::try_from(count).unwrap_or(u32::MAX);
            self.step(Event::PolicyChanged(Box::new(policy(slots))));
            assert_eq!(self.ordered.len(), count, "all are launched");
        }
        let attempts = std::mem::take(&mut self.ordered);
        if phase >= Phase::Started {
            attempts.iter().for_each(|attempt| self.start(*attempt));
        }
        if phase >= Phase::Sampled {
            self.sample(&attempts);
        }
        if phase >= Phase::Shown {
            black_box(self.scheduler.snapshot(self.now));
        }
        if phase >= Phase::Ended {
            attempts.iter().for_each(|attempt| self.end(*attempt));
            self.all_completed(count);
        }
    }

    fn discover(&mut self, count: usize) {
        for first in (0..count).step_by(BATCH) {
            let batch = (first..count.min(first + BATCH)).map(discovered).collect();
            self.step(Event::InputsDiscovered(batch));
        }
        self.step(Event::ScanFinished(ScanReport { matched: count as u64, ..ScanReport::default() }));
    }

    fn work(&mut self, count: usize) {
        while let Some(attempt) = self.ordered.pop() {
            self.start(attempt);
            self.end(attempt);
        }
        self.all_completed(count);
    }

    fn start(&mut self, attempt: AttemptId) {
        let identity = ProcessIdentity { pid: 4_242, start_ticks: attempt.0 };
        let fingerprint = Fingerprint { size: 10_000, version: 1 };
        self.step(Event::AttemptStarted { attempt, identity, fingerprint });
    }

    fn end(&mut self, attempt: AttemptId) {
        let (status, usage) = (ExitStatus::Code(0), Usage::default());
        self.step(Event::AttemptExited { attempt, status, usage, oom: false, leaked: false });
    }

    fn sample(&mut self, attempts: &[AttemptId]) {
        let processes = attempts.iter().map(|attempt| sample(*attempt)).collect();
        let system = SystemSample {
            cpu_cores: 2.0,
            cpu_percent: 50.0,
            memory_total: Bytes(8 << 30),
            memory_available: Bytes(4 << 30),
            ..SystemSample::default()
        };
        self.step(Event::Sampled { system, processes, own_cpu_cores: 1.0 });
    }

    fn all_completed(&self, count: usize) {
        let counts = self.scheduler.counts();
        assert_eq!(
            (counts.completed, counts.total()),
            (count as u64, count as u64),
            "the scheduler lost tasks"
        );
    }

    fn step(&mut self, event: Event) {
        self.now = self.now + Duration::from_micros(50);
        let step = self.scheduler.step(self.now, event);
        black_box(&step.facts);
        let ordered = step.commands.into_iter().filter_map(|command| match command {
            Command::Launch { attempt, .. } => Some(attempt),
            _ => None,
        });
        self.ordered.extend(ordered);
    }
}

fn policy(slots: u32) -> Policy {
    let mut policy = Policy::from_config(&Config::default());
    policy.limits.max = Some(slots);
    policy.limits.fixed = true;
    policy.calibration.inputs = 0;
    policy.capacity_plugins = 0;
    policy.has_output = false;
    policy
}

/// A path as a dataset of many folders has them, 33 bytes.
fn discovered(number: usize) -> Discovered {
    let path = format!("batch-{:04}/measurement-{number:07}.dat", number / 1_000);
    Discovered { path: InputPath::new(path.as_bytes()), fingerprint: None }
}

fn sample(attempt: AttemptId) -> ProcessSample {
    ProcessSample {
        attempt,
        cpu_time: Duration::from_millis(attempt.0),
        rss: Bytes(10 << 20),
        virtual_memory: Bytes(20 << 20),
        read_bytes: Bytes(0),
        write_bytes: Bytes(0),
        read_ops: 0,
        write_ops: 0,
        processes: 1,
        threads: 1,
        states: [0, 1, 0, 0, 0],
    }
}
