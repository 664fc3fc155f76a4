//! Peak memory of a task before it runs: the prequential cost-optimal ladder.
//!
//! Seven closed-form [`Expert`]s say a number each. For each of them the ratios of true peaks to what it had said (from
//! the results known by then, never from the peak itself) are kept as a weighted sample, with a share 1 / (n + 1) of
//! the weight added beyond the largest (the chance that the next of n + 1 exchangeable ratios is the largest). A
//! dynamic program finds for each expert the ladder of allocations of least expected cost, and the expert whose ladder
//! would have cost least over the past is believed. Where more than 3 % of attempts have failed of late, failures
//! are taken to be dearer. Prequential: Dawid, "Present position and potential developments:
//! the prequential approach", JRSS A 1984.
//!
//! Memory is bounded (300 results); a prediction costs a look at the nearest sizes at most, since everything else is
//! done when a result comes in.

mod experts;
mod ladder;
mod predictor;
mod ratios;
mod state;

pub use experts::Expert;
pub use predictor::{MemoryPrediction, MemoryPredictor, MemorySource};
pub use state::{MemoryResult, MemoryState};

/// What the predictor is governed by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryRules {
    /// What a failed allocation costs, in multiples of the allocation · run time. Higher = fewer failures, more waste.
    pub failure_penalty: f64,
    /// No allocation is smaller, bytes.
    pub floor: f64,
    /// First allocation where there is neither a result nor a request, bytes.
    pub first_guess: f64,
}

impl Default for MemoryRules {
    fn default() -> Self {
        Self { failure_penalty: 3.0, floor: 64e6, first_guess: 4e9 }
    }
}
