//! One reading of the machine.

use std::fs;
use std::path::Path;

use orchestrator_core::Bytes;
use orchestrator_core::metrics::SystemSample;
use sysinfo::System;

use crate::cpu::CpuWatch;
use crate::disk::DiskWatch;
use crate::memory;

/// Watches the machine.
#[derive(Debug)]
pub(crate) struct SystemWatch {
    cpu: CpuWatch,
    /// `None` where sysinfo does not know the platform: memory then reads as unknown.
    system: Option<System>,
    disk: DiskWatch,
}

impl SystemWatch {
    pub(crate) fn new(output_directory: &Path) -> Self {
        Self { cpu: CpuWatch::new(), system: System::new().ok(), disk: DiskWatch::new(output_directory) }
    }

    pub(crate) fn read(&mut self) -> SystemSample {
        let (cpu_cores, cpu_percent) = self.cpu.read();
        let memory = self.system.as_mut().map(memory::read).unwrap_or_default();
        let rates = self.disk.rates();
        SystemSample {
            cpu_percent,
            cpu_cores,
            memory_total: Bytes(memory.total),
            memory_used: Bytes(memory.used),
            memory_available: Bytes(memory.available),
            swap_used: Bytes(memory.swap_used),
            disk_percent: self.disk.fill(),
            disk_read_per_second: rates.read_bytes,
            disk_write_per_second: rates.write_bytes,
            disk_read_ops_per_second: rates.read_ops,
            disk_write_ops_per_second: rates.write_ops,
            load1: System::load_average().map_or(0.0, |load| load.one),
            processes: processes(),
        }
    }
}

/// Processes on the machine (threads are not counted).
fn processes() -> u64 {
    let Ok(directory) = fs::read_dir("/proc") else { return 0 };
    let is_process = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    directory.flatten().filter(|entry| is_process(&entry.file_name())).count() as u64
}
