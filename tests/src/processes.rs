//! Looking at processes from outside, through `/proc`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// A living process (zombies do not count).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Its id.
    pub pid: u32,
    /// Its parent's id.
    pub parent: u32,
    /// Its command line, words separated by spaces.
    pub command: String,
}

/// Every living process whose command line or environment mentions `text`, except the caller.
///
/// A test's own folder is such a text: it stands in the arguments of each process it caused.
#[must_use]
pub fn mentioning(text: &Path) -> Vec<Seen> {
    let needle = text.as_os_str().as_encoded_bytes();
    let mut found: Vec<Seen> = all()
        .into_iter()
        .filter(|seen| seen.pid != std::process::id())
        .filter(|seen| {
            let has = |file: &str| {
                fs::read(format!("/proc/{}/{file}", seen.pid)).is_ok_and(|bytes| contains(&bytes, needle))
            };
            has("cmdline") || has("environ")
        })
        .collect();
    found.sort();
    found
}

/// The living children of `parent`.
#[must_use]
pub fn children(parent: u32) -> Vec<Seen> {
    all().into_iter().filter(|seen| seen.parent == parent).collect()
}

/// The state letter of `/proc/PID/stat` (`R`, `S`, `T`, …), or `None` if there is no such process.
#[must_use]
pub fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Waits until `condition` holds, looking every 10 ms.
///
/// # Panics
/// It does not hold within `limit`.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "waited {limit:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn all() -> Vec<Seen> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| see(entry.file_name().to_str()?.parse().ok()?)).collect()
}

fn see(pid: u32) -> Option<Seen> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&words).replace('\0', " ").trim_end().to_owned();
    Some(Seen { pid, parent, command })
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}
