//! The brain of Process Orchestrator: pure, synchronous decisions over events.
