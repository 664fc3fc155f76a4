//! The law as a whole, over random events.

mod kinds;
mod reasons;

use proptest::prelude::*;

use super::*;
use crate::{AttemptId, TaskId, Timestamp};

const GIGABYTE: f64 = 1e9;

fn candidate(task: u32) -> Candidate {
    Candidate { task: TaskId(task), input: Some(u64::from(task % 7 + 1) * 100_000_000), kind: None }
}

fn machine(memory_used: f64, cores_busy: f64) -> MachineReading {
    MachineReading { cores: 16.0, cores_busy, memory_total: 64.0 * GIGABYTE, memory_used, disk_fill: 0.5 }
}

/// What happens in one second.
#[derive(Clone, Debug)]
struct Second {
    starts: u8,
    ends: u8,
    rss: f64,
    cores: f64,
    others: f64,
    oom: bool,
    plugin: Option<u32>,
}

fn second() -> impl Strategy<Value = Second> {
    let numbers = (0u8..8, 0u8..4, 0.01..8.0f64, 0.0..2.0f64, 0.0..40.0f64);
    (numbers, prop::bool::weighted(0.05), prop::option::of(0u32..40)).prop_map(
        |((starts, ends, rss, cores, others), oom, plugin)| Second {
            starts,
            ends,
            rss,
            cores,
            others,
            oom,
            plugin,
        },
    )
}

/// A law that lived through these seconds, with its running attempts; `check` looks at it after each of them.
fn live(rules: ControlRules, seconds: &[Second], mut check: impl FnMut(&Control, &[AttemptId])) -> Control {
    let mut law = Control::new(rules);
    let (mut running, mut next) = (Vec::new(), 1u64);
    for (at, second) in seconds.iter().enumerate() {
        let now = Timestamp(1_000_000 * (at as u64 + 1));
        for _ in 0..second.ends.min(running.len() as u8) {
            let attempt = running.remove(0);
            let ending = if second.oom { Ending::OutOfMemory } else { Ending::Completed };
            law.ended(now, attempt, ending, Used { peak: second.rss * GIGABYTE, cpu: second.cores, io: 1e8 });
        }
        law.set_plugins(second.plugin.map(|allows| (allows, "limits".to_owned())));
        let readings: Vec<AttemptReading> = running
            .iter()
            .map(|attempt| AttemptReading {
                attempt: *attempt,
                cpu: at as f64 * second.cores,
                io: at as f64 * 1e7,
                rss: second.rss * GIGABYTE,
            })
            .collect();
        let used = (second.others + second.rss * running.len() as f64) * GIGABYTE;
        let own = second.cores * running.len() as f64;
        for intervention in law.sampled(now, machine(used, own), &readings) {
            if let Intervention::Evict(attempt) = intervention {
                running.retain(|one| *one != attempt);
            }
        }
        check(&law, &running);
        for _ in 0..second.starts {
            let candidate = candidate(next as u32);
            let waited = std::time::Duration::from_secs(next % 3 * 1000);
            let waiting = [(next, candidate)].into_iter();
            if law.may_start(candidate).is_ok()
                || law.may_start_any().is_ok() && law.overtaking(candidate, waited, waiting).is_some()
            {
                law.started(now, AttemptId(next), candidate);
                running.push(AttemptId(next));
            }
            next += 1;
        }
        check(&law, &running);
    }
    law
}

