//! The life of instances: at their pace, replaced while they work, and what they cost.

use crate::stage::{PATIENCE, Stage, allows, counts, lively, sees};

use orchestrator_core::config::model::{self, Isolation};
use orchestrator_plugin_host::{
    Catalog, InstanceSpec, InstanceState, PluginFile, ReloadLine, ReloadOutcome, StartOptions, Trust,
};
use orchestrator_ports::PluginHealth;
use serde_json::json;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// Rounds that wait for whatever a test has to wait for.
fn patient() -> StartOptions {
    StartOptions::default()
}

fn quick(count: u32) -> Vec<InstanceSpec> {
    (0..count).map(|number| counts(&format!("quick{number}"), json!({}))).collect()
}

#[test]
fn a_slow_instance_neither_delays_the_quick_ones_nor_is_asked_as_often() {
    let mut slow = counts("slow", json!({ "sleep_ms": 900 }));
    slow.deadline = SECOND;
    let specs: Vec<_> = [slow].into_iter().chain(quick(10)).collect();
    let mut stage = Stage::start(&specs, &StartOptions::default().paced(SECOND));
    let mut rounds = 0;
    let end = Instant::now() + PATIENCE;
    while stage.heard("slow", "it is slow") == 0 {
        stage.round();
        rounds += 1;
        assert!(Instant::now() < end, "nobody noticed that it is slow");
    }
    for number in 0..10 {
        let name = format!("quick{number}");
        stage.assert_gapless(&name);
        // Late ones are told outside their round, and are not asked again in the meantime.
        let told = stage.told(&name);
        assert!(told * 10 >= rounds * 9, "{name}: {told} of {rounds} rounds");
    }
    stage.assert_gapless("slow");
    assert!(stage.late.contains_key("count.slow"), "no round waited for it");
    assert!(stage.status("slow").slowed_to_seconds.is_some_and(|seconds| seconds > 2.0));
    assert_eq!(stage.status("slow").deadline_misses, 0);
    for _ in 0..20 {
        stage.round();
    }
    assert_eq!(stage.heard("slow", "it is slow"), 1, "told once");
}

#[test]
fn rounds_that_come_too_fast_end_in_order_and_nobody_is_left_out() {
    let mut specs = quick(40);
    specs.push(allows("x", 3));
    let mut stage = Stage::start(&specs, &StartOptions::default().paced(SECOND));
    let end = Instant::now() + PATIENCE;
    while (0..40).any(|number| stage.told(&format!("quick{number}")) < 3) {
        assert!(Instant::now() < end, "somebody has no turn");
        // Sooner than the second instance's moment of the round before.
        stage.begin();
        std::thread::sleep(Duration::from_millis(2));
        stage.listen();
    }
    stage.until_ended();
    (0..40).for_each(|number| stage.assert_gapless(&format!("quick{number}")));
    assert_eq!(stage.capacity[0].capacity, Some(3));
}

#[test]
fn the_last_values_stand_until_they_are_too_old() {
    let mut failing = counts("a", json!({ "errs_from": 2 }));
    failing.deadline = SECOND;
    let interval = Duration::from_millis(500);
    let options = StartOptions { interval, ..patient() };
    let mut stage = Stage::start(&[failing, sees("x", "count.a")], &options);
    stage.round();
    assert_eq!(stage.capacity[0].capacity, Some(1));
    let measured = Instant::now();
    stage.round();
    assert_eq!(stage.heard("a", "it fails as it was told to"), 1);
    // Three intervals and a deadline.
    if measured.elapsed() < 2 * SECOND {
        assert_eq!(stage.capacity[0].capacity, Some(1), "one failure is no reason to know nothing");
    }
    std::thread::sleep(3 * SECOND);
    stage.round();
    assert_eq!((stage.capacity[0].capacity, stage.heard("a", "no longer count")), (None, 1));
    assert_eq!(stage.capacity[0].reason, "nobody measures it");
}

