//! How many attempts may run at once, and which bound says so.

mod answers;
mod baseline;
pub mod bottleneck;
mod calibration;
pub mod control;
mod decision;

pub use answers::{Answers, CapacityLimits};
pub use baseline::Baseline;
pub use calibration::{Calibration, CalibrationPlan};
pub use decision::{Bound, CapacityDecision, PluginBound};
