//! Between the binary view and the author's view, on the plugin's side of the boundary.

pub(crate) mod construct;
mod guard;
mod objects;
mod panics;
#[cfg(feature = "tracing")]
mod tracing_bridge;
