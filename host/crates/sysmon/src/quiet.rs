//! Whether anybody can have run.
//!
//! Two figures bound what all have used together who slept when they were last looked at, whoever and however many they
//! are, for one reading instead of one of each: what is left of the time in which the cores were idle (`/proc/uptime`), and
//! what our control group has used, as long as everybody watched is in it. Our own part, known to the nanosecond, is taken
//! off either. Idle time is exact where the kernel stops the clock tick of idle cores (the default); with `nohz=off`,
//! `nohz_full` and kernels before about 5.16 it can be coarser.

use std::fs::File;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::cgroup::{GroupTime, groups_of, is_within};
use crate::text::{listed, reread};

/// Seconds that others may use before they are looked at: a clock tick, in which CPU time is told.
const UNSEEN: f64 = 0.010;
/// Whether our control group is the same is looked up again so often.
const FIND_EVERY: Duration = Duration::from_secs(10);
/// Idle time is told in steps of so many seconds.
const STEP: f64 = 0.010;
/// Nobody is left alone for longer than five seconds: a tenth less, lest a reading that comes a little early put it off.
const AT_MOST: Duration = Duration::from_millis(4_900);

/// Says whether those who slept must be looked at again.
#[derive(Debug)]
pub(crate) struct Quiet {
    uptime: Option<File>,
    online: Option<File>,
    /// `None` as well once we were moved to another group: others may have stayed.
    group: Option<GroupTime>,
    /// Our groups at the start.
    home: Vec<u8>,
    /// Whether we still are there is looked up again then.
    find_again: Instant,
    /// When all were last looked at.
    mark: Option<Mark>,
}

/// What was known at a moment; times in seconds.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Instant,
    /// Cores that work.
    cores: u32,
    /// Time in which they were idle so far, added up.
    idle: Option<f64>,
    /// CPU time of our control group.
    group: Option<f64>,
    /// CPU time of this process.
    own: f64,
}

impl Quiet {
    pub(crate) fn new() -> Self {
        let open = |path| File::open(path).ok();
        let (uptime, online) = (open("/proc/uptime"), open("/sys/devices/system/cpu/online"));
        let (group, home) = (GroupTime::find(), groups_of("self").unwrap_or_default());
        Self { uptime, online, group, home, find_again: Instant::now() + FIND_EVERY, mark: None }
    }

    /// Whether our group's CPU time has this process's in it.
    pub(crate) fn has(&self, pid: u32) -> bool {
        groups_of(&pid.to_string()).is_some_and(|groups| is_within(&groups, &self.home))
    }

    /// Whether they must be looked at. If so, what is used from now on counts until the next time; where nothing tells,
    /// always. `strays`: some of them are not in our group, what that used says nothing of them.
    pub(crate) fn is_over(&mut self, strays: bool, buffer: &mut [u8]) -> bool {
        let cores = self.mark.map_or(0, |mark| mark.cores);
        let now = Mark {
            at: Instant::now(),
            cores,
            idle: self.idle(buffer),
            group: self.group.as_ref().filter(|_| !strays).and_then(|group| group.read(buffer)),
            own: own_time(),
        };
        let over = !self.mark.is_some_and(|mark| mark.is_quiet_until(&now));
        if over {
            if now.at >= self.find_again {
                self.find_again = now.at + FIND_EVERY;
                if groups_of("self").is_none_or(|groups| groups != self.home) {
                    self.group = None;
                }
            }
            let group = self.group.as_ref().and_then(|group| group.read(buffer));
            self.mark = Some(Mark { cores: self.cores(buffer).unwrap_or(0), group, ..now });
        }
        over
    }

    fn idle(&self, buffer: &mut [u8]) -> Option<f64> {
        let text = std::str::from_utf8(reread(self.uptime.as_ref()?, buffer).ok()?).ok()?;
        text.split_ascii_whitespace().nth(1)?.parse().ok()
    }

