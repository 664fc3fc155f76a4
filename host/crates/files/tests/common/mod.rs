//! A room over a temporary directory, and its answers.
#![expect(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::{
    Discovered, FailureReason, InputPath, OutputFault, OutputRecord, ScanReport,
};
use orchestrator_files::{FilesOptions, LocalFiles};
use orchestrator_ports::{Files, FilesEvent, PublishJob};
use tempfile::TempDir;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Room {
    pub(crate) files: LocalFiles,
    pub(crate) events: Receiver<FilesEvent>,
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
}

/// Directories `in` and `out` below a temporary one.
pub(crate) fn places() -> (TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("in"), directory.path().join("out"));
    std::fs::create_dir(&input).unwrap();
    std::fs::create_dir(&output).unwrap();
    (directory, input, output)
}

pub(crate) fn room(input: &Path, output: &Path, change: impl FnOnce(&mut FilesOptions)) -> Room {
    let mut options = FilesOptions::new(input.to_path_buf(), output.to_path_buf(), ".out");
    change(&mut options);
    let (sender, events) = channel();
    let files = LocalFiles::start(options, Arc::new(move |event| drop(sender.send(event)))).unwrap();
    Room { files, events, input: input.to_path_buf(), output: output.to_path_buf() }
}

impl Room {
    pub(crate) fn next(&self) -> FilesEvent {
        self.events.recv_timeout(PATIENCE).expect("an answer")
    }

    /// Scans to the end: batches as they came, and the report.
    pub(crate) fn scan(&self) -> (Vec<Vec<Discovered>>, ScanReport) {
        self.files.scan();
        let mut batches = Vec::new();
        loop {
            match self.next() {
                FilesEvent::Discovered { found, .. } => batches.push(found),
                FilesEvent::ScanFinished(report) => return (batches, report),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The names that a scan finds.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let (batches, report) = self.scan();
        let names: Vec<String> = batches.into_iter().flatten().map(|found| found.path.to_string()).collect();
        assert_eq!(report.matched, names.len() as u64);
        let set: BTreeSet<String> = names.iter().cloned().collect();
        assert_eq!(set.len(), names.len(), "a file was found twice: {names:?}");
        set
    }

    /// Writes an attempt's files as a process would.
    pub(crate) fn write(&self, attempt: u64, input: &str, files: &[(&str, &str)]) {
        let private = self.files.handle().prepare(AttemptId(attempt), &path(input)).unwrap();
        for (name, content) in files {
            let file = private.directory.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, content).unwrap();
        }
    }

    pub(crate) fn validate(&self, attempt: u64, input: &str) -> Result<Vec<OutputRecord>, OutputFault> {
        self.files.validate(AttemptId(attempt), &path(input));
        match self.next() {
            FilesEvent::Validated { attempt: whose, verdict } if whose.0 == attempt => verdict,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn publish(&self, attempt: u64, outputs: Vec<OutputRecord>) -> Result<(), FailureReason> {
        self.files.publish(PublishJob { attempt: AttemptId(attempt), outputs });
        self.files.flush();
        self.published().1
    }

    pub(crate) fn published(&self) -> (u64, Result<(), FailureReason>) {
        match self.next() {
            FilesEvent::Published { attempt } => (attempt.0, Ok(())),
            FilesEvent::PublishFailed { attempt, reason } => (attempt.0, Err(reason)),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.output.join(name)).unwrap()
    }

    pub(crate) fn attempt_dir(&self, attempt: u64) -> PathBuf {
        self.output.join(".orchestrator/partial").join(attempt.to_string())
    }
}

pub(crate) fn path(text: &str) -> InputPath {
    InputPath::new(text.as_bytes())
}

pub(crate) fn record(name: &str, size: u64) -> OutputRecord {
    OutputRecord { path: path(name), size }
}

pub(crate) fn touch(directory: &Path, names: &[&str]) {
    for name in names {
        let file = directory.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, name).unwrap();
    }
}

pub(crate) fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A small file system of its own, unmounted when dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// `None` (and a line that says so) where mounting is not allowed.
    pub(crate) fn tmpfs(at: &Path, options: &str) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output();
        if mounted.is_ok_and(|done| done.status.success()) {
            return Some(Self(at.to_path_buf()));
        }
        eprintln!("SKIPPED: a tmpfs cannot be mounted here (not root)");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(status.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}
