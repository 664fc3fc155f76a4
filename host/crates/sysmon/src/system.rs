//! One reading of the machine.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use orchestrator_core::Bytes;
use orchestrator_core::metrics::SystemSample;

use crate::cpu::CpuWatch;
use crate::disk::DiskWatch;
use crate::memory::MemoryWatch;
use crate::text::{KernelFile, field};

/// Watches the machine.
#[derive(Debug)]
pub(crate) struct SystemWatch {
    cpu: CpuWatch,
    memory: MemoryWatch,
    disk: DiskWatch,
    load: KernelFile,
    processes: ProcessCount,
    own: KernelFile,
}

impl SystemWatch {
    pub(crate) fn new(output_directory: &Path) -> Self {
        Self {
            cpu: CpuWatch::new(),
            memory: MemoryWatch::new(),
            disk: DiskWatch::new(output_directory),
            load: KernelFile::open("/proc/loadavg"),
            processes: ProcessCount::new(),
            own: KernelFile::open("/proc/self/status"),
        }
    }

    /// The processors that we may use, as last looked at.
    pub(crate) fn processors(&self) -> &[usize] {
        self.cpu.processors()
    }

    pub(crate) fn read(&mut self) -> SystemSample {
        let (cpu_cores, cpu_percent) = self.cpu.read();
        let memory = self.memory.read();
        let rates = self.disk.rates();
        let (disk_percent, available) = self.disk.fill();
        SystemSample {
            cpu_percent,
            cpu_cores,
            memory_total: Bytes(memory.total),
            memory_used: Bytes(memory.used),
            memory_available: Bytes(memory.available),
            swap_used: Bytes(memory.swap_used),
            disk_percent,
            disk_available: Bytes(available),
            disk_read_per_second: rates.read_bytes,
            disk_write_per_second: rates.write_bytes,
            disk_read_ops_per_second: rates.read_ops,
            disk_write_ops_per_second: rates.write_ops,
            load1: load1(self.load.read()),
            processes: self.processes.now(),
            own_peak: Bytes(field(self.own.read(), "VmHWM").unwrap_or(0) * 1024),
        }
    }
}

/// Counts the machine's processes.
#[derive(Debug)]
struct ProcessCount {
    /// Links that /proc has beside those of processes; `None` where it does not count them so, as in a namespace.
    others: Option<u64>,
}

impl ProcessCount {
    /// A directory has a link for each directory in it, and for the machine's own /proc the kernel counts the processes
    /// in. Whether this is such a one shows in what is listed.
    fn new() -> Self {
        let before = links();
        let Ok(directory) = fs::read_dir("/proc") else { return Self { others: None } };
        let (mut processes, mut others) = (0_u64, 2_u64);
        for entry in directory.flatten() {
            if is_number(&entry.file_name()) {
                processes += 1;
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                others += 1;
            }
        }
        let after = links();
        let told = |links: Option<u64>| links.and_then(|links| links.checked_sub(others));
        let (Some(before), Some(after)) = (told(before), told(after)) else { return Self { others: None } };
        let expected = before.min(after).saturating_sub(SLACK)..=before.max(after) + SLACK;
        Self { others: expected.contains(&processes).then_some(others) }
    }

    /// How many there are (threads are not counted).
    fn now(&self) -> u64 {
        let told = self.others.and_then(|others| links()?.checked_sub(others));
        told.unwrap_or_else(listed)
    }
}

/// So many may come or go while /proc is listed, or be between their end and their last entry.
const SLACK: u64 = 4;

fn links() -> Option<u64> {
    fs::metadata("/proc").ok().map(|proc| proc.nlink())
}

fn listed() -> u64 {
    let Ok(directory) = fs::read_dir("/proc") else { return 0 };
    directory.flatten().filter(|entry| is_number(&entry.file_name())).count() as u64
}

fn is_number(name: &OsStr) -> bool {
    name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
}

/// The one-minute average in `/proc/loadavg`.
fn load1(text: &str) -> f64 {
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_counted_as_listed() {
        let count = ProcessCount::new();
        let start = std::time::Instant::now();
        // Others come and go: in a moment when none does, both say the same.
        while count.now().abs_diff(listed()) > SLACK {
            assert!(start.elapsed().as_secs() < 60, "{} and {}", count.now(), listed());
        }
        assert_eq!(ProcessCount { others: None }.now().abs_diff(listed()) / 100, 0);
    }

    #[test]
    fn load_is_the_first_number() {
        assert_eq!(load1("13.08 7.33 3.96 15/3705 4641\n"), 13.08);
        assert_eq!(load1(""), 0.0);
    }
}
