//! From an input file to what is executed for it.

mod command_line;
mod environment;
pub mod order;
pub mod template;

pub use command_line::{CommandPlan, Invocation, log_path, output_path, uses_private_output};
pub use environment::Environment;
