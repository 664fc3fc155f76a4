//! Deterministic simulation of the scheduler: at least 10,000 universes, in shards that run side by side.
//!
//! `SIM_SEED=1234` runs that universe alone and tells its whole story; `SIM_UNIVERSES=100000` looks further.

use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use orchestrator_tests::sim::{Tally, explore, narrate};

/// Universes looked at when nobody says otherwise.
const UNIVERSES: u64 = 12_000;
const SHARDS: u64 = 4;
/// A step that takes this long never ends.
const ENDLESS: Duration = Duration::from_secs(60);

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Everything that must have happened in a shard, so that the simulation cannot silently become trivial.
const HAPPENS: &[&str] = &[
    "admitted below the ceiling after a refusal",
    "attempt failed, to be tried again",
    "attempt frozen",
    "attempt thawed",
    "calibration window completed",
    "changed input is new work",
    "clock jumped",
    "command changed",
    "crash between record and command",
    "crash cut off a publication",
    "crash lost records",
    "disk full",
    "disk free again",
    "drain deadline reached",
    "event duplicated",
    "event forged",
    "exit heard before start",
    "file published again without effect",
    "group commit",
    "halt policy struck",
    "input vanished",
    "launch",
    "launch: on a node",
    "launch: on processors of its own",
    "launch failed: command line",
    "launch failed: config",
    "launch failed: disk full",
    "launch failed: input unreadable",
    "launch failed: input vanished",
    "launch failed: machine",
    "launch: calibrating",
    "machine tried again after a refusal",
    "orphan ended at start",
    "orphan that stood still",
    "output removed",
    "plugin failed",
    "plugin said 0",
    "policy changed",
    "polite signal ignored",
    "process ended: exit code",
    "processors changed",
    "process ended: oom",
    "process ended: signal",
    "process hung",
    "process leaked its pipes",
    "publication taken up again",
    "publish failed",
    "retry of an earlier run hurried",
    "run ended: all done",
    "run ended: binary cannot be started",
    "run ended: calibrated",
    "run ended: crash",
    "run ended: halted",
    "run ended: interrupted",
    "slow attempt reported",
    "start heard while being stopped",
    "stopped: end of the run",
    "check given up: end of the run",
    "stopped: evicted",
    "stopped: killed after the grace",
    "stopped: stuck",
    "stopped: surplus",
    "stopped: timeout",
    "task completed",
    "task completed after a failure",
    "task failed for good",
    "task reset",
    "terminated: halted",
    "terminated: lost",
    "terminated: not started",
    "terminated: resources",
    "terminated: shutdown",
    "timeout was final",
    "wall clock set back between runs",
];

/// Names the seed and ends the test when a universe hangs: a step that loops for ever cannot be stopped otherwise.
fn watch(seed: &Arc<AtomicU64>) {
    let seed = Arc::clone(seed);
    std::thread::spawn(move || {
        loop {
            let before = seed.load(Ordering::SeqCst);
            std::thread::sleep(ENDLESS);
            if before == seed.load(Ordering::SeqCst) {
                eprintln!(
                    "a step never ends: SIM_SEED={before} cargo nextest run -p orchestrator-tests simulation"
                );
                std::process::abort();
            }
        }
    });
}

fn explore_shard(shard: u64) {
    if let Some(seed) = number("SIM_SEED") {
        if shard == 0 {
            explore_one(seed);
        }
        return;
    }
    let universes = number("SIM_UNIVERSES").unwrap_or(UNIVERSES) / SHARDS;
    let current = Arc::new(AtomicU64::new(0));
    watch(&current);
    let mut total = Tally::default();
    for index in 0..universes {
        let seed = index * SHARDS + shard;
        current.store(seed, Ordering::SeqCst);
        match catch_unwind(|| explore(seed)) {
            Ok(Ok(tally)) => total.merge(&tally),
            Ok(Err(violation)) => panic!("after {index} universes of this shard\n{violation}"),
            Err(_) => panic!(
                "the scheduler panicked: SIM_SEED={seed} cargo nextest run -p orchestrator-tests simulation"
            ),
        }
    }
    eprintln!("{total}");
    if universes >= UNIVERSES / SHARDS {
        let missing: Vec<_> = HAPPENS.iter().filter(|what| total.of(what) == 0).collect();
        assert!(missing.is_empty(), "never happened in {universes} universes: {missing:?}");
    }
}

fn explore_one(seed: u64) {
    for line in narrate(seed) {
        eprintln!("{line}");
    }
    if let Err(violation) = explore(seed) {
        panic!("{violation}");
    }
}

#[test]
fn simulation_shard_0() {
    explore_shard(0);
}

#[test]
fn simulation_shard_1() {
    explore_shard(1);
}

#[test]
fn simulation_shard_2() {
    explore_shard(2);
}

#[test]
fn simulation_shard_3() {
    explore_shard(3);
}
