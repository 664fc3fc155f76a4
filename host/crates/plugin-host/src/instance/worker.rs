//! The thread of an instance: every call into the plugin is made on it.

use super::collect::Dropped;
use super::context::Context;
use super::engine::{Birth, Call, Engine, StillBirth, is_final};
use super::failure::InstanceFault;
use super::jobs::JobReceiver;
use super::spec::InstanceSpec;
use super::stats::InstanceStats;
use crate::host::Message;
use crate::library::{FileFault, FileProblem, Library, PluginFile, Probe};
use orchestrator_core::AttemptId;
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_api::abi::{Fault, FaultCode};
use orchestrator_ports::PluginRound;
use std::io;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What an instance is asked to do.
pub(crate) enum Job {
    /// Measure every process and the machine.
    Collect { round: Arc<PluginRound>, first: usize },
    /// Answer how many processes may run.
    Calculate { round: Arc<PluginRound>, current: Arc<Metrics> },
    /// Hand out its state.
    Snapshot,
}

/// What came of a job.
#[derive(Debug)]
pub(crate) enum Outcome {
    Collected(Box<Collected>),
    Calculated(Result<(u32, String), Fault>),
    /// Its state for a later object of the same class; `None` = it has none.
    Snapshot(Result<Option<Vec<u8>>, Fault>),
}

/// What a metrics instance measured in a round.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) system: Metrics,
    pub(crate) processes: Vec<(AttemptId, Metrics)>,
    pub(crate) dropped: Dropped,
    /// Failed calls and the last fault.
    pub(crate) failed: u32,
    pub(crate) fault: Option<Fault>,
    /// Processes that were asked about.
    pub(crate) asked: usize,
    /// Processes that were left out since the time was up.
    pub(crate) left_out: usize,
}

/// Everything that the thread takes along.
pub(crate) struct Worker {
    pub(crate) slot: usize,
    /// Which worker of its slot it is; every message bears it, so that a late voice is known as one.
    pub(crate) generation: u32,
    pub(crate) spec: InstanceSpec,
    pub(crate) file: PluginFile,
    pub(crate) probe: Option<Probe>,
    /// State of an earlier object, handed to the new one after construction.
    pub(crate) restore: Option<Vec<u8>>,
    pub(crate) context: &'static Context,
    pub(crate) stats: Arc<Mutex<InstanceStats>>,
    pub(crate) messages: Sender<Message>,
}

impl Worker {
    /// Starts the thread; it ends when the sender of `jobs` is gone.
    pub(crate) fn spawn(self, jobs: JobReceiver) -> io::Result<()> {
        // The kernel keeps 15 bytes of a thread's name.
        let name: String =
            format!("plugin-{}", self.spec.name).chars().take(15).filter(char::is_ascii).collect();
        std::thread::Builder::new().name(name).spawn(move || self.run(&jobs)).map(|_| ())
    }

    fn run(mut self, jobs: &JobReceiver) {
        let (slot, generation) = (self.slot, self.generation);
        let _ending = EndNote { slot, generation, messages: self.messages.clone() };
        let mut engine = match self.construct() {
            Ok(engine) => engine,
            Err(fault) => return self.tell(Message::Started { slot, generation, result: Err(fault) }),
        };
        self.tell(Message::Started { slot, generation, result: Ok(()) });
        while let Some(job) = jobs.next() {
            let outcome = match job {
                Job::Collect { round, first } => {
                    Outcome::Collected(Box::new(self.collect(&mut engine, &round, first)))
                }
                Job::Calculate { round, current } => {
                    Outcome::Calculated(self.booked(engine.calculate(&round.calibration, &current)))
                }
                Job::Snapshot => Outcome::Snapshot(self.booked(engine.snapshot())),
            };
            self.tell(Message::Answered { slot, generation, outcome });
        }
    }

