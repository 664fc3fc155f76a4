//! Captured output: a pipe that the loop empties into a file, up to a cap.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;

/// Reads at most this much for one stream before others have their turn.
const TURN: usize = 1 << 20;

/// What a look at a stream found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pumped {
    /// Empty for now; somebody still holds the other end.
    Open,
    /// The turn is over and there is more.
    More,
    /// All writers have closed it.
    Closed,
}

/// One captured stream.
#[derive(Debug)]
pub(crate) struct Capture {
    pipe: OwnedFd,
    /// The loop hears of output.
    pub(crate) heard: bool,
    /// Reading from the empty pipe would block: a short, silent child is not worth the call that ends this.
    blocks: bool,
    path: PathBuf,
    file: Option<File>,
    max_bytes: u64,
    kept: u64,
    dropped: u64,
    broken: bool,
}

impl Capture {
    /// Captures what comes out of `pipe` (the reading end, as it was made) into `path`.
    pub(crate) fn new(pipe: OwnedFd, path: PathBuf, max_bytes: u64) -> Self {
        Self {
            pipe,
            heard: false,
            blocks: true,
            path,
            file: None,
            max_bytes,
            kept: 0,
            dropped: 0,
            broken: false,
        }
    }

    /// The reading end.
    pub(crate) fn pipe(&self) -> &OwnedFd {
        &self.pipe
    }

    /// Whether something came.
    pub(crate) fn spoke(&self) -> bool {
        self.file.is_some() || self.dropped > 0
    }

    /// Takes what there is, for one turn.
    pub(crate) fn pump(&mut self, buffer: &mut [u8]) -> Pumped {
        if self.blocks {
            if let Err(error) = fcntl_setfl(&self.pipe, OFlags::NONBLOCK) {
                tracing::warn!(path = %self.path.display(), %error, "captured output cannot be read");
                return Pumped::Closed;
            }
            self.blocks = false;
        }
        let mut taken = 0;
        while taken < TURN {
            match rustix::io::read(&self.pipe, &mut *buffer) {
                Ok(0) => return Pumped::Closed,
                Ok(length) => {
                    taken += length;
                    self.keep(&buffer[..length]);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Pumped::Open,
                Err(_) => return Pumped::Closed,
            }
        }
        Pumped::More
    }

    /// Ends the capture: a last line says how much was dropped, if any was.
    pub(crate) fn finish(mut self) {
        if self.dropped == 0 || self.broken {
            return;
        }
        let marker = format!(
            "\n[orchestrator: output cut after {} bytes, {} more bytes were dropped]\n",
            self.kept, self.dropped
        );
        self.write(marker.as_bytes());
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = usize::try_from(self.max_bytes - self.kept).unwrap_or(usize::MAX);
        let (wanted, surplus) = bytes.split_at(bytes.len().min(room));
        if !self.broken && !wanted.is_empty() && self.write(wanted) {
            self.kept += wanted.len() as u64;
            self.dropped += surplus.len() as u64;
        } else {
            self.dropped += bytes.len() as u64;
        }
    }

    /// Writes to the file, creating it first. A disk that is full or broken ends the capture, never the child.
    fn write(&mut self, bytes: &[u8]) -> bool {
        let file = match &mut self.file {
            Some(file) => Ok(file),
            None => create(&self.path).map(|file| self.file.insert(file)),
        };
        match file.and_then(|file| file.write_all(bytes)) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "captured output cannot be written any more");
                self.broken = true;
                false
            }
        }
    }
}

/// Creates the file, and its directory when it is missing.
fn create(path: &Path) -> io::Result<File> {
    match File::create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(directory) = path.parent() {
                std::fs::create_dir_all(directory)?;
            }
            File::create(path)
        }
        outcome => outcome,
    }
}
