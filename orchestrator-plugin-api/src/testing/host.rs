//! The fake host itself.

use super::process::{FakeProcess, OnDemand};
use super::services;
use crate::abi::Sample;
use crate::author::{config, host::with_host};
use crate::{Capacity, CapacityPlugin, Error, LogLevel, Metrics, MetricsPlugin, Process, Readings, Result};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest name of a metric in bytes, as the host has it.
const NAME_BYTES: usize = 200;
/// Most values of one call, as the host has it.
const VALUES_PER_CALL: usize = 10_000;
/// What the host's own metrics begin with.
const RESERVED: [&str; 3] = ["orchestrator.", "limits.", "calibration."];

/// A log record that a plugin wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its severity.
    pub level: LogLevel,
    /// The module that wrote it.
    pub target: String,
    /// The message.
    pub message: String,
}

/// What the services look up and write down.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) records: Vec<Record>,
    pub(super) remaining: Option<Duration>,
    pub(super) facts: OnDemand,
}

pub(super) type Book = Mutex<Entries>;

/// A host for unit tests.
pub struct FakeHost(&'static Book);

impl Default for FakeHost {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeHost {
    /// A host that sets no deadline.
    pub fn new() -> Self {
        Self(Box::leak(Box::default()))
    }

    /// What [`remaining_time`](crate::remaining_time) says in every later call; it does not run down by itself.
    #[must_use]
    pub fn remaining(self, time: Duration) -> Self {
        self.entries().remaining = Some(time);
        self
    }

    /// Makes a metrics plugin from its `config:` section, written as JSON.
    ///
    /// # Errors
    /// The section is not what the plugin's type takes, or the plugin refuses it.
    pub fn metrics<P: MetricsPlugin>(&self, config: &str) -> Result<P> {
        with_host(services::handle(self.0), || P::initialize(config::decode(config)?))
    }

    /// Makes a capacity plugin from its `config:` section, written as JSON.
    ///
    /// # Errors
    /// As for [`metrics`](Self::metrics).
    pub fn capacity<P: CapacityPlugin>(&self, config: &str) -> Result<P> {
        with_host(services::handle(self.0), || P::initialize(config::decode(config)?))
    }

    /// What the plugin measures of one process: names and values.
    ///
    /// # Errors
    /// The plugin's own, or a value that the host would drop, named with the reason.
    pub fn collect<P: MetricsPlugin>(
        &self,
        plugin: &mut P,
        process: &FakeProcess,
    ) -> Result<BTreeMap<String, f64>> {
        self.entries().facts.clone_from(&process.on_demand);
        let metrics = with_host(services::handle(self.0), || {
            process.viewed(|view| plugin.collect_metrics(&Process::new(view)))
        });
        self.entries().facts = OnDemand::default();
        accepted(&metrics?)
    }

    /// What the plugin measures of the machine: names and values.
    ///
    /// # Errors
    /// As for [`collect`](Self::collect).
    pub fn collect_system<P: MetricsPlugin>(&self, plugin: &mut P) -> Result<BTreeMap<String, f64>> {
        accepted(&with_host(services::handle(self.0), || plugin.collect_system_metrics())?)
    }

    /// The answer of a capacity plugin to these calibration and current readings.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn calculate<P: CapacityPlugin>(
        &self,
        plugin: &mut P,
        calibration: &[(&str, f64)],
        current: &[(&str, f64)],
    ) -> Result<Capacity> {
        let (calibration, current) = (samples(calibration), samples(current));
        with_host(services::handle(self.0), || {
            plugin.calculate_capacity(&Readings::new(&calibration), &Readings::new(&current))
        })
    }

    /// What was logged so far, oldest first.
    pub fn records(&self) -> Vec<Record> {
        self.entries().records.clone()
    }

    fn entries(&self) -> MutexGuard<'static, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn samples<'a>(readings: &'a [(&str, f64)]) -> Vec<Sample<'a>> {
    readings.iter().map(|(name, value)| Sample { name: (*name).into(), value: *value }).collect()
}

fn accepted(metrics: &Metrics) -> Result<BTreeMap<String, f64>> {
    if metrics.len() > VALUES_PER_CALL {
        let count = metrics.len();
        return Err(Error::config(format!("the host takes 10,000 values of a call, these are {count}")));
    }
    metrics.iter().map(|(name, value)| Ok((acceptable(name, value)?.to_owned(), value))).collect()
}

/// What the host would drop is an error in a test. Whether a value may be negative depends on `emits:`, which a type
/// does not know; `orchestrator plugin check` looks at that.
fn acceptable(name: &str, value: f64) -> Result<&str> {
    let odd = |c: char| c.is_control() || c.is_whitespace();
    let wrong = if !(1..=NAME_BYTES).contains(&name.len()) || name.contains(odd) {
        "its name is empty, longer than 200 bytes or has odd characters".to_owned()
    } else if RESERVED.iter().any(|prefix| name.starts_with(prefix)) {
        "its name is one of the host's own".to_owned()
    } else if !value.is_finite() {
        format!("its value is {value}")
    } else {
        return Ok(name);
    };
    Err(Error::config(format!("the host would drop the metric {name:?}: {wrong}")))
}
