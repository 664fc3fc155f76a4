//! The loop: select event → step → persist → publish → perform.
//!
//! Law: the facts of a step are persisted as one all-or-nothing record, then published to subscribers, then the
//! step's commands are performed. Rooms answer through [`Sinks`]; everything arrives in one [`Inbox`], so that all
//! that happens is in one order.

mod clock;
mod collector;
mod hands;
mod inbox;
mod journal;
mod orders;
mod readings;
mod run;
mod samples;
mod ticks;
mod turn;
mod words;

pub use clock::SystemClock;
pub use hands::LaunchSettings;
pub use inbox::{Control, Inbox, Sinks, channel};
pub use run::{Ended, Rooms, RunEnd, Settings, run};
pub use samples::Thresholds;
pub use ticks::TickTimes;
