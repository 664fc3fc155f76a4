//! Memory over the time to come: peaks that do not meet may share the same memory.
//!
//! Each running task is expected to grow from what it uses now to its peak by the learned shape of growth, and to give
//! everything back when it ends. The sum is looked at just before each expected end, where it is largest: a task only
//! starts if the sum stays below the limit at all these moments. On the side of caution tasks reach their peak sooner
//! and end later than expected.

use super::growth::Growth;
use super::progress::RunTime;
use super::size_law::Need;

/// Moments that are looked at: those just before an expected end, and so many seconds from now.
const MOMENTS: usize = 24;
/// Those of tasks that start until the next reading come to them, up to this number.
const MOST_MOMENTS: usize = 48;
const SOON: [f64; 3] = [3.0, 6.0, 12.0];
/// A task may be late by two deviations of its run time, as a share of what it has left: at least and at most this, and at most
/// before anything is known of it. It may be early by as much: then it has grown to its peak sooner.
const LATE: (f64, f64) = (0.1, 0.25);
/// It ends so many seconds later besides, and so many more for each share that it may be late by; a short one by no more than it
/// takes and half a second.
const LATER_AT_LEAST: f64 = 0.5;
const LATER_EACH: f64 = 10.0;
/// Where one is late while others are early, the errors are independent and add in quadrature: beside all by which the others are
/// early, so much of its own counts.
const BOTH: f64 = std::f64::consts::SQRT_2 - 1.0;

/// A task that has outgrown its need is expected to grow on by at most this share.
const OVERGROWTH: f64 = 0.3;

/// How cautious, in multiples of the two deviations of [`Need`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Caution {
    pub(super) own: f64,
    pub(super) common: f64,
}

/// One task's memory over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Course {
    need: Need,
    /// In use now, bytes.
    rss: f64,
    /// Share of its work done.
    share: f64,
    /// Seconds that the rest is expected to take; infinite if unknown.
    left: f64,
    /// By which share of them it may be late.
    late: f64,
}

/// What a task still has to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    /// Share of its work done.
    pub(super) share: f64,
    /// How long the rest takes.
    pub(super) left: RunTime,
}

impl Course {
    /// A task that uses `rss` bytes now and has that left to do; `None` if unknown: its peak may come at any time, and nobody
    /// knows when it ends.
    pub(super) fn new(need: &Need, rss: f64, rest: Option<Rest>) -> Self {
        let (share, left, error) = rest
            .map_or((1.0, f64::INFINITY, LATE.1), |rest| (rest.share, rest.left.seconds, rest.left.error));
        let late = (2.0 * error).clamp(LATE.0, LATE.1);
        let mut need = *need;
        if rss > need.mean {
            need.mean = rss * (1.0 + OVERGROWTH * (need.own / need.mean.max(1.0)).min(1.0));
            need.own *= 0.5;
            need.common *= 0.5;
        }
        Self { need, rss, share, left, late }
    }

    /// A task that stands still, and keeps what it uses.
    pub(super) fn still(rss: f64) -> Self {
        Self::new(&Need { mean: rss, own: 0.0, common: 0.0 }, rss, None)
    }

    /// Share of its work done.
    pub(super) fn share(&self) -> f64 {
        self.share
    }

    /// What it and others need at their peaks.
    fn and(&self, all: &Need) -> Need {
        Need {
            mean: all.mean + self.need.mean.max(self.rss),
            own: all.own + self.need.own,
            common: all.common + self.need.common,
        }
    }

    /// Whether it has ended when those have that the forecast takes to end at that moment, even if it is late and they are not.
    pub(super) fn ends_before(&self, moment: f64) -> bool {
        moment.is_finite() && (1.0 + self.late) * self.ends() <= moment - self.later()
    }

    /// The most that it needs at any time, bytes.
    pub(super) fn most(&self, caution: Caution) -> f64 {
        self.need.mean.max(self.rss) + caution.own * self.need.own + caution.common * self.need.common
    }

    /// By how many seconds it may be late however short it is.
    fn later(&self) -> f64 {
        LATER_AT_LEAST + LATER_EACH * (self.late - LATE.0)
    }

    /// When it ends at the latest.
    fn ends(&self) -> f64 {
        self.left * (1.0 + self.late) + (LATER_AT_LEAST + self.left).min(self.later())
    }

    /// Seconds within which it may have grown to its peak.
    fn grows_within(&self) -> f64 {
        self.left / (1.0 + self.late)
    }

    /// When it has its peak at the latest, and still runs: from, to.
    fn at_peak(&self) -> (f64, f64) {
        (self.grows_within(), self.ends())
    }