    fn construct(&mut self) -> Result<Engine, InstanceFault> {
        let verified = self.file.verified().map_err(InstanceFault::Library)?;
        let library =
            Library::load_verified(&verified, self.probe.as_ref()).map_err(InstanceFault::Library)?;
        let restore = self.restore.take();
        let config = serde_json::Value::Object(self.spec.config.clone()).to_string();
        let birth = Birth {
            kind: self.spec.kind,
            class: &self.spec.class,
            config: &config,
            described: self.file.class(self.spec.kind, &self.spec.class),
            restore: restore.as_deref(),
        };
        Engine::construct(library, &birth, self.context, &mut |call| self.book(&call))
            .map_err(|why| start_fault(why, &self.spec, &self.file))
    }

    /// One call per process, beginning with number `first` so that a slow plugin reaches all of them in turn, then one
    /// for the machine. When the time of one deadline is used up, the rest waits for the next round.
    fn collect(&self, engine: &mut Engine, round: &PluginRound, first: usize) -> Collected {
        let mut collected = Collected::default();
        let mut dropped = Dropped::default();
        let end = Instant::now() + self.spec.deadline;
        let count = round.processes.len();
        let order = (0..count).map(|index| &round.processes[(first + index) % count.max(1)]);
        let mut dead = false;
        collected.asked = engine.processes(order, (&round.current, &mut dropped), end, |facts, call| {
            dead = collected.take(facts.attempt, self.booked(call));
            !dead
        });
        if !dead {
            collected.left_out = count - collected.asked;
            match self.booked(engine.system(&round.current, &mut dropped)) {
                Ok(metrics) => collected.system = metrics,
                Err(fault) => collected.fail(fault),
            }
        }
        collected.dropped = dropped;
        collected
    }

    /// Books a call's cost and hands out its answer.
    fn booked<T>(&self, call: Call<T>) -> Result<T, Fault> {
        self.book(&call);
        call.result
    }

    fn book<T>(&self, call: &Call<T>) {
        let error = call.result.as_ref().err().map(|fault| fault.message.as_str());
        let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        stats.book(call.wall, call.cpu, error);
    }

    fn tell(&self, message: Message) {
        // A host that is gone needs no answer.
        let _ = self.messages.send(message);
    }
}

impl Collected {
    /// Takes one process's answer; `true` where the instance can answer no more.
    fn take(&mut self, attempt: AttemptId, answer: Result<Metrics, Fault>) -> bool {
        match answer {
            Ok(metrics) if metrics.is_empty() => false,
            Ok(metrics) => {
                self.processes.push((attempt, metrics));
                false
            }
            Err(fault) => {
                let last = is_final(&fault);
                self.fail(fault);
                last
            }
        }
    }

    fn fail(&mut self, fault: Fault) {
        self.failed += 1;
        self.fault = Some(fault);
    }
}

fn start_fault(why: StillBirth, spec: &InstanceSpec, file: &PluginFile) -> InstanceFault {
    let fault = match why {
        StillBirth::NoConstructor => {
            let reason = format!("it has no constructor of the kind {}", spec.kind);
            return InstanceFault::Library(FileProblem::new(&file.path, FileFault::Header { reason }));
        }
        StillBirth::NotRestored(fault) => {
            return InstanceFault::Restore { message: fault.message.into_string() };
        }
        StillBirth::Refused(fault) => fault,
    };
    let message = fault.message.into_string();
    match fault.code {
        FaultCode::CONFIG => InstanceFault::Configuration { message },
        FaultCode::PANICKED | FaultCode::POISONED => InstanceFault::Panicked { message },
        _ => InstanceFault::Initialize { message },
    }
}

/// Tells that the thread ended, however it ended.
struct EndNote {
    slot: usize,
    generation: u32,
    messages: Sender<Message>,
}

impl Drop for EndNote {
    fn drop(&mut self) {
        let ended = Message::Ended { slot: self.slot, generation: self.generation, fault: None };
        let _ = self.messages.send(ended);
    }
}
