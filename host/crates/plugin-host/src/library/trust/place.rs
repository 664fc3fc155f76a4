//! Where a file lies and who may change it.
//!
//! A path is walked step by step with `openat`, so that what was checked is what is opened, however links and names
//! change meanwhile. Refused are: a plugin directory that is a symbolic link; a plugin directory or a file that belongs
//! to neither root nor us, or that others may write; a directory above it that everyone may write without the sticky
//! bit. Others are everyone, a group other than root's and our own (the effective one: with umask 0002 a user's files
//! are writable by the group of that user alone), and whomever an access control list lets write. A file that is a
//! symbolic link is followed; what it leads to is held to the same rules.

use rustix::fs::{Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use thiserror::Error;

/// More than any library has.
const LARGEST: u64 = 1 << 30;
/// As the kernel has it.
const MOST_LINKS: usize = 40;

/// Who may write what they should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// Everyone.
    Everyone,
    /// A group that is neither root's nor our own.
    Group(u32),
    /// Whoever a POSIX access control list names.
    Listed,
}

impl fmt::Display for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("everyone"),
            Self::Group(group) => write!(f, "the group {group}"),
            Self::Listed => f.write_str("those whom its access control list names"),
        }
    }
}

/// Why nothing is read from a place. Every sentence follows the path of what was asked for.
#[derive(Debug, Error)]
pub enum PlaceFault {
    /// Others may change it.
    #[error("{} is writable by {writers} (mode {mode:04o}), so that they could change the plugin; run `chmod {}-w {}`",
        subject(path, *above), letter(*writers), path.display())]
    Writable {
        /// The file or directory.
        path: PathBuf,
        /// Whether it lies above what was asked for.
        above: bool,
        /// Who may.
        writers: Writers,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("it belongs to user {owner}, who could change it; give it to root or to the user that runs this (`chown {}`)",
        geteuid().as_raw())]
    Owner {
        /// The owner's number.
        owner: u32,
    },
    /// A plugin directory that is a symbolic link.
    #[error("it is a symbolic link, which could be led elsewhere; name the directory itself, {}", target.display())]
    Link {
        /// Where it leads.
        target: PathBuf,
    },
    /// A directory where a file is wanted.
    #[error("it is a directory; name the library itself")]
    Directory,
    /// No regular file.
    #[error("it is no regular file; remove it or name the library itself")]
    NoFile,
    /// Too large for a library.
    #[error("it has {size} bytes, more than the {LARGEST} that a library may have; remove it")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// It cannot be reached.
    #[error("cannot be read ({0}); check that it exists and its permissions")]
    Unreadable(#[from] io::Error),
}

fn subject(path: &Path, above: bool) -> String {
    if above { format!("the directory {} above it", path.display()) } else { "it".to_owned() }
}

fn letter(writers: Writers) -> char {
    match writers {
        Writers::Everyone => 'o',
        // With a list, the group's bits bound what it allows.
        Writers::Group(_) | Writers::Listed => 'g',
    }
}

/// Which directory, whatever it is called: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DirectoryId(u64, u64);

impl DirectoryId {
    /// Of a directory by its path, links followed; `None` where there is none.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        rustix::fs::stat(path).ok().map(|stat| Self(stat.st_dev, stat.st_ino))
    }
}

/// A directory that was reached by a checked way and is held open.
#[derive(Debug)]
pub(crate) struct Directory {
    handle: OwnedFd,
    real: PathBuf,
}

impl Directory {
    /// A plugin directory.
    pub(crate) fn of_plugins(path: &Path) -> Result<Self, PlaceFault> {
        let directory = walk(path, Last::NoLink)?;
        let stat = fstat(&directory.handle).map_err(io::Error::from)?;
        check_owner(&stat)?;
        check_writers(&directory.handle, &stat, path)?;
        Ok(directory)
    }

    /// The names of all `*.so` in it that are no directories, in order.
    pub(crate) fn libraries(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let is_library = Path::new(name).extension().is_some_and(|extension| extension == "so");
            if is_library && !matches!(entry.file_type(), FileType::Directory) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Opens a file of it, following a link at most so often.
    pub(crate) fn open(self, name: &OsStr) -> Result<Opened, PlaceFault> {
        let (mut directory, mut name) = (self, name.to_owned());
        for _ in 0..MOST_LINKS {
            let flags =
                OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            match openat(&directory.handle, &name, flags, Mode::empty()) {
                Ok(handle) => return Opened::check(directory, name, handle.into()),
                Err(Errno::LOOP) => {
                    let target = readlinkat(&directory.handle, &name, Vec::new()).map_err(io::Error::from)?;
                    let target = directory.real.join(OsStr::from_bytes(target.to_bytes()));
                    (directory, name) = above(&target)?;
                }
                Err(error) => return Err(PlaceFault::Unreadable(error.into())),
            }
        }
        Err(PlaceFault::Unreadable(Errno::LOOP.into()))
    }

    /// Which one it is.
    pub(crate) fn id(&self) -> io::Result<DirectoryId> {
        let stat = fstat(&self.handle)?;
        Ok(DirectoryId(stat.st_dev, stat.st_ino))
    }

    /// Another handle of the same directory.
    pub(crate) fn again(&self) -> io::Result<Self> {
        Ok(Self { handle: self.handle.try_clone()?, real: self.real.clone() })
    }
}

/// A checked file that is held open together with its directory.
#[derive(Debug)]
pub(crate) struct Opened {
    directory: Directory,
    name: OsString,
    file: File,
    size: u64,
}

impl Opened {
    /// Opens a file by its path.
    pub(crate) fn at(path: &Path) -> Result<Self, PlaceFault> {
        let (directory, name) = above(path)?;
        directory.open(&name)
    }

