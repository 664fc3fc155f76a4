//! Plugin libraries: find, inspect, verify, load.

mod catalog;
mod elf;
mod file;
mod layout;
mod load;
mod probe;
mod problem;
mod sealed;
mod trust;
mod verified;

pub use catalog::{Catalog, CatalogProblem, ResolveError};
pub use elf::ElfFault;
pub use file::{ContentHash, PluginFile};
pub use load::Library;
pub use probe::{Probe, probe_here};
pub use problem::{FileFault, FileProblem, ProbeFault};
pub use sealed::Sealed;
pub(crate) use trust::audit;
pub use trust::{
    Ground, KeyFault, KeyId, PlaceFault, SignatureFault, Signer, Trust, TrustError, TrustFault, TrustedKey,
    Writers,
};
pub use verified::VerifiedFile;
