//! Inspect, verify, load and call plugin libraries.
//!
//! - [`Catalog`]: which library of the plugin directories exports a class; [`PluginFile`]: what a file says about itself
//!   without being loaded; [`Library`]: a library in this process.
//! - [`PluginHost`]: the instances of a run, each on a thread of its own, behind the port
//!   [`orchestrator_ports::Plugins`].
//!
//! Nothing that a plugin does in a call (panic, hang, nonsense) stops a run; what it costs is booked in
//! [`InstanceStats`].
#![expect(unsafe_code, reason = "loading a library and calling into it is unsafe by nature")]

mod host;
mod instance;
mod isolate;
mod library;
mod translate;

pub use host::{
    InstanceStatus, PluginControl, PluginHost, ReloadLine, ReloadOutcome, ReloadReport, ReloadTicket,
    StartOptions,
};
pub use instance::{
    FailureCategory, InstanceFailure, InstanceFault, InstanceSpec, InstanceState, InstanceStats,
    LibraryFacts, RunnerUsage,
};
pub use isolate::{Ending, Runner, run_here};
pub use library::{
    Catalog, CatalogProblem, ContentHash, ElfFault, FileFault, FileProblem, Ground, KeyFault, KeyId, Library,
    PlaceFault, PluginFile, Probe, ProbeFault, ResolveError, Sealed, SignatureFault, Signer, Trust,
    TrustError, TrustFault, TrustedKey, VerifiedFile, Writers, probe_here,
};
pub use orchestrator_plugin_api::{
    API_VERSION, ClassDescriptor, Descriptor, MetricDescriptor, MetricKind, PluginKind,
};
