//! Facts of one process that the host reads only when a plugin asks.

use super::host;
use crate::abi::{FactId, TextId};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What can be asked about one process, descendants left out. Each question makes the host read a file of `/proc`,
/// or answer from what it has read in the same round (open files: since the process last ran); a sandboxed plugin asks
/// the same way and gets the same answers.
///
/// Every answer is `None` where the process is gone, is none of the host's, or cannot be looked into; where the
/// kernel does not offer the fact; between calls; and on a host of contract 1.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pid: u32,
}

impl Facts {
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid }
    }

    /// Whose facts these are.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Bytes that read calls returned so far, whatever their source (`rchar` of `/proc/PID/io`).
    pub fn io_read_chars(&self) -> Option<f64> {
        self.number(FactId::IO_READ_CHARS)
    }

    /// Bytes that were handed to write calls so far (`wchar` of `/proc/PID/io`).
    pub fn io_write_chars(&self) -> Option<f64> {
        self.number(FactId::IO_WRITE_CHARS)
    }

    /// Read calls so far (`syscr` of `/proc/PID/io`).
    pub fn io_read_calls(&self) -> Option<f64> {
        self.number(FactId::IO_READ_CALLS)
    }

    /// Write calls so far (`syscw` of `/proc/PID/io`).
    pub fn io_write_calls(&self) -> Option<f64> {
        self.number(FactId::IO_WRITE_CALLS)
    }

    /// Bytes fetched from storage so far (`read_bytes` of `/proc/PID/io`).
    pub fn io_read_bytes(&self) -> Option<f64> {
        self.number(FactId::IO_READ_BYTES)
    }

    /// Bytes sent to storage so far (`write_bytes` of `/proc/PID/io`).
    pub fn io_write_bytes(&self) -> Option<f64> {
        self.number(FactId::IO_WRITE_BYTES)
    }

    /// Memory in bytes, shared pages divided by the number of their users (`Pss` of `/proc/PID/smaps_rollup`).
    pub fn pss_bytes(&self) -> Option<f64> {
        self.number(FactId::PSS_BYTES)
    }

    /// Memory in bytes that nobody else uses (the private pages of `/proc/PID/smaps_rollup`).
    pub fn uss_bytes(&self) -> Option<f64> {
        self.number(FactId::USS_BYTES)
    }

    /// Swapped-out memory in bytes (`Swap` of `/proc/PID/smaps_rollup`).
    pub fn swap_bytes(&self) -> Option<f64> {
        self.number(FactId::SWAP_BYTES)
    }

    /// Open file descriptors (entries of `/proc/PID/fd`).
    pub fn open_files(&self) -> Option<f64> {
        self.number(FactId::OPEN_FILES)
    }

    /// How likely the kernel ends the process when memory runs out, 0 to 2000 (`/proc/PID/oom_score`).
    pub fn oom_score(&self) -> Option<f64> {
        self.number(FactId::OOM_SCORE)
    }

    /// Adjustment of that score, -1000 to 1000 (`/proc/PID/oom_score_adj`).
    pub fn oom_score_adj(&self) -> Option<f64> {
        self.number(FactId::OOM_SCORE_ADJ)
    }

    /// Nice value, -20 to 19 (field 19 of `/proc/PID/stat`).
    pub fn nice(&self) -> Option<f64> {
        self.number(FactId::NICE)
    }

    /// Path of the running program (the link `/proc/PID/exe`; ` (deleted)` at its end if the file is gone).
    pub fn exe(&self) -> Option<PathBuf> {
        self.path(TextId::EXE)
    }

    /// Working directory (the link `/proc/PID/cwd`).
    pub fn working_directory(&self) -> Option<PathBuf> {
        self.path(TextId::WORKING_DIRECTORY)
    }

    /// Program and arguments (`/proc/PID/cmdline`); empty for a zombie.
    pub fn command_line(&self) -> Option<Vec<OsString>> {
        let bytes = host::process_text(self.pid, TextId::COMMAND_LINE)?;
        let whole = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
        let arguments = whole.split(|byte| *byte == 0).map(|word| OsStr::from_bytes(word).to_owned());
        Some(if bytes.is_empty() { Vec::new() } else { arguments.collect() })
    }

    /// Path within the cgroup v2 hierarchy, such as `/user.slice/session-1.scope` (`/proc/PID/cgroup`).
    pub fn cgroup(&self) -> Option<String> {
        String::from_utf8(host::process_text(self.pid, TextId::CGROUP)?).ok()
    }

    /// The value of an environment variable that the process was started with (`/proc/PID/environ`).
    pub fn environment(&self, name: &str) -> Option<OsString> {
        host::process_environment(self.pid, name).map(OsString::from_vec)
    }

    fn number(&self, id: FactId) -> Option<f64> {
        host::process_number(self.pid, id)
    }

    fn path(&self, id: TextId) -> Option<PathBuf> {
        host::process_text(self.pid, id).map(|bytes| PathBuf::from(OsString::from_vec(bytes)))
    }
}
