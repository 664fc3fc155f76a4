//! The thread of an instance: every call into the plugin is made on it.

use super::collect::{Dropped, Ledger};
use super::context::Context;
use super::engine::{Birth, Call, Engine, StillBirth, is_final};
use super::failure::InstanceFault;
use super::jobs::JobReceiver;
use super::spec::InstanceSpec;
use super::stats::{InstanceStats, RunnerUsage};
use crate::host::Message;
use crate::isolate::{Proxy, Runner, Stop};
use crate::library::{FileFault, FileProblem, Library, PluginFile, Probe, audit};
use orchestrator_core::AttemptId;
use orchestrator_core::config::model::Isolation;
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_api::abi::{Fault, FaultCode};
use orchestrator_ports::PluginRound;
use std::io;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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
    pub(crate) processes: Vec<(AttemptId, Arc<Metrics>)>,
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
    /// How a process of its own is started, where its isolation asks for one.
    pub(crate) runner: Option<Runner>,
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
        let isolation = self.spec.isolation;
        isolation.word().clone_into(&mut self.stats.lock().unwrap_or_else(PoisonError::into_inner).isolation);
        let (slot, generation) = (self.slot, self.generation);
        let mut ending = EndNote { slot, generation, messages: self.messages.clone(), fault: None };
        if isolation != Isolation::InProcess {
            ending.fault = self.run_isolated(jobs);
            return;
        }
        let mut engine = match self.construct() {
            Ok(engine) => engine,
            Err(fault) => return self.tell(Message::Started { slot, generation, result: Err(fault) }),
        };
        self.tell(Message::Started { slot, generation, result: Ok(()) });
        while let Some(job) = jobs.next() {
            let outcome = match job {
                Job::Collect { round, first } => {
                    let _desk = self.context.open_desk(&round);
                    Outcome::Collected(Box::new(self.collect(&mut engine, &round, first)))
                }
                Job::Calculate { round, current } => {
                    let _desk = self.context.open_desk(&round);
                    Outcome::Calculated(self.booked(engine.calculate(&round.calibration, &current)))
                }
                Job::Snapshot => Outcome::Snapshot(self.booked(engine.snapshot())),
            };
            self.tell(Message::Answered { slot, generation, outcome });
        }
    }

    /// The same by way of a runner; how it died, if it did.
    fn run_isolated(mut self, jobs: &JobReceiver) -> Option<InstanceFault> {
        let (slot, generation, restore) = (self.slot, self.generation, self.restore.take());
        let started = match &self.runner {
            Some(runner) => Proxy::start(&self, runner, restore.as_deref(), jobs),
            None => Err(InstanceFault::NoRunner.into()),
        };
        let mut proxy = match started {
            Ok(proxy) => proxy,
            Err(Stop::Dismissed) => return None,
            Err(Stop::Fault(fault)) => {
                self.tell(Message::Started { slot, generation, result: Err(*fault) });
                return None;
            }
        };
        self.tell(Message::Started { slot, generation, result: Ok(()) });
        loop {
            match proxy.next().and_then(|job| proxy.perform(job)) {
                Ok(outcome) => self.tell(Message::Answered { slot, generation, outcome }),
                Err(Stop::Dismissed) => {
                    proxy.dismiss();
                    return None;
                }
                Err(Stop::Fault(fault)) => return Some(*fault),
            }
        }
    }

    fn construct(&mut self) -> Result<Engine, InstanceFault> {
        let verified = self.file.verified().map_err(InstanceFault::Library)?;
        audit(verified.file(), &self.spec);
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
        Engine::construct(library, &birth, self.context, &mut |call| self.book(&call)).map_err(
            |why| match why {
                StillBirth::NoConstructor => missing_constructor(&self.spec, &self.file),
                StillBirth::Refused(fault) => start_fault(fault),
            },
        )
    }

    /// One call per process, beginning with number `first` so that a slow plugin reaches all of them in turn, then one
    /// for the machine. When the time of one deadline is used up, the rest waits for the next round.
    fn collect(&self, engine: &mut Engine, round: &PluginRound, first: usize) -> Collected {
        let mut collected = Collected::default();
        let mut ledger = Ledger::default();
        let end = Instant::now() + self.spec.deadline;
        let count = round.processes.len();
        let order = (0..count).map(|index| &round.processes[(first + index) % count.max(1)]);
        let mut dead = false;
        collected.asked = engine.processes(order, (&round.current, &mut ledger), end, |facts, call| {
            dead = collected.take(facts.attempt, self.booked(call));
            !dead
        });
        if !dead {
            collected.left_out = count - collected.asked;
            collected.take_system(self.booked(engine.system(&round.current, &mut ledger)));
        }
        collected.dropped = ledger.dropped;
        collected
    }

    /// Books a call's cost and hands out its answer.
    pub(crate) fn booked<T>(&self, call: Call<T>) -> Result<T, Fault> {
        self.book(&call);
        call.result
    }

    pub(crate) fn book<T>(&self, call: &Call<T>) {
        let error = call.result.as_ref().err().map(|fault| fault.message.as_str());
        let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        stats.book(call.wall, call.cpu, error);
    }

    /// Books a call that was not waited for.
    pub(crate) fn book_deadline_miss(&self) {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).deadline_misses += 1;
    }

    /// Books what the host itself spent on an isolated instance's answers.
    pub(crate) fn book_judging(&self, cpu: Duration) {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).cpu += cpu;
    }

    /// Books what the process of the instance has used so far, and hands it out; nothing where it is gone.
    pub(crate) fn book_runner(&self, pid: u32) -> Option<RunnerUsage> {
        let usage = RunnerUsage::read(pid)?;
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).book_runner(usage);
        Some(usage)
    }

    fn tell(&self, message: Message) {
        // A host that is gone needs no answer.
        let _ = self.messages.send(message);
    }
}

impl Collected {
    /// Takes one process's answer; `true` where the instance can answer no more.
    pub(crate) fn take(&mut self, attempt: AttemptId, answer: Result<Metrics, Fault>) -> bool {
        match answer {
            Ok(metrics) if metrics.is_empty() => false,
            Ok(metrics) => {
                self.processes.push((attempt, Arc::new(metrics)));
                false
            }
            Err(fault) => {
                let last = is_final(&fault);
                self.fail(fault);
                last
            }
        }
    }

    /// Takes the machine's answer; `true` as in [`Self::take`].
    pub(crate) fn take_system(&mut self, answer: Result<Metrics, Fault>) -> bool {
        let last = matches!(&answer, Err(fault) if is_final(fault));
        match answer {
            Ok(metrics) => self.system = metrics,
            Err(fault) => self.fail(fault),
        }
        last
    }

    fn fail(&mut self, fault: Fault) {
        self.failed += 1;
        self.fault = Some(fault);
    }
}

fn missing_constructor(spec: &InstanceSpec, file: &PluginFile) -> InstanceFault {
    let reason = format!("it has no constructor of the kind {}", spec.kind);
    InstanceFault::Library(FileProblem::new(&file.path, FileFault::Header { reason }))
}

/// What a constructor's answer means.
pub(crate) fn start_fault(fault: Fault) -> InstanceFault {
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
    fault: Option<InstanceFault>,
}

impl Drop for EndNote {
    fn drop(&mut self) {
        let ended = Message::Ended { slot: self.slot, generation: self.generation, fault: self.fault.take() };
        let _ = self.messages.send(ended);
    }
}