#[test]
fn instances_that_hang_keep_their_threads_and_nobody_elses_turn() {
    let mut specs: Vec<_> =
        (0..12).map(|number| counts(&format!("hangs{number}"), json!({ "sleep_ms": 600_000 }))).collect();
    specs.extend(quick(3));
    let mut stage = Stage::start(&specs, &StartOptions::default().paced(SECOND));
    stage.rounds_until("all quick ones were asked ten times", |stage| {
        (0..3).all(|number| stage.told(&format!("quick{number}")) >= 10)
    });
    (0..3).for_each(|number| stage.assert_gapless(&format!("quick{number}")));
    assert!(stage.health.is_empty(), "their deadline is a minute: {:?}", stage.health);
}

#[test]
fn a_changed_configuration_takes_the_state_along() {
    let mut stage = Stage::start(&[counts("a", json!({})), counts("b", json!({}))], &patient());
    (0..3).for_each(|_| stage.round());
    let changed = [counts("a", json!({ "mark": 7 })), counts("b", json!({}))];
    let lines = stage.reload(&changed);
    assert_eq!(lines[0].sentence, "metrics plugin `a` runs with its new configuration; its state went along");
    assert_eq!(lines[1].outcome, ReloadOutcome::Unchanged);
    stage.round();
    assert_eq!(stage.last("mark.a"), Some(7.0));
    ["a", "b"].iter().for_each(|name| stage.assert_gapless(name));
    assert_eq!((stage.status("a").reloads, stage.status("b").reloads), (1, 0));
    assert_eq!(stage.reloads.len(), 1);
    assert_eq!((stage.reloads[0].0.len(), stage.reloads[0].1.len()), (1, 0), "the unchanged one is no news");
}

#[test]
fn another_library_at_the_same_path_is_another_instance() {
    let specs = [counts("a", json!({})), counts("b", json!({}))];
    let mut stage = Stage::start(&specs, &patient());
    stage.round();
    assert_eq!(stage.last("version.a"), Some(1.0));
    stage.install(2);
    stage.round();
    assert_eq!(stage.last("version.a"), Some(1.0), "the old one goes on until it is told otherwise");
    let lines = stage.reload(&specs);
    assert!(lines[0].sentence.contains("from its new library (lively-two 2.0.0)"), "{}", lines[0].sentence);
    stage.round();
    assert_eq!(stage.last("version.a"), Some(2.0));
    ["a", "b"].iter().for_each(|name| stage.assert_gapless(name));
    assert_eq!(stage.status("a").library.expect("a library").version, "2.0.0");
    assert_eq!(stage.outcomes(&specs), [ReloadOutcome::Unchanged; 2]);
}

#[test]
fn one_that_cannot_be_used_changes_nothing() {
    let mut stage = Stage::start(&[counts("a", json!({})), counts("b", json!({}))], &patient());
    (0..3).for_each(|_| stage.round());
    let refusing = [counts("a", json!({ "refuses": "no licence" })), counts("b", json!({}))];
    let lines = stage.reload(&refusing);
    assert_eq!(lines[0].outcome, ReloadOutcome::Kept);
    for words in ["plugin `a`", "could not be initialised: no licence", "the old one goes on"] {
        assert!(lines[0].sentence.contains(words), "{}", lines[0].sentence);
    }
    assert_eq!(lines[0].sentence.lines().count(), 1);
    let unknown = [InstanceSpec { class: "Cuonts".into(), ..counts("a", json!({})) }, counts("b", json!({}))];
    let lines = stage.reload(&unknown);
    assert_eq!(lines[0].outcome, ReloadOutcome::Kept);
    assert!(lines[0].sentence.contains("did you mean `Counts`?"), "{}", lines[0].sentence);
    stage.round();
    ["a", "b"].iter().for_each(|name| stage.assert_gapless(name));
    assert!(stage.is_running("a") && stage.health.is_empty(), "{:?}", stage.health);
    assert_eq!(stage.reloads.iter().filter(|(_, refusals)| refusals.len() == 1).count(), 2);
}

