//! Plugins that do wrong in a call: each is told apart in one sentence, and the rest goes on.

use crate::fixtures::misbehaving;
use crate::world::{World, capacity, facts, hasty, metrics, with_config};
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_host::{FailureCategory, StartOptions};
use serde_json::json;
use std::time::Duration;

/// Every sentence names the instance, the class, the file, and what to do.
fn assert_names_all(sentence: &str, class: &str, remedy: &str) {
    for part in [&format!("`my_{class}`"), &format!("`{class}`"), "libmisbehaving_plugin.so", remedy] {
        assert!(sentence.contains(part), "no {part} in: {sentence}");
    }
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
}

#[test]
fn a_panicking_plugin_is_given_up_and_the_others_go_on() {
    let mut world = World::of(&misbehaving(), &[metrics("Panics"), metrics("Good")]);
    assert_eq!(world.round().system["good.calls"], 1.0);
    assert_eq!(world.round().system["good.calls"], 2.0);
    let (sentence, required) = world.sentence("my_Panics");
    assert_names_all(&sentence, "Panics", "enabled: false");
    assert!(sentence.contains("panicked: call 2 went wrong at src/lib.rs:"), "{sentence}");
    assert!(!required);
    assert_eq!(world.round().system["good.calls"], 3.0);
}

#[test]
fn a_required_plugin_says_so_when_it_fails() {
    let mut spec = metrics("Panics");
    spec.required = true;
    let mut world = World::of(&misbehaving(), &[spec]);
    world.round();
    world.round();
    assert!(world.sentence("my_Panics").1);
}

#[test]
fn a_hanging_call_is_abandoned_and_the_round_ends() {
    for class in ["Hangs", "Spins"] {
        let mut world = World::of(&misbehaving(), &[hasty(metrics(class)), metrics("Good")]);
        assert_eq!(world.round().system["good.calls"], 1.0);
        let (sentence, _) = world.sentence(&format!("my_{class}"));
        assert_names_all(&sentence, class, "raise its `deadline_ms`");
        assert!(sentence.contains("did not answer within 300 ms"), "{sentence}");
        let stats = world.host.stats();
        assert_eq!((stats[0].deadline_misses, stats[1].deadline_misses), (1, 0));
        assert_eq!(world.round().system["good.calls"], 2.0);
    }
}

#[test]
fn values_that_are_no_numbers_are_dropped_and_reported_once() {
    let mut world = World::of(&misbehaving(), &[metrics("NotFinite")]);
    for _ in 0..3 {
        assert_eq!(world.round().system, Metrics::from([("fine.one".to_owned(), 1.0)]));
    }
    assert!(world.heard("my_NotFinite", "are no finite numbers were dropped: 2 so far, such as `bad.nan`"));
    assert_eq!(world.said.len(), 1, "{:?}", world.said);
    assert_eq!(world.host.stats()[0].dropped_values, 6);
    assert!(world.failed.is_empty());
}

#[test]
fn only_a_declared_signed_gauge_may_be_negative() {
    let mut world = World::of(&misbehaving(), &[metrics("Negative")]);
    assert_eq!(world.round().system, Metrics::from([("fine.signed".to_owned(), -2.0)]));
    assert!(world.heard("my_Negative", "such as `bad.negative`"));
}

#[test]
fn a_flood_of_values_is_cut() {
    let mut world = World::of(&misbehaving(), &[metrics("Floods")]);
    assert_eq!(world.round().system.len(), 10_000);
    assert!(world.heard("my_Floods", "990000 so far"), "{:?}", world.said);
}

#[test]
fn over_long_and_odd_names_are_refused() {
    let mut world = World::of(&misbehaving(), &[metrics("LongNames")]);
    assert!(world.round().system.is_empty());
    assert!(world.heard("my_LongNames", "were dropped: 3 so far"), "{:?}", world.said);
    assert!(world.said.iter().all(|(_, _, message)| message.len() < 300));
}

