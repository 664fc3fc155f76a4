//! Fixture binaries, simulation and end-to-end tests of Process Orchestrator.
