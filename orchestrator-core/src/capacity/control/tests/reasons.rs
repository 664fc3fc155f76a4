//! The printed reason is the binding bound: with more of it more may run, with more of anything else not one more.

use std::mem::discriminant;

use proptest::prelude::*;

use super::{candidate, live, second};
use crate::capacity::control::{Control, ControlRules, FrozenFor, Hold};

/// More of one bound.
type Lift = fn(&mut Control);

/// Every bound that can be lifted by itself, and how.
const LIFTED: [(&str, Lift); 8] = [
    ("concurrency.max", |law| law.rules.max = None),
    ("plugins", |law| law.set_plugins(None)),
    ("cores", |law| law.machine.cores *= 1e6),
    ("throughput", |law| law.limit.begin(1e6)),
    ("memory", |law| {
        law.rules.memory_threshold *= 1e6;
        law.kept = None;
    }),
    ("disk", |law| law.rules.disk_threshold = 2.0),
    ("frozen", |law| {
        law.kept = law.kept.filter(|_| !law.preemptible_stands());
        law.fleet.values_mut().for_each(|member| member.frozen = None);
        law.active = law.fleet.len();
    }),
    ("pace", |law| law.pace = usize::MAX),
];

fn bound(hold: &Hold) -> &'static str {
    match hold {
        Hold::Max { .. } => "concurrency.max",
        Hold::Plugin { .. } => "plugins",
        Hold::Cpu { .. } => "cores",
        Hold::Throughput { .. } => "throughput",
        Hold::Memory { .. } | Hold::MemoryInUse { .. } => "memory",
        Hold::Disk => "disk",
        Hold::Frozen { .. } => "frozen",
        Hold::Pace => "pace",
        // Only results lift it.
        Hold::FirstResults => "first results",
    }
}

/// A number among the bounds: a second one may be as small, and then holds when the first is lifted.
fn is_number(hold: &Hold) -> bool {
    matches!(hold, Hold::Max { .. } | Hold::Plugin { .. } | Hold::Cpu { .. } | Hold::Throughput { .. })
}

fn judge(law: &Control) {
    let before = law.decision(Some(candidate(3)));
    let Some(hold) = &before.hold else { return };
    let stands = law.fleet.values().any(|member| member.frozen.is_some());
    assert!(stands || !matches!(hold, Hold::Frozen { .. }), "nobody stands still: {before}");
    for (name, lift) in LIFTED {
        let mut more = law.clone();
        lift(&mut more);
        let after = more.decision(Some(candidate(3)));
        if name != bound(hold) {
            assert_eq!(after.hold, before.hold, "more of {name} changes {before}");
            // Who goes on again counts as running; that is no room for another.
            assert!(name == "frozen" || after.target == before.target, "more of {name}: {before} {after}");
            continue;
        }
        let next = after.hold.as_ref();
        assert!(
            next.is_none_or(|next| discriminant(next) != discriminant(hold)),
            "more of {name} leaves {before}"
        );
        if next.is_none() || is_number(hold) && next.is_some_and(is_number) {
            let equal = next.is_some_and(is_number);
            assert!(
                after.target > before.target || equal && after.target == before.target,
                "{before} {after}"
            );
        }
    }
}

proptest! {
    #[test]
    fn more_of_the_named_bound_helps_and_more_of_any_other_does_not(
        seconds in prop::collection::vec(second(), 1..60),
        max in prop::option::of(1u32..30),
        fill in 0.0..1.0f64,
        frozen in prop::bool::weighted(0.1),
    ) {
        live(ControlRules { max, ..ControlRules::default() }, &seconds, |law, _| {
            let mut law = law.clone();
            if fill > 0.9 {
                law.machine.disk_fill = fill;
            }
            if frozen && law.active > 1 && let Some(member) = law.fleet.values_mut().next_back() {
                law.active -= usize::from(member.frozen.replace(FrozenFor::Memory).is_none());
            }
            judge(&law);
        });
    }
}
