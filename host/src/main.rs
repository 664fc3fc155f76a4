//! The `orchestrator` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    orchestrator_host::main()
}
