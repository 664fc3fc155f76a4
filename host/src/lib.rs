//! Process Orchestrator: one binary over many files, as many at once as the machine can bear.
