//! The real scheduler, driven by a world that answers every command at once.

use std::collections::VecDeque;
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use orchestrator_core::Timestamp;
use orchestrator_core::config::model::Config;
use orchestrator_core::metrics::Usage;
use orchestrator_core::scheduler::{
    Command, Discovered, Event, ExitStatus, Fingerprint, InputPath, OutputRecord, Policy, ProcessIdentity,
    Restored, ScanReport, Scheduler,
};

pub(crate) const HEADER: &str =
    "     files | discovery ns/file | scheduling ns/task | of it the slowest 1 % over | bytes/queued file";

/// As many as a scan delivers at once.
const BATCH: usize = 1_024;

/// One row of the table.
pub(crate) fn measure(count: usize) -> String {
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

    let start = Instant::now();
    for first in (0..count).step_by(BATCH) {
        let batch = (first..count.min(first + BATCH)).map(discovered).collect();
        world.step(Event::InputsDiscovered(batch));
    }
    world.step(Event::ScanFinished(ScanReport { matched: count as u64, ..ScanReport::default() }));
    let discovery = start.elapsed();
    let bytes = resident().saturating_sub(before) as f64 / count as f64;

    let (total, slow) = world.run_to_the_end();
    assert_eq!(world.scheduler.counts().total(), count as u64, "the scheduler lost tasks");
    format!(
        "{count:>10} | {:>17.0} | {:>18.0} | {:>23} ns | {bytes:>17.0}",
        discovery.as_nanos() as f64 / count as f64,
        total.as_nanos() as f64 / count as f64,
        slow.as_nanos(),
    )
}

struct World {
    scheduler: Scheduler,
    now: Timestamp,
    answers: VecDeque<Event>,
}

impl World {
    /// One step; the answers to its commands wait in `answers`.
    fn step(&mut self, event: Event) -> Duration {
        self.now = self.now + Duration::from_micros(50);
        let start = Instant::now();
        let step = self.scheduler.step(self.now, event);
        let took = start.elapsed();
        black_box(&step.facts);
        step.commands.into_iter().for_each(|command| self.answer(command));
        took
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

    /// Time of all steps until nothing is left to answer, and the time that 99 % of the steps stay below.
    fn run_to_the_end(&mut self) -> (Duration, Duration) {
        let mut times = Vec::new();
        while let Some(event) = self.answers.pop_front() {
            times.push(self.step(event));
        }
        let total = times.iter().sum();
        times.sort_unstable();
        (total, times.get(times.len() * 99 / 100).copied().unwrap_or_default())
    }
}

/// A path as a dataset of many folders has them, 33 bytes.
fn discovered(number: usize) -> Discovered {
    let path = format!("batch-{:04}/measurement-{number:07}.dat", number / 1_000);
    Discovered { path: InputPath::new(path.as_bytes()), fingerprint: None }
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
    pages * rustix::param::page_size() as u64
}
