//! Inspect, verify, load and call plugin libraries.
#![expect(unsafe_code, reason = "loading a library and calling into it is unsafe by nature")]

mod library;

pub use library::{
    Catalog, CatalogProblem, ContentHash, ElfFault, FileFault, FileProblem, Library, PluginFile, Probe, ProbeFault,
    ResolveError, probe_here,
};
