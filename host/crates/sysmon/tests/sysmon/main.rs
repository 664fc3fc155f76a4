//! The probe on this machine and on real processes.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod common;
mod machine;
mod trees;