#[test]
fn the_old_one_goes_on_while_the_new_one_is_slow_to_start() {
    let options = StartOptions { deadline: 3 * SECOND, ..patient().paced(SECOND) };
    let mut stage = Stage::start(&[counts("a", json!({}))], &options);
    stage.round();
    let before = stage.told("a");
    let hung = [counts("a", json!({ "birth_ms": 600_000 }))];
    let lines = stage.reload(&hung);
    assert_eq!(lines[0].outcome, ReloadOutcome::Kept);
    assert!(lines[0].sentence.contains("did not answer within 3000 ms"), "{}", lines[0].sentence);
    assert!(stage.told("a") > before, "it measured in the meantime");
    stage.assert_gapless("a");
}

#[test]
fn instances_come_go_and_come_back() {
    let all = [counts("a", json!({})), counts("b", json!({})), allows("x", 9), allows("y", 4)];
    let mut stage = Stage::start(&all, &patient());
    stage.round();
    assert_eq!(stage.capacity.len(), 2);
    let fewer = [all[0].clone(), all[2].clone(), counts("c", json!({}))];
    let lines = stage.reload(&fewer);
    let outcomes: Vec<_> = lines.iter().map(|line| (line.instance.as_str(), line.outcome)).collect();
    assert_eq!(
        outcomes,
        [
            ("a", ReloadOutcome::Unchanged),
            ("x", ReloadOutcome::Unchanged),
            ("c", ReloadOutcome::Started),
            ("b", ReloadOutcome::Disabled),
            ("y", ReloadOutcome::Disabled),
        ]
    );
    let counted = stage.told("b");
    (0..3).for_each(|_| stage.round());
    assert_eq!(stage.told("b"), counted, "what was taken out is not asked");
    assert_eq!(stage.capacity.iter().map(|answer| answer.capacity).collect::<Vec<_>>(), [Some(9)]);
    assert_eq!(stage.status("b").state, InstanceState::Disabled);
    assert!(stage.last("count.c").is_some());
    stage.reload(&all);
    stage.round();
    assert!(stage.is_running("b") && stage.capacity.len() == 2);
    let (last, told) = (stage.last("count.b").expect("a count"), stage.told("b"));
    assert!(last < told as f64, "it begins anew: {last}, told {told} times");
    stage.assert_gapless("a");
}

#[test]
fn that_the_last_capacity_plugin_is_gone_is_told_with_a_round() {
    let mut stage = Stage::start(&[allows("x", 1)], &patient());
    stage.round();
    assert_eq!(stage.capacity.len(), 1);
    // Nobody begins rounds meanwhile.
    stage.control.reload(orchestrator_plugin_host::Catalog::scan([stage.directory()]), Vec::new());
    stage.until_reloaded();
    assert!(
        stage.is_due(),
        "whoever begins rounds by this alone never learns that there is no answer any more"
    );
    stage.round();
    assert!(stage.capacity.is_empty(), "{:?}", stage.capacity);
    assert!(!stage.is_due(), "there is nobody to ask");
}

#[test]
fn what_the_plugin_does_not_see_needs_no_new_one() {
    let mut spec = counts("a", json!({}));
    let mut stage = Stage::start(&[spec.clone()], &patient());
    stage.round();
    (spec.interval, spec.required) = (Some(Duration::from_secs(3600)), true);
    assert_eq!(stage.outcomes(&[spec]), [ReloadOutcome::Adjusted]);
    let counted = stage.told("a");
    (0..5).for_each(|_| stage.round());
    assert_eq!(stage.told("a"), counted, "its interval is an hour now");
    assert_eq!(stage.status("a").reloads, 0);
}

#[test]
fn of_reloads_that_come_at_once_the_last_one_counts() {
    let mut stage = Stage::start(&[counts("a", json!({}))], &patient());
    stage.round();
    let mut tickets: Vec<_> = (1..=5).map(|mark| Some((mark, stage.control.ask_for_reload()))).collect();
    // Whoever asked last counts, in whatever order the directories were read.
    for position in [1, 0, 3, 4, 2] {
        let (mark, ticket) = tickets[position].take().expect("each is used once");
        let specs = vec![counts("a", json!({ "mark": mark, "birth_ms": 50 }))];
        ticket.reload(orchestrator_plugin_host::Catalog::scan([stage.directory()]), specs);
    }
    stage.rounds_until("the last reload is over", |stage| {
        stage.control.last_reload().is_some_and(|report| report.number == 5)
    });
    stage.round();
    assert_eq!(stage.last("mark.a"), Some(5.0));
    stage.assert_gapless("a");
}

