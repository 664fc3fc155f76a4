//! Watches an output folder from outside: whatever appears under a final name must be whole at once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

/// What must lie under each final name: file name → content.
pub type Expected = BTreeMap<OsString, Vec<u8>>;

/// A thread that checks every appearance and every change of a final name against [`Expected`].
#[derive(Debug)]
pub struct Watcher {
    thread: JoinHandle<Report>,
    stop: PathBuf,
}

/// What the watcher saw.
#[derive(Debug, Default)]
pub struct Report {
    /// How often a final name was looked at.
    pub looks: usize,
    /// Sentences about files that were not whole.
    pub partial: Vec<String>,
}

impl Watcher {
    /// Watches `folder`, which must exist, until [`Watcher::finish`].
    ///
    /// # Panics
    /// The system refuses the watch.
    #[must_use]
    pub fn start(folder: &Path, expected: Expected) -> Self {
        let queue = inotify::init(CreateFlags::CLOEXEC).expect("an inotify queue");
        let changes = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MODIFY | WatchFlags::ATTRIB;
        inotify::add_watch(&queue, folder, changes).expect("a watch on the output folder");
        let folder = folder.to_owned();
        let stop = folder.join(".watcher-stops");
        let thread = std::thread::spawn(move || watch(queue, &folder, &expected));
        Self { thread, stop }
    }

    /// Ends the watch after every event up to now, and says what it saw.
    ///
    /// # Panics
    /// The watching thread panicked.
    #[must_use]
    pub fn finish(self) -> Report {
        fs::write(&self.stop, "").expect("the watcher's own mark");
        let report = self.thread.join().expect("the watcher lives");
        fs::remove_file(&self.stop).expect("the watcher's own mark");
        report
    }
}

fn watch(queue: OwnedFd, folder: &Path, expected: &Expected) -> Report {
    let mut report = Report::default();
    let mut buffer = [MaybeUninit::uninit(); 64 * 1024];
    let mut events = Reader::new(queue, &mut buffer);
    loop {
        let event = events.next().expect("an inotify event");
        if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
            // Some events are lost: look at everything that is there.
            expected.iter().for_each(|(name, content)| look(folder, name, content, &mut report));
            continue;
        }
        let Some(name) = event.file_name() else { continue };
        let name = OsString::from_vec(name.to_bytes().to_vec());
        if name == ".watcher-stops" {
            return report;
        }
        if let Some(content) = expected.get(&name) {
            look(folder, &name, content, &mut report);
        }
    }
}

fn look(folder: &Path, name: &OsString, content: &[u8], report: &mut Report) {
    let Ok(found) = fs::read(folder.join(name)) else { return };
    report.looks += 1;
    if found != content {
        let sizes = format!("{} of {} bytes", found.len(), content.len());
        report.partial.push(format!("{} was not whole: {sizes}", name.display()));
    }
}
