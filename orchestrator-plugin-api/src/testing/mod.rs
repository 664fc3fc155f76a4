//! A host to test against, in an author's own unit tests: no host program, no library, no configuration file.
//!
//! ```
//! use orchestrator_plugin_api::testing::{FakeHost, FakeProcess, FactId};
//! # use orchestrator_plugin_api::{Metrics, MetricsPlugin, NoConfig, Process, Result};
//! # struct Files;
//! # impl MetricsPlugin for Files {
//! #     type Config = NoConfig;
//! #     fn initialize(_: NoConfig) -> Result<Self> { Ok(Self) }
//! #     fn collect_metrics(&mut self, process: &Process<'_>) -> Result<Metrics> {
//! #         let mut metrics = Metrics::new();
//! #         metrics.push_some("process.open_files", process.open_files());
//! #         Ok(metrics)
//! #     }
//! # }
//!
//! let host = FakeHost::new();
//! let mut plugin: Files = host.metrics("{}")?;
//! let process = FakeProcess::new(42).number(FactId::OPEN_FILES, 7.0);
//! assert_eq!(host.collect(&mut plugin, &process)?["process.open_files"], 7.0);
//! # Ok::<(), orchestrator_plugin_api::Error>(())
//! ```
//!
//! The fake host decodes configurations and judges names and values as the real one does, answers every host service,
//! and keeps what the plugin logs. A panic of the plugin is not caught: the test fails where it happened.

mod host;
mod process;
mod services;

pub use crate::abi::{FactId, TextId};
pub use host::{FakeHost, Record};
pub use process::FakeProcess;

use crate::{Capacity, CapacityPlugin, MetricsPlugin, Result};
use std::collections::BTreeMap;

/// [`FakeHost::collect`] with a host that has no deadline.
///
/// # Errors
/// As there.
pub fn collect<P: MetricsPlugin>(plugin: &mut P, process: &FakeProcess) -> Result<BTreeMap<String, f64>> {
    FakeHost::new().collect(plugin, process)
}

/// [`FakeHost::collect_system`] with a host that has no deadline.
///
/// # Errors
/// As there.
pub fn collect_system<P: MetricsPlugin>(plugin: &mut P) -> Result<BTreeMap<String, f64>> {
    FakeHost::new().collect_system(plugin)
}

/// [`FakeHost::calculate`] with a host that has no deadline.
///
/// # Errors
/// As there.
pub fn calculate<P: CapacityPlugin>(
    plugin: &mut P,
    calibration: &[(&str, f64)],
    current: &[(&str, f64)],
) -> Result<Capacity> {
    FakeHost::new().calculate(plugin, calibration, current)
}

#[cfg(test)]
mod tests;