#[test]
fn cost_and_state_of_every_instance_can_be_read_at_any_time() {
    let mut stage = Stage::start(&[counts("a", json!({ "sleep_ms": 2 })), allows("a", 3)], &patient());
    (0..20).for_each(|_| stage.round());
    let [metrics, capacity] = &stage.control.status()[..] else { panic!("two instances") };
    assert_eq!((metrics.kind.as_str(), capacity.kind.as_str()), ("metrics", "capacity"));
    assert!(metrics.calls >= 20 && capacity.calls >= 20, "{metrics:?}");
    let (p50, p99) = (metrics.p50_seconds.expect("calls"), metrics.p99_seconds.expect("calls"));
    assert!(p50 >= 0.002 && p99 >= p50 && metrics.wall_seconds >= 0.04, "{metrics:?}");
    let library = metrics.library.as_ref().expect("a library");
    assert_eq!((library.package.as_str(), library.version.as_str()), ("lively-one", "1.0.0"));
    assert_eq!(library.blake3.len(), 64);
    // Their cost is a metric, too, in the first round and then now and then.
    let costs = &stage.late;
    for name in ["calls", "errors", "cpu_seconds", "wall_seconds", "deadline_misses", "restarts"] {
        for instance in ["a", "a.capacity"] {
            assert!(costs.contains_key(&format!("orchestrator.plugin.{instance}.{name}")), "{costs:?}");
        }
    }
}

/// Restarts come soon.
fn hasty() -> StartOptions {
    StartOptions { first_wait: Duration::from_millis(5), ..patient() }
}

fn apart(spec: InstanceSpec) -> InstanceSpec {
    InstanceSpec { isolation: Isolation::Process, ..spec }
}

#[test]
fn an_isolated_instance_that_is_killed_comes_back_and_bounds_capacity_by_nothing_meanwhile() {
    // Long enough that a round falls into it.
    let options = StartOptions { first_wait: SECOND, ..patient() };
    let mut stage = Stage::start(&[counts("a", json!({})), apart(allows("x", 5))], &options);
    stage.round();
    assert_eq!(stage.capacity[0].capacity, Some(5));
    rustix::process::kill_process(stage.runner("x"), rustix::process::Signal::KILL).expect("a signal");
    stage.rounds_until("its end is noticed", |stage| stage.capacity[0].capacity.is_none());
    let reason = &stage.capacity[0].reason;
    assert!(reason.contains("SIGKILL") && reason.contains("it is started again in 1 s"), "{reason}");
    assert_eq!(stage.status("x").state, InstanceState::Restarting);
    stage.rounds_until("it answers again", |stage| stage.capacity[0].capacity == Some(5));
    stage.rounds_until("that is told", |stage| stage.health.len() == 2);
    assert!(matches!(&stage.health[0].1, PluginHealth::Restarting { .. }), "{:?}", stage.health);
    assert_eq!(stage.health[1], ("x".to_owned(), PluginHealth::Ready));
    assert_eq!(stage.status("x").restarts, 1);
    stage.assert_gapless("a");
}

#[test]
fn one_that_dies_again_and_again_is_told_of_now_and_then_and_ends_the_run_only_if_required() {
    let required = InstanceSpec { required: true, ..apart(counts("required", json!({ "dies_at": 1 }))) };
    let dying = apart(counts("dying", json!({ "dies_at": 1 })));
    let mut stage = Stage::start(&[counts("a", json!({})), required, dying], &hasty());
    let ends = |one: &(String, PluginHealth)| {
        one.0 == "required" && matches!(one.1, PluginHealth::Failed { required: true, .. })
    };
    stage.rounds_until("the required one ends the run", |stage| stage.health.iter().any(ends));
    assert_eq!(stage.status("required").restarts, 5);
    stage.rounds_until("the other one is started again and again", |stage| {
        stage.status("dying").restarts >= 7
    });
    let told = stage.health.iter().filter(|(name, _)| name == "dying").count();
    assert_eq!(told, 1, "once, and again at the tenth time: {:?}", stage.health);
    assert_ne!(stage.status("dying").state, InstanceState::Failed);
    stage.assert_gapless("a");
}

