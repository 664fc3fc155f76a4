//! Who may overtake a task that waits for memory: EASY backfilling (Lifka, "The ANL/IBM SP scheduling system", 1995) with
//! memory in place of nodes.

use std::time::Duration;

use super::forecast::{Course, Forecast, Rest};
use super::law::Control;
use super::reading::Candidate;
use crate::{TaskId, Timestamp};

/// Waiting tasks that are tried when the next one's memory does not fit.
const LOOK_AHEAD: usize = 64;
/// The next one waits at most this multiple of the median run time before nothing may overtake it but what delays nobody.
const PATIENCE: f64 = 1.5;
/// Median run time before one is known, s.
const UNKNOWN_WALL: f64 = 30.0;

/// Which task waits for memory at the head of the queue, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head(Option<(TaskId, Timestamp)>);

impl Head {
    /// This task is next and does not fit: how long it has waited for that.
    pub fn waits(&mut self, task: TaskId, now: Timestamp) -> Duration {
        let since = self.0.filter(|(before, _)| *before == task).map_or(now, |(_, since)| since);
        self.0 = Some((task, since));
        now.since(since)
    }

    /// The next one fits.
    pub fn starts(&mut self) {
        self.0 = None;
    }
}

/// What is kept for a task that waits for memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reserved {
    /// Seconds until it is expected to fit, at the earliest; infinite while nobody knows when those end that it waits for.
    after: f64,
    /// Memory that it leaves to others then, bytes.
    spare: f64,
}

impl Control {
    /// Which of those that wait may start while the next one, which does not fit, waits: the first that fits, before anything is
    /// known of memory the first smaller one; once the next one has waited for one and a half usual run times,
    /// the first that does not delay it. Where none may, the next one itself, if it can be stopped in time. `waiting` are any names of
    /// tasks, next ones first.
    pub fn overtaking<T>(
        &self,
        head: Candidate,
        waited: Duration,
        waiting: impl Iterator<Item = (T, Candidate)>,
    ) -> Option<T> {
        if !self.knows_memory() {
            // Smaller ones tell sooner what the next one needs.
            let smaller = |one: Candidate| one.input.zip(head.input).is_some_and(|(one, head)| one < head);
            let mut waiting = waiting.take(LOOK_AHEAD);
            return waiting
                .find(|(_, one)| smaller(*one) && self.may_start(*one).is_ok())
                .map(|(name, _)| name);
        }
        let patience = PATIENCE * self.median_wall().unwrap_or(UNKNOWN_WALL);
        let reserved = (waited.as_secs_f64() > patience).then(|| self.reserved_for(head));
        let may = |one: Candidate| {
            self.may_start(one).is_ok()
                && reserved.as_ref().is_none_or(|reserved| !self.delays(reserved, one))
        };
        let mut waiting = waiting.take(LOOK_AHEAD).peekable();
        let preemptible =
            waiting.next_if(|(_, one)| one.task == head.task && self.may_start_preemptible(head));
        let preemptible = preemptible.map(|(name, _)| name);
        waiting.find(|(_, one)| may(*one)).map(|(name, _)| name).or(preemptible)
    }

    /// What is to be kept for a task that does not fit now. Looks at the few moments of the forecast, however many run; worked
    /// out once, it serves for all that might overtake.
    fn reserved_for(&self, head: Candidate) -> Reserved {
        // Nobody knows when it may be risked: all that runs ends first.
        if self.survives(head, &self.need(head)).is_err() {
            return Reserved { after: f64::INFINITY, spare: 0.0 };
        }
        let course = self.course_of(head);
        // One that others count as if it stood still ends, too.
        let running = self.preemptible.and_then(|attempt| Some((attempt, self.fleet.get(&attempt)?)));
        let Some((attempt, member)) = running.filter(|(_, member)| member.frozen.is_none()) else {
            return self.reserved(&self.forecast, &course);
        };
        let mut forecast = self.others_of(attempt);
        forecast.add(&self.going_on(member), &self.growth);
        self.reserved(&forecast, &course)
    }

