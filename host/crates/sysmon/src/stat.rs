//! `/proc/PID/stat`, `io` and `schedstat`, through descriptors that stay open.
//!
//! A descriptor of a /proc file belongs to the process that it was opened for: when that is gone, reading fails, even if
//! its number was given to another. So a kept descriptor is cheap (no path walk) and cannot mistake one process for another.

use std::fs::File;
use std::io;

use rustix::io::Errno;

use crate::text::{number, reread};

/// What `stat` says, in the kernel's units.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Stat {
    /// State letter.
    pub(crate) state: u8,
    /// Parent.
    pub(crate) ppid: u32,
    /// Process group.
    pub(crate) pgid: u32,
    /// Session.
    pub(crate) sid: u32,
    /// CPU time, user and system, with that of reaped children, in clock ticks.
    pub(crate) cpu_ticks: u64,
    /// Threads.
    pub(crate) threads: u32,
    /// Start time in clock ticks since boot.
    pub(crate) start_ticks: u64,
    /// Virtual memory in bytes.
    pub(crate) virtual_bytes: u64,
    /// Resident memory in pages.
    pub(crate) rss_pages: u64,
}

impl Stat {
    /// Whether it has ended and only waits to be reaped.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// What `io` says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Io {
    /// Read system calls.
    pub(crate) read_ops: u64,
    /// Write system calls.
    pub(crate) write_ops: u64,
    /// Bytes fetched from storage.
    pub(crate) read_bytes: u64,
    /// Bytes sent to storage.
    pub(crate) write_bytes: u64,
}

/// How often a thread was given a processor, and for how long: whoever shows the same twice, and was not on a processor
/// the first time, has not run in between.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Turns {
    /// Nanoseconds on a processor.
    pub(crate) nanoseconds: u64,
    /// Times that it was given one.
    pub(crate) count: u64,
}

/// Why nothing was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Missing {
    /// The process is gone.
    Gone,
    /// It cannot be read just now (no descriptor left, no permission).
    Unreadable,
}

/// One file of one process: kept open while the budget allows, opened each time otherwise.
#[derive(Debug, Default)]
pub(crate) struct ProcFile {
    kept: Option<File>,
}

/// How often a file is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Need {
    /// At every look.
    EveryTime,
    /// When there is something new to be expected in it.
    NowAndThen,
    /// Perhaps never again.
    Once,
}

/// Descriptors that may be kept open.
#[derive(Debug)]
pub(crate) struct Budget {
    left: u64,
    /// Of those left, so many are for the files that are read every time.
    reserved: u64,
}

impl Budget {
    /// So many; the last quarter of them is kept for those files that are read every time.
    pub(crate) fn new(descriptors: u64) -> Self {
        Self { left: descriptors, reserved: descriptors / 4 }
    }

    /// Whether nothing more may be kept.
    pub(crate) fn is_spent(&self) -> bool {
        self.left == 0
    }

    fn has(&self, need: Need) -> bool {
        match need {
            Need::EveryTime => self.left > 0,
            Need::NowAndThen => self.left > self.reserved,
            Need::Once => false,
        }
    }
}

impl ProcFile {
    /// Whether its descriptor is open.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Reads the file into the buffer.
    pub(crate) fn read<'a>(
        &mut self,
        (pid, name): (u32, &str),
        need: Need,
        budget: &mut Budget,
        buffer: &'a mut [u8],
    ) -> Result<&'a [u8], Missing> {
        if let Some(file) = &self.kept {
            return reread(file, buffer).map_err(|error| why(&error));
        }
        let file = File::open(format!("/proc/{pid}/{name}")).map_err(|error| why(&error))?;
        let text = reread(&file, buffer).map_err(|error| why(&error))?;
        if budget.has(need) {
            budget.left -= 1;
            self.kept = Some(file);
        }
        Ok(text)
    }

    /// Gives the descriptor back.
    pub(crate) fn close(&mut self, budget: &mut Budget) {
        if self.kept.take().is_some() {
            budget.left += 1;
        }
    }
}

