//! Walks the input directory with getdents, without a system call per file.
//!
//! Entries come in the file system's own order, which is neither sorted nor stable: sorting would mean to hold the
//! whole directory before the first launch. One directory is open at a time, besides the input directory itself.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use orchestrator_core::scheduler::{Discovered, InputPath, ScanReport};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, Stat, fstat, openat, stat, statat};
use rustix::io::Errno;

use super::batch::Batches;
use crate::inspect::{content_fingerprint, fingerprint};
use crate::options::FilesOptions;
use crate::selector::Selector;

/// Early files that get a fingerprint, so that calibration can choose by size and capacity is planned by it; each costs a
/// system call, about a microsecond.
const EARLY: u64 = 16_384;
/// Unreadable entries that are reported by name.
const NAMED: usize = 20;
/// Bytes of directory entries read at once.
const BUFFER: usize = 64 * 1024;

type Identity = (u64, u64);

/// A directory and those above it: to recognise loops of symbolic links.
struct Ancestors {
    identity: Identity,
    above: Option<Rc<Ancestors>>,
}

/// A directory yet to be read: its relative path (empty for the input directory).
struct Pending {
    path: Vec<u8>,
    above: Option<Rc<Ancestors>>,
}

/// One walk.
pub(crate) struct Walk<'a> {
    options: &'a FilesOptions,
    selector: &'a Selector,
    stop: &'a AtomicBool,
    skip: Vec<Identity>,
    /// Outputs are published into the input directory: names of outputs are no inputs.
    outputs_here: bool,
    pending: Vec<Pending>,
    report: ScanReport,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(options: &'a FilesOptions, selector: &'a Selector, stop: &'a AtomicBool) -> Self {
        let identity_of = |path: &PathBuf| stat(path).ok().map(|stat| identity(&stat));
        let (input, output) = (identity_of(&options.input_dir), identity_of(&options.output_dir));
        let own = options.skip_dirs.iter().chain([&options.partial_dir, &options.output_dir]);
        let skip = own.filter_map(identity_of).filter(|found| Some(*found) != input).collect();
        let outputs_here = input == output && !options.suffix.is_empty();
        let pending = vec![Pending { path: Vec::new(), above: None }];
        Self { options, selector, stop, skip, outputs_here, pending, report: ScanReport::default() }
    }

    /// Walks to the end (or until told to stop).
    ///
    /// # Errors
    /// When the input directory itself cannot be opened or read.
    pub(crate) fn run(mut self, batches: &mut Batches<'_>) -> Result<ScanReport, Errno> {
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = openat(CWD, &self.options.input_dir, flags, Mode::empty())?;
        while let Some(directory) = self.pending.pop() {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let read = self.enter(&top, &directory).and_then(|entered| match entered {
                Some((fd, above)) => self.read(&fd, &directory.path, &above, &mut buffer, batches),
                None => Ok(()),
            });
            match read {
                Err(error) if directory.path.is_empty() => return Err(error),
                Err(error) => self.unreadable(&directory.path, error),
                Ok(()) => {}
            }
        }
        Ok(self.report)
    }

    /// Opens a directory; `None` when it is one of our own or stands above itself.
    fn enter(&self, top: &OwnedFd, directory: &Pending) -> Result<Option<(OwnedFd, Rc<Ancestors>)>, Errno> {
        let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if !self.options.follow_symlinks && !directory.path.is_empty() {
            flags |= OFlags::NOFOLLOW;
        }
        let name: &[u8] = if directory.path.is_empty() { b"." } else { &directory.path };
        let fd = openat(top, name, flags, Mode::empty())?;
        let identity = identity(&fstat(&fd)?);
        let mut above = directory.above.as_ref();
        while let Some(ancestor) = above {
            if ancestor.identity == identity {
                return Ok(None);
            }
            above = ancestor.above.as_ref();
        }
        if self.skip.contains(&identity) {
            return Ok(None);
        }
        Ok(Some((fd, Rc::new(Ancestors { identity, above: directory.above.clone() }))))
    }

    fn read(
        &mut self,
        fd: &OwnedFd,
        directory: &[u8],
        above: &Rc<Ancestors>,
        buffer: &mut [MaybeUninit<u8>],
        batches: &mut Batches<'_>,
    ) -> Result<(), Errno> {
        let mut path = directory.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        let base = path.len();
        let mut entries = RawDir::new(fd.as_fd(), buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            path.truncate(base);
            path.extend_from_slice(name);
            match self.kind(fd, entry.file_type(), &path, base) {
                FileType::RegularFile => self.file(fd, &path, base, batches),
                FileType::Directory if self.selector.enters(&path, name) => {
                    self.pending.push(Pending { path: path.clone(), above: Some(Rc::clone(above)) });
                }
                _ => {}
            }
            batches.tick();
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(())
    }

    /// The entry's type; a symbolic link's target's type where it matters, else `Unknown`.
    fn kind(&mut self, fd: &OwnedFd, told: FileType, path: &[u8], base: usize) -> FileType {
        let name = &path[base..];
        let told = match told {
            FileType::Unknown => match statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => return FileType::Unknown,
                Err(error) => {
                    self.unreadable(path, error);
                    return FileType::Unknown;
                }
            },
            told => told,
        };
        if told != FileType::Symlink {
            return told;
        }
        let follows = self.options.follow_symlinks && self.selector.descends();
        let selected = self.selector.selects(path, name);
        if !selected && !follows {
            return FileType::Unknown;
        }
        match statat(fd, name, AtFlags::empty()) {
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory if !follows => FileType::Unknown,
                kind => kind,
            },
            Err(error) => {
                if selected {
                    self.unreadable(path, error);
                }
                FileType::Unknown
            }
        }
    }

    fn file(&mut self, fd: &OwnedFd, path: &[u8], base: usize, batches: &mut Batches<'_>) {
        let name = &path[base..];
        if !self.selector.selects(path, name) || self.is_output(fd, path, base) {
            return;
        }
        let known = (self.options.known)(path);
        let fingerprint = if known && self.options.content_fingerprints {
            content_fingerprint(fd, name).ok()
        } else if known || self.report.matched < EARLY {
            match statat(fd, name, AtFlags::empty()) {
                Ok(stat) => Some(fingerprint(&stat)),
                Err(Errno::NOENT) => return,
                Err(_) => None,
            }
        } else {
            None
        };
        self.report.matched += 1;
        batches.push(Discovered { path: InputPath::new(path), fingerprint });
    }

    /// Whether this is the output of another input of the same directory.
    fn is_output(&self, fd: &OwnedFd, path: &[u8], base: usize) -> bool {
        let suffix = self.options.suffix.as_bytes();
        let Some(stem) = path.strip_suffix(suffix).filter(|stem| self.outputs_here && stem.len() > base)
        else {
            return false;
        };
        self.selector.selects(stem, &stem[base..]) && statat(fd, &stem[base..], AtFlags::empty()).is_ok()
    }

    fn unreadable(&mut self, path: &[u8], error: Errno) {
        self.report.unreadable_total += 1;
        if self.report.unreadable.len() < NAMED {
            let words = std::io::Error::from(error).to_string();
            self.report.unreadable.push((InputPath::new(path), words));
        }
    }
}

fn identity(stat: &Stat) -> Identity {
    (stat.st_dev, stat.st_ino)
}
