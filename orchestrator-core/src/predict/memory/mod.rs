//! Peak memory of a task before it runs: the prequential cost-optimal ladder.
//!
//! Eight closed-form [`Expert`]s say a number each. For each of them the ratios of true peaks to what it had said (from
//! the results known by then, never from the peak itself) are kept as a weighted sample, with a share 1 / (n + 1) of
//! the weight added beyond the largest (the chance that the next of n + 1 exchangeable ratios is the largest). A
//! dynamic program finds for each expert, and for each of five prices of a failure, the ladder of allocations of least
//! expected cost. Each of these arms is then held against the results that come; the cheapest is believed among those
//! that fail in no more than 1 % of attempts, or where that would cost more than a tenth above the cheapest of
//! all, the one that fails least for so much. Prequential: Dawid, "Present position and potential developments: the
//! prequential approach", JRSS A 1984.
//!
//! Memory is bounded (300 results); a prediction costs a look at the nearest sizes at most, since everything else is
//! done when a result comes in.

mod arms;
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
    /// Failed attempts a task that are accepted. Lower = fewer failures, more waste.
    pub accepted_failures: f64,
    /// The share by which allocations may be dearer than the cheapest for fewer failures.
    pub dearer: f64,
    /// No allocation is smaller, bytes.
    pub floor: f64,
    /// First allocation where there is neither a result nor a request, bytes.
    pub first_guess: f64,
}

impl Default for MemoryRules {
    fn default() -> Self {
        Self { accepted_failures: 0.01, dearer: 0.1, floor: 64e6, first_guess: 4e9 }
    }
}
