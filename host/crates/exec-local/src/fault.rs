//! Whose fault it is when a process cannot be started.

use std::io;
use std::path::Path;

use orchestrator_core::scheduler::SpawnFault;
use rustix::io::Errno;

/// Faults that have nothing to do with what was asked for: the machine is short of something.
fn machine_or_disk(error: &io::Error, detail: &str) -> Option<SpawnFault> {
    let detail = || detail.to_owned();
    match Errno::from_io_error(error)? {
        Errno::AGAIN
        | Errno::NOMEM
        | Errno::MFILE
        | Errno::NFILE
        | Errno::INTR
        | Errno::IO
        | Errno::TXTBSY => Some(SpawnFault::Machine { detail: detail() }),
        Errno::NOSPC | Errno::DQUOT => Some(SpawnFault::DiskFull { detail: detail() }),
        _ => None,
    }
}

/// The program could not be executed.
pub(crate) fn of_program(error: &io::Error, program: &Path, directory: Option<&Path>) -> SpawnFault {
    let name = program.display();
    if let Some(fault) = machine_or_disk(error, &format!("{name}: {error}")) {
        return fault;
    }
    if Errno::from_io_error(error) == Some(Errno::TOOBIG) {
        let detail =
            format!("{name}: {error}: the arguments and the environment are larger than the system takes");
        return SpawnFault::Input { detail };
    }
    if error.kind() == io::ErrorKind::InvalidInput {
        return SpawnFault::Input {
            detail: format!("{name}: an argument holds a NUL byte, which no program can be passed"),
        };
    }
    if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
        let detail = format!("the working directory {} is missing or is no directory", directory.display());
        return SpawnFault::Config { detail };
    }
    let hint = match error.kind() {
        io::ErrorKind::NotFound if program.exists() => ": the interpreter or loader that it names is missing",
        io::ErrorKind::NotFound if program.components().count() == 1 => ": it is in no directory of PATH",
        io::ErrorKind::PermissionDenied if program.is_dir() => ": it is a directory",
        io::ErrorKind::PermissionDenied => ": check its execute permission",
        _ => "",
    };
    SpawnFault::Config { detail: format!("{name}: {error}{hint}") }
}

/// The file for standard input could not be opened.
pub(crate) fn of_input(error: &io::Error, path: &Path) -> SpawnFault {
    let detail = format!("{}: {error}", path.display());
    machine_or_disk(error, &detail).unwrap_or(SpawnFault::Input { detail })
}

/// A file for standard output or error could not be created.
pub(crate) fn of_output(error: &io::Error, path: &Path) -> SpawnFault {
    let detail = format!("{}: {error}", path.display());
    if let Some(fault) = machine_or_disk(error, &detail) {
        return fault;
    }
    match Errno::from_io_error(error) {
        Some(Errno::NAMETOOLONG) => SpawnFault::Input { detail },
        _ => SpawnFault::Config { detail },
    }
}

/// A kernel object for watching the child could not be had.
pub(crate) fn of_machine(what: &str, error: &io::Error) -> SpawnFault {
    SpawnFault::Machine { detail: format!("{what}: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(errno: i32) -> SpawnFault {
        of_program(&io::Error::from_raw_os_error(errno), Path::new("/x/y"), None)
    }

    #[test]
    fn faults_are_told_apart_by_their_number() {
        for errno in [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::ETXTBSY] {
            assert!(matches!(program(errno), SpawnFault::Machine { .. }), "{errno}");
        }
        for errno in [libc::ENOENT, libc::EACCES, libc::ENOEXEC, libc::ENOTDIR, libc::ELOOP, libc::EPERM] {
            assert!(matches!(program(errno), SpawnFault::Config { .. }), "{errno}");
        }
        assert!(matches!(program(libc::E2BIG), SpawnFault::Input { .. }));
        for errno in [libc::ENOSPC, libc::EDQUOT] {
            let fault = of_output(&io::Error::from_raw_os_error(errno), Path::new("/x"));
            assert!(matches!(fault, SpawnFault::DiskFull { .. }), "{errno}");
        }
    }
}
