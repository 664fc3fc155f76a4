//! The versioned contract between Process Orchestrator and its plugins.
//!
//! A plugin library is one `.so` that exports one or more *classes*. A class is a type that implements
//! [`MetricsPlugin`] or [`CapacityPlugin`]; [`export_plugin!`] makes the library of it. A library built
//! against version 1.x of this crate is accepted by every host of version 1.y, older or newer.
//!
//! ```
//! use orchestrator_plugin_api::{Metrics, MetricsPlugin, Process, Result, export_plugin};
//!
//! #[derive(serde::Deserialize)]
//! struct Config {
//!     #[serde(default)]
//!     factor: f64,
//! }
//!
//! struct OpenFiles(Config);
//!
//! impl MetricsPlugin for OpenFiles {
//!     type Config = Config;
//!
//!     fn initialize(config: Config) -> Result<Self> {
//!         Ok(Self(config))
//!     }
//!
//!     fn collect_metrics(&mut self, process: &Process<'_>) -> Result<Metrics> {
//!         let open = std::fs::read_dir(format!("/proc/{}/fd", process.pid()))?.count();
//!         Ok([("process.open_files", open as f64 * self.0.factor)].into())
//!     }
//! }
//!
//! export_plugin! {
//!     metrics: OpenFiles as "OpenFilesCollector",
//!     emits: ["process.open_files": gauge "1" "Open file descriptors of the process"]
//! }
//! # fn main() {}
//! ```
//!
//! # Layers
//! - The author's view: [`MetricsPlugin`], [`CapacityPlugin`], [`Metrics`], [`Readings`], [`Process`],
//!   [`Facts`], [`Capacity`], [`Error`], [`log!`] and [`remaining_time`].
//! - The testing kit: [`testing`], a fake host for unit tests.
//! - The binary view: [`abi`]. Only the host and [`export_plugin!`] touch it.
//! - The descriptor: [`Descriptor`], readable from the file without loading it.
#![expect(unsafe_code, reason = "this crate is the foreign-function boundary")]

pub mod abi;
mod author;
mod descriptor;
mod glue;
mod macros;
pub mod testing;

pub use author::NoConfig;
pub use author::capacity::{Capacity, CapacityPlugin};
pub use author::error::{Error, ErrorCode, Result};
pub use author::facts::Facts;
pub use author::host::{LogLevel, log, remaining_time};
pub use author::metrics::{Metrics, MetricsPlugin, Readings};
pub use author::process::Process;
pub use descriptor::{ClassDescriptor, Descriptor, MetricDescriptor, MetricKind, PanicStrategy, PluginKind};

/// The version of this crate, and so of the contract, that a plugin or a host was built with.
pub const API_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What [`export_plugin!`] expands to; no part of the contract for authors.
#[doc(hidden)]
pub mod __private {
    pub use crate::descriptor::declare;
    pub use crate::glue::construct::{new_capacity, new_metrics, no_such_class, prepare};
    pub use abi_stable;
}
