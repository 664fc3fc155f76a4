//! What host and runner say to each other.
//!
//! The host believes nothing of it: see `proxy`.

use crate::instance::collect::{Dropped, Pile, Room};
use crate::instance::context::words;
use crate::instance::facts::{Fact, Question};
use orchestrator_core::config::model::Grants;
use orchestrator_core::metrics::{Metrics, ProcessSample};
use orchestrator_core::{AttemptId, TaskId};
use orchestrator_plugin_api::PluginKind;
use orchestrator_plugin_api::abi;
use orchestrator_ports::ProcessFacts;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// Processes that travel in one order.
pub(super) const BATCH: usize = 64;
/// Place of the machine's own measurement among those of a batch.
pub(super) const SYSTEM: u32 = u32::MAX;

/// What the host wants.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order<'a> {
    /// Shut yourself in, load the library and construct the object.
    #[serde(borrow)]
    Begin(Begin<'a>),
    /// Measure these processes as long as there is time, and then the machine, if `system` says so.
    Collect {
        #[serde(borrow)]
        processes: Vec<Process<'a>>,
        within: Duration,
        system: bool,
        /// What is left of the round's.
        room: Room,
    },
    /// Say how many processes may run.
    Calculate {
        #[serde(borrow)]
        calibration: Values<'a>,
        #[serde(borrow)]
        current: Values<'a>,
    },
    /// Hand out your state.
    Snapshot,
    /// The answer to a question.
    Answer(Option<Fact>),
}

/// Named values.
pub(super) type Values<'a> = Vec<(&'a str, f64)>;

pub(super) fn values(metrics: &Metrics) -> Values<'_> {
    metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect()
}

/// What a runner begins with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Begin<'a> {
    /// What to call the library, and what its bytes must be.
    pub(super) path: &'a [u8],
    pub(super) hash: [u8; 32],
    pub(super) capacity: bool,
    pub(super) class: &'a str,
    pub(super) config: &'a str,
    pub(super) deadline: Duration,
    pub(super) restore: Option<&'a [u8]>,
    pub(super) max_memory: u64,
    /// What the sandbox lets through; nothing where there is none.
    pub(super) sandbox: Option<Grants>,
}

impl Begin<'_> {
    pub(super) fn kind(&self) -> PluginKind {
        if self.capacity { PluginKind::Capacity } else { PluginKind::Metrics }
    }

    pub(super) fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.path))
    }
}

/// A process of a batch.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Process<'a> {
    task: u32,
    input_file: &'a [u8],
    running_for: Option<Duration>,
    pid: u32,
    start_ticks: u64,
    tree: Vec<u32>,
    sample: Option<ProcessSample>,
}

impl<'a> Process<'a> {
    pub(super) fn new(facts: &'a ProcessFacts) -> Self {
        Self {
            task: facts.task.0,
            input_file: facts.input_file.as_os_str().as_bytes(),
            running_for: facts.running_for,
            pid: facts.pid,
            start_ticks: facts.start_ticks,
            tree: facts.tree.to_vec(),
            sample: facts.sample,
        }
    }

    /// The same for the engine; its attempt is its place in the batch.
    pub(super) fn facts(self, place: usize) -> ProcessFacts {
        ProcessFacts {
            attempt: AttemptId(place as u64),
            task: TaskId(self.task),
            input_file: Path::new(OsStr::from_bytes(self.input_file)).into(),
            running_for: self.running_for,
            pid: self.pid,
            start_ticks: self.start_ticks,
            tree: self.tree.into(),
            sample: self.sample,
        }
    }
}

/// What the runner says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report<'a> {
    /// The object is constructed, at this cost.
    Ready(Spent),
    /// There is none, and will be none.
    Refused(Refusal),
    /// Measurements of a batch, in the order of its processes; there may be several of these.
    #[serde(borrow)]
    Measured(Vec<Measured<'a>>),
    /// The batch is over.
    Done { asked: u32, dropped: WireDropped, lost_records: u32 },
    /// The answer of a capacity object.
    Calculated { spent: Spent, answer: Result<(u32, String), WireFault>, lost_records: u32 },
    /// The object's state.
    Snapshot { spent: Spent, answer: Result<Option<Vec<u8>>, WireFault> },
    /// A log record.
    Said { level: u8, message: &'a str },
    /// A question about a process, to be answered at once.
    Asked { pid: u32, question: Question },
}

/// Why there is no object.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Refusal {
    /// It could not shut itself in.
    Sandbox(String),
    /// The library cannot be loaded.
    Library(String),
    /// The library has no constructor of the kind.
    NoConstructor,
    /// The constructor refused.
    Constructor(Spent, WireFault),
}

/// What a call cost.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Spent {
    pub(super) wall: Duration,
    pub(super) cpu: Duration,
}

/// What one call of a batch gave.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Measured<'a> {
    /// The process's place in the batch, or [`SYSTEM`].
    pub(super) place: u32,
    pub(super) spent: Spent,
    #[serde(borrow)]
    pub(super) answer: Result<Values<'a>, WireFault>,
}

/// A fault of the plugin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WireFault {
    code: u32,
    retry_after_ms: u32,
    message: String,
}

impl From<abi::Fault> for WireFault {
    fn from(fault: abi::Fault) -> Self {
        let message = words(fault.message.as_str());
        Self { code: fault.code.0, retry_after_ms: fault.retry_after_ms, message }
    }
}

impl From<WireFault> for abi::Fault {
    fn from(fault: WireFault) -> Self {
        let message = words(&fault.message).into();
        Self { code: abi::FaultCode(fault.code), retry_after_ms: fault.retry_after_ms, message }
    }
}

/// [`Dropped`], as the runner counted it.
pub(super) type WireDropped = [(u64, String); 5];

pub(super) fn wire_dropped(dropped: &Dropped) -> WireDropped {
    dropped.piles().map(|(pile, _)| (pile.count, pile.example.clone()))
}

/// Adds what a runner says that it dropped.
pub(super) fn add_dropped(to: &mut Dropped, said: WireDropped) {
    for (pile, (count, example)) in to.piles_mut().into_iter().zip(said) {
        let more = Pile::of(count, &example);
        pile.merge(more);
    }
}