    /// What it needs at a moment, as a share of its peak; `None` when it has ended.
    fn share_of_peak(&self, growth: &Growth, at: f64) -> Option<f64> {
        if at > self.ends() {
            return None;
        }
        if !self.left.is_finite() {
            return Some(1.0);
        }
        let grown = at / self.grows_within().max(1e-9);
        let share = self.share + (1.0 - self.share) * grown.min(1.0);
        let most = growth.in_proportion(self.rss, self.share, share);
        Some(growth.upper(share).min(most.map_or(1.0, |most| most / self.need.mean.max(1.0))))
    }
}

/// Sums at one moment, bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Moment {
    at: f64,
    /// How many run then.
    running: u32,
    mean: f64,
    variance: f64,
    common: f64,
}

impl Moment {
    fn add(&mut self, course: &Course, growth: &Growth) {
        let Some(share) = course.share_of_peak(growth, self.at) else { return };
        self.running += 1;
        self.mean += (course.need.mean * share).max(course.rss);
        self.variance += (course.need.own * share).powi(2);
        self.common += course.need.common * share;
    }

    fn remove(&mut self, course: &Course, growth: &Growth) {
        let Some(share) = course.share_of_peak(growth, self.at) else { return };
        self.running = self.running.saturating_sub(1);
        let less = |sum: f64, part: f64| (sum - part).max(0.0);
        self.mean = less(self.mean, (course.need.mean * share).max(course.rss));
        self.variance = less(self.variance, (course.need.own * share).powi(2));
        self.common = less(self.common, course.need.common * share);
    }

    fn total(&self, caution: Caution) -> f64 {
        self.mean + caution.own * self.variance.sqrt() + caution.common * self.common
    }
}

/// What is to come.
#[derive(Clone, Debug, Default)]
pub(super) struct Forecast {
    moments: Vec<Moment>,
    /// Whether every end is one of them.
    complete: bool,
    courses: Vec<Course>,
    /// What all need, as if all peaks and all errors met.
    all: Need,
}

/// The sums at one moment.
fn moment(at: f64, courses: &[Course], growth: &Growth) -> Moment {
    let mut moment = Moment { at, ..Moment::default() };
    courses.iter().for_each(|course| moment.add(course, growth));
    moment
}

/// The largest sum of these moments with one more task, bytes.
fn largest(moments: &[Moment], course: &Course, growth: &Growth, caution: Caution) -> f64 {
    let alone = Moment { at: course.at_peak().0, ..Moment::default() };
    let last = moments.partition_point(|moment| moment.at < alone.at);
    // At its own peak those still run that end later.
    let at_peak = Moment { at: alone.at, ..moments.get(last).copied().unwrap_or_default() };
    // What comes after its end is no matter of its.
    let after = moments.partition_point(|moment| moment.at <= course.ends());
    let with = |moment: &Moment| {
        let mut with = *moment;
        with.add(course, growth);
        with.total(caution)
    };
    moments[..after].iter().chain([&at_peak]).map(with).fold(0.0, f64::max)
}

impl Forecast {
    /// The sums of these tasks, just before each of them is expected to end (or at fewer moments, if they are many).
    pub(super) fn new(courses: &[Course], growth: &Growth) -> Self {
        let mut ends: Vec<f64> = courses.iter().map(Course::ends).chain(SOON).collect();
        ends.sort_unstable_by(f64::total_cmp);
        let step = ends.len().div_ceil(MOMENTS).max(1);
        let moments = [0.0].into_iter().chain(ends.iter().rev().step_by(step).rev().copied());
        Self {
            moments: moments.map(|at| moment(at, courses, growth)).collect(),
            complete: step == 1,
            courses: courses.to_vec(),
            all: courses.iter().fold(Need::default(), |all, course| course.and(&all)),
        }
    }

    /// A task was started. Its end becomes a moment, while these are few, and where it would come and go between two: otherwise any
    /// number of short tasks could be started between two readings, none of which would ever count with its peak.
    pub(super) fn add(&mut self, course: &Course, growth: &Growth) {
        self.moments.iter_mut().for_each(|moment| moment.add(course, growth));
        self.courses.push(*course);
        self.all = course.and(&self.all);
        let (from, to) = course.at_peak();
        let between = self.moments.iter().all(|moment| moment.at < from || moment.at > to);
        if to.is_finite() && (between || self.moments.len() < MOST_MOMENTS) {
            let at = self.moments.partition_point(|moment| moment.at < to);
            self.moments.insert(at, moment(to, &self.courses, growth));
        } else {
            self.complete &= !to.is_finite();
        }
    }

    /// A task ended that was part of it: the memory is free for the next, also before the next reading.
    pub(super) fn remove(&mut self, course: &Course, growth: &Growth) {
        self.moments.iter_mut().for_each(|moment| moment.remove(course, growth));
        if let Some(at) = self.courses.iter().position(|one| one == course) {
            self.courses.swap_remove(at);
        }
        let less = |sum: f64, part: f64| (sum - part).max(0.0);
        self.all = Need {
            mean: less(self.all.mean, course.need.mean.max(course.rss)),
            own: less(self.all.own, course.need.own),
            common: less(self.all.common, course.need.common),
        };
    }