proptest! {
    /// The printed reason is the binding constraint: it forbids the start, and no smaller number does.
    #[test]
    fn the_reason_is_the_binding_constraint(
        seconds in prop::collection::vec(second(), 1..60),
        max in prop::option::of(1u32..30),
    ) {
        live(ControlRules { max, ..ControlRules::default() }, &seconds, |law, running| {
            let decision = law.decision(Some(candidate(3)));
            let allowed = decision.allowed;
            let numbers = [allowed.cpu, allowed.throughput, allowed.max, allowed.plugins];
            let smallest = numbers.into_iter().flatten().min().unwrap();
            let n = running.len() as u32;
            match decision.hold {
                None => assert!(n == 0 || n < smallest, "{decision} while {n} run"),
                Some(Hold::Max { max }) => assert!(max == smallest && n >= max && Some(max) == allowed.max),
                Some(Hold::Plugin { allows, .. }) => {
                    assert!(allows == smallest && n >= allows && Some(allows) == allowed.plugins);
                }
                Some(Hold::Cpu { allows }) => {
                    assert!(allows == smallest && n >= allows && Some(allows) == allowed.cpu);
                }
                Some(Hold::Throughput { allows, .. }) => {
                    assert!(allows == smallest && n >= allows && Some(allows) == allowed.throughput);
                }
                Some(Hold::Memory { next, of, .. }) => assert!(next.0 > 0 && of.0 > 0 && n < smallest),
                Some(Hold::MemoryInUse { used, of }) => assert!(used > of && n < smallest),
                // All of them only until the next reading, when the last that ran has ended.
                Some(Hold::Frozen { frozen }) => assert!(frozen > 0 && frozen <= n),
                Some(Hold::FirstResults) => assert!(!law.knows_memory()),
                Some(Hold::Disk) => unreachable!("the disk is half empty"),
                Some(Hold::Pace) => assert!(n < smallest),
            }
        });
    }

    /// With nothing running one task may start, whatever happened before.
    #[test]
    fn there_is_always_progress(seconds in prop::collection::vec(second(), 1..60)) {
        live(ControlRules::default(), &seconds, |law, running| {
            if running.is_empty() {
                assert_eq!(law.may_start(candidate(3)), Ok(()));
            }
        });
    }

    /// What was learned survives a restart.
    #[test]
    fn the_state_brings_back_what_tasks_need(seconds in prop::collection::vec(second(), 20..60)) {
        let one = live(ControlRules::default(), &seconds, |_, _| {});
        let text = serde_json::to_string(&one.state()).unwrap();
        let two = Control::restore(ControlRules::default(), &serde_json::from_str(&text).unwrap());
        prop_assert_eq!(one.state().completed.len(), two.state().completed.len());
        let three = Control::restore(ControlRules::default(), &two.state());
        if two.knows_memory() {
            let ratio = two.need(candidate(3)).mean / three.need(candidate(3)).mean;
            prop_assert!((ratio - 1.0).abs() < 1e-6, "{}", ratio);
        }
    }
}

#[test]
fn the_minimum_is_kept_and_the_maximum_too() {
    let rules = ControlRules { min: 3, max: Some(3), ..ControlRules::default() };
    let mut law = Control::new(rules);
    for attempt in 1..=3 {
        assert_eq!(law.may_start(candidate(attempt)), Ok(()));
        law.started(Timestamp(1), AttemptId(u64::from(attempt)), candidate(attempt));
    }
    law.sampled(Timestamp(1_000_000), machine(1e9, 0.0), &[]);
    assert!(matches!(law.may_start(candidate(4)), Err(Hold::Max { max: 3 } | Hold::Throughput { .. })));
}

#[test]
fn a_plugin_is_an_upper_bound() {
    let mut law = Control::new(ControlRules::default());
    law.set_plugins(Some((1, "one-at-a-time".into())));
    law.started(Timestamp(1), AttemptId(1), candidate(1));
    let hold = Hold::Plugin { instance: "one-at-a-time".into(), allows: 1 };
    assert_eq!(law.may_start(candidate(2)), Err(hold));
}

#[test]
fn memory_over_the_threshold_freezes_the_youngest_and_never_the_oldest() {
    let mut law = Control::new(ControlRules::default());
    for attempt in 1..=3u32 {
        law.started(Timestamp(u64::from(attempt)), AttemptId(u64::from(attempt)), candidate(attempt));
    }
    let readings: Vec<AttemptReading> = (1..=3)
        .map(|attempt| AttemptReading { attempt: AttemptId(attempt), cpu: 1.0, io: 0.0, rss: 16e9 })
        .collect();
    let mut frozen = Vec::new();
    for second in 1..=4u64 {
        for intervention in law.sampled(Timestamp(second * 1_000_000), machine(49e9, 3.0), &readings) {
            if let Intervention::Freeze(attempt) | Intervention::Evict(attempt) = intervention {
                frozen.push(attempt.0);
            }
        }
    }
    assert_eq!(frozen.first(), Some(&3));
    assert!(!frozen.contains(&1), "{frozen:?}");
}

#[test]
fn a_task_that_ran_out_of_memory_reserves_more_the_next_time() {
    let mut law = Control::new(ControlRules::default());
    let need = law.need(candidate(1)).mean;
    law.sampled(Timestamp(1), machine(1e9, 0.0), &[]);
    let need = need.max(law.need(candidate(1)).mean);
    law.started(Timestamp(2), AttemptId(1), candidate(1));
    law.ended(Timestamp(3), AttemptId(1), Ending::OutOfMemory, Used::default());
    assert_eq!(law.need(candidate(1)).mean, 1.5 * need);
}
