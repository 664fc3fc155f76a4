//! End-to-end tests of Process Orchestrator: the harness they share.
//!
//! Tests start the built `orchestrator` with real plugins on real files and look from outside:
//! exit codes, files, processes, the log that the fixture keeps of its own executions.
//! Nothing here knows the host's insides.

pub mod artifacts;
pub mod capacity_sim;
pub mod corpus;
pub mod dice;
pub mod group;
pub mod host;
pub mod processes;
pub mod scene;
pub mod sim;
pub mod watcher;
