//! Replay of a recorded trace through the predictors, as if its tasks ran now (protocol O).
//!
//! The rows of one (workflow, task) form a stream in order of start. The prediction for row i is made before its result
//! is looked at, from the results of rows 0 … i − lag − 1 of its stream alone: the `lag` predecessors still run. From
//! row 10 on predictions are scored, in streams of at least 30 rows:
//!
//! - attempt j of a ladder fails if and only if its allocation is smaller than the peak; past its end it doubles;
//! - cost = Σ failed allocation · run time + (last allocation − peak) · run time, in GB·h with GB = 10⁹ bytes;
//! - memory allocation quality (`maq`) = Σ peak · run time / Σ all allocations · run time;
//! - error of the run time = |p50 − true| / true, the median of it over all scored rows.

mod error;
mod score;
mod stream;
mod trace;

pub use error::TraceError;
pub use score::{Score, Totals, charge};
pub use stream::{Forecast, Replay, RunTime};
pub use trace::{TraceOutcome, TraceReader, TraceRow, TraceTask};

/// Rows of a stream that are not scored.
pub const UNSCORED: usize = 10;
/// Streams with fewer rows are not scored.
pub const SHORTEST_STREAM: usize = 30;
