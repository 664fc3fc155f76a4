//! The journal: every record as it comes, in a file that is appended to. It is what makes a record survive; the database
//! follows some milliseconds later, many records in one transaction.
//!
//! A record costs one `write` here and counts as written when that returns: it is in the kernel's hands and survives
//! our death. One `fdatasync` makes all before it survive a power cut. After a crash the next start brings the database
//! up to date from here ([`replay`]).

mod codec;
mod replay;
mod segment;

pub(crate) use replay::{remove_all, replay};
pub(crate) use segment::{Appender, Header, Segment};
