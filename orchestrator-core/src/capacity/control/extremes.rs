//! What the largest would do that come at the same time, once the kernel has killed a task for want of memory.
//!
//! The margins of the forecast are those of sums: right on the whole, and where they fail the freezer stops what still grows. Tasks
//! that reach their peak between two readings nobody can stop, and where a few need many times what the others do wider margins
//! hardly help. So where something was killed, of such tasks the one that starts and the largest beside it are each taken to need
//! as many times more than expected as any did so far: both together, beside what the others are expected to need, must not be
//! what the kernel kills for. It costs throughput where something was killed, and nothing elsewhere.

use super::admit::bytes;
use super::decision::Hold;
use super::fleet::Member;
use super::law::Control;
use super::reading::Candidate;
use super::size_law::Need;
use crate::TaskId;

/// Tasks that take no longer than this may be at their peak before a few readings, a second apart, show them growing, s.
const QUICK: f64 = 10.0;
/// Share of the memory in use at which the kernel kills: the rest are its own reserves.
const KILLS: f64 = 0.93;

/// How far single tasks went beyond what was expected of their size; known from the first that was killed on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extremes {
    killed: Option<Extreme>,
    /// The same of the results that are kept.
    completed: Extreme,
    /// What those that run are expected to need together, bytes, and how much more the largest quick one of them may.
    all: f64,
    largest: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Extreme {
    /// Largest multiple of what was expected.
    times: f64,
    /// Largest peak, bytes.
    peak: f64,
}

impl Extreme {
    fn or(self, other: Self) -> Self {
        Self { times: self.times.max(other.times), peak: self.peak.max(other.peak) }
    }
}

impl Extremes {
    /// The most that a task may need of which so much is expected, bytes.
    fn most(&self, killed: Extreme, need: &Need) -> f64 {
        let known = killed.or(self.completed);
        (known.times * need.mean).min(known.peak).max(need.mean)
    }
}

/// What one that runs is expected to need, bytes.
fn expected(member: &Member) -> f64 {
    member.expected.mean.max(member.rss())
}

impl Control {
    /// The kernel killed a task that used so many bytes.
    pub(super) fn note_killed(&mut self, used: f64, need: &Need) {
        let one = Extreme { times: used / need.mean.max(1.0), peak: used };
        self.extremes.killed = Some(self.extremes.killed.unwrap_or_default().or(one));
        self.look_for_extremes();
        self.look_at_fleet();
    }

    /// The law has changed: how far results lie from it.
    pub(super) fn look_for_extremes(&mut self) {
        if self.extremes.killed.is_none() {
            return;
        }
        let results = self.records.iter().filter_map(|one| {
            let like_it = Candidate { task: TaskId(0), input: one.input, kind: one.kind };
            let expected = self.need_of_size(like_it)?.mean;
            Some(Extreme { times: one.peak / expected.max(1.0), peak: one.peak })
        });
        self.extremes.completed = results.fold(Extreme::default(), Extreme::or);
    }

    /// What those that run may need, looked at anew.
    pub(super) fn look_at_fleet(&mut self) {
        let Some(killed) = self.extremes.killed else { return };
        let beyond = self.fleet.values().map(|member| self.beyond(killed, member));
        let largest = beyond.fold(0.0, f64::max);
        self.extremes.all = self.fleet.values().map(expected).sum();
        self.extremes.largest = largest;
    }

    /// One more runs.
    pub(super) fn runs_beside(&mut self, member: &Member) {
        let Some(killed) = self.extremes.killed else { return };
        self.extremes.all += expected(member);
        self.extremes.largest = self.extremes.largest.max(self.beyond(killed, member));
    }

    /// One has ended; that it may have been the largest is known at the next reading.
    pub(super) fn ran_beside(&mut self, member: &Member) {
        self.extremes.all = (self.extremes.all - expected(member)).max(0.0);
    }

    /// How much more than expected one that runs may need, where that can come between two readings, bytes.
    fn beyond(&self, killed: Extreme, member: &Member) -> f64 {
        let most = self.extremes.most(killed, &member.need).min(member.most);
        if self.is_quick(member.candidate) { (most - expected(member)).max(0.0) } else { 0.0 }
    }

    /// Whether nothing more would be killed even if this task and the largest of those that run needed the most that any did.
    ///
    /// # Errors
    /// The memory that this would take, where that is more than there is.
    pub(super) fn survives(&self, candidate: Candidate, need: &Need) -> Result<(), Hold> {
        let Some(killed) = self.extremes.killed.filter(|_| self.is_quick(candidate)) else { return Ok(()) };
        let of = (KILLS * self.machine.memory_total).max(self.allowed_memory());
        let most = self.extremes.most(killed, need);
        let reserved = self.others + self.extremes.all + self.extremes.largest;
        if reserved + most <= of {
            return Ok(());
        }
        Err(Hold::Memory { reserved: bytes(reserved), next: bytes(most), of: bytes(of) })
    }

    fn is_quick(&self, candidate: Candidate) -> bool {
        self.run_time(candidate).is_none_or(|usual| usual.seconds <= QUICK)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::capacity::control::{
        AttemptReading, Candidate, Control, ControlRules, Ending, Hold, MachineReading, Used,
    };
    use crate::{AttemptId, TaskId, Timestamp};

    fn candidate(task: u32) -> Candidate {
        Candidate { task: TaskId(task), input: Some(1_000_000), kind: None }
    }

    /// On a machine of 16 GB forty tasks that take so many seconds are known to need 100 MB; then one that used `killed` bytes
    /// runs out of memory, if any, and one runs.
    fn law(seconds: u64, killed: Option<f64>) -> Control {
        let mut law = Control::new(ControlRules::default());
        let machine =
            MachineReading { cores: 16.0, memory_total: 16e9, memory_used: 1e9, ..MachineReading::default() };
        let mut now = Timestamp(0);
        for task in 0..41u32 {
            let id = AttemptId(u64::from(task) + 1);
            law.started(now, id, candidate(task));
            now = now + Duration::from_secs(seconds);
            let (ending, peak) = match killed {
                Some(peak) if task == 40 => (Ending::OutOfMemory, peak),
                _ => (Ending::Completed, 1e8),
            };
            law.ended(now, id, ending, Used { peak, cpu: 1.0, io: 1e6 });
        }
        law.started(now, AttemptId(50), candidate(50));
        let reading = AttemptReading { attempt: AttemptId(50), cpu: 0.01, io: 1e4, rss: 1e7 };
        law.sampled(now + Duration::from_secs(1), machine, &[reading]);
        law
    }

    #[test]
    fn what_was_killed_for_once_is_not_risked_again() {
        assert_eq!(law(3, None).may_start(candidate(60)), Ok(()));
        assert!(
            matches!(law(3, Some(8e9)).may_start(candidate(60)), Err(Hold::Memory { next, .. }) if next.0 > 7_000_000_000)
        );
        assert_eq!(law(3, Some(6e9)).may_start(candidate(60)), Ok(()), "two of these fit");
    }

    #[test]
    fn what_grows_slowly_is_left_to_the_freezer() {
        assert_eq!(law(60, Some(8e9)).may_start(candidate(60)), Ok(()));
    }
}
