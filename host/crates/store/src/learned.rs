//! What was learned of one program with one set of flags: an opaque piece that later runs may begin with.
//!
//! One file a key beside the database, `learned-KEY`, written under another name and renamed, with a checksum: a torn or
//! rotten file reads as nothing learned, never as something wrong. The newest few keys are kept.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::crc::Crc;
use crate::error::StoreError;
use crate::lock::io_error;

/// What a file begins with: four letters and the version of this frame.
const HEAD: [u8; 5] = *b"PrOl\x01";
const PREFIX: &str = "learned-";
/// Keys that are kept.
const KEPT: usize = 8;
/// Nothing larger is read.
const LARGEST: u64 = 16 << 20;

fn path(directory: &Path, key: &str) -> PathBuf {
    let harmless: String = key.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    directory.join(format!("{PREFIX}{harmless}"))
}

fn sum(key: &str, piece: &[u8]) -> [u8; 4] {
    Crc::new().blob(Some(key.as_bytes())).blob(Some(piece)).finish().to_le_bytes()
}

/// What was kept under a key; `None` if there is nothing, or nothing whole.
#[must_use]
pub fn load(directory: &Path, key: &str) -> Option<Vec<u8>> {
    let path = path(directory, key);
    if fs::metadata(&path).ok()?.len() > LARGEST {
        return None;
    }
    let bytes = fs::read(&path).ok()?;
    let rest = bytes.strip_prefix(&HEAD)?;
    let (found, piece) = rest.split_first_chunk::<4>()?;
    (*found == sum(key, piece)).then(|| piece.to_vec())
}

/// Keeps a piece under a key, in place of the one before; all of it or nothing.
///
/// # Errors
/// The file cannot be written: disk full, or the operating system's refusal.
pub fn save(directory: &Path, key: &str, piece: &[u8]) -> Result<(), StoreError> {
    let path = path(directory, key);
    let new = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(&HEAD)?;
        file.write_all(&sum(key, piece))?;
        file.write_all(piece)?;
        file.sync_all()?;
        fs::rename(&new, &path)
    };
    write().map_err(io_error("write", &path))?;
    forget_old(directory);
    Ok(())
}

/// Removes all but the newest few; what cannot be removed stays.
fn forget_old(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    for (_, path) in found.into_iter().skip(KEPT) {
        if let Err(error) = fs::remove_file(&path) {
            tracing::debug!(path = %path.display(), %error, "what was learned is not forgotten");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_comes_back_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path();
        assert_eq!(load(directory, "key"), None);
        save(directory, "key", b"one").unwrap();
        save(directory, "key", b"what was learned").unwrap();
        assert_eq!(load(directory, "key").as_deref(), Some(&b"what was learned"[..]));
        assert_eq!(load(directory, "other"), None);
        let file = directory.join("learned-key");
        let whole = fs::read(&file).unwrap();
        for cut in 0..whole.len() {
            fs::write(&file, &whole[..cut]).unwrap();
            assert_eq!(load(directory, "key"), None, "torn after {cut} bytes");
        }
        for at in 0..whole.len() {
            let mut rotten = whole.clone();
            rotten[at] ^= 0x20;
            fs::write(&file, &rotten).unwrap();
            assert_eq!(load(directory, "key"), None, "rotten at {at}");
        }
    }

    #[test]
    fn old_keys_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        for key in 0..20 {
            save(folder.path(), &key.to_string(), b"x").unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), KEPT);
        assert!(load(folder.path(), "19").is_some());
    }
}
