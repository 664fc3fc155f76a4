//! The executor on real processes.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod common;
mod driver;
mod launch;
mod limits;
mod orphans;
mod trees;
mod ways;
