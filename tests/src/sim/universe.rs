//! One universe: runs of the host, hostile ones first, then one in which nothing new goes wrong and everything must settle.

use std::fmt;

use orchestrator_core::TaskId;
use orchestrator_core::scheduler::RunFault;

use super::agenda::What;
use super::chance::Chance;
use super::ledger::{Ledger, ensure};
use super::run::{Ending, Run, voice};
use super::settings::Settings;
use super::tally::Tally;
use super::world::World;

/// The last run of a universe may be cut off by nothing, but faults of single attempts go on; so often it may be tried.
const LAST_RUNS: u32 = 3;

/// A law was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The universe.
    pub seed: u64,
    /// The law, in words.
    pub law: String,
    /// What happened before, the last thing last.
    pub trail: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trail {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {}: {}", self.seed, self.law)?;
        write!(f, "repeat with: SIM_SEED={} cargo nextest run -p orchestrator-tests simulation", self.seed)
    }
}

impl std::error::Error for Violation {}

/// Lives through the universe of a seed.
///
/// # Errors
/// The law that was broken, with the way there.
pub fn explore(seed: u64) -> Result<Tally, Box<Violation>> {
    live(seed, None).map_err(|law| {
        // A universe is its seed: the second time somebody takes notes.
        let mut trail = Vec::new();
        let again = live(seed, Some(&mut trail));
        let law =
            if again.is_err() { law } else { format!("{law} (not repeatable: the scheduler is not pure)") };
        let cut = trail.len().saturating_sub(80);
        Box::new(Violation { seed, law, trail: trail.split_off(cut) })
    })
}

/// The same as [`explore`], telling every event, fact and command on the way.
#[must_use]
pub fn narrate(seed: u64) -> Vec<String> {
    let mut trail = Vec::new();
    if let Err(law) = live(seed, Some(&mut trail)) {
        trail.push(law);
    }
    trail
}

fn live(seed: u64, mut trail: Option<&mut Vec<String>>) -> Result<Tally, String> {
    let mut chance = Chance::new(seed);
    let settings = Settings::draw(&mut chance);
    if let Some(trail) = &mut trail {
        trail.push(format!("{settings:?}"));
    }
    let hostile_runs = settings.hostile_runs;
    let mut world = World::new(settings, chance);
    let mut ledger = Ledger::default();
    for number in 0.. {
        world.hostile = number < hostile_runs;
        ensure!(number < hostile_runs + LAST_RUNS, "the world is calm, but the work is not done");
        if let Some(trail) = &mut trail {
            trail.push(format!("== run {number}, hostile: {}", world.hostile));
        }
        let stale = if number > 0 { prepare(&mut world, &mut ledger) } else { vec![] };
        let ending = Run::new(&mut world, &mut ledger, stale, trail.as_deref_mut()).live()?;
        world.tally.count(match ending {
            Ending::Crashed => "run ended: crash",
            Ending::Finished(None) => "run ended: all done",
            Ending::Finished(Some(RunFault::Spawn(_))) => "run ended: binary cannot be started",
            Ending::Finished(Some(RunFault::Halted)) => "run ended: halted",
            Ending::Finished(Some(RunFault::Interrupted)) => "run ended: interrupted",
            Ending::Finished(Some(RunFault::Calibrated)) => "run ended: calibrated",
        });
        if ending == Ending::Finished(None) {
            settled(&world, &ledger)?;
            if !world.hostile {
                break;
            }
        }
    }
    world.tally.count("universe");
    Ok(world.tally)
}

/// Between two runs: the user mends, changes and asks. Returns the tasks that are to be done again.
fn prepare(world: &mut World, ledger: &mut Ledger) -> Vec<TaskId> {
    let pause = if world.chance.coin() { 60_000_000 } else { 500_000 };
    world.now += world.chance.between(1, pause);
    if world.chance.hits(50) {
        world.now -= world.chance.between(60_000_000, 3_600_000_000);
        world.tally.count("wall clock set back between runs");
    }
    world.binary_broken = false;
    // Late voices of the last run may reach the next one.
    world.agenda.retain(|what| match what {
        What::Hear(event) => voice(event).is_some(),
        what => matches!(what, What::DiskFull(_)),
    });
    if world.settings.inputs_change {
        world.change_inputs();
        vanish_unpublished(world, ledger);
    }
    if !world.settings.stale || !world.chance.coin() {
        return vec![];
    }
    if world.chance.coin() {
        return remove_outputs(world, ledger);
    }
    world.tally.count("command changed");
    ledger.baseline = None;
    ledger.rows.iter().filter(|(_, row)| row.is_final()).map(|(task, _)| *task).collect()
}

/// Inputs vanish whose output was about to be published when the last run died.
fn vanish_unpublished(world: &mut World, ledger: &Ledger) {
    for row in
        ledger.rows.values().filter(|row| row.open.as_ref().is_some_and(|open| open.accepted.is_some()))
    {
        let vanishes = world.chance.hits(300);
        if let Some(input) = world.inputs.get_mut(&row.path).filter(|_| vanishes) {
            input.present = false;
            world.tally.count("input of an unpublished output vanished");
        }
    }
}

/// Somebody removes outputs of completed tasks: they are to be made again.
fn remove_outputs(world: &mut World, ledger: &Ledger) -> Vec<TaskId> {
    let mut stale = Vec::new();
    for (task, row) in ledger.rows.iter().filter(|(_, row)| row.completed_by.is_some()) {
        if world.chance.hits(300) {
            world.published.retain(|_, file| file.task != *task || file.epoch != row.epoch);
            world.tally.count("output removed");
            stale.push(*task);
        }
    }
    stale
}

/// When a run ends by itself, every task is final (but for those whose input no scan finds any more) and what is
/// visible is what was recorded.
fn settled(world: &World, ledger: &Ledger) -> Result<(), String> {
    for (task, row) in &ledger.rows {
        let there = world.inputs.get(&row.path).is_some_and(|input| input.present);
        ensure!(row.is_final() || !there, "all is done, but task {task} is {:?}", row.state);
        ensure!(row.open.is_none(), "all is done, but an attempt of task {task} is open");
    }
    world.check_published(ledger)
}
