//! Reading `/proc/PID/stat`, a process's environment and the boot's identity.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};

/// What `/proc/PID/stat` says about kinship.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stat {
    /// Process id.
    pub(crate) pid: u32,
    /// `R`, `S`, `D`, `T`, `Z`, …
    pub(crate) state: u8,
    /// Parent.
    pub(crate) ppid: u32,
    /// Process group.
    pub(crate) pgid: u32,
    /// Session.
    pub(crate) sid: u32,
    /// Start time in clock ticks since boot (field 22).
    pub(crate) start_ticks: u64,
}

impl Stat {
    /// Whether it has ended and only waits to be reaped.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Reads one process's kinship; `None` when it is gone.
pub(crate) fn read_stat(pid: u32) -> Option<Stat> {
    let mut buffer = [0_u8; 1024];
    let mut file = fs::File::open(format!("/proc/{pid}/stat")).ok()?;
    let length = file.read(&mut buffer).ok()?;
    parse_stat(&buffer[..length])
}

/// Parses a stat line. The command name may hold spaces and parentheses: what counts begins after the last `)`.
pub(crate) fn parse_stat(line: &[u8]) -> Option<Stat> {
    let open = line.iter().position(|&byte| byte == b'(')?;
    let close = line.iter().rposition(|&byte| byte == b')')?;
    let pid = number(line.get(..open)?.trim_ascii())?;
    let mut fields = line.get(close + 1..)?.split(|&byte| byte == b' ').filter(|field| !field.is_empty());
    let state = *fields.next()?.first()?;
    let ppid = number(fields.next()?)?;
    let pgid = number(fields.next()?)?;
    let sid = number(fields.next()?)?;
    // Fields 3 to 6 are read; field 22 is the sixteenth after them.
    let start_ticks = wide(fields.nth(15)?)?;
    Some(Stat { pid, state, ppid, pgid, sid, start_ticks })
}

fn number(digits: &[u8]) -> Option<u32> {
    u32::try_from(wide(digits)?).ok()
}

fn wide(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.trim_end().parse().ok()
}

/// Whether the process was started with all of these `NAME=value` entries in its environment. False when it is gone
/// or its environment cannot be read.
pub(crate) fn has_environment(pid: u32, entries: &[Vec<u8>]) -> bool {
    if entries.is_empty() {
        return false;
    }
    let environment = environment(pid);
    entries.iter().all(|wanted| environment.contains(wanted))
}

/// The `NAME=value` entries that the process was started with; none when it is gone or they cannot be read.
pub(crate) fn environment(pid: u32) -> HashSet<Vec<u8>> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    bytes.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect()
}

/// Start time of a process in clock ticks since boot (field 22 of `/proc/PID/stat`); `None` when it does not exist.
/// Together with the pid it names a process across pid reuse, within one boot.
#[must_use]
pub fn start_ticks(pid: u32) -> Option<u64> {
    read_stat(pid).map(|stat| stat.start_ticks)
}

/// The identity of this boot of the kernel (`/proc/sys/kernel/random/boot_id`): pids and start ticks of another boot
/// mean nothing.
///
/// # Errors
/// When /proc is not mounted or not readable.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_may_hold_spaces_and_parentheses() {
        let line = b"42 (a) b (c) S 7 40 39 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 200\n";
        let stat = parse_stat(line).unwrap();
        assert_eq!(stat, Stat { pid: 42, state: b'S', ppid: 7, pgid: 40, sid: 39, start_ticks: 987_654 });
    }

    #[test]
    fn a_torn_line_is_no_process() {
        assert_eq!(parse_stat(b""), None);
        assert_eq!(parse_stat(b"42 (cat"), None);
        assert_eq!(parse_stat(b"42 (cat) S 7 40"), None);
    }

    #[test]
    fn own_identity_is_readable() {
        let me = std::process::id();
        let stat = read_stat(me).unwrap();
        assert_eq!(stat.pid, me);
        assert_eq!(start_ticks(me), Some(stat.start_ticks));
        assert!(start_ticks(u32::MAX).is_none());
        assert_eq!(boot_id().unwrap().len(), 36);
    }
}
