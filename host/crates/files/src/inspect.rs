//! Looking at an input just before it is launched.

use std::fs::File;
use std::io;
use std::path::Path;

use orchestrator_core::scheduler::{FailureReason, Fingerprint, InputPath, SpawnFault};
use rustix::fd::AsFd;
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat, stat};
use rustix::io::Errno;
use rustix::path::Arg;
use rustix::process::geteuid;

use crate::fault::is_shortage;
use crate::layout::FilesHandle;

impl FilesHandle {
    /// Looks whether the input can be read, and takes its fingerprint.
    ///
    /// # Errors
    /// `InputVanished` when nothing is there any more (a dangling link included), `Spawn` when the machine is short of
    /// files or memory (the input's turn comes again), `InputUnreadable` otherwise.
    pub fn inspect_input(&self, path: &InputPath) -> Result<Fingerprint, FailureReason> {
        inspect(&self.input(path), self.options.content_fingerprints)
    }
}

fn inspect(path: &Path, content: bool) -> Result<Fingerprint, FailureReason> {
    if !content {
        let stat = stat(path).map_err(fault)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && mode_lets_us_read(&stat) {
            return Ok(fingerprint(&stat));
        }
    }
    let file = open_input(rustix::fs::CWD, path).map_err(fault)?;
    let stat = fstat(&file).map_err(|error| unreadable(&error.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(FailureReason::InputUnreadable { detail: "it is no longer a regular file".to_owned() });
    }
    if content { hash(&file, &stat).map_err(|error| unreadable(&error)) } else { Ok(fingerprint(&stat)) }
}

/// Whether the mode alone says that we may read the file: then it is not opened to try, which costs five times as much
/// as `stat`. Where more than the mode decides (an access control list, a server) the process finds out for itself.
fn mode_lets_us_read(stat: &Stat) -> bool {
    let mode = Mode::from_raw_mode(stat.st_mode);
    mode.contains(Mode::ROTH | Mode::RGRP | Mode::RUSR)
        || mode.contains(Mode::RUSR) && stat.st_uid == geteuid().as_raw()
}

fn fault(error: Errno) -> FailureReason {
    match error {
        Errno::NOENT | Errno::NOTDIR => FailureReason::InputVanished,
        error => unreadable(&error.into()),
    }
}

/// NONBLOCK: a named pipe that took the file's place must not hang us.
fn open_input(directory: impl AsFd, path: impl Arg) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    openat(directory, path, flags, Mode::empty()).map(File::from)
}

fn unreadable(error: &io::Error) -> FailureReason {
    if is_shortage(error) {
        let detail = format!("the input file cannot be opened: {error}");
        return FailureReason::Spawn(SpawnFault::Machine { detail });
    }
    FailureReason::InputUnreadable { detail: error.to_string() }
}

/// Size and content of a file in a directory.
pub(crate) fn content_fingerprint(directory: impl AsFd, name: &[u8]) -> io::Result<Fingerprint> {
    let file = open_input(directory, name)?;
    let stat = fstat(&file)?;
    hash(&file, &stat)
}

/// Size, and the first eight bytes of the content's BLAKE3 hash as the version.
fn hash(file: &File, stat: &Stat) -> io::Result<Fingerprint> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    Ok(Fingerprint { size: size(stat), version: i64::from_le_bytes(first) })
}

/// Size, and the modification time as the version.
pub(crate) fn fingerprint(stat: &Stat) -> Fingerprint {
    let nanoseconds = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
    let clamped = nanoseconds.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    Fingerprint { size: size(stat), version: i64::try_from(clamped).unwrap_or(i64::MAX) }
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_trusted_only_where_nobody_could_be_refused_by_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        std::fs::write(&path, "x").unwrap();
        let mode = |bits: u32| {
            rustix::fs::chmod(&path, Mode::from_raw_mode(bits)).unwrap();
            stat(&path).unwrap()
        };
        assert!(mode_lets_us_read(&mode(0o644)));
        assert!(mode_lets_us_read(&mode(0o400)), "ours");
        assert!(!mode_lets_us_read(&mode(0o044)), "not for the owner");
        assert!(!mode_lets_us_read(&mode(0o000)));
        let foreign = |bits: u32| {
            let mut stat = mode(bits);
            stat.st_uid = geteuid().as_raw() + 1;
            stat
        };
        assert!(mode_lets_us_read(&foreign(0o444)));
        assert!(!mode_lets_us_read(&foreign(0o440)) && !mode_lets_us_read(&foreign(0o404)));
    }
}
