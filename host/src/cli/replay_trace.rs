//! `replay-trace`: the predictors over a recorded trace.

use std::path::PathBuf;

use clap::Args;

/// Replay a recorded trace of tasks through the predictors: what would have been expected of each, and what it cost
#[derive(Debug, Args)]
#[command(
    after_help = "The trace is a CSV file whose first line names the columns: workflow, task, seq, runtime_s, \
                  peak_rss_bytes, and, where known, input_bytes (-1 = unknown) and user_mem_bytes. Rows stand in \
                  order of start.\n\nExample:\n  orchestrator replay-trace trace.csv --lag 8 --format json"
)]
pub(crate) struct ReplayTraceArgs {
    /// The trace; - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// So many predecessors of the same kind still run when a task starts: their results are not known yet
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) lag: usize,
}
