//! The versioned contract between Process Orchestrator and its plugins.
