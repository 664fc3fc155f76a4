//! The sync calls.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open, syncfs};

/// The output file system, held open since the start so that `syncfs` reports every write error since then.
#[derive(Debug)]
pub(crate) struct OutputFileSystem(File);

impl OutputFileSystem {
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        Ok(Self(open_directory(directory)?))
    }

    /// Writes everything of this file system to its device.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(syncfs(&self.0)?)
    }
}

/// Makes a file's content durable.
pub(crate) fn sync_file(path: &Path) -> io::Result<()> {
    // NOFOLLOW: what was judged a regular file must still be one.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    File::from(open(path, flags, Mode::empty())?).sync_all()
}

/// Makes a directory's entries durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    open_directory(path)?.sync_all()
}

fn open_directory(path: &Path) -> io::Result<File> {
    Ok(File::from(open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
}
