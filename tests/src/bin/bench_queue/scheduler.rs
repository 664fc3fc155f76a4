//! The real scheduler, driven by a world that answers every command at once.

use std::collections::VecDeque;
use std::fs;
use std::hint::black_box;
use std::time::Duration;

use orchestrator_core::Timestamp;
use orchestrator_core::config::model::Config;
use orchestrator_core::metrics::Usage;
use orchestrator_core::scheduler::{
    Command, Discovered, Event, ExitStatus, Fingerprint, InputPath, OutputRecord, Policy, ProcessIdentity,
    Restored, ScanReport, Scheduler,
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// As many as a scan delivers at once.
const BATCH: usize = 1_024;

/// Discovery of all, then start, exit, validation and publication of every task.
pub(crate) fn measure(count: usize) -> Value {
    let mut policy = Policy::from_config(&Config::default());
    policy.limits.max = Some(8);
    policy.limits.fixed = true;
    policy.calibration.inputs = 0;
    policy.capacity_plugins = 0;
    policy.has_output = true;
    let before = resident();
    let mut world = World {
        scheduler: Scheduler::new(policy, Restored::default()),
        now: Timestamp(1),
        answers: VecDeque::new(),
    };
    world.step(Event::RunStarted);

    let start = cpu();
    for first in (0..count).step_by(BATCH) {
        let batch = (first..count.min(first + BATCH)).map(discovered).collect();
        world.step(Event::InputsDiscovered(batch));
    }
    world.step(Event::ScanFinished(ScanReport { matched: count as u64, ..ScanReport::default() }));
    let discovery = cpu() - start;
    let queued = resident();

    let start = cpu();
    while let Some(event) = world.answers.pop_front() {
        world.step(event);
    }
    let scheduling = cpu() - start;
    let counts = world.scheduler.counts();
    assert_eq!((counts.completed, counts.total()), (count as u64, count as u64), "the scheduler lost tasks");
    let each = |duration: Duration| duration.as_nanos() as f64 / count as f64;
    json!({
        "discovery_ns": each(discovery),
        "scheduling_ns": each(scheduling),
        "bytes": queued.saturating_sub(before) as f64 / count as f64,
        "resident": queued,
    })
}

struct World {
    scheduler: Scheduler,
    now: Timestamp,
    answers: VecDeque<Event>,
}

impl World {
    /// One step; the answers to its commands wait in `answers`.
    fn step(&mut self, event: Event) {
        self.now = self.now + Duration::from_micros(50);
        let step = self.scheduler.step(self.now, event);
        black_box(&step.facts);
        step.commands.into_iter().for_each(|command| self.answer(command));
    }

    fn answer(&mut self, command: Command) {
        match command {
            Command::Launch { attempt, .. } => {
                let identity = ProcessIdentity { pid: 4_242, start_ticks: attempt.0 };
                let fingerprint = Fingerprint { size: 10_000, version: 1 };
                self.answers.push_back(Event::AttemptStarted { attempt, identity, fingerprint });
                let status = ExitStatus::Code(0);
                let usage = Usage::default();
                self.answers.push_back(Event::AttemptExited {
                    attempt,
                    status,
                    usage,
                    oom: false,
                    leaked: false,
                });
            }
            Command::Validate { attempt, path } => {
                let verdict = Ok(vec![OutputRecord { path, size: 5_000 }]);
                self.answers.push_back(Event::OutputValidated { attempt, verdict });
            }
            Command::Publish { attempt, .. } => self.answers.push_back(Event::OutputPublished { attempt }),
            _ => {}
        }
    }
}

/// A path as a dataset of many folders has them, 33 bytes.
fn discovered(number: usize) -> Discovered {
    let path = format!("batch-{:04}/measurement-{number:07}.dat", number / 1_000);
    Discovered { path: InputPath::new(path.as_bytes()), fingerprint: None }
}

/// CPU time of this process so far: what others do on the machine does not count.
fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
    pages * rustix::param::page_size() as u64
}