#[test]
fn the_hosts_own_metrics_cannot_be_overridden() {
    let mut world = World::of(&misbehaving(), &[metrics("Usurps")]);
    assert!(world.round().system.is_empty());
    assert!(world.heard("my_Usurps", "the host's own"), "{:?}", world.said);
}

#[test]
fn a_plugin_that_errs_is_asked_again_until_it_has_erred_ten_times_in_a_row() {
    let mut world = World::of(&misbehaving(), &[metrics("Errs"), metrics("ErrsOnce")]);
    assert!(world.round().system.is_empty());
    assert!(world.heard("my_Errs", "the service is down"));
    assert_eq!(world.round().system["late.value"], 7.0);
    world.rounds_until(|world, _| !world.failed.is_empty());
    let (sentence, _) = world.sentence("my_Errs");
    assert_names_all(&sentence, "Errs", "enabled: false");
    assert!(sentence.contains("failed 10 times in a row: the service is down"), "{sentence}");
    assert_eq!(world.host.stats()[0].errors, 10);
    assert_eq!(world.host.stats()[1].errors, 1);
}

#[test]
fn a_plugin_that_gives_up_is_believed() {
    let mut world = World::of(&misbehaving(), &[metrics("GivesUp")]);
    world.round();
    assert!(world.sentence("my_GivesUp").0.contains("gave up: no such device"));
}

#[test]
fn a_chatterer_is_cut_short() {
    let mut world = World::of(&misbehaving(), &[metrics("Chatters")]);
    world.round();
    assert!(world.said.len() <= 101, "{} lines", world.said.len());
    world.round();
    assert!(world.heard("my_Chatters", "of its log records were dropped"), "no word of dropped records");
}

#[test]
fn tracing_events_and_panics_of_other_threads_reach_the_host() {
    let mut world = World::of(&misbehaving(), &[metrics("PanicsElsewhere")]);
    world.round();
    assert!(
        world.heard("my_PanicsElsewhere", "a thread of its own went wrong at src/lib.rs:"),
        "{:?}",
        world.said
    );
    let traced = world.said.iter().find(|(_, _, message)| message.contains("through tracing answer=42"));
    assert_eq!(traced.map(|(level, _, _)| *level), Some(2), "{:?}", world.said);
    assert!(world.failed.is_empty());
}

#[test]
fn a_slow_plugin_reaches_every_process_in_turn() {
    let mut spec = metrics("SlowPerProcess");
    spec.deadline = Duration::from_millis(1500);
    let mut world = World::of(&misbehaving(), &[spec]);
    let processes: Vec<_> = (1..=4).map(|pid| facts(pid.into(), pid, &[])).collect();
    let mut reached = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let round = world.round_over(processes.clone(), Metrics::new());
        assert!(round.processes.len() < 4, "half a deadline for each of four processes");
        reached.extend(round.processes.iter().map(|(attempt, _)| attempt.0));
        if reached.len() == 4 {
            break;
        }
    }
    assert_eq!(reached.len(), 4, "only {reached:?} were reached");
    assert!(world.heard("my_SlowPerProcess", "too slow for all processes"));
    assert!(world.failed.is_empty());
}

#[test]
fn a_stopped_host_does_not_blame_its_plugins() {
    let mut spec = metrics("Steps");
    spec.deadline = Duration::from_secs(4);
    let mut world = World::of(&misbehaving(), &[spec]);
    // The host is stopped in the middle of a call and goes on long after that call's deadline.
    let script = format!("sleep 0.3; kill -STOP {0}; sleep 6; kill -CONT {0}", std::process::id());
    let mut stopper = std::process::Command::new("/bin/sh").args(["-c", &script]).spawn().expect("a shell");
    while matches!(stopper.try_wait(), Ok(None)) {
        assert_eq!(world.round().system.get("steps.done"), Some(&1.0), "{:?}", world.failed);
    }
    assert!(world.failed.is_empty(), "{:?}", world.failed);
}

