//! From an input file to what is executed for it.

pub mod order;
pub mod template;
