//! One workload under the law and under every fixed number, and what more of something would bring.

use serde::Serialize;

use super::lawful::{Lawful, lawful_order};
use super::machine::Machine;
use super::oracle::{Oracle, tries};
use super::run::{Outcome, simulate};
use super::work::Work;
use crate::capacity::control::ControlRules;

/// A fixed number of processes and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Try {
    /// The number.
    pub jobs: usize,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The law and its rivals on the same work.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The law.
    pub law: Outcome,
    /// Fixed numbers, ascending, until more was hopeless.
    pub fixed: Vec<Try>,
    /// The number that is fastest among those that keep to the thresholds with nothing killed.
    pub best_within_thresholds: Option<usize>,
    /// The number that is fastest among those with nothing killed.
    pub best_alive: Option<usize>,
}

/// Runs the work under the law, in its own order, and under fixed numbers, in the order given. The seed is that of the
/// law's shuffling.
#[must_use]
pub fn compare(machine: &Machine, work: &Work, rules: ControlRules, seed: u64) -> Comparison {
    let tries = tries(machine, work);
    let Oracle { respectful, survivor } = Oracle::of(&tries);
    Comparison {
        law: under_law(machine, work, rules, seed),
        fixed: tries.into_iter().map(|(jobs, outcome)| Try { jobs, outcome }).collect(),
        best_within_thresholds: respectful.map(|(jobs, _)| jobs),
        best_alive: survivor.map(|(jobs, _)| jobs),
    }
}

fn under_law(machine: &Machine, work: &Work, rules: ControlRules, seed: u64) -> Outcome {
    simulate(machine, work, &lawful_order(work, seed), &mut Lawful::new(rules))
}

/// What more of something would bring.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Relief {
    /// Of what there would be twice as much: `cores`, `memory`, `disk`.
    pub twice: &'static str,
    /// How long the work would take, s.
    pub makespan: f64,
    /// How many times sooner it would be done.
    pub sooner: f64,
}

/// How much sooner the law would be done with twice the cores, the memory, the disk.
#[must_use]
pub fn relief(machine: &Machine, work: &Work, rules: ControlRules, seed: u64, now: &Outcome) -> Vec<Relief> {
    let more = [
        ("cores", Machine { cores: 2.0 * machine.cores, ..machine.clone() }),
        ("memory", Machine { memory: 2.0 * machine.memory, ..machine.clone() }),
        (
            "disk",
            Machine { disk: 2.0 * machine.disk, disk_streams: 2.0 * machine.disk_streams, ..machine.clone() },
        ),
    ];
    more.into_iter()
        .map(|(twice, machine)| {
            let makespan = under_law(&machine, work, rules, seed).makespan;
            Relief { twice, makespan, sooner: now.makespan / makespan.max(1e-9) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{Recorded, recorded_work};

    #[test]
    fn memory_is_what_helps_where_memory_binds() {
        let task = Recorded { input: Some(1_000_000), seconds: 20.0, peak: 3e9, cores: Some(1.0), io: None };
        let work = recorded_work("w", &[task; 40]);
        let machine = Machine { cores: 8.0, memory: 8.0, ..Machine::default() };
        let found = compare(&machine, &work, ControlRules::default(), 1);
        assert_eq!((found.law.done, found.law.out_of_memory), (40, 0));
        assert_eq!(
            found.best_within_thresholds,
            Some(1),
            "two need 6 of the 6 GB that may be in use, and 1 is taken"
        );
        let bad = found.fixed.iter().find(|one| one.jobs == 4).unwrap();
        assert!(bad.outcome.out_of_memory > 0, "{bad:?}");
        let relief = relief(&machine, &work, ControlRules::default(), 1, &found.law);
        let of = |what: &str| relief.iter().find(|one| one.twice == what).unwrap().sooner;
        assert!(of("memory") > 1.5 && of("cores") < 1.1, "{relief:?}");
    }
}
