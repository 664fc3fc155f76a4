//! From an input file to what is executed for it.

mod command_line;
pub mod order;
pub mod template;

pub use command_line::{CommandPlan, Invocation, output_path, uses_private_output};
