//! The process that a metrics plugin is asked about.

use super::facts::Facts;
use crate::abi::{FactId, ProcessView, TextId};
use std::ffi::OsStr;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// One of the host's processes, with the facts that the host has read for this interval.
///
/// What is asked of it directly (`cpu_seconds()`, `rss_bytes()`, …) is at hand and includes its descendants. What comes
/// from [`Facts`] (`open_files()`, `pss_bytes()`, `exe()`, …) is read when asked for and is of the process alone;
/// [`of`](Self::of) asks about a descendant. A fact that this host does not offer, or could not read, is `None`.
pub struct Process<'a> {
    view: &'a ProcessView<'a>,
    own: Facts,
}

impl Deref for Process<'_> {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.own
    }
}

impl<'a> Process<'a> {
    /// Wraps the binary view; for hosts and for tests of plugins.
    pub fn new(view: &'a ProcessView<'a>) -> Self {
        Self { view, own: Facts::of(view.pid) }
    }

    /// What can be asked about one process of the tree: `process.of(pid).open_files()`.
    pub fn of(&self, pid: u32) -> Facts {
        Facts::of(pid)
    }

    /// Process identifier of the process that the host started.
    pub fn pid(&self) -> u32 {
        self.view.pid
    }

    /// Start time in clock ticks after boot (field 22 of `/proc/PID/stat`).
    pub fn start_ticks(&self) -> Option<u64> {
        (self.view.start_ticks != 0).then_some(self.view.start_ticks)
    }

    /// All living descendants, the process itself left out.
    pub fn descendants(&self) -> &'a [u32] {
        self.view.descendants.as_slice()
    }

    /// The process and all its living descendants.
    pub fn tree(&self) -> impl Iterator<Item = u32> + use<'a> {
        std::iter::once(self.view.pid).chain(self.descendants().iter().copied())
    }

    /// CPU time used so far, in seconds, descendants included.
    pub fn cpu_seconds(&self) -> Option<f64> {
        self.number(FactId::CPU_SECONDS)
    }

    /// Resident memory in bytes, descendants included.
    pub fn rss_bytes(&self) -> Option<f64> {
        self.number(FactId::RSS_BYTES)
    }

    /// Virtual memory in bytes, descendants included.
    pub fn virtual_bytes(&self) -> Option<f64> {
        self.number(FactId::VIRTUAL_BYTES)
    }

    /// Bytes read from storage so far, descendants included.
    pub fn read_bytes(&self) -> Option<f64> {
        self.number(FactId::READ_BYTES)
    }

    /// Bytes written to storage so far, descendants included.
    pub fn write_bytes(&self) -> Option<f64> {
        self.number(FactId::WRITE_BYTES)
    }

    /// Number of threads, descendants included.
    pub fn threads(&self) -> Option<f64> {
        self.number(FactId::THREADS)
    }

    /// Seconds since the process was started.
    pub fn age_seconds(&self) -> Option<f64> {
        self.number(FactId::AGE_SECONDS)
    }

    /// The task's identifier.
    pub fn task(&self) -> Option<&'a str> {
        std::str::from_utf8(self.text(TextId::TASK)?).ok()
    }

    /// Path of the input file.
    pub fn input_file(&self) -> Option<&'a Path> {
        self.path(TextId::INPUT_FILE)
    }

    /// Path of the final output file.
    pub fn output_file(&self) -> Option<&'a Path> {
        self.path(TextId::OUTPUT_FILE)
    }

    /// The attempt's private working place.
    pub fn temp_dir(&self) -> Option<&'a Path> {
        self.path(TextId::TEMP_DIR)
    }

    fn number(&self, id: FactId) -> Option<f64> {
        self.view.numbers.iter().find(|number| number.id == id).map(|number| number.value)
    }

    fn text(&self, id: TextId) -> Option<&'a [u8]> {
        self.view.texts.as_slice().iter().find(|text| text.id == id).map(|text| text.bytes.as_slice())
    }

    fn path(&self, id: TextId) -> Option<&'a Path> {
        self.text(id).map(|bytes| Path::new(OsStr::from_bytes(bytes)))
    }
}
