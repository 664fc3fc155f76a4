//! What the law is told of tasks beside what it sees: that one needs more than it thought, that all have changed.

use super::extremes::Extremes;
use super::law::Control;
use super::reading::Candidate;
use crate::TaskId;

impl Control {
    /// A task died for want of memory: its next attempt reserves at least so many bytes. What it reserves then, bytes.
    pub fn reserve_at_least(&mut self, candidate: Candidate, bytes: f64) -> f64 {
        let floor = self.floors.entry(candidate.task).or_insert(0.0);
        *floor = floor.max(bytes);
        self.need(candidate).mean
    }

    /// A task is given up: what it was to reserve more than others is forgotten.
    pub fn forget(&mut self, task: TaskId) {
        self.floors.remove(&task);
        self.raised.remove(&task);
    }

    /// Tasks are not what they were: all results but the last `keep` are forgotten.
    pub fn relearn(&mut self, keep: usize) {
        self.sizes.keep_last(keep);
        self.progress.keep_last(keep);
        self.records.keep_last(keep);
        self.extremes = Extremes::default();
        self.stale = true;
    }
}

#[cfg(test)]
mod tests {
    use crate::capacity::control::{
        AttemptReading, Candidate, Control, ControlRules, Ending, Hold, MachineReading, Used,
    };
    use crate::{AttemptId, TaskId, Timestamp};

    fn candidate(task: u32) -> Candidate {
        Candidate { task: TaskId(task), input: Some(1_000_000), kind: None }
    }

    /// Twenty tasks of 1 GB each are known on a machine of 16 GB, and one runs.
    fn known() -> Control {
        let mut law = Control::new(ControlRules::default());
        let machine =
            MachineReading { cores: 16.0, memory_total: 16e9, memory_used: 1e9, ..MachineReading::default() };
        for task in 0..20u32 {
            let (id, now) = (AttemptId(u64::from(task) + 1), Timestamp(u64::from(task) * 1_000_000));
            law.started(now, id, candidate(task));
            law.ended(
                now + std::time::Duration::from_secs(1),
                id,
                Ending::Completed,
                Used { peak: 1e9, cpu: 1.0, io: 1e6 },
            );
        }
        law.started(Timestamp(30_000_000), AttemptId(30), candidate(30));
        let reading = AttemptReading { attempt: AttemptId(30), cpu: 0.1, io: 1e5, rss: 1e8 };
        law.sampled(Timestamp(31_000_000), machine, &[reading]);
        law
    }

    #[test]
    fn what_outgrew_its_reservation_gets_the_larger_one_and_only_it() {
        let mut law = known();
        assert_eq!(law.may_start(candidate(40)), Ok(()));
        law.reserve_at_least(candidate(40), 11.5e9);
        assert!(
            matches!(law.may_start(candidate(40)), Err(Hold::Memory { next, .. }) if next.0 == 11_500_000_000)
        );
        assert_eq!(law.may_start(candidate(41)), Ok(()));
        law.reserve_at_least(candidate(40), 2e9);
        assert!(law.may_start(candidate(40)).is_err(), "a reservation does not shrink");
        law.forget(TaskId(40));
        assert_eq!(law.may_start(candidate(40)), Ok(()));
    }

    #[test]
    fn other_peoples_memory_makes_no_margin_wider_and_our_own_does() {
        let minute = |others: f64, own: f64| {
            let mut law = known();
            law.set_rules(ControlRules { freeze: false, evict: false, ..ControlRules::default() });
            law.started(Timestamp(31_000_000), AttemptId(31), candidate(31));
            for second in 32..92 {
                let machine = MachineReading { memory_used: others + 2.0 * own, ..law.machine };
                let readings =
                    [30, 31].map(|id| AttemptReading { attempt: AttemptId(id), cpu: 0.1, io: 1e5, rss: own });
                law.sampled(Timestamp(second * 1_000_000), machine, &readings);
            }
            law.vigilance.factor()
        };
        assert_eq!(minute(14e9, 0.5e9), 1.0);
        assert!(minute(1e9, 7e9) > 1.5);
    }

    #[test]
    fn the_law_of_earlier_tasks_is_forgotten() {
        let mut law = known();
        let before = law.state().completed.len();
        law.relearn(5);
        assert_eq!((before, law.state().completed.len()), (20, 5));
    }
}
