//! Small pieces of text out of kernel files.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The decimal number that these bytes are.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|&digit| digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The number in a file that holds nothing else; `None` for `max`, `-1` or when the file cannot be read.
pub(crate) fn number_in(path: &Path) -> Option<u64> {
    let mut buffer = [0; 32];
    number(reread(&File::open(path).ok()?, &mut buffer).ok()?.trim_ascii())
}

/// The number after `name` in a file of `name value` lines.
pub(crate) fn field_in(path: &Path, name: &str) -> Option<u64> {
    field(&fs::read_to_string(path).ok()?, name)
}

/// The number after `name` in `name value` or `name: value kB` lines.
pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.trim_start_matches(':').strip_prefix([' ', '\t'])?.split_whitespace().next()?.parse().ok()
    })
}

/// How many numbers a list like `0-3,8` names.
pub(crate) fn listed(text: &str) -> Option<u32> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)?.checked_add(1)
    };
    text.split(',').map(range).sum()
}

/// Reads a kernel file again from its beginning, as much as the buffer holds.
pub(crate) fn reread<'a>(file: &File, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let length = file.read_at(buffer, 0)?;
    Ok(&buffer[..length])
}

/// A file of the kernel that is read again and again, whole, through a descriptor that stays open.
#[derive(Debug)]
pub(crate) struct KernelFile {
    file: Option<File>,
    text: Vec<u8>,
}

impl KernelFile {
    /// Opens it; where that fails it reads as empty.
    pub(crate) fn open(path: &str) -> Self {
        Self { file: File::open(path).ok(), text: vec![0; 4096] }
    }

    /// What it says now; empty where it cannot be read.
    pub(crate) fn read(&mut self) -> &str {
        let length = self.file.as_ref().and_then(|file| fill(file, &mut self.text).ok()).unwrap_or(0);
        std::str::from_utf8(&self.text[..length]).unwrap_or_default()
    }
}

/// Reads to the end; the kernel gives long files in pieces.
fn fill(file: &File, text: &mut Vec<u8>) -> io::Result<usize> {
    let mut length = 0;
    loop {
        if length == text.len() {
            text.resize(length * 2, 0);
        }
        match file.read_at(&mut text[length..], length as u64)? {
            0 => return Ok(length),
            more => length += more,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_nothing_else() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(number(b"18446744073709551616"), None);
        assert_eq!(number(b"-1"), None);
        assert_eq!(number(b""), None);
    }

    #[test]
    fn lists_of_numbers_are_counted() {
        assert_eq!(listed("0"), Some(1));
        assert_eq!(listed("0-1"), Some(2));
        assert_eq!(listed("0-3,8,10-11"), Some(7));
        assert_eq!((listed(""), listed("3-1"), listed("x")), (None, None, None));
    }

    #[test]
    fn a_file_that_is_longer_than_the_buffer_and_changes_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "x".repeat(10_000)).unwrap();
        let mut file = KernelFile::open(path.to_str().unwrap());
        assert_eq!(file.read().len(), 10_000);
        fs::write(&path, "short").unwrap();
        assert_eq!(file.read(), "short");
        assert_eq!(KernelFile::open("/proc/none/of/that").read(), "");
    }

    #[test]
    fn fields_by_their_whole_name() {
        let text = "total_inactive_file 7\ninactive_file 5\nMemTotal:       24 kB\n";
        assert_eq!(field(text, "inactive_file"), Some(5));
        assert_eq!(field(text, "MemTotal"), Some(24));
        assert_eq!(field(text, "Mem"), None);
    }
}
