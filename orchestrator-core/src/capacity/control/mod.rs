//! The control law: how many attempts run at once, each bound a small piece with its reason.
//!
//! | piece | says |
//! |---|---|
//! | `cpu` | how many keep the cores busy up to the threshold, beside what others use |
//! | `size_law`, `growth`, `forecast` | whether one more fits the memory, now and when the peaks come |
//! | `extremes` | where something was killed: whether two of the largest would be killed that grow faster than can be seen |
//! | `kinds` | by what kinds of input differ: the pieces above learn results divided by it |
//! | `progress`, `history`, `knee`, `limit` | how many at once still help |
//! | `vigilance` | how much more caution about memory than asked for, from what it was worth so far |
//! | `surplus` | whom to freeze, thaw, evict when too many run or memory runs out |
//! | `order` | in which order to run inputs of known size |
//! | `admit`, `decision` | whether a task may start; the bound that forbids it, and what the others would allow |
//! | `backfill` | who may overtake a task that waits for memory |
//! | `preemptible` | who may start on memory that others do not need yet, and when it is stopped |
//! | `law`, `observe`, `state` | events in; what was learned; what is kept across runs |
//!
//! The user's limits and the capacity plugins' answers are upper bounds like any other. With nothing running one task
//! always may start, and the oldest is never stopped: there is always progress.

mod admit;
mod backfill;
mod cpu;
mod decision;
mod extremes;
mod fleet;
mod forecast;
mod growth;
mod history;
mod kinds;
mod knee;
mod law;
mod limit;
mod observe;
mod order;
mod preemptible;
mod progress;
mod reading;
mod relearn;
mod rules;
mod size_law;
mod state;
mod surplus;
#[cfg(test)]
mod tests;
mod vigilance;

pub use backfill::Head;
pub use decision::{Allowed, ControlDecision, Hold};
pub use fleet::FrozenFor;
pub use law::Control;
pub use order::arrange;
pub use reading::{AttemptReading, Candidate, Ending, MachineReading, Used};
pub use rules::ControlRules;
pub use size_law::Need;
pub use state::{Completed, ControlState};
pub use surplus::Intervention;
