//! Whether anybody can have run.
//!
//! The kernel counts how long each core was idle and tells the sum in `/proc/uptime`: the rest of the time was used, by
//! everybody together. Less our own part, which is known to the nanosecond, it bounds what those have used who slept when
//! they were last looked at, whoever and however many they are: for one reading instead of one of each.

use std::fs::File;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::text::{listed, reread};

/// Seconds that others may use before they are looked at: a clock tick, in which CPU time is told.
const UNSEEN: f64 = 0.010;
/// Idle time is told in steps of so many seconds.
const STEP: f64 = 0.010;
/// Nobody is left alone for longer than a second: a tenth less, lest a reading that comes a little early put it off.
const AT_MOST: Duration = Duration::from_millis(900);

/// Says whether those who slept must be looked at again.
#[derive(Debug)]
pub(crate) struct Quiet {
    uptime: Option<File>,
    online: Option<File>,
    /// When all were last looked at.
    mark: Option<Mark>,
}

/// What was known at a moment.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Instant,
    /// Cores that work.
    cores: u32,
    /// Seconds in which they were idle so far, added up.
    idle: f64,
    /// CPU time of this process.
    own: Duration,
}

impl Quiet {
    pub(crate) fn new() -> Self {
        let open = |path| File::open(path).ok();
        Self { uptime: open("/proc/uptime"), online: open("/sys/devices/system/cpu/online"), mark: None }
    }

    /// Whether they must be looked at. If so, what is used from now on counts until the next time; where the machine
    /// does not tell, always.
    pub(crate) fn is_over(&mut self, buffer: &mut [u8]) -> bool {
        let now = (Instant::now(), self.idle(buffer), clock_gettime(ClockId::ProcessCPUTime));
        let (at, Some(idle), Ok(own)) = (now.0, now.1, Duration::try_from(now.2)) else { return true };
        let since = self.mark.map(|mark| (mark, Mark { at, idle, own, ..mark }));
        let over = !since.is_some_and(|(mark, now)| mark.is_quiet_until(&now));
        if over {
            self.mark = self.cores(buffer).map(|cores| Mark { at, cores, idle, own });
        }
        over
    }

    fn idle(&self, buffer: &mut [u8]) -> Option<f64> {
        let text = std::str::from_utf8(reread(self.uptime.as_ref()?, buffer).ok()?).ok()?;
        text.split_ascii_whitespace().nth(1)?.parse().ok()
    }

    fn cores(&self, buffer: &mut [u8]) -> Option<u32> {
        let text = std::str::from_utf8(reread(self.online.as_ref()?, buffer).ok()?).ok()?;
        listed(text.trim_end()).filter(|&cores| cores > 0)
    }
}

impl Mark {
    fn is_quiet_until(&self, now: &Self) -> bool {
        let passed = now.at.saturating_duration_since(self.at);
        let used = passed.as_secs_f64() * f64::from(self.cores) - (now.idle - self.idle);
        let others = used - now.own.saturating_sub(self.own).as_secs_f64();
        // Where cores come or go, or idle time is not what it seems, there is more or less than can be.
        passed < AT_MOST && (-2.0 * STEP..=UNSEEN).contains(&others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it was quiet for so many milliseconds on two cores of which we used and all used so many.
    fn quiet(passed: u64, own: u64, used: u64) -> bool {
        let before = Mark { at: Instant::now(), cores: 2, idle: 1_000.0, own: Duration::from_secs(7) };
        let now = Mark {
            at: before.at + Duration::from_millis(passed),
            idle: before.idle + (2 * passed - used) as f64 / 1e3,
            own: before.own + Duration::from_millis(own),
            ..before
        };
        before.is_quiet_until(&now)
    }

    #[test]
    fn quiet_is_when_others_used_less_than_a_tick() {
        assert!(quiet(100, 0, 0));
        assert!(quiet(100, 50, 55), "we alone");
        assert!(!quiet(100, 0, 12));
        assert!(!quiet(100, 50, 65));
        assert!(!quiet(100, 0, 100));
    }

    #[test]
    fn nobody_is_left_alone_for_more_than_a_second() {
        assert!(quiet(899, 0, 0));
        assert!(!quiet(901, 0, 0));
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        // A third core was idle as well: more than all the time.
        let before = Mark { at: Instant::now(), cores: 2, idle: 1_000.0, own: Duration::ZERO };
        let now = Mark { at: before.at + Duration::from_millis(100), idle: 1_000.3, ..before };
        assert!(!before.is_quiet_until(&now));
    }

    #[test]
    fn the_machine_says_that_somebody_works() {
        let (mut quiet, mut buffer) = (Quiet::new(), [0; 64]);
        assert!(quiet.is_over(&mut buffer), "the first time");
        let mut worker = std::process::Command::new("/bin/sh").args(["-c", "while :; do :; done"]).spawn();
        let worker = worker.as_mut().unwrap();
        let begun = Instant::now();
        // Looked at so often that no second passes in between.
        let mut looked = Instant::now();
        loop {
            let between = looked.elapsed();
            looked = Instant::now();
            if quiet.is_over(&mut buffer) && between < AT_MOST / 2 {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60));
        }
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
}
