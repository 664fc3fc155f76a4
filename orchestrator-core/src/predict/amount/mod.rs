//! How much of something a task will need: run time, CPU time, bytes read or written, size of the output.
//!
//! Eight closed-form experts over input size and recency each say a number; the one whose numbers have been nearest of
//! late (decayed mean of |ln(said / true)|) is believed. The spread of true over said gives the 95th percentile.
//! All of a quantity that varies by factors, so errors are relative and the fits are made in logarithms.

mod experts;
mod predictor;

pub use predictor::{AmountPrediction, AmountPredictor, AmountResult, AmountState};
