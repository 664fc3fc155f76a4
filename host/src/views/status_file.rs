//! `live.json` in the state directory: the latest snapshot of a run under way, for `status` and `explain` beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use orchestrator_core::Timestamp;
use orchestrator_core::scheduler::Fact;
use orchestrator_core::view::Snapshot;
use orchestrator_plugin_host::{InstanceStatus, ReloadReport};
use orchestrator_ports::{Notice, Subscriber};
use serde::{Deserialize, Serialize};

use super::plugins::PluginWatch;

const NAME: &str = "live.json";
/// Time between two writings.
const EVERY: Duration = Duration::from_secs(1);

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Live {
    /// The process that wrote it.
    pub(crate) pid: u32,
    /// The state of the run when it was written.
    pub(crate) snapshot: Snapshot,
    /// The plugin instances.
    #[serde(default)]
    pub(crate) plugins: Vec<InstanceStatus>,
    /// Reloads of the plugins that were asked for so far.
    #[serde(default)]
    pub(crate) reloads: u64,
    /// How the last reload of the plugins went.
    #[serde(default)]
    pub(crate) reload: Option<ReloadReport>,
}

impl Live {
    /// What the run under way in a state directory last said; none if none is under way.
    ///
    /// A file that a killed host left behind says nothing: its process is gone.
    pub(crate) fn read(state: &Path) -> Option<Self> {
        let live: Self = serde_json::from_slice(&fs::read(state.join(NAME)).ok()?).ok()?;
        let pid = rustix::process::Pid::from_raw(i32::try_from(live.pid).ok()?)?;
        // Somebody else's process exists too.
        let alive = !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH));
        alive.then_some(live)
    }

    /// What a run last said that was killed; `None` if it said nothing since it began.
    pub(crate) fn left_behind(state: &Path, began: Timestamp) -> Option<Self> {
        let live: Self = serde_json::from_slice(&fs::read(state.join(NAME)).ok()?).ok()?;
        (live.snapshot.at >= began).then_some(live)
    }

    /// As [`Self::read`], if it was written after `time`.
    pub(crate) fn read_after(state: &Path, time: SystemTime) -> Option<Self> {
        let written = fs::metadata(state.join(NAME)).ok()?.modified().ok()?;
        (written > time).then(|| Self::read(state)).flatten()
    }

    /// A run without plugins.
    #[cfg(test)]
    pub(crate) fn of(pid: u32, snapshot: Snapshot) -> Self {
        Self { pid, snapshot, plugins: Vec::new(), reloads: 0, reload: None }
    }

    fn write(&self, state: &Path) -> io::Result<()> {
        let new = state.join("live.json.new");
        // One write: an unbuffered file would take one for every token.
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, state.join(NAME))
    }
}

/// Writes the file, on a thread of its own so that a slow disk holds nothing up. Dropping it removes the file.
pub(crate) struct StatusFile {
    sender: Option<SyncSender<Box<Snapshot>>>,
    thread: Option<JoinHandle<()>>,
    state: PathBuf,
    last: Option<Timestamp>,
}

impl StatusFile {
    /// Begins; the directory has to exist when the first snapshot comes, otherwise nothing is written.
    pub(crate) fn begin(state: &Path, plugins: PluginWatch) -> Self {
        let (sender, snapshots) = sync_channel::<Box<Snapshot>>(1);
        let directory = state.to_owned();
        let work = move || {
            for snapshot in snapshots {
                let live = Live {
                    pid: std::process::id(),
                    snapshot: *snapshot,
                    plugins: plugins.status(),
                    reloads: plugins.reloads(),
                    reload: plugins.last_reload(),
                };
                if let Err(error) = live.write(&directory) {
                    tracing::debug!(%error, "live.json cannot be written: `status` shows no capacity");
                }
            }
        };
        let thread = std::thread::Builder::new().name("live-status".to_owned()).spawn(work).ok();
        Self { sender: Some(sender), thread, state: state.to_owned(), last: None }
    }
}

impl Subscriber for StatusFile {
    fn facts(&mut self, _at: Timestamp, _facts: &[Fact]) {}

    fn snapshot(&mut self, snapshot: &Snapshot) {
        if self.last.is_some_and(|last| snapshot.at.since(last) < EVERY) {
            return;
        }
        // When the last one is still being written, this one is left out.
        let sent =
            self.sender.as_ref().is_some_and(|sender| sender.try_send(Box::new(snapshot.clone())).is_ok());
        if sent {
            self.last = Some(snapshot.at);
        }
    }

    fn notice(&mut self, _at: Timestamp, _notice: &Notice) {}
}

impl Drop for StatusFile {
    fn drop(&mut self) {
        drop(self.sender.take());
        let _ended = self.thread.take().map(JoinHandle::join);
        // It may never have been written.
        let _absent = fs::remove_file(self.state.join(NAME));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::progress::tests::snapshot;

    #[test]
    fn what_a_running_host_writes_can_be_read_beside_it_and_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut view = StatusFile::begin(folder.path(), PluginWatch::default());
        view.snapshot(&snapshot());
        let start = std::time::Instant::now();
        while Live::read(folder.path()).is_none() {
            assert!(start.elapsed() < Duration::from_secs(60), "live.json was never written");
            std::thread::yield_now();
        }
        assert_eq!(Live::read(folder.path()).unwrap().snapshot, snapshot());
        drop(view);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_host_left_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        // Above the highest pid that Linux gives.
        Live::of((1 << 22) + 1, snapshot()).write(folder.path()).unwrap();
        assert_eq!(Live::read(folder.path()), None);
        let at = snapshot().at;
        assert!(Live::left_behind(folder.path(), at).is_some());
        assert_eq!(Live::left_behind(folder.path(), Timestamp(at.0 + 1)), None);
    }
}
