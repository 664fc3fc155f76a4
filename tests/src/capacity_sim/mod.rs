//! The control law and its rivals over the simulated workloads: figures and the table made of them.

mod random;
mod table;
mod universes;

use orchestrator_core::capacity::control::ControlRules;
use orchestrator_core::simulate::loads::{self, Load};
use orchestrator_core::simulate::rivals::{CalibrateOnce, Fixed, Gate};
use orchestrator_core::simulate::{
    Governor, Lawful, Machine, Oracle, Outcome, lawful_order, oracle, simulate,
};

pub use random::random;
pub use table::render;
pub use universes::{Judged, judge, render_universes};

/// The law on one workload and seed.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Tasks of the workload.
    pub tasks: usize,
    /// The law, in its own order.
    pub law: Outcome,
    /// The law, in the order of discovery.
    pub as_found: Outcome,
}

/// What the others do on it.
#[derive(Clone, Copy, Debug)]
pub struct Rivals {
    /// The best fixed numbers.
    pub oracle: Oracle,
    /// As many as there are cores.
    pub cores: Outcome,
    /// A gate on load average and free memory, at most twice as many as there are cores.
    pub gate: Outcome,
    /// Calibration with one task, once and for all.
    pub calibrated: Outcome,
}

/// The rules that keep to the machine's thresholds.
fn rules(load: &Load) -> ControlRules {
    let Machine { cpu_threshold, memory_threshold, .. } = load.machine;
    ControlRules { cpu_threshold, memory_threshold, ..ControlRules::default() }
}

/// Runs the law.
///
/// # Panics
/// There is no such workload.
#[must_use]
pub fn law(name: &str, seed: u64) -> Measured {
    let load = loads::load(name, seed).expect("a known workload");
    let found: Vec<usize> = (0..load.work.tasks.len()).collect();
    let run = |order: &[usize]| simulate(&load.machine, &load.work, order, &mut Lawful::new(rules(&load)));
    Measured { tasks: found.len(), law: run(&lawful_order(&load.work, seed)), as_found: run(&found) }
}

/// Runs the others.
///
/// # Panics
/// There is no such workload.
#[must_use]
pub fn rivals(name: &str, seed: u64) -> Rivals {
    let load = loads::load(name, seed).expect("a known workload");
    let found: Vec<usize> = (0..load.work.tasks.len()).collect();
    let run = |governor: &mut dyn Governor| simulate(&load.machine, &load.work, &found, governor);
    let cores = load.machine.cores as usize;
    Rivals {
        oracle: oracle(&load.machine, &load.work),
        cores: run(&mut Fixed(cores)),
        gate: run(&mut Gate::new(2 * cores)),
        calibrated: run(&mut CalibrateOnce::default()),
    }
}
