//! What the rest of a run is expected to take: each task's run time, CPU, bytes and memory before it runs, the time that is
//! left with a band, how right that was, and whether what was learned still holds.
//!
//! | piece | says |
//! |---|---|
//! | `classes`, `backlog` | which kinds and sizes wait and how many of each: kept up as tasks come and go, never counted anew |
//! | `model` | what a task of a size takes: p50 and p95 of each amount, the ladder of its memory |
//! | `pace` | how much of the expected work a running process does in a second of its own |
//! | `eta` | time that is left: what waits and what is left of what runs, at this pace, with a band |
//! | `accuracy` | how far what was said of tasks lay from what came |
//! | `drift` | whether tasks have begun to take another multiple of what was said |
//!
//! Invariants
//! - A prediction that is judged was made when its attempt was admitted.
//! - A waiting task costs nothing but its count: a tick costs the classes that occur (at most 513 of each of 31 kinds and of the rest; those of
//!   kinds that do not lie apart share their predictions), whether ten tasks wait or ten million.
//! - What is left is an estimate of the machine as it goes now: what stands still does not run, and what fewer places do
//!   takes longer.

mod accuracy;
mod backlog;
mod classes;
#[cfg(test)]
mod coverage;
mod drift;
mod eta;
mod model;
mod pace;
mod whole;

pub use accuracy::Accuracy;
pub use classes::{Class, SizeClass};
pub use drift::{Drift, Drifted};
pub use eta::{Eta, Rest, RunningTask, estimate};
pub use model::{Expectations, Promise, Took};
pub use pace::Pace;
pub(crate) use whole::Outlook;
pub use whole::{FirstEta, Forecast};
