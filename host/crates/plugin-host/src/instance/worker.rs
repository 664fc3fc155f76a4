//! The thread of an instance: it loads the library, constructs the object and makes every call into it.

use super::collect::{Collector, Declared, Dropped};
use super::context::Context;
use super::failure::InstanceFault;
use super::spec::InstanceSpec;
use super::stats::{InstanceStats, Meter};
use crate::host::Message;
use crate::library::{FileFault, FileProblem, Library, PluginFile, Probe};
use crate::translate;
use orchestrator_core::AttemptId;
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_api::PluginKind;
use orchestrator_plugin_api::abi::{CapacityBox, Fault, FaultCode, MetricsBox, Request};
use orchestrator_ports::PluginRound;
use std::io;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What an instance is asked to do.
pub(crate) enum Job {
    /// Measure every process and the machine.
    Collect { round: Arc<PluginRound>, first: usize },
    /// Answer how many processes may run.
    Calculate { round: Arc<PluginRound>, current: Arc<Metrics> },
}

/// What came of a job.
#[derive(Debug)]
pub(crate) enum Outcome {
    Collected(Box<Collected>),
    Calculated(Result<(u32, String), Fault>),
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
    pub(crate) spec: InstanceSpec,
    pub(crate) file: PluginFile,
    pub(crate) probe: Option<Probe>,
    pub(crate) context: &'static Context,
    pub(crate) stats: Arc<Mutex<InstanceStats>>,
    pub(crate) messages: Sender<Message>,
}

/// The constructed object.
enum Object {
    Metrics(MetricsBox, Declared),
    Capacity(CapacityBox),
}

impl Worker {
    /// Starts the thread; it ends when the sender of `jobs` is gone.
    pub(crate) fn spawn(self, jobs: Receiver<Job>) -> io::Result<()> {
        // The kernel keeps 15 bytes of a thread's name.
        let name: String =
            format!("plugin-{}", self.spec.name).chars().take(15).filter(char::is_ascii).collect();
        std::thread::Builder::new().name(name).spawn(move || self.run(&jobs)).map(|_| ())
    }

    fn run(self, jobs: &Receiver<Job>) {
        let _ending = EndNote { slot: self.slot, messages: self.messages.clone() };
        let mut object = match self.construct() {
            Ok(object) => object,
            Err(fault) => return self.tell(Message::Started { slot: self.slot, result: Err(fault) }),
        };
        self.tell(Message::Started { slot: self.slot, result: Ok(()) });
        for job in jobs {
            let outcome = match (&mut object, job) {
                (Object::Metrics(object, declared), Job::Collect { round, first }) => {
                    Outcome::Collected(Box::new(self.collect(object, declared, &round, first)))
                }
                (Object::Capacity(object), Job::Calculate { round, current }) => {
                    Outcome::Calculated(self.calculate(object, &round, &current))
                }
                // The host sends metrics jobs to metrics instances only, and likewise for capacity.
                (Object::Metrics(..), Job::Calculate { .. }) | (Object::Capacity(_), Job::Collect { .. }) => {
                    return;
                }
            };
            self.tell(Message::Answered { slot: self.slot, outcome });
        }
    }

    fn construct(&self) -> Result<Object, InstanceFault> {
        let library = Library::load(&self.file.path, self.probe.as_ref()).map_err(InstanceFault::Library)?;
        let config = serde_json::Value::Object(self.spec.config.clone()).to_string();
        let request = Request {
            class: self.spec.class.as_str().into(),
            config: config.as_str().into(),
            host: self.context.handle(),
        };
        let module = library.module();
        match self.spec.kind {
            PluginKind::Metrics => {
                let new = module.new_metrics().ok_or_else(|| self.missing_constructor())?;
                let object = self.booked(|| new(request).into_result()).map_err(start_fault)?;
                let declared = self.file.class(self.spec.kind, &self.spec.class).map(Declared::new);
                Ok(Object::Metrics(object, declared.unwrap_or_default()))
            }
            PluginKind::Capacity => {
                let new = module.new_capacity().ok_or_else(|| self.missing_constructor())?;
                self.booked(|| new(request).into_result()).map(Object::Capacity).map_err(start_fault)
            }
            PluginKind::Unknown => Err(self.missing_constructor()),
        }
    }