    fn cores(&self, buffer: &mut [u8]) -> Option<u32> {
        let text = std::str::from_utf8(reread(self.online.as_ref()?, buffer).ok()?).ok()?;
        listed(text.trim_end())
    }
}

impl Mark {
    fn is_quiet_until(&self, now: &Self) -> bool {
        let passed = now.at.saturating_duration_since(self.at);
        let all = passed.as_secs_f64() * f64::from(self.cores);
        let own = now.own - self.own;
        let machine = self.idle.zip(now.idle).map(|(before, now)| all - (now - before));
        let group = self.group.zip(now.group).map(|(before, now)| now - before);
        // Where cores come or go there may be less than there can be.
        let quiet = |used: f64| (-2.0 * STEP..=UNSEEN).contains(&(used - own));
        passed < AT_MOST && [machine, group].into_iter().flatten().any(quiet)
    }
}

/// CPU time of this process.
fn own_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
impl Quiet {
    /// As if we had been started in another control group than everybody else.
    pub(crate) fn move_away(&mut self) {
        self.home = b"0::/elsewhere\n".to_vec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        Mark { at: Instant::now(), cores: 2, idle: Some(1_000.0), group: None, own: 7.0 }
    }

    /// Whether it was quiet for so many milliseconds on two cores of which we used and all used so many.
    fn quiet(passed: u64, own: u64, used: u64) -> bool {
        let before = mark();
        let now = Mark {
            at: before.at + Duration::from_millis(passed),
            idle: Some(1_000.0 + (2 * passed - used) as f64 / 1e3),
            own: before.own + own as f64 / 1e3,
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
    fn nobody_is_left_alone_for_more_than_five_seconds() {
        assert!(quiet(4_899, 0, 0));
        assert!(!quiet(4_901, 0, 0));
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        // A third core was idle as well: more than all the time.
        let before = mark();
        let now = Mark { at: before.at + Duration::from_millis(100), idle: Some(1_000.3), ..before };
        assert!(!before.is_quiet_until(&now));
        // We have used more than the group that we are in.
        let before = Mark { idle: None, group: Some(50.0), ..before };
        assert!(!before.is_quiet_until(&Mark { own: before.own + 0.1, ..before }));
        let untold = Mark { group: None, ..before };
        assert!(!untold.is_quiet_until(&untold));
    }

    #[test]
    fn in_a_group_of_our_own_it_is_quiet_whatever_others_do() {
        let before = Mark { group: Some(50.0), ..mark() };
        let at = before.at + Duration::from_millis(100);
        let now = Mark { at, group: Some(50.025), own: before.own + 0.02, ..before };
        assert!(before.is_quiet_until(&now), "others kept both cores busy");
        assert!(!before.is_quiet_until(&Mark { group: Some(50.035), ..now }));
    }

    #[test]
    fn our_group_says_nothing_of_those_who_are_in_another_one() {
        let (mut quiet, mut buffer) = (Quiet { uptime: None, ..Quiet::new() }, [0; 64]);
        for _ in 0..100 {
            assert!(quiet.is_over(true, &mut buffer), "nothing else tells");
        }
    }

    #[test]
    fn the_machine_says_that_somebody_works() {
        let (mut quiet, mut buffer) = (Quiet::new(), [0; 64]);
        assert!(quiet.is_over(false, &mut buffer), "the first time");
        let mut worker = std::process::Command::new("/bin/sh").args(["-c", "while :; do :; done"]).spawn();
        let worker = worker.as_mut().unwrap();
        let begun = Instant::now();
        // It is over sooner than time alone would be a reason.
        let mut last = begun;
        let mut seen = false;
        while !seen && begun.elapsed() < Duration::from_secs(60) {
            let looked = Instant::now();
            if quiet.is_over(false, &mut buffer) {
                seen = looked - last < AT_MOST / 2;
                last = looked;
            }
        }
        worker.kill().unwrap();
        worker.wait().unwrap();
        assert!(seen);
    }
}
