//! One process of a watched tree.

use std::time::Duration;

use crate::stat::{Budget, Io, Missing, ProcFile, Stat, parse_io, parse_stat};

/// What a process used so far, that must not be lost when it vanishes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counters {
    /// Clock ticks of CPU.
    pub(crate) cpu_ticks: u64,
    /// Storage traffic.
    pub(crate) io: Io,
}

impl Counters {
    /// Adds another's.
    pub(crate) fn add(&mut self, other: &Counters) {
        self.cpu_ticks += other.cpu_ticks;
        self.io.read_ops += other.io.read_ops;
        self.io.write_ops += other.io.write_ops;
        self.io.read_bytes += other.io.read_bytes;
        self.io.write_bytes += other.io.write_bytes;
    }

    /// The larger of each: a tree's totals dip for a moment while a process is between its end and its reaping.
    pub(crate) fn never_below(&mut self, before: &Counters) {
        self.cpu_ticks = self.cpu_ticks.max(before.cpu_ticks);
        self.io.read_ops = self.io.read_ops.max(before.io.read_ops);
        self.io.write_ops = self.io.write_ops.max(before.io.write_ops);
        self.io.read_bytes = self.io.read_bytes.max(before.io.read_bytes);
        self.io.write_bytes = self.io.write_bytes.max(before.io.write_bytes);
    }

    /// CPU time at this many clock ticks a second.
    pub(crate) fn cpu_time(&self, ticks_per_second: u64) -> Duration {
        Duration::from_secs_f64(self.cpu_ticks as f64 / ticks_per_second.max(1) as f64)
    }
}

/// One process of a watched tree.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its number.
    pub(crate) pid: u32,
    /// The main process of its tree.
    pub(crate) main: u32,
    /// As it was last read.
    pub(crate) stat: Stat,
    /// As it was last read.
    pub(crate) io: Io,
    stat_file: ProcFile,
    io_file: ProcFile,
}

impl Member {
    /// A process that was just found.
    pub(crate) fn new(pid: u32, main: u32, stat: Stat) -> Self {
        let (stat_file, io_file) = (ProcFile::default(), ProcFile::default());
        Self { pid, main, stat, io: Io::default(), stat_file, io_file }
    }

    /// Reads it again. False when it is gone, or its number belongs to another process by now.
    pub(crate) fn refresh(&mut self, budget: &mut Budget, buffer: &mut [u8]) -> bool {
        match self.stat_file.read(self.pid, "stat", budget, buffer).map(parse_stat) {
            Ok(Some(stat)) if stat.start_ticks == self.stat.start_ticks => self.stat = stat,
            Ok(Some(_)) | Err(Missing::Gone) => return false,
            Ok(None) | Err(Missing::Unreadable) => {}
        }
        if let Ok(text) = self.io_file.read(self.pid, "io", budget, buffer) {
            self.io = parse_io(text);
        }
        true
    }

    /// What it used so far, its reaped children included.
    pub(crate) fn counters(&self) -> Counters {
        Counters { cpu_ticks: self.stat.cpu_ticks, io: self.io }
    }

    /// Gives its descriptors back.
    pub(crate) fn close(&mut self, budget: &mut Budget) {
        self.stat_file.close(budget);
        self.io_file.close(budget);
    }
}