    /// The same for any that goes on like this beside those of a forecast.
    pub(super) fn reserved(&self, forecast: &Forecast, course: &Course) -> Reserved {
        let of = self.start_below() - self.others;
        let (after, spare) = forecast.room_for(course, &self.growth, self.caution(), of);
        Reserved { after, spare }
    }

    /// Whether a task for which this is kept would wait longer if this one started now: it is not expected to end before the
    /// other fits, and needs more than that leaves.
    pub(super) fn delays(&self, reserved: &Reserved, candidate: Candidate) -> bool {
        let course = self.course_of(candidate);
        !course.ends_before(reserved.after) && course.most(self.caution()) > reserved.spare
    }

    /// How the memory of a task is expected to go that starts now.
    pub(super) fn course_of(&self, candidate: Candidate) -> Course {
        let rest = self.run_time(candidate).map(|left| Rest { share: 0.0, left });
        Course::new(&self.need(candidate), 0.0, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::control::{AttemptReading, ControlRules, Ending, MachineReading, Used};
    use crate::predict::Kind;
    use crate::{AttemptId, TaskId, Timestamp};

    const GIGABYTE: f64 = 1e9;
    const MINUTE: u64 = 60;
    const HOUR: u64 = 3600;

    /// Sorts of tasks: memory in GB, seconds.
    const LARGE: (f64, u64, &[u8]) = (10.0, HOUR, b"x.large");
    const SHORT: (f64, u64, &[u8]) = (3.0, MINUTE, b"x.short");
    const LONG: (f64, u64, &[u8]) = (3.0, HOUR / 2, b"x.long");
    const HEAD: (f64, u64, &[u8]) = (5.0, MINUTE, b"x.head");
    const TINY: (f64, u64, &[u8]) = (0.2, HOUR / 2, b"x.tiny");
    const BRIEF: (f64, u64, &[u8]) = (3.0, 5, b"x.brief");

    fn candidate(task: u32, (_, _, name): (f64, u64, &[u8])) -> Candidate {
        Candidate { task: TaskId(task), input: Some(1_000_000), kind: Kind::of(name) }
    }

    /// A machine that allows 17 GB, on which one of 10 GB runs for another hour and two of 3 GB for another minute.
    fn busy() -> Control {
        let mut law = Control::new(ControlRules { memory_threshold: 1.0, ..ControlRules::default() });
        let mut machine =
            MachineReading { cores: 64.0, memory_total: 17.0 * GIGABYTE, ..MachineReading::default() };
        let sorts = [LARGE, SHORT, LONG, HEAD, TINY, BRIEF];
        let mut now = Timestamp(1_000_000);
        for task in 0..240u32 {
            let sort = sorts[task as usize % sorts.len()];
            law.started(now, AttemptId(u64::from(task)), candidate(task, sort));
            now = now + std::time::Duration::from_secs(sort.1);
            let used = Used { peak: sort.0 * GIGABYTE, cpu: sort.1 as f64, io: 0.0 };
            law.ended(now, AttemptId(u64::from(task)), Ending::Completed, used);
            law.sampled(now, machine, &[]);
        }
        let running = [(LARGE, 1000), (SHORT, 1001), (SHORT, 1002)];
        for (sort, task) in running {
            law.started(now, AttemptId(u64::from(task)), candidate(task, sort));
        }
        now = now + std::time::Duration::from_secs(1);
        let readings = running.map(|(sort, task)| AttemptReading {
            attempt: AttemptId(u64::from(task)),
            cpu: 1.0,
            io: 0.0,
            rss: 0.9 * sort.0 * GIGABYTE,
        });
        machine.memory_used = readings.iter().map(|one| one.rss).sum();
        law.sampled(now, machine, &readings);
        law
    }

    #[test]
    fn who_waits_is_overtaken_by_what_fits_and_later_only_by_what_does_not_delay_it() {
        let mut law = busy();
        let now = Timestamp((law.now.unwrap() * 1e6) as u64);
        law.ended(now, AttemptId(1002), Ending::Other, Used::default());
        law.machine.memory_used -= 0.9 * SHORT.0 * GIGABYTE;
        let head = candidate(2000, HEAD);
        let waiting = [HEAD, LONG, BRIEF].map(|sort| (sort.2, candidate(2001, sort)));
        let overtaking = |seconds| law.overtaking(head, Duration::from_secs(seconds), waiting.into_iter());
        assert_eq!(overtaking(0), Some(LONG.2));
        assert_eq!(overtaking(10 * HOUR), Some(BRIEF.2));
        let delaying = waiting.into_iter().take(2);
        assert_eq!(law.overtaking(head, Duration::from_secs(10 * HOUR), delaying), None);
    }

    #[test]
    fn before_results_smaller_ones_overtake_what_does_not_fit() {
        let sized = |task: u32, input: u64| Candidate { task: TaskId(task), input: Some(input), kind: None };
        let mut law = Control::new(ControlRules::default());
        let mut machine =
            MachineReading { cores: 4.0, memory_total: 16.0 * GIGABYTE, ..MachineReading::default() };
        law.sampled(Timestamp(1_000_000), machine, &[]);
        law.started(Timestamp(1_000_000), AttemptId(1), sized(1, 1_000_000_000));
        machine.memory_used = 2.0 * GIGABYTE;
        let largest = AttemptReading { attempt: AttemptId(1), cpu: 1.0, io: 0.0, rss: machine.memory_used };
        law.sampled(Timestamp(2_000_000), machine, &[largest]);
        let (head, behind) = (sized(2, 300_000_000), [sized(3, 900_000_000), sized(4, 1_000_000)]);
        assert!(law.may_start(head).is_err());
        let waiting = behind.into_iter().map(|one| (one.task, one));
        assert_eq!(law.overtaking(head, Duration::ZERO, waiting), Some(TaskId(4)));
    }

    #[test]
    fn another_one_at_the_head_begins_to_wait() {
        let mut head = Head::default();
        let at = |seconds: u64| Timestamp(seconds * 1_000_000);
        assert_eq!(head.waits(TaskId(1), at(5)), Duration::ZERO);
        assert_eq!(head.waits(TaskId(1), at(9)), Duration::from_secs(4));
        assert_eq!(head.waits(TaskId(2), at(9)), Duration::ZERO);
        head.starts();
        assert_eq!(head.waits(TaskId(2), at(12)), Duration::ZERO);
    }

    #[test]
    fn what_waits_for_short_ones_is_not_overtaken_by_what_outlasts_them() {
        let law = busy();
        assert!(law.may_start(candidate(2000, HEAD)).is_err());
        let reserved = law.reserved_for(candidate(2000, HEAD));
        assert!((50.0..100.0).contains(&reserved.after), "{reserved:?}");
        assert!(
            law.delays(&reserved, candidate(2001, LONG)),
            "half an hour instead of a minute: {reserved:?}"
        );
        assert!(!law.delays(&reserved, candidate(2002, BRIEF)), "{reserved:?}");
        assert!(!law.delays(&reserved, candidate(2003, TINY)), "there is room for both: {reserved:?}");
    }

    #[test]
    fn what_waits_for_the_largest_is_overtaken_by_all_that_end_before() {
        let law = busy();
        let head = candidate(2000, LARGE);
        let reserved = law.reserved_for(head);
        assert!((0.9..1.5).contains(&(reserved.after / HOUR as f64)), "{reserved:?}");
        assert!(!law.delays(&reserved, candidate(2001, LONG)) && law.delays(&reserved, head), "{reserved:?}");
    }
}
