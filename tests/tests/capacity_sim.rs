//! The control law on the simulated workloads, on seeds that its constants were not set on.

use orchestrator_core::simulate::{loads, oracle};
use orchestrator_tests::capacity_sim::{Measured, judge, law};

/// Those that are quick to judge.
const UNIVERSES: [u64; 16] = [2, 4, 5, 6, 7, 8, 9, 10, 13, 14, 18, 20, 23, 25, 30, 33];

/// Nothing is killed for want of memory, next to nothing is evicted, memory stays below its threshold.
fn keeps_the_thresholds(names: &[&str], seed: u64) {
    for name in names {
        let Measured { tasks, law, as_found } = law(name, seed);
        for (outcome, order) in [(law, "its own order"), (as_found, "order as found")] {
            let at = format!("{name}, seed {seed}, {order}: {outcome:?}");
            assert_eq!(outcome.done, tasks, "{at}");
            assert_eq!(outcome.out_of_memory, 0, "{at}");
            assert!(outcome.evicted as f64 <= (0.02 * tasks as f64).max(1.0), "{at}");
            assert!(outcome.memory_over <= 0.015, "{at}");
        }
    }
}

#[test]
fn thresholds_hold_where_memory_binds() {
    keeps_the_thresholds(
        &["memgrow", "memgrow_late", "bimodal", "steep", "few_long", "memphases", "two_cores"],
        31,
    );
}

#[test]
fn thresholds_hold_beside_other_peoples_load() {
    keeps_the_thresholds(&["background", "flicker"], 31);
}

/// Against every fixed number that keeps to the thresholds, on workloads where trying them all is quick.
#[test]
fn the_law_is_close_to_the_best_fixed_number_or_better() {
    for (name, at_most) in
        [("disk", 1.12), ("membw", 1.12), ("mixed", 1.12), ("threads4", 1.05), ("few_long", 1.12)]
    {
        let load = loads::load(name, 32).unwrap();
        let (jobs, best) = oracle(&load.machine, &load.work).respectful.unwrap();
        let ratio = law(name, 32).law.makespan / best.makespan;
        println!("{name}: {ratio:.3} of -j {jobs}");
        assert!(ratio <= at_most, "{name}: {ratio} of -j {jobs}");
    }
}

/// Universes made up at random: quick ones, each with a bound of its own kind, on which no constant was set. Bounds hold with
/// margin; `cargo xtask bench capacity universes` says how it goes in many.
#[test]
fn the_law_holds_its_own_in_universes_made_up_at_random() {
    let (mut ratios, mut killed, mut over) = (Vec::new(), 0, 0);
    for seed in UNIVERSES {
        let judged = judge(seed);
        println!("{judged:?}");
        assert_eq!(judged.law.done, judged.tasks, "{judged:?}");
        killed += judged.law.out_of_memory;
        over += usize::from(judged.law.memory_over > 0.025);
        ratios.extend(judged.ratio);
    }
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    let worst = ratios.iter().copied().fold(0.0, f64::max);
    assert!(mean <= 1.0, "mean {mean} of {ratios:?}");
    assert!(worst <= 1.6, "worst {worst} of {ratios:?}");
    assert!(killed <= 4 && over <= 1, "{killed} killed, {over} above the memory threshold");
}

#[test]
fn the_same_seed_gives_the_same_outcome() {
    for name in ["two_cores", "mixed"] {
        let (one, two) = (law(name, 5), law(name, 5));
        assert_eq!((one.law, one.as_found), (two.law, two.as_found));
        assert_ne!(law(name, 6).law, one.law);
    }
}
