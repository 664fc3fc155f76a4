//! The binary view of the contract: what really crosses between a host and a plugin library.
//!
//! # Rules for the life of version 1
//! - By-value structs ([`Sample`], [`SampleSink`], [`ProcessView`], [`Fault`], [`Answer`], [`Request`],
//!   [`HostHandle`], [`ByteSink`]) never change.
//! - [`PluginLibrary`] and [`HostServices`] are prefix types: fields are only appended, after the field
//!   marked `last_prefix_field`, which never moves. An appended field reads as `None` on an older peer.
//! - Object traits grow by methods with a default body after `last_prefix_field`.
//! - Enumerations travel as `u32` newtypes; an unknown value is data, not undefined behaviour.
//! - Opaque handles are `*mut ()`.

mod objects;
mod root;
mod services;
mod values;

pub use objects::{
    CapacityBox, CapacityObject, CapacityObject_TO, MetricsBox, MetricsObject, MetricsObject_TO,
};
pub use root::{DESCRIPTOR_SECTION, NewCapacity, NewMetrics, PluginLibrary, PluginLibraryRef, Request};
pub use services::{ByteSink, HostHandle, HostServices, HostServicesRef, NO_DEADLINE};
pub use values::{
    Answer, FactId, Fault, FaultCode, LogLevelId, Number, ProcessView, Sample, SampleSink, Text, TextId,
};
