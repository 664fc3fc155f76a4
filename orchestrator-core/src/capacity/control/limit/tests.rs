//! The limit over machines that are functions of how many run.

use super::*;

/// Runs the limit over a machine whose progress is `rate(n)`, for `seconds`.
fn run(seconds: u32, others: f64, rate: impl Fn(f64) -> f64) -> ThroughputLimit {
    let (mut limit, progress, knees) =
        (ThroughputLimit::default(), Progress::default(), KneeFinder::default());
    for second in 1..=seconds {
        let now = f64::from(second);
        let active = limit.limit().min(others).floor();
        limit.sampled(now, 1.0, active, Rate { io: 1e7 * rate(active), cpu: 0.0, speed: None });
        limit.decide(
            Moment { now, active, others, bears: others, cores: 16.0 },
            &progress,
            &knees,
            &KindLaw::default(),
        );
    }
    limit
}

#[test]
fn it_grows_as_long_as_more_is_faster() {
    assert_eq!(run(60, f64::INFINITY, |n| n).limit(), LARGEST);
}

#[test]
fn short_tasks_make_it_grow_sooner() {
    let grown_after = |wall: f64| {
        let (mut limit, progress, mut knees) =
            (ThroughputLimit::default(), Progress::default(), KneeFinder::default());
        (0..6).for_each(|_| knees.completed(1.0, wall, 10.0, None));
        for look in 1..=24 {
            let now = 0.25 * f64::from(look);
            let active = limit.limit().floor();
            limit.sampled(now, 0.25, active, Rate { io: 1e7 * active, cpu: 0.0, speed: None });
            let moment = Moment { now, active, others: f64::INFINITY, bears: f64::INFINITY, cores: 2.0 };
            limit.decide(moment, &progress, &knees, &KindLaw::default());
        }
        limit.limit()
    };
    let (short, long) = (grown_after(0.4), grown_after(5.0));
    assert!(short >= 4.0 * long, "{short} {long}");
}

#[test]
fn what_only_waits_grows_threefold_with_every_reading() {
    let (mut limit, progress, knees) =
        (ThroughputLimit::default(), Progress::default(), KneeFinder::default());
    limit.begin(2.0);
    for look in 1..=6 {
        let now = 10.0 + 0.25 * f64::from(look);
        let active = limit.limit().floor();
        limit.sampled(now, 0.25, active, Rate::default());
        limit.decide(
            Moment { now, active, others: 1e6, bears: 1e6, cores: 2.0 },
            &progress,
            &knees,
            &KindLaw::default(),
        );
    }
    assert!(limit.limit() >= 256.0, "{limit:?}");
}

#[test]
fn what_hardly_computes_begins_with_a_few_on_two_cores() {
    let first = |bears: f64| {
        let (mut limit, progress, knees) =
            (ThroughputLimit::default(), Progress::default(), KneeFinder::default());
        limit.begin(2.0);
        limit.sampled(10.0, 0.1, 2.0, Rate { io: 1e8, cpu: 0.1, speed: None });
        let moment = Moment { now: 10.0, active: 2.0, others: bears, bears, cores: 2.0 };
        limit.decide(moment, &progress, &knees, &KindLaw::default());
        limit.limit()
    };
    assert_eq!((first(f64::INFINITY), first(3.0), first(20.0)), (2.0, 2.0, FEWEST));
}

#[test]
fn it_brakes_where_more_is_not() {
    let limit = run(30, f64::INFINITY, |n| n.min(6.0));
    assert!((4.0..=16.0).contains(&limit.limit()), "{limit:?}");
}

#[test]
fn it_does_not_run_away_from_a_bound() {
    assert!(run(120, 8.0, |n| n).limit() <= 13.0);
}

#[test]
fn a_bound_of_a_few_seconds_does_not_undo_what_was_found() {
    let (mut limit, progress, knees) =
        (ThroughputLimit::default(), Progress::default(), KneeFinder::default());
    limit.begin(40.0);
    let mut under = |seconds: std::ops::Range<u32>, others: f64| {
        for second in seconds {
            let now = f64::from(second);
            let active = limit.limit().min(others).floor();
            limit.sampled(now, 1.0, active, Rate { io: 1e7 * active, cpu: 0.0, speed: None });
            let moment = Moment { now, active, others, bears: others, cores: 4.0 };
            limit.decide(moment, &progress, &knees, &KindLaw::default());
        }
        limit.limit()
    };
    let found = under(1..20, 40.0);
    let (short, long) = (under(20..30, 4.0), under(30..120, 4.0));
    assert!(short >= 0.5 * found, "{found} {short}");
    assert!(long <= 8.0, "{found} {long}");
}

/// Sixty-four run and none of them ends; `rate(n)` is what n of them move. How many run after a while?
fn none_ends(rate: impl Fn(f64) -> f64) -> f64 {
    let (mut limit, progress, knees) =
        (ThroughputLimit::default(), Progress::default(), KneeFinder::default());
    limit.begin(64.0);
    for second in 1..=200 {
        let now = f64::from(second);
        let active = limit.limit().min(64.0).floor();
        limit.sampled(now, 1.0, active, Rate { io: 1e9 * rate(active), cpu: 0.0, speed: None });
        limit.decide(
            Moment { now, active, others: 64.0, bears: 64.0, cores: 16.0 },
            &progress,
            &knees,
            &KindLaw::default(),
        );
    }
    limit.limit().min(64.0)
}

#[test]
fn where_nothing_ends_half_as_many_are_kept_if_they_get_more_done() {
    assert!(none_ends(|n| 1.0 / n) <= 32.0);
    assert!(none_ends(|n| n) >= 60.0);
}
