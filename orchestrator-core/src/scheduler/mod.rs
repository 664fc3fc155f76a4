//! The heart: `Scheduler::step(now, Event) -> Step { facts, commands }`.
//!
//! Runtime law: persist the step's facts as one all-or-nothing record, publish them, then perform the commands. What
//! is durable about a task is the fold of its facts (`tasks`), so resume = reload.
//!
//! Grammar: events and facts are past tense, commands imperative.

mod admission;
mod attempt;
mod command;
mod event;
mod fact;
mod foresight;
mod governing;
mod halt;
mod input_path;
mod known;
mod names;
mod outcome;
mod policy;
mod queue;
mod reason;
mod refusal;
mod retry;
mod step;
mod stopping;
mod table;
mod tasks;
mod timers;

pub use command::{Command, StopHow};
pub use event::{CapacityAnswer, Discovered, Event, ScanReport, StopLevel};
pub use fact::{Fact, Fingerprint, OutputRecord, ProcessIdentity};
pub use input_path::InputPath;
pub use known::KnownTasks;
pub use policy::Policy;
pub use reason::{ExitStatus, FailureCategory, FailureReason, OutputFault, SpawnFault, TerminationReason};
pub use step::{Restored, Scheduler, Step};
pub use stopping::RunFault;
pub use tasks::{Counts, StoredAttempt, StoredState, StoredTask, TaskState};
