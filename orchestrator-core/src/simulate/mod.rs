//! A simulated machine, on which the control law and its rivals run the same work.
//!
//! Pure and seeded: the same machine, work, order and governor give the same outcome, always. It models what capacity
//! decisions turn on — cores that are shared, memory that grows late, a disk that suffers from company, memory bandwidth
//! that looks like CPU use, load of other people — and nothing else.

mod chance;
mod compare;
mod lawful;
pub mod loads;
mod machine;
mod oracle;
mod recorded;
pub mod rivals;
mod run;
mod work;

pub use chance::Chance;
pub use compare::{Comparison, Relief, Try, compare, relief};
pub use lawful::{Lawful, lawful_order};
pub use machine::{Background, Machine};
pub use oracle::{Oracle, oracle};
pub use recorded::{Recorded, recorded_work};
pub use run::{Actions, Ended, Governor, Outcome, Running, View, simulate};
pub use work::{Kind, Phase, Task, Work};