#[test]
fn an_instance_moves_into_a_process_of_its_own_and_back_with_its_state() {
    let here = counts("a", json!({}));
    let mut stage = Stage::start(&[apart(here.clone())], &patient());
    stage.round();
    for _ in 0..3 {
        for spec in [here.clone(), apart(here.clone())] {
            assert_eq!(stage.outcomes(&[spec]), [ReloadOutcome::Replaced]);
            stage.round();
        }
    }
    stage.assert_gapless("a");
    assert_eq!((stage.status("a").isolation.as_str(), stage.status("a").reloads), ("process", 6));
}

/// Rules by which a version of the library is revoked.
fn revoked(version: u32) -> model::Trust {
    let file = PluginFile::inspect(&lively(version)).expect("a plugin");
    model::Trust { revoked: vec![file.sha256], ..model::Trust::default() }
}

/// A reload by other rules of trust.
fn reload_by(stage: &mut Stage, rules: &model::Trust, specs: &[InstanceSpec]) -> Vec<ReloadLine> {
    let before = stage.control.last_reload().map_or(0, |report| report.number);
    let rules = Trust::new(rules).expect("sound rules");
    stage.control.reload(Catalog::scan_trusting(rules, [stage.directory()]), specs.to_vec());
    stage.rounds_until("the reload is over", |stage| {
        stage.control.last_reload().is_some_and(|report| report.number > before)
    });
    stage.control.last_reload().expect("a report").lines
}

#[test]
fn what_is_revoked_is_taken_out_by_the_next_reload_and_ends_the_run_if_required() {
    let required = InstanceSpec { required: true, ..apart(counts("required", json!({}))) };
    let specs = [counts("a", json!({})), required, allows("x", 5)];
    let mut stage = Stage::start(&specs, &hasty());
    stage.round();
    let lines = reload_by(&mut stage, &revoked(1), &specs);
    for line in &lines {
        assert_eq!(line.outcome, ReloadOutcome::Failed);
        for words in [line.instance.as_str(), "trusted no longer", "taken out", "plugins.trust.revoked"] {
            assert!(line.sentence.contains(words), "{}", line.sentence);
        }
    }
    let told: Vec<usize> = ["a", "required"].map(|name| stage.told(name)).into();
    (0..3).for_each(|_| stage.round());
    assert_eq!(["a", "required"].map(|name| stage.told(name)).to_vec(), told, "nobody asks them any more");
    assert!(stage.capacity.iter().all(|answer| answer.capacity.is_none()), "{:?}", stage.capacity);
    let mut ends: Vec<_> = stage
        .health
        .iter()
        .map(|(name, health)| (name.as_str(), matches!(health, PluginHealth::Failed { required: true, .. })))
        .collect();
    ends.sort_unstable();
    assert_eq!(ends, [("a", false), ("required", true), ("x", false)]);
    // Once it is no longer revoked, it comes back.
    assert_eq!(reload_by(&mut stage, &model::Trust::default(), &specs)[0].outcome, ReloadOutcome::Started);
}

