//! What can be wrong with a trace.

use thiserror::Error;

/// A trace that cannot be replayed.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum TraceError {
    /// It is empty.
    #[error("the trace is empty: its first line names the columns")]
    Empty,
    /// A column is missing.
    #[error("the trace has no column {column}: name it in the first line")]
    MissingColumn {
        /// Its name.
        column: &'static str,
    },
    /// A row ends early.
    #[error("line {line} of the trace has no value for {column}")]
    MissingValue {
        /// Counted from 1.
        line: usize,
        /// The column.
        column: &'static str,
    },
    /// A quoted value has no end in its line.
    #[error("line {line} of the trace opens a quote that it does not close: write each row on one line")]
    OpenQuote {
        /// Counted from 1.
        line: usize,
    },
    /// A value is no number.
    #[error("line {line} of the trace: {column} is {value:?}, not a number that makes sense there")]
    NotANumber {
        /// Counted from 1.
        line: usize,
        /// The column.
        column: &'static str,
        /// What stands there.
        value: String,
    },
}
