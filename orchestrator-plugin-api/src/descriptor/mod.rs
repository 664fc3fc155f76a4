//! The descriptor: what a library says about itself, in its file and without being loaded.

pub mod declare;

use serde::{Deserialize, Serialize};
use std::fmt;

/// A library's description of itself, as JSON in the ELF section
/// [`DESCRIPTOR_SECTION`](crate::abi::DESCRIPTOR_SECTION).
///
/// Unknown fields are skipped, unknown kinds kept as [`PluginKind::Unknown`]: a descriptor of any later 1.x
/// can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Version of the contract that the library was built with ([`API_VERSION`](crate::API_VERSION)).
    pub api: String,
    /// Name of the package.
    pub name: String,
    /// Version of the package.
    pub version: String,
    /// What a panic does in this build.
    pub panic: PanicStrategy,
    /// The classes that the library exports.
    pub classes: Vec<ClassDescriptor>,
}

/// What a panic does in a library's build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PanicStrategy {
    /// Panics unwind and are caught at the boundary.
    Unwind,
    /// Panics end the process: no host takes such a library into its own process.
    Abort,
}

/// One exported class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassDescriptor {
    /// The name that the configuration's `class:` picks.
    pub class: String,
    /// What it can do.
    pub kind: PluginKind,
    /// One sentence about it; may be empty.
    #[serde(default)]
    pub about: String,
    /// JSON Schema of its configuration as text, where the author gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_schema: Option<String>,
    /// The metrics that it emits under fixed names; it may emit others.
    #[serde(default)]
    pub metrics: Vec<MetricDescriptor>,
}

/// What a class can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginKind {
    /// It measures: [`MetricsPlugin`](crate::MetricsPlugin).
    Metrics,
    /// It limits: [`CapacityPlugin`](crate::CapacityPlugin).
    Capacity,
    /// A kind of a later version of the contract.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for PluginKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metrics => "metrics",
            Self::Capacity => "capacity",
            Self::Unknown => "unknown",
        })
    }
}

/// One metric that a class emits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricDescriptor {
    /// Its name; `*` stands for one varying segment (`net.tcp.port.*.established`).
    pub name: String,
    /// How its values behave.
    #[serde(rename = "type")]
    pub kind: MetricKind,
    /// Its unit as in UCUM (`By`, `s`, `%`, `1`).
    pub unit: String,
    /// One sentence about it.
    pub help: String,
}

/// How a metric's values behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Goes up and down, never below zero.
    Gauge,
    /// Only goes up, until its source starts anew.
    Counter,
    /// Goes up and down, also below zero.
    SignedGauge,
    /// A kind of a later version of the contract.
    #[serde(other)]
    Unknown,
}