    fn check(directory: Directory, name: OsString, file: File) -> Result<Self, PlaceFault> {
        let stat = fstat(&file).map_err(io::Error::from)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Err(PlaceFault::Directory),
            _ => return Err(PlaceFault::NoFile),
        }
        check_owner(&stat)?;
        check_writers(&file, &stat, &directory.real.join(&name))?;
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        if size > LARGEST {
            return Err(PlaceFault::TooLarge { size });
        }
        Ok(Self { directory, name, file, size })
    }

    /// All of it.
    pub(crate) fn read(&mut self) -> Result<Vec<u8>, PlaceFault> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.size).unwrap_or_default());
        (&self.file).take(LARGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The file beside it whose name is longer by `ending`, if there is one; at most `most` bytes.
    pub(crate) fn companion(&self, ending: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        let mut name = self.name.clone();
        name.push(ending);
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match openat(&self.directory.handle, &name, flags, Mode::empty()) {
            Ok(handle) => File::from(handle),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// The directory that it lies in, links followed.
    pub(crate) fn directory(&self) -> io::Result<DirectoryId> {
        self.directory.id()
    }
}

/// The directory of a path, and the name in it.
fn above(path: &Path) -> Result<(Directory, OsString), PlaceFault> {
    let absolute = std::path::absolute(path)?;
    let name = absolute.file_name().ok_or(PlaceFault::NoFile)?.to_owned();
    let directory = walk(absolute.parent().unwrap_or(Path::new("/")), Last::AnyDirectory)?;
    // Whoever may write a directory without the sticky bit may replace what lies in it.
    check_above(&directory)?;
    Ok((directory, name))
}

/// What the last step of a way may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    NoLink,
    AnyDirectory,
}

/// Walks a path from the root. Every directory that is left behind is checked; the last one is the caller's to check.
fn walk(path: &Path, last: Last) -> Result<Directory, PlaceFault> {
    let mut steps: VecDeque<OsString> = names(&std::path::absolute(path)?);
    let mut at = root()?;
    let mut links = 0;
    while let Some(step) = steps.pop_front() {
        check_above(&at)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = openat(&at.handle, &step, flags, Mode::empty()).map_err(io::Error::from)?;
        let kind = FileType::from_raw_mode(fstat(&handle).map_err(io::Error::from)?.st_mode);
        if kind == FileType::Symlink {
            let target = readlinkat(&at.handle, &step, Vec::new()).map_err(io::Error::from)?;
            let target = Path::new(OsStr::from_bytes(target.to_bytes())).to_owned();
            if steps.is_empty() && last == Last::NoLink {
                return Err(PlaceFault::Link { target: at.real.join(target) });
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(PlaceFault::Unreadable(Errno::LOOP.into()));
            }
            if target.is_absolute() {
                at = root()?;
            }
            for name in names(&target).into_iter().rev() {
                steps.push_front(name);
            }
            continue;
        }
        if kind != FileType::Directory {
            return Err(PlaceFault::Unreadable(Errno::NOTDIR.into()));
        }
        at = at.step(&step, handle);
    }
    if last == Last::AnyDirectory {
        return Ok(at);
    }
    // What was opened as a mere path cannot be listed.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = openat(&at.handle, ".", flags, Mode::empty()).map_err(io::Error::from)?;
    Ok(Directory { handle, real: at.real })
}

impl Directory {
    fn step(mut self, name: &OsStr, handle: OwnedFd) -> Self {
        if name == ".." {
            self.real.pop();
        } else {
            self.real.push(name);
        }
        Self { handle, real: self.real }
    }
}

fn root() -> Result<Directory, PlaceFault> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = rustix::fs::open("/", flags, Mode::empty()).map_err(io::Error::from)?;
    Ok(Directory { handle, real: PathBuf::from("/") })
}

/// The steps of a path without root and `.`.
fn names(path: &Path) -> VecDeque<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(name).collect()
}

fn check_above(directory: &Directory) -> Result<(), PlaceFault> {
    let stat = fstat(directory.handle.as_fd()).map_err(io::Error::from)?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    if mode.contains(Mode::WOTH) && !mode.contains(Mode::SVTX) {
        let (path, writers) = (directory.real.clone(), Writers::Everyone);
        return Err(PlaceFault::Writable { path, above: true, writers, mode: stat.st_mode & 0o7777 });
    }
    Ok(())
}

fn check_owner(stat: &Stat) -> Result<(), PlaceFault> {
    let owner = stat.st_uid;
    if owner == 0 || owner == geteuid().as_raw() { Ok(()) } else { Err(PlaceFault::Owner { owner }) }
}

fn check_writers(handle: impl AsFd, stat: &Stat, path: &Path) -> Result<(), PlaceFault> {
    let mode = Mode::from_raw_mode(stat.st_mode);
    let own_group = stat.st_gid == 0 || stat.st_gid == getegid().as_raw();
    let writers = if mode.contains(Mode::WOTH) {
        Writers::Everyone
    } else if mode.contains(Mode::WGRP) && !own_group {
        Writers::Group(stat.st_gid)
    } else if mode.contains(Mode::WGRP) && has_list(handle) {
        Writers::Listed
    } else {
        return Ok(());
    };
    Err(PlaceFault::Writable { path: path.to_owned(), above: false, writers, mode: stat.st_mode & 0o7777 })
}

/// Whether it has a POSIX access control list; where one is, the mode's group bits bound all that it allows.
fn has_list(handle: impl AsFd) -> bool {
    rustix::fs::fgetxattr_query(handle, "system.posix_acl_access").is_ok_and(|size| size > 0)
}
