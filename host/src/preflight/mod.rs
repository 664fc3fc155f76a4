//! Everything that can be known before a run is started: `check` prints it, `run` obeys it.
//!
//! Reads only, and changes nothing: what a plugin says about its configuration is asked by `check` alone, since a run hears it when
//! it starts the same instances. All problems are found at once, each with its place in the configuration where it has one.
//!
//! To add a check: write it in the file of its subject with a `&mut Findings`, call it from [`check`].

mod binary;
mod findings;
mod inputs;
mod instances;
mod libraries;
mod limits;
mod places;
mod plan;

use orchestrator_core::config::{Loaded, Severity};
use orchestrator_plugin_host::Catalog;

use crate::errors::Failure;
use crate::plugins::SearchPath;
use crate::report::Report;
use crate::session::Session;
use findings::Findings;
use plan::Machine;
pub(crate) use plan::Plan;

/// How far the look goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Depth {
    /// Until one input is found: the run's own scan finds the rest.
    First,
    /// All of them, and the machine.
    All,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Preflight {
    /// What a run would do.
    pub(crate) plan: Plan,
    /// Errors and warnings, in the order of the checks.
    pub(crate) reports: Vec<Report>,
}

/// Looks at everything that a configuration names.
pub(crate) fn check(loaded: &Loaded, search: &SearchPath, catalog: &Catalog, depth: Depth) -> Preflight {
    let config = &loaded.config;
    let mut findings = Findings::new(loaded);
    let program = binary::check(config, &mut findings);
    let files = inputs::check(config, depth, &mut findings);
    places::check(config, &mut findings);
    let plugins = libraries::check(config, search, catalog, &mut findings);
    let by_open_files = limits::check(config, &mut findings);
    let machine = || Machine::new(&orchestrator_sysmon::topology::usable(), config.concurrency.placement);
    let machine = (depth == Depth::All).then(machine);
    let plan = Plan::new(config, program, files, plugins, by_open_files, machine);
    Preflight { plan, reports: findings.reports }
}

impl Preflight {
    /// Tells the warnings and hands out the plan.
    ///
    /// # Errors
    /// There are errors: all findings.
    pub(crate) fn accept(self, session: &Session) -> Result<Plan, Failure> {
        if self.reports.iter().any(|report| report.severity == Severity::Error) {
            return Err(Failure::Preflight(self.reports));
        }
        self.reports.iter().for_each(|warning| session.tell(warning));
        Ok(self.plan)
    }
}

#[cfg(test)]
mod tests;
