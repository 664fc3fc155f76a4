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
    fs::read_to_string(path).ok()?.trim().parse().ok()
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

/// Reads a kernel file again from its beginning, as much as the buffer holds.
pub(crate) fn reread<'a>(file: &File, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let length = file.read_at(buffer, 0)?;
    Ok(&buffer[..length])
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
    fn fields_by_their_whole_name() {
        let text = "total_inactive_file 7\ninactive_file 5\nMemTotal:       24 kB\n";
        assert_eq!(field(text, "inactive_file"), Some(5));
        assert_eq!(field(text, "MemTotal"), Some(24));
        assert_eq!(field(text, "Mem"), None);
    }
}
