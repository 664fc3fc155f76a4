//! How many attempts may run at once, and which bound says so.

mod baseline;
mod calibration;
pub mod control;
mod decision;
mod law;

pub use baseline::Baseline;
pub use calibration::{Calibration, CalibrationPlan};
pub use decision::{Bound, CapacityDecision, PluginBound};
pub use law::{CapacityLaw, CapacityLimits};
