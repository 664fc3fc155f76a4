//! Time.

use std::time::Duration;

use orchestrator_core::Timestamp;

/// Reads the time that the scheduler lives in: anchored to the wall clock once, then monotonic, standing still while
/// the host is suspended.
pub trait Clock: Send {
    /// Now.
    fn now(&self) -> Timestamp;
    /// The host was suspended for so long: that time did not pass.
    fn suspended_for(&mut self, time: Duration);
}
