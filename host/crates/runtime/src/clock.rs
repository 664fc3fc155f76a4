//! The clock of a run.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use orchestrator_core::Timestamp;
use orchestrator_ports::Clock;

/// Wall time at the start, monotonic from then on, less the time that the host was suspended.
#[derive(Debug)]
pub struct SystemClock {
    wall_at_start: Duration,
    start: Instant,
    suspended: Duration,
}

impl SystemClock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        let wall_at_start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall_at_start, start: Instant::now(), suspended: Duration::ZERO }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(0) + (self.wall_at_start + self.start.elapsed()).saturating_sub(self.suspended)
    }

    fn suspended_for(&mut self, time: Duration) {
        self.suspended += time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspended_time_does_not_pass() {
        let mut clock = SystemClock::start();
        let before = clock.now();
        clock.suspended_for(Duration::from_secs(3600));
        assert!(clock.now() < before);
    }
}