    /// The descriptor promises a class of a kind that the library has no constructor for.
    fn missing_constructor(&self) -> InstanceFault {
        let reason = format!("it has no constructor of the kind {}", self.spec.kind);
        InstanceFault::Library(FileProblem::new(&self.file.path, FileFault::Header { reason }))
    }

    /// One call per process, beginning with number `first` so that a slow plugin reaches all of them in turn, then one
    /// for the machine. When the time of one deadline is used up, the rest waits for the next round.
    fn collect(
        &self,
        object: &mut MetricsBox,
        declared: &Declared,
        round: &PluginRound,
        first: usize,
    ) -> Collected {
        let mut collected = Collected::default();
        let end = Instant::now() + self.spec.deadline;
        let count = round.processes.len();
        let order = (0..count).map(|index| &round.processes[(first + index) % count.max(1)]);
        for (done, facts) in order.enumerate() {
            if Instant::now() >= end {
                collected.left_out = count - done;
                break;
            }
            collected.asked = done + 1;
            let view = translate::ProcessFactsView::new(facts);
            let texts = view.texts();
            let collector = Collector::new(declared, &round.current, &mut collected.dropped);
            let result = self.measured(|| {
                collector.fill(|sink| object.collect_process(&view.view(&texts), sink).into_result())
            });
            match result {
                Ok(metrics) if metrics.is_empty() => {}
                Ok(metrics) => collected.processes.push((facts.attempt, metrics)),
                Err(fault) if is_final(&fault) => return collected.failing(fault),
                Err(fault) => collected = collected.failing(fault),
            }
        }
        let collector = Collector::new(declared, &round.current, &mut collected.dropped);
        match self.measured(|| collector.fill(|sink| object.collect_system(sink).into_result())) {
            Ok(metrics) => collected.system = metrics,
            Err(fault) => collected = collected.failing(fault),
        }
        collected
    }

    fn calculate(
        &self,
        object: &mut CapacityBox,
        round: &PluginRound,
        current: &Metrics,
    ) -> Result<(u32, String), Fault> {
        let calibration = translate::samples(&round.calibration);
        let current = translate::samples(current);
        let answer = self.measured(|| {
            object.calculate(calibration.as_slice().into(), current.as_slice().into()).into_result()
        })?;
        Ok((answer.processes, answer.reason.into_string()))
    }

    /// Makes a call under the deadline's eye and books its cost.
    fn measured<T>(&self, call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        let _mark = self.context.begin_call();
        self.booked(call)
    }

    /// Makes a call and books its cost.
    fn booked<T>(&self, call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        let meter = Meter::start();
        let result = call();
        let (wall, cpu) = meter.stop();
        let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        stats.calls += 1;
        stats.wall += wall;
        stats.cpu += cpu;
        if let Err(fault) = &result {
            stats.errors += 1;
            stats.last_error = Some(fault.message.as_str().to_owned());
        }
        result
    }

    fn tell(&self, message: Message) {
        // A host that is gone needs no answer.
        let _ = self.messages.send(message);
    }
}

impl Collected {
    fn failing(mut self, fault: Fault) -> Self {
        self.failed += 1;
        self.fault = Some(fault);
        self
    }
}

/// Whether no later call can succeed.
pub(crate) fn is_final(fault: &Fault) -> bool {
    let last = [FaultCode::PANICKED, FaultCode::POISONED, FaultCode::CONFIG, FaultCode::UNSUPPORTED];
    last.contains(&fault.code)
}

fn start_fault(fault: Fault) -> InstanceFault {
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
    messages: Sender<Message>,
}

impl Drop for EndNote {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Ended { slot: self.slot });
    }
}