    /// The largest sum to come with one more task, bytes.
    pub(super) fn with(&self, course: &Course, growth: &Growth, caution: Caution) -> f64 {
        if !self.complete {
            return largest(&self.moments, course, growth, caution);
        }
        // All ends are looked at, and until each of them all that run only grow: the most is used just before one, or before its
        // own, which is heard of at once.
        let ends = course.left * (1.0 + BOTH * course.late);
        let own = moment(ends, &self.courses, growth);
        let before = self.moments.partition_point(|moment| moment.at <= ends);
        let with = |moment: &Moment| {
            let mut with = *moment;
            with.add(course, growth);
            with.total(caution)
        };
        self.moments[..before].iter().chain([&own]).map(with).fold(0.0, f64::max)
    }

    /// Seconds until one more task fits below `limit`, at the earliest, and what is free below that then, bytes. Infinite where
    /// nobody knows when those end that it has to wait for.
    pub(super) fn room_for(
        &self,
        course: &Course,
        growth: &Growth,
        caution: Caution,
        limit: f64,
    ) -> (f64, f64) {
        for (at, start) in self.moments.iter().enumerate() {
            if !start.at.is_finite() {
                return (f64::INFINITY, 0.0);
            }
            let later = self.moments[at + 1..].iter();
            let moments: Vec<Moment> =
                later.map(|moment| Moment { at: moment.at - start.at, ..*moment }).collect();
            let sum = largest(&moments, course, growth, caution);
            if sum <= limit {
                return (start.at, limit - sum);
            }
        }
        // It fits at no time, and starts once it is alone.
        let busy = self.moments.iter().rev().find(|moment| moment.running > 0);
        (busy.map_or(0.0, |last| last.at), 0.0)
    }

    /// What all need on average, as if all peaks met, bytes.
    pub(super) fn plain(&self) -> f64 {
        self.all.mean
    }

    /// The most that all can need with one more task, as if all peaks and all errors met, bytes: no moment has more.
    pub(super) fn at_most_with(&self, course: &Course, caution: Caution) -> f64 {
        let all = course.and(&self.all);
        all.mean + caution.own * all.own + caution.common * all.common
    }

