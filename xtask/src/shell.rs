//! Running programs: every chore shows the command line it runs, so that a failure can be repeated by hand.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::error::Failure;

/// The `cargo` that started this chore, so that one toolchain is used throughout.
pub(crate) fn cargo(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root);
    command
}

/// Runs `command` with its output shown.
///
/// # Errors
/// The program does not start, or exits with anything but 0.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let line = describe(command);
    println!("$ {line}");
    let start = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|source| Failure::Start { program: line.clone(), source })?;
    if status.success() {
        println!("  ({:.1} s)", start.elapsed().as_secs_f64());
        Ok(())
    } else {
        Err(Failure::Step { command: line, status: status.to_string() })
    }
}

/// Runs `command` silently and returns what it wrote to standard output.
///
/// # Errors
/// The program does not start, or exits with anything but 0 (its standard error is shown then).
pub(crate) fn capture(command: &mut Command) -> Result<Vec<u8>, Failure> {
    let line = describe(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Failure::Start { program: line.clone(), source })?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        Err(Failure::Step { command: line, status: output.status.to_string() })
    }
}

/// Runs `command` as it is, without showing its line: for steps that are repeated for every file.
///
/// # Errors
/// The program does not start, or exits with anything but 0.
pub(crate) fn quietly(command: &mut Command) -> Result<(), Failure> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::Step { command: describe(command), status: status.to_string() }),
        Err(source) => Err(Failure::Start { program: describe(command), source }),
    }
}

/// True if `command` starts and exits with 0; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command line as a person would type it, the program by its short name.
fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
