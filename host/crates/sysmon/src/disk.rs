//! Disks: fill of the output's file system, and traffic of the machine's block devices.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::text::KernelFile;

/// Traffic so far, over all whole physical devices.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Traffic {
    /// Bytes read.
    pub(crate) read_bytes: u64,
    /// Bytes written.
    pub(crate) write_bytes: u64,
    /// Completed read operations.
    pub(crate) read_ops: u64,
    /// Completed write operations.
    pub(crate) write_ops: u64,
}

/// Traffic per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    /// Bytes read per second.
    pub(crate) read_bytes: f64,
    /// Bytes written per second.
    pub(crate) write_bytes: f64,
    /// Reads per second.
    pub(crate) read_ops: f64,
    /// Writes per second.
    pub(crate) write_ops: f64,
}

/// Watches the disks.
#[derive(Debug)]
pub(crate) struct DiskWatch {
    statistics: KernelFile,
    directory: PathBuf,
    whole: HashMap<String, bool>,
    last: Traffic,
    at: Instant,
}

impl DiskWatch {
    /// Begins to watch: the first rates cover the time since now.
    pub(crate) fn new(directory: &Path) -> Self {
        let mut watch = Self {
            statistics: KernelFile::open("/proc/diskstats"),
            directory: directory.to_owned(),
            whole: HashMap::new(),
            last: Traffic::default(),
            at: Instant::now(),
        };
        watch.last = watch.traffic();
        watch
    }

    /// Fill of the file system of the output directory, or of its nearest existing ancestor, 0–100, as `df` counts (blocks
    /// that are reserved for root are neither used nor free), and the bytes that are left of it.
    pub(crate) fn fill(&self) -> (f64, u64) {
        let status = self.directory.ancestors().find_map(|path| {
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            rustix::fs::statvfs(path).ok()
        });
        let of = |status: rustix::fs::StatVfs| {
            let available = status.f_bavail.saturating_mul(status.f_frsize);
            (fill(status.f_blocks, status.f_bfree, status.f_bavail), available)
        };
        status.map_or((0.0, 0), of)
    }

    /// Rates since the last call; zeros when no time has passed.
    pub(crate) fn rates(&mut self) -> Rates {
        let now = self.traffic();
        let elapsed = self.at.elapsed().as_secs_f64();
        if elapsed <= 0.0 {
            return Rates::default();
        }
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / elapsed;
        let rates = Rates {
            read_bytes: rate(now.read_bytes, self.last.read_bytes),
            write_bytes: rate(now.write_bytes, self.last.write_bytes),
            read_ops: rate(now.read_ops, self.last.read_ops),
            write_ops: rate(now.write_ops, self.last.write_ops),
        };
        self.last = now;
        self.at = Instant::now();
        rates
    }

    fn traffic(&mut self) -> Traffic {
        let whole = &mut self.whole;
        sum(self.statistics.read(), |name| {
            if let Some(&known) = whole.get(name) {
                return known;
            }
            let found = is_whole_device(name);
            whole.insert(name.to_owned(), found);
            found
        })
    }
}

fn fill(blocks: u64, free: u64, available: u64) -> f64 {
    let used = blocks.saturating_sub(free);
    let all = used + available;
    if all == 0 { 0.0 } else { used as f64 * 100.0 / all as f64 }
}

/// Sums the lines of `/proc/diskstats` whose device is counted. Sectors there are of 512 bytes whatever the device.
fn sum(text: &str, mut counts: impl FnMut(&str) -> bool) -> Traffic {
    let mut traffic = Traffic::default();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace().skip(2);
        let Some(name) = fields.next() else { continue };
        let mut numbers = [0_u64; 7];
        let read = numbers.iter_mut().zip(fields).map_while(|(slot, field)| {
            *slot = field.parse().ok()?;
            Some(())
        });
        let complete = read.count() == 7;
        let [reads, _, sectors_read, _, writes, _, sectors_written] = numbers;
        if complete && counts(name) {
            traffic.read_ops += reads;
            traffic.read_bytes += sectors_read * 512;
            traffic.write_ops += writes;
            traffic.write_bytes += sectors_written * 512;
        }
    }
    traffic
}

/// Whether a device is neither a partition nor made of others, whose traffic would count twice, nor memory.
fn is_whole_device(name: &str) -> bool {
    const MADE_OF_OTHERS: [&str; 8] = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd"];
    let made = MADE_OF_OTHERS.iter().any(|prefix| name.starts_with(prefix));
    !made && Path::new("/sys/block").join(name.replace('/', "!")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_do_not_count_twice() {
        let text =
            "   8 0 sda 10 1 200 5 20 2 400 6 0 1 1\n   8 1 sda1 9 1 190 5 19 2 390 6 0 1 1\n 7 0 torn 1\n";
        let traffic = sum(text, |name| name == "sda");
        let expected = Traffic { read_bytes: 102_400, write_bytes: 204_800, read_ops: 10, write_ops: 20 };
        assert_eq!(traffic, expected);
    }

    #[test]
    fn fill_is_what_df_says() {
        assert!((fill(100, 40, 20) - 75.0).abs() < 1e-9);
        assert_eq!(fill(0, 0, 0), 0.0);
    }

    #[test]
    fn an_output_directory_that_does_not_exist_yet_has_the_fill_of_its_ancestor() {
        let directory = tempfile::tempdir().unwrap();
        let watch = DiskWatch::new(&directory.path().join("not/yet"));
        let (fill, left) = watch.fill();
        assert!(fill > 0.0 && fill <= 100.0, "{fill}");
        assert!(left > 0 || fill >= 100.0, "{left}");
    }
}
