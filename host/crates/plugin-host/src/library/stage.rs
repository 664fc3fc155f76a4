//! The private copy that the loader maps.
//!
//! Loading the file where it lies is wrong in three ways: an overwrite in place changes the code under the running host
//! (SIGSEGV), a second load of the same path returns the old code, and a file name without `/` is looked up in the
//! library search path. So the checked bytes go into a sealed memory file, named by their hash, which stays open to the
//! end of the process: its path is never used for anything else.

use super::file::ContentHash;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

/// Copies the bytes and returns a path to load them from.
pub(crate) fn stage(bytes: &[u8], hash: &ContentHash) -> io::Result<PathBuf> {
    in_memory(bytes, hash).or_else(|_| in_private_directory(bytes, hash))
}

fn in_memory(bytes: &[u8], hash: &ContentHash) -> io::Result<PathBuf> {
    let name = format!("plugin-{}", &hash.to_hex()[..16]);
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels since 6.3 want to be told that the content is code; older ones refuse the flag.
    let file = memfd_create(&name, flags | MemfdFlags::EXEC).or_else(|_| memfd_create(&name, flags))?;
    let mut file = File::from(file);
    file.write_all(bytes)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    // The number must not come to mean another file as long as the process lives.
    let _ = file.into_raw_fd();
    Ok(path)
}

/// Where memory files are forbidden or may not be executed.
fn in_private_directory(bytes: &[u8], hash: &ContentHash) -> io::Result<PathBuf> {
    let name = format!("orchestrator-plugins-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    match std::fs::DirBuilder::new().mode(0o700).create(&directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let path = directory.join(format!("{}.so", hash.to_hex()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o500).open(&path)?;
    file.write_all(bytes)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::stage;

    #[test]
    fn the_copy_is_equal_private_and_unchangeable() {
        let bytes = b"some content".as_slice();
        let path = stage(bytes, &blake3::hash(bytes)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        let written = std::fs::OpenOptions::new().write(true).open(&path);
        let changed = written.and_then(|mut file| std::io::Write::write_all(&mut file, b"other"));
        assert!(changed.is_err(), "a sealed copy took a write");
        let second = stage(bytes, &blake3::hash(bytes)).unwrap();
        assert_ne!(path, second);
    }
}
