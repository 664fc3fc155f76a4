//! Kinds of input that differ, and such that do not, on the simulated machine.

use proptest::prelude::*;

use crate::capacity::control::{
    Candidate, Completed, Control, ControlRules, ControlState, Ending, MachineReading, Used,
};
use crate::predict::Kind;
use crate::simulate::{
    Chance, Kind as Bound, Lawful, Machine, Outcome, Phase, Task, Work, lawful_order, simulate,
};
use crate::{AttemptId, TaskId, Timestamp};

const NAMES: [&[u8]; 2] = [b"reads.txt", b"reads.txt.gz"];

/// Tasks that need 2 bytes of memory for each byte of input, packed ones `factor` times as much, and three times the time if
/// they need more.
fn mixed(tasks: usize, factor: f64, seed: u64) -> (Work, Vec<Option<Kind>>) {
    let mut chance = Chance::new(seed);
    let (mut work, mut kinds) = (Vec::new(), Vec::new());
    for _ in 0..tasks {
        let packed = chance.below(2);
        let times = if packed == 1 { factor } else { 1.0 };
        let input = chance.log_normal(200.0, 0.6);
        let longer = if times > 1.0 { 3.0 } else { 1.0 };
        let amount = 0.05 * input * longer * (0.05 * chance.normal()).exp();
        let peak = 0.002 * input * times * (0.05 * chance.normal()).exp();
        kinds.push(Kind::of(NAMES[packed]));
        work.push(Task {
            phases: vec![Phase { kind: Bound::Cpu, amount }],
            threads: 1.0,
            input,
            base: 0.02,
            peak: peak.max(0.02),
            peak_at: 0.9,
        });
    }
    (Work { name: String::new(), tasks: work, rate: 200.0, streams: true, duty: 0.05 }, kinds)
}

fn run(machine: &Machine, work: &Work, kinds: Vec<Option<Kind>>, seed: u64) -> (Outcome, Lawful) {
    let mut law = Lawful::new(ControlRules::default()).with_kinds(kinds);
    let outcome = simulate(machine, work, &lawful_order(work, seed), &mut law);
    (outcome, law)
}

#[test]
fn packed_files_reserve_what_they_need_and_plain_ones_no_more_than_they_do() {
    let machine = Machine { memory: 24.0, ..Machine::default() };
    let (mut with, mut without) = (0.0, 0.0);
    for seed in 1..=3 {
        let (work, kinds) = mixed(400, 5.0, seed);
        let (told, law) = run(&machine, &work, kinds, seed);
        let (blind, _) = run(&machine, &work, Vec::new(), seed);
        assert_eq!(told.out_of_memory, 0, "{told:?}");
        // Before as many of both are known nobody can tell: one in a hundred, as everywhere.
        assert!(told.evicted <= 3, "{told:?}");
        assert!(told.makespan < 1.02 * blind.makespan, "{} {}", told.makespan, blind.makespan);
        (with, without) = (with + told.makespan, without + blind.makespan);
        for (name, times) in NAMES.into_iter().zip([1.0, 5.0]) {
            for size in [100_000_000, 300_000_000] {
                let kind = Kind::of(name);
                let candidate = Candidate { task: TaskId(9_999), input: Some(size), kind };
                let need = law.control().need(candidate).mean / (2.0 * size as f64 * times);
                assert!((0.85..1.2).contains(&need), "{need} of what is needed with {size} bytes");
                let wall = law.control().run_time(candidate).unwrap().seconds / (5e-8 * size as f64);
                let longer = if times > 1.0 { 3.0 } else { 1.0 };
                assert!((0.8..1.3).contains(&(wall / longer)), "{wall}");
            }
        }
    }
    // On seeds 1 to 8 0.945 (0.956 on these three): by size alone, too, what runs tells what it needs itself.
    assert!(with < 0.97 * without, "{with} s told of names, {without} s by size alone");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn names_that_make_no_difference_change_nothing(seed in 0u64..1000, tasks in 40usize..160) {
        let machine = Machine { memory: 24.0, ..Machine::default() };
        let (work, kinds) = mixed(tasks, 1.0, seed);
        let (told, named) = run(&machine, &work, kinds, seed);
        let (blind, plain) = run(&machine, &work, Vec::new(), seed);
        prop_assert_eq!(told, blind);
        for name in NAMES {
            let candidate = Candidate { task: TaskId(9_999), input: Some(150_000_000), kind: Kind::of(name) };
            prop_assert_eq!(named.control().need(candidate), plain.control().need(candidate));
        }
    }
}

/// What is kept is bounded however many results come and however many names they have, and comes back as it was.
#[test]
fn a_hundred_thousand_results_leave_four_hundred_and_those_come_back() {
    let mut law = Control::new(ControlRules::default());
    let machine = MachineReading { cores: 16.0, memory_total: 64e9, ..MachineReading::default() };
    for i in 0..100_000u32 {
        let now = Timestamp(u64::from(i) * 10_000);
        let name = format!("x.k{}", i % 977);
        let candidate = Candidate {
            task: TaskId(i),
            input: Some(u64::from(i % 1009) * 100_000),
            kind: Kind::of(name.as_bytes()),
        };
        law.started(now, AttemptId(u64::from(i)), candidate);
        let used = Used { peak: 1e8 + f64::from(i % 1009) * 1e5, cpu: 1.0, io: 1e6 };
        law.ended(
            now + std::time::Duration::from_millis(9),
            AttemptId(u64::from(i)),
            Ending::Completed,
            used,
        );
        if i % 100 == 0 {
            law.sampled(now + std::time::Duration::from_millis(9), machine, &[]);
        }
    }
    let state = law.state();
    let text = serde_json::to_string(&state).unwrap();
    assert!(state.completed.len() == 400 && text.len() < 100_000, "{} bytes", text.len());
    let restored = Control::restore(ControlRules::default(), &serde_json::from_str(&text).unwrap());
    assert_eq!(restored.state().completed, state.completed);
}

#[test]
fn what_was_kept_before_kinds_were_known_is_understood() {
    let text = r#"{"completed":[{"input":5,"peak":1e8,"cpu":1.0,"io":2.0,"seconds":3.0}],"growth":[]}"#;
    let state: ControlState = serde_json::from_str(text).unwrap();
    let one = Completed { input: Some(5), kind: None, peak: 1e8, cpu: 1.0, io: 2.0, seconds: 3.0 };
    assert_eq!(state.completed, [one]);
}
