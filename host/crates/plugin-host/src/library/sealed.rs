//! The private copy that the loader maps.
//!
//! Loading the file where it lies is wrong in three ways: an overwrite in place changes the code under the running host
//! (SIGSEGV), a second load of the same path returns the old code, and a file name without `/` is looked up in the
//! library search path. So the checked bytes go into a sealed memory file, named by their hash; once it is mapped its
//! descriptor stays open to the end of the process, so that its path is never used for anything else.

use super::file::ContentHash;
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes that nobody can change any more, behind a descriptor that the loader can map and that can be handed to another
/// process. A clone is the same descriptor.
#[derive(Clone, Debug)]
pub struct Sealed(Arc<OwnedFd>);

impl Sealed {
    /// Copies the bytes.
    pub(crate) fn new(bytes: &[u8], hash: &ContentHash) -> io::Result<Self> {
        in_memory(bytes, hash).or_else(|_| without_name(bytes)).map(Self::of)
    }

    /// What another process sealed.
    pub(crate) fn of(descriptor: OwnedFd) -> Self {
        Self(Arc::new(descriptor))
    }

    /// The content.
    pub(crate) fn bytes(&self) -> io::Result<Vec<u8>> {
        let file = File::from(self.0.try_clone()?);
        let size = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// A path that means these bytes as long as the process lives.
    pub(crate) fn path_for_good(&self) -> io::Result<PathBuf> {
        // Not closed on purpose: the number must not come to mean another file.
        Ok(format!("/proc/self/fd/{}", self.0.try_clone()?.into_raw_fd()).into())
    }
}

impl AsFd for Sealed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn in_memory(bytes: &[u8], hash: &ContentHash) -> io::Result<OwnedFd> {
    let name = format!("plugin-{}", &hash.to_hex()[..16]);
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels since 6.3 want to be told that the content is code; older ones refuse the flag.
    let file = memfd_create(&name, flags | MemfdFlags::EXEC).or_else(|_| memfd_create(&name, flags))?;
    let mut file = File::from(file);
    file.write_all(bytes)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file.into())
}

/// Where memory files are forbidden or may not be executed: a file without a name, open for reading only.
fn without_name(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(std::env::temp_dir(), flags, Mode::RUSR | Mode::XUSR)?);
    file.write_all(bytes)?;
    Ok(File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?.into())
}

#[cfg(test)]
mod tests {
    use super::{Sealed, without_name};

    #[test]
    fn the_copy_is_equal_and_unchangeable() {
        let bytes = b"some content".as_slice();
        let sealed = Sealed::new(bytes, &blake3::hash(bytes)).unwrap();
        let path = sealed.path_for_good().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(sealed.bytes().unwrap(), bytes);
        let written = std::fs::OpenOptions::new().write(true).open(&path);
        let changed = written.and_then(|mut file| std::io::Write::write_all(&mut file, b"other"));
        assert!(changed.is_err(), "a sealed copy took a write");
        assert_ne!(path, sealed.path_for_good().unwrap());
        drop(sealed);
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "the path ended with the value");
    }

    #[test]
    fn without_memory_files_the_copy_has_no_name() {
        let sealed = Sealed::of(without_name(b"some content").unwrap());
        assert_eq!(sealed.bytes().unwrap(), b"some content");
        let mut file = std::fs::File::from(sealed.0.try_clone().unwrap());
        assert!(std::io::Write::write_all(&mut file, b"other").is_err(), "open for reading only");
    }
}
