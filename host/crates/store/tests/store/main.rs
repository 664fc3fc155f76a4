//! The store against a real file system: records, kills, damage, readers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod damage;
mod reading;
mod record;
mod scheduler;