#[test]
fn failures_to_start_are_told_apart() {
    let fails = |how: &str| with_config(metrics("FailsToStart"), json!({ "how": how }));
    let directory = crate::world::directory(&[&misbehaving()]);
    for (how, words, category) in [
        (
            "error",
            "could not be initialised: the licence server does not answer",
            FailureCategory::Unavailable,
        ),
        ("panic", "panicked: cannot even start at src/lib.rs:", FailureCategory::Unavailable),
        ("hang", "did not answer within 8000 ms", FailureCategory::Unavailable),
        ("laugh", "refuses its configuration: `how` is `laugh`", FailureCategory::Configuration),
    ] {
        let specs = [fails(how), metrics("Good")];
        // Only what hangs is short of time.
        let seconds = if how == "hang" { 8 } else { 100 };
        let options = StartOptions { deadline: Duration::from_secs(seconds), ..StartOptions::default() };
        let mut world = World::start_with(&[directory.path().to_owned()], &specs, &options);
        assert_eq!(world.failures.len(), 1, "{how}");
        let sentence = world.failures[0].to_string();
        assert_names_all(&sentence, "FailsToStart", words);
        assert_eq!(world.failures[0].category(), category, "{sentence}");
        assert_eq!(world.round().system["good.calls"], 1.0);
    }
}

#[test]
fn unknown_keys_of_a_plugins_configuration_are_named() {
    for (config, words) in [
        (json!({ "hwo": "error" }), "unknown key `hwo`; did you mean `how`?"),
        (json!({ "how": "x", "colour": 1 }), "unknown key `colour`; known keys: `how`"),
        (json!({ "how": 5 }), "invalid type: integer `5`, expected a string"),
        (json!({}), "missing field `how`"),
    ] {
        let world = World::of(&misbehaving(), &[with_config(metrics("FailsToStart"), config)]);
        let sentence = world.failures[0].to_string();
        assert_names_all(&sentence, "FailsToStart", words);
        assert_eq!(world.failures[0].category(), FailureCategory::Configuration);
    }
}

#[test]
fn a_failed_capacity_plugin_has_no_capacity_to_offer() {
    let specs = [capacity("FiveThenPanics"), capacity("FiveThenErrs"), hasty(capacity("CapacityHangs"))];
    let mut world = World::of(&misbehaving(), &specs);
    let first = world.round().capacity;
    assert_eq!(first.iter().map(|answer| answer.capacity).collect::<Vec<_>>(), [Some(5), Some(5), None]);
    assert_eq!(first[0].reason, "five");
    for _ in 0..3 {
        let later = world.round().capacity;
        assert!(later.iter().all(|answer| answer.capacity.is_none()), "{later:?}");
        assert!(later[0].reason.contains("panicked: no more"), "{}", later[0].reason);
        assert_eq!(later[1].reason, "gone");
        assert!(later[2].reason.contains("did not answer"), "{}", later[2].reason);
    }
    assert_names_all(&world.sentence("my_CapacityHangs").0, "CapacityHangs", "deadline_ms");
}

#[test]
fn a_plugin_that_panics_when_it_is_dropped_harms_nobody() {
    let mut world = World::of(&misbehaving(), &[metrics("PanicsInDrop"), metrics("Good")]);
    world.round();
    drop(world);
    let mut next = World::of(&misbehaving(), &[metrics("Good")]);
    assert_eq!(next.round().system["good.calls"], 1.0);
}

#[test]
fn cost_is_booked_per_instance() {
    let mut world = World::of(&misbehaving(), &[metrics("Good"), metrics("Floods")]);
    world.round();
    let stats = world.host.stats();
    // One call for the construction and one for the machine.
    assert_eq!((stats[0].calls, stats[1].calls), (2, 2));
    assert!(stats[1].cpu > stats[0].cpu, "a million formatted names cost less than one: {stats:?}");
    assert!(stats[1].wall >= stats[1].cpu / 2, "{stats:?}");
}