#[test]
fn the_successor_of_what_is_revoked_gets_no_state_of_it_and_its_failure_leaves_nothing_behind() {
    let specs = [counts("a", json!({})), counts("b", json!({}))];
    let mut stage = Stage::start(&specs, &patient());
    (0..3).for_each(|_| stage.round());
    stage.install(2);
    let wanted = [counts("a", json!({})), counts("b", json!({ "refuses": "no licence" }))];
    let lines = reload_by(&mut stage, &revoked(1), &wanted);
    assert_eq!((lines[0].outcome, lines[1].outcome), (ReloadOutcome::Replaced, ReloadOutcome::Failed));
    assert!(!lines[0].sentence.contains("state"), "{}", lines[0].sentence);
    assert!(lines[1].sentence.contains("taken out"), "{}", lines[1].sentence);
    assert_eq!(stage.heard("b", "no licence"), 1);
    let (counted, told) = (stage.told("a"), stage.told("b"));
    stage.round();
    assert_eq!(stage.last("version.a"), Some(2.0));
    assert!(stage.last("count.a").is_some_and(|count| count < counted as f64), "it begins anew");
    assert_eq!(stage.told("b"), told);
}

#[test]
fn a_restart_asks_for_trust_again() {
    let specs = [apart(counts("a", json!({})))];
    let mut stage = Stage::start(&specs, &hasty());
    stage.round();
    let rules = model::Trust {
        require_signature: true,
        allow_unsigned_from: vec![stage.directory().to_owned()],
        ..model::Trust::default()
    };
    assert_eq!(reload_by(&mut stage, &rules, &specs)[0].outcome, ReloadOutcome::Unchanged);
    // The directory that was allowed is another one from now on.
    let aside = stage.directory().with_extension("aside");
    std::fs::rename(stage.directory(), &aside).expect("a rename");
    std::fs::create_dir(stage.directory()).expect("a directory");
    rustix::process::kill_process(stage.runner("a"), rustix::process::Signal::KILL).expect("a signal");
    stage.rounds_until("it is given up", |stage| stage.status("a").state == InstanceState::Failed);
    let sentence = stage.status("a").sentence.expect("a sentence");
    assert!(sentence.contains("trusted no longer") && sentence.contains("is not signed"), "{sentence}");
    std::fs::remove_dir_all(aside).expect("it is removed");
}

/// Threads, open files, and resident memory in KiB of this process.
fn footprint() -> (usize, usize, u64) {
    let count = |path: &str| std::fs::read_dir(path).expect("/proc").count();
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let rss = rss.trim().trim_end_matches(" kB").parse().expect("a number");
    (count("/proc/self/task"), count("/proc/self/fd"), rss)
}

#[test]
fn a_hundred_reloads_lose_nothing_and_leave_nothing_behind() {
    let specs = |mark: u32| {
        let mut specs = quick(3);
        specs.insert(1, counts("subject", json!({ "mark": mark })));
        specs
    };
    let mut stage = Stage::start(&specs(0), &patient());
    stage.round();
    let mut settled = None;
    for number in 1..=100 {
        // Every tenth time another library as well, so that both copies are mapped before the measurement.
        if number % 10 == 0 {
            stage.install(1 + (number / 10) % 2);
        }
        let lines = stage.reload(&specs(number));
        assert_eq!(lines[1].outcome, ReloadOutcome::Replaced, "{}", lines[1].sentence);
        stage.round();
        assert_eq!(stage.last("mark.subject"), Some(f64::from(number)));
        // By then the allocator has met everything that reading and loading libraries asks for.
        if number == 50 {
            settled = Some(quiet(&mut stage));
        }
    }
    (0..3).for_each(|number| stage.assert_gapless(&format!("quick{number}")));
    stage.assert_gapless("subject");
    assert_eq!(stage.status("subject").reloads, 100);
    let (before, after) = (settled.expect("a measurement"), quiet(&mut stage));
    assert_eq!((after.0, after.1), (before.0, before.1), "threads and open files");
    assert!(after.2 < before.2 + 4096, "from {} to {} KiB by 50 reloads", before.2, after.2);
}

/// The footprint when the threads of the old instances have ended.
fn quiet(stage: &mut Stage) -> (usize, usize, u64) {
    let instances = stage.control.status().len();
    let named = || {
        let tasks = std::fs::read_dir("/proc/self/task").expect("/proc").flatten();
        tasks.filter(|task| {
            std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.starts_with("plugin-"))
        })
    };
    stage.rounds_until("the old threads have ended", |_| named().count() <= instances);
    footprint()
}
