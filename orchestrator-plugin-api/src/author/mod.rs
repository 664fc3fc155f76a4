//! The author's view: plain Rust types, no binary layout in sight.

pub(crate) mod capacity;
pub(crate) mod config;
pub(crate) mod error;
pub(crate) mod facts;
pub(crate) mod host;
pub(crate) mod metrics;
pub(crate) mod process;

use serde::Deserialize;

/// The configuration of a class that has no options: any key is an error.
#[derive(Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}
