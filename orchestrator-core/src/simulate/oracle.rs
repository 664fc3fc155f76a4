//! The oracle: what the best fixed number would have given, found by trying them all.

use super::machine::Machine;
use super::rivals::Fixed;
use super::run::{Outcome, simulate};
use super::work::Work;

/// Numbers that are tried.
const JOBS: [usize; 40] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 26, 28, 30, 32, 36, 40, 48, 56,
    64, 80, 96, 128, 160, 192, 224, 256, 288, 320, 384, 448,
];
/// Share of time above the CPU threshold that still counts as respecting it.
const CPU_SLACK: f64 = 0.02;
/// A number that would take longer than this even without any loss is not tried, s.
const TOO_LONG: f64 = 60_000.0;

/// The best fixed numbers of one workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Oracle {
    /// The fastest that keeps memory below 75 % always, the cores below 80 % (but for 2 % of the time), without
    /// anything killed; and its number. `None` if no number does.
    pub respectful: Option<(usize, Outcome)>,
    /// The fastest without anything killed.
    pub survivor: Option<(usize, Outcome)>,
}

impl Oracle {
    /// The best among what was tried.
    pub(super) fn of(tries: &[(usize, Outcome)]) -> Self {
        let best = |keeps: fn(&Outcome) -> bool| {
            let kept = tries.iter().filter(|(_, outcome)| outcome.out_of_memory == 0 && keeps(outcome));
            kept.min_by(|a, b| a.1.makespan.total_cmp(&b.1.makespan)).copied()
        };
        Self {
            respectful: best(|outcome| outcome.memory_over == 0.0 && outcome.cpu_over <= CPU_SLACK),
            survivor: best(|_| true),
        }
    }
}

/// Tries fixed numbers, in ascending order, until more is hopeless.
pub(super) fn tries(machine: &Machine, work: &Work) -> Vec<(usize, Outcome)> {
    let order: Vec<usize> = (0..work.tasks.len()).collect();
    let mut tries: Vec<(usize, Outcome)> = Vec::new();
    let mut fastest = f64::INFINITY;
    for (tried, jobs) in JOBS.into_iter().enumerate() {
        if work.sequential() / jobs as f64 > TOO_LONG {
            continue;
        }
        let outcome = simulate(machine, work, &order, &mut Fixed(jobs));
        fastest = fastest.min(outcome.makespan);
        tries.push((jobs, outcome));
        if outcome.done < work.tasks.len() && outcome.out_of_memory > 0 {
            // So many that they kill each other for ever; more would, too.
            break;
        }
        let hopeless = if jobs > 64 { 1.2 } else { 2.0 };
        if tried > 6 && outcome.makespan > hopeless * fastest {
            break;
        }
    }
    tries
}

/// Tries every fixed number.
#[must_use]
pub fn oracle(machine: &Machine, work: &Work) -> Oracle {
    Oracle::of(&tries(machine, work))
}
