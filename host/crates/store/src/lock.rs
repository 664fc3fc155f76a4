//! The lock of a state directory: an flock held for life on a file that says who holds it.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::identity::HostIdentity;

const NAME: &str = "lock";

/// Who holds a state directory.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// The process; `None` when the lock is held by somebody who did not (yet) say who.
    pub process: Option<HostIdentity>,
    /// Since when, seconds since the Unix epoch; 0 when unknown.
    pub since: u64,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(process) = &self.process else { return f.write_str("another process") };
        write!(f, "process {} on host {} since {}", process.pid, process.host, Utc(self.since))
    }
}

/// Seconds since the Unix epoch as `2026-11-23 03:50:00 UTC`.
struct Utc(u64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, seconds) = (self.0 / 86_400, self.0 % 86_400);
        // Civil from days, after H. Hinnant, "chrono-Compatible Low-Level Date Algorithms" (years start in March).
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}

/// The lock, held until dropped (or until the process ends, however it ends).
#[derive(Debug)]
pub(crate) struct StateLock {
    file: File,
    /// Who held it before and did not give it back: was killed, or went down with the machine.
    pub(crate) killed: Option<HostIdentity>,
}

impl StateLock {
    /// Takes the lock of a directory.
    pub(crate) fn take(directory: &Path, me: &HostIdentity) -> Result<Self, StoreError> {
        let path = directory.join(NAME);
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.open(&path).map_err(io_error("open", &path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(locked(directory, file)),
                Err(TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
            }
            // Somebody may have removed the file between our open and our lock: then it excludes nobody.
            if is_same(&file, &path) {
                let mut lock = Self { file, killed: None };
                lock.sign(me).map_err(io_error("write", &path))?;
                return Ok(lock);
            }
        }
    }

    fn sign(&mut self, me: &HostIdentity) -> io::Result<()> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let holder = Holder { process: Some(me.clone()), since };
        self.killed = read(&mut self.file).process;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(serde_json::to_string(&holder)?.as_bytes())
    }
}

impl Drop for StateLock {
    fn drop(&mut self) {
        // Nobody holds it: an empty file says so without anybody having to try the lock.
        if let Err(error) = self.file.set_len(0) {
            tracing::warn!(%error, "the lock file cannot be emptied");
        }
    }
}

/// Who holds the directory now; `None` when nobody does. Never takes the lock from a starting run, except for the
/// blink of an eye when the holder is on another host or in another container.
pub(crate) fn live_holder(directory: &Path) -> Option<Holder> {
    let mut file = File::open(directory.join(NAME)).ok()?;
    let holder = read(&mut file);
    match holder.process.as_ref()?.is_alive() {
        Some(alive) => alive.then_some(holder),
        None => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)).then_some(holder),
    }
}

fn locked(directory: &Path, mut file: File) -> StoreError {
    StoreError::Locked { path: directory.to_path_buf(), holder: Box::new(read(&mut file)) }
}

fn read(file: &mut File) -> Holder {
    let mut text = String::new();
    let read = file.read_to_string(&mut text);
    read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or(Holder { process: None, since: 0 })
}

fn is_same(file: &File, path: &Path) -> bool {
    let identity = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(theirs)) => identity(ours) == identity(theirs),
        _ => false,
    }
}

/// An I/O error with what was tried on what.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path: PathBuf = path.to_path_buf();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull { path },
        _ => StoreError::Io { action, path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_about_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let me = HostIdentity::of_this_process().unwrap();
        let first = StateLock::take(directory.path(), &me).unwrap();
        let error = StateLock::take(directory.path(), &me).unwrap_err();
        assert!(matches!(&error, StoreError::Locked { holder, .. } if holder.process.as_ref() == Some(&me)));
        assert!(error.to_string().contains(&format!("process {} on host", me.pid)), "{error}");
        assert_eq!(live_holder(directory.path()).unwrap().process, Some(me.clone()));
        drop(first);
        assert_eq!(live_holder(directory.path()), None);
        assert_eq!(StateLock::take(directory.path(), &me).unwrap().killed, None);
    }

    #[test]
    fn a_removed_lock_file_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let me = HostIdentity::of_this_process().unwrap();
        let _first = StateLock::take(directory.path(), &me).unwrap();
        std::fs::remove_file(directory.path().join(NAME)).unwrap();
        let _second = StateLock::take(directory.path(), &me).unwrap();
        assert!(StateLock::take(directory.path(), &me).is_err());
    }

    #[test]
    fn a_dead_holder_and_garbage_are_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let me = HostIdentity::of_this_process().unwrap();
        let dead = Holder { process: Some(HostIdentity { start_ticks: 1, ..me.clone() }), since: 5 };
        std::fs::write(directory.path().join(NAME), serde_json::to_string(&dead).unwrap()).unwrap();
        assert_eq!(live_holder(directory.path()), None);
        let lock = StateLock::take(directory.path(), &me).unwrap();
        assert_eq!(lock.killed, dead.process, "it never gave it back");
        assert_eq!(live_holder(directory.path()).unwrap().process, Some(me.clone()));
        drop(lock);
        std::fs::write(directory.path().join(NAME), b"\xff\0{").unwrap();
        assert_eq!(live_holder(directory.path()), None);
        assert_eq!(StateLock::take(directory.path(), &me).unwrap().killed, None);
    }

    #[test]
    fn moments_are_written_as_people_read_them() {
        assert_eq!(Utc(0).to_string(), "1970-01-01 00:00:00 UTC");
        assert_eq!(Utc(1_709_251_199).to_string(), "2024-02-29 23:59:59 UTC");
        assert_eq!(Utc(4_102_444_800).to_string(), "2100-01-01 00:00:00 UTC");
    }
}
