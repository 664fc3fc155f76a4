//! The configuration: what can be said in `config.yaml`, how it is put together from files, profiles, environment and
//! flags, and what is wrong with it, all of it at once and with its place.
//!
//! - [`model`] is the configuration that the rest of the program reads; its defaults stand in `model/defaults.rs`.
//! - [`load`](load()) turns files, profiles, environment and flags into a [`Loaded`] or into [`Diagnostic`]s.
//! - [`schema()`] is the JSON Schema of a file; the structural checks of `load` are driven by the same schema.
//! - [`template_yaml`] is the commented starter that `orchestrator init` writes.
//!
//! Pure: files and environment come in through [`Sources`].

pub mod model;
pub mod nearest;
pub mod scalar;
pub mod signal;
pub mod units;
pub mod values;

pub use model::Config;
pub use scalar::{Scalar, ValueError};
pub use signal::Signal;
pub use units::{ByteSize, HumanDuration, Percent};
pub use values::{GlobPattern, Limit, RetryCause, Threshold, TimeLimit};