fn why(error: &io::Error) -> Missing {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::SRCH) => Missing::Gone,
        _ => Missing::Unreadable,
    }
}

/// Parses a stat line. The command name may hold spaces and parentheses: what counts begins after the last `)`.
pub(crate) fn parse_stat(line: &[u8]) -> Option<Stat> {
    let close = line.iter().rposition(|&byte| byte == b')')?;
    let mut fields = line.get(close + 2..)?.split(|&byte| byte == b' ' || byte == b'\n');
    let state = *fields.next()?.first()?;
    // Field numbers as in proc_pid_stat(5); the state was field 3.
    let mut next = |skip: usize| number(fields.nth(skip)?);
    let small = |value: u64| u32::try_from(value).ok();
    let (ppid, pgid) = (small(next(0)?)?, small(next(0)?)?);
    let sid = small(next(0)?)?;
    let utime = next(7)?; // 14
    let cpu_ticks = utime + next(0)? + next(0)? + next(0)?; // 15, 16, 17
    let threads = small(next(2)?)?; // 20
    let start_ticks = next(1)?; // 22
    let virtual_bytes = next(0)?; // 23
    let rss_pages = next(0)?; // 24
    Some(Stat { state, ppid, pgid, sid, cpu_ticks, threads, start_ticks, virtual_bytes, rss_pages })
}

/// Parses `/proc/PID/schedstat` (time on a processor, time waiting for one, turns); `None` where the kernel does not
/// count, which it shows as zeros.
pub(crate) fn parse_turns(text: &[u8]) -> Option<Turns> {
    let mut fields = text.trim_ascii_end().split(|&byte| byte == b' ');
    let nanoseconds = number(fields.next()?)?;
    let count = number(fields.nth(1)?)?;
    (count > 0).then_some(Turns { nanoseconds, count })
}

/// Parses `/proc/PID/io`.
pub(crate) fn parse_io(text: &[u8]) -> Io {
    let mut io = Io::default();
    for line in text.split(|&byte| byte == b'\n') {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let slot = match &line[..colon] {
            b"syscr" => &mut io.read_ops,
            b"syscw" => &mut io.write_ops,
            b"read_bytes" => &mut io.read_bytes,
            b"write_bytes" => &mut io.write_bytes,
            _ => continue,
        };
        *slot = number(line[colon + 1..].trim_ascii()).unwrap_or(0);
    }
    io
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_with_a_wicked_name() {
        let line = b"42 (a) S 1 (b\n) R 7 40 39 34816 40 4194304 100 200 0 0 11 12 13 14 20 0 5 0 987654 1000000 250 18446744073709551615 1 1 0\n";
        let stat = parse_stat(line).unwrap();
        let expected = Stat {
            state: b'R',
            ppid: 7,
            pgid: 40,
            sid: 39,
            cpu_ticks: 50,
            threads: 5,
            start_ticks: 987_654,
            virtual_bytes: 1_000_000,
            rss_pages: 250,
        };
        assert_eq!(stat, expected);
    }

    #[test]
    fn a_torn_line_is_nothing() {
        assert_eq!(parse_stat(b""), None);
        assert_eq!(parse_stat(b"1 (x)"), None);
        assert_eq!(parse_stat(b"1 (x) S 2 3"), None);
    }

    #[test]
    fn turns_that_are_not_counted_say_nothing() {
        assert_eq!(parse_turns(b"69143 17 4\n"), Some(Turns { nanoseconds: 69_143, count: 4 }));
        assert_eq!(parse_turns(b"0 0 0\n"), None);
        assert_eq!(parse_turns(b"1 2"), None);
        assert_eq!(parse_turns(b""), None);
    }

    #[test]
    fn io_is_read_by_name() {
        let text = b"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: 7\n";
        assert_eq!(parse_io(text), Io { read_ops: 3, write_ops: 4, read_bytes: 5, write_bytes: 6 });
    }
}