    /// The largest sum to come, bytes.
    pub(super) fn peak(&self, caution: Caution) -> f64 {
        self.moments.iter().map(|moment| moment.total(caution)).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Caution = Caution { own: 0.0, common: 0.0 };

    fn need(mean: f64) -> Need {
        Need { mean, own: 1.0, common: 0.5 }
    }

    fn rest(share: f64, seconds: f64) -> Option<Rest> {
        Some(Rest { share, left: RunTime { seconds, error: 0.2 } })
    }

    /// A task uses as much of its peak as it has done of its work.
    fn linear() -> Growth {
        let mut growth = Growth::default();
        for _ in 0..20 {
            growth.completed((1..=10).map(|i| (f64::from(i) / 10.0 - 0.05, f64::from(i) / 10.0)), 1.0);
        }
        growth
    }

    #[test]
    fn own_errors_add_in_quadrature_and_common_ones_linearly() {
        let course = Course::new(&need(10.0), 0.0, None);
        let forecast = Forecast::new(&[course; 4], &Growth::default());
        assert_eq!(forecast.peak(NONE), 40.0);
        assert_eq!(forecast.peak(Caution { own: 1.0, common: 0.0 }), 42.0);
        assert_eq!(forecast.peak(Caution { own: 0.0, common: 1.0 }), 42.0);
        assert_eq!(forecast.plain(), 40.0);
        let caution = Caution { own: 2.0, common: 0.5 };
        let (most, with) =
            (forecast.at_most_with(&course, caution), forecast.with(&course, &Growth::default(), caution));
        assert!(most == 50.0 + 10.0 + 1.25 && most >= with, "{most} {with}");
    }

    #[test]
    fn peaks_that_do_not_meet_share_memory() {
        let growth = linear();
        // One is nearly done, one has just begun.
        let late = Course::new(&need(10.0), 9.0, rest(0.9, 5.0));
        let fresh = Course::new(&need(10.0), 0.0, rest(0.0, 50.0));
        let together = Forecast::new(&[late], &growth).with(&fresh, &growth, NONE);
        assert!((10.0..16.0).contains(&together), "{together}");
        // Both in step: their peaks meet.
        let in_step = Forecast::new(&[fresh], &growth).with(&fresh, &growth, NONE);
        assert_eq!(in_step, 20.0);
        // Nothing known of when they end: all peaks may meet.
        let unknown = Course::new(&need(10.0), 9.0, None);
        assert_eq!(Forecast::new(&[unknown], &growth).with(&fresh, &growth, NONE), 20.0);
    }

    #[test]
    fn the_better_run_times_are_known_the_closer_peaks_may_follow_each_other() {
        let growth = linear();
        let with = |error| {
            let rest = |seconds| Some(Rest { share: 0.0, left: RunTime { seconds, error } });
            let large = Course::new(&need(10.0), 0.0, rest(100.0));
            let short = Course::new(&need(10.0), 0.0, rest(60.0));
            Forecast::new(&[large], &growth).with(&short, &growth, NONE)
        };
        let (sure, unsure, unknown) = (with(0.01), with(0.1), with(1.0));
        assert!(sure < unsure && unsure < unknown && unknown == with(2.0), "{sure} {unsure} {unknown}");
    }

    #[test]
    fn what_fits_at_no_time_waits_until_it_is_alone() {
        let short = Course::new(&need(5.0), 5.0, rest(0.5, 1.0));
        let forecast = Forecast::new(&[short], &Growth::default());
        let (after, spare) =
            forecast.room_for(&Course::new(&need(50.0), 0.0, None), &Growth::default(), NONE, 20.0);
        assert!((1.0..4.0).contains(&after) && spare == 0.0, "{after} {spare}");
    }

    #[test]
    fn what_has_ended_leaves_nothing_to_wait_for() {
        let growth = linear();
        let [short, long] = [1.0, 9.0]
            .map(|left| Course::new(&Need { mean: 0.3, own: 0.1, common: 0.1 }, 0.1, rest(0.0, left)));
        let mut forecast = Forecast::new(&[short, short, short, long, long], &growth);
        let head = Course::new(&need(50.0), 0.0, None);
        let before = forecast.room_for(&head, &growth, NONE, 20.0).0;
        // Sums of three less one of them twice are not exactly one of them: what is left over is no task.
        [long, long].iter().for_each(|one| forecast.remove(one, &growth));
        let after = forecast.room_for(&head, &growth, NONE, 20.0).0;
        assert!(before > 9.0 && after < 6.1, "{before} {after}");
        [short, short, short].iter().for_each(|one| forecast.remove(one, &growth));
        assert_eq!(forecast.room_for(&head, &growth, NONE, 20.0).0, 0.0);
    }

    #[test]
    fn what_ends_before_a_peak_comes_does_not_wait_for_it() {
        // A tenth of it took two seconds and a hundredth of what it is said to need; nobody knows how it grows.
        let large = Course::new(&need(1000.0), 10.0, rest(0.1, 18.0));
        let forecast = Forecast::new(&[large], &Growth::default());
        let short = Course::new(&need(5.0), 0.0, rest(0.0, 0.2));
        let long = Course::new(&need(5.0), 0.0, rest(0.0, 30.0));
        assert_eq!(forecast.peak(NONE), 110.0, "in proportion to its work, and a tenth more");
        assert!(forecast.with(&short, &Growth::default(), NONE) < 60.0);
        assert!(forecast.with(&long, &Growth::default(), NONE) > 110.0);
        // With nothing done yet it may need all of it at once.
        let fresh = Forecast::new(&[Course::new(&need(1000.0), 0.0, rest(0.0, 20.0))], &Growth::default());
        assert_eq!(fresh.with(&short, &Growth::default(), NONE), 1005.0);
    }

    #[test]
    fn starting_is_adding() {
        let growth = linear();
        let course = Course::new(&need(10.0), 0.0, rest(0.0, 50.0));
        let mut forecast = Forecast::new(&[course], &growth);
        let with = forecast.with(&course, &growth, NONE);
        forecast.add(&course, &growth);
        assert_eq!(forecast.peak(NONE), with);
    }

    #[test]
    fn what_comes_and_goes_between_two_moments_counts_with_its_peak() {
        let growth = linear();
        // It ends before the first moment that is looked at anyway.
        let short = Course::new(&need(10.0), 0.0, rest(0.0, 0.6));
        let mut forecast = Forecast::new(&[], &growth);
        for running in 1..=5 {
            assert_eq!(forecast.with(&short, &growth, NONE), 10.0 * f64::from(running));
            forecast.add(&short, &growth);
        }
        for running in (0..5).rev() {
            forecast.remove(&short, &growth);
            assert!((forecast.peak(NONE) - 10.0 * f64::from(running)).abs() < 1e-9);
        }
    }

    #[test]
    fn one_that_has_outgrown_its_need_reserves_more_than_it_uses() {
        let need = Need { mean: 10.0, own: 5.0, common: 0.0 };
        assert_eq!(Forecast::new(&[Course::new(&need, 20.0, None)], &Growth::default()).peak(NONE), 23.0);
    }
}
