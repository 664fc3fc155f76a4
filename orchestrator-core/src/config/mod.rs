//! The configuration: what can be said in `config.yaml`, how it is put together from files, profiles, environment and
//! flags, and what is wrong with it, all of it at once and with its place.
//!
//! - [`model`] is the configuration that the rest of the program reads; its defaults stand in `model/defaults.rs`.
//! - [`load`](load()) turns files, profiles, environment and flags into a [`Loaded`] or into [`Diagnostic`]s.
//! - [`schema()`] is the JSON Schema of a file; the structural checks of `load` are driven by the same schema.
//! - [`template_yaml`] is the commented starter that `orchestrator init` writes.
//!
//! Pure: files and environment come in through [`Sources`].
//!
//! To add a key: add the field with its documentation to a struct in `model/`, its default to `model/defaults.rs`,
//! and, if it can contradict another key, a rule to `rules.rs`. Schema, checks, overrides and origins follow.

mod check;
mod diagnostic;
mod interpolate;
mod layers;
mod load;
pub mod model;
pub mod nearest;
mod origin;
mod overrides;
mod paths;
mod rules;
pub mod scalar;
mod schema;
pub mod signal;
mod starter;
mod tree;
pub mod units;
pub mod values;
mod yaml;

pub use diagnostic::{Code, Diagnostic, Location, Severity};
pub use load::{LoadRequest, Loaded, Override, Sources, load};
pub use model::Config;
pub use origin::{Leaf, Origin};
pub use scalar::{Scalar, ValueError};
pub use schema::schema;
pub use signal::Signal;
pub use starter::{Starter, template_yaml};
pub use units::{ByteSize, HumanDuration, Percent};
pub use values::{GlobPattern, Limit, RetryCause, Threshold, TimeLimit};

#[cfg(test)]
mod tests;
