//! Sending signals, by group while the group's number is pinned, by pidfd otherwise.

use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use crate::stat::{Stat, read_stat};

/// The signal with this number, real-time ones included; `None` outside 1–64.
pub(crate) fn from_number(number: i32) -> Option<Signal> {
    if !(1..=64).contains(&number) {
        return None;
    }
    // SAFETY: the number is a valid signal of Linux; it is only ever sent, never given a handler, so libc's reserved
    // real-time signals lose nothing by it.
    Some(unsafe { Signal::from_raw_unchecked(number) })
}

/// Whether the signal asks a process to end (so that its descendants were asked, too, when it went to the tree).
pub(crate) fn asks_to_end(signal: Signal) -> bool {
    [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT].contains(&signal)
}

/// Whether the signal stops a process without ending it.
pub(crate) fn suspends(signal: Signal) -> bool {
    [Signal::STOP, Signal::TSTP, Signal::TTIN, Signal::TTOU].contains(&signal)
}

/// Sends a signal to a process group; its leader must not have been reaped yet, so that the number is still its own.
/// A group that is empty is no error.
pub(crate) fn to_group(leader: u32, signal: Signal) {
    if let Some(pid) = as_pid(leader) {
        let _ = kill_process_group(pid, signal);
    }
}

/// Sends a signal through a pidfd; a process that is gone is no error.
pub(crate) fn to_pidfd(pidfd: &OwnedFd, signal: Signal) {
    let _ = pidfd_send_signal(pidfd, signal);
}

/// A handle on exactly the process that was seen, or `None` when it is gone, its number was given to another one, or
/// it is a mere thread.
pub(crate) fn open(seen: &Stat) -> Option<OwnedFd> {
    let pidfd = pidfd_open(as_pid(seen.pid)?, PidfdFlags::empty()).ok()?;
    let now = read_stat(seen.pid)?;
    (now.start_ticks == seen.start_ticks).then_some(pidfd)
}

/// The number as the kernel's type; `None` for 0 and numbers that are none.
pub(crate) fn as_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kernels_numbers_are_signals() {
        assert_eq!(from_number(15), Some(Signal::TERM));
        assert_eq!(from_number(0), None);
        assert_eq!(from_number(65), None);
        assert!(from_number(40).is_some());
    }
}
