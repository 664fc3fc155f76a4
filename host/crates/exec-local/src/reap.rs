//! Reaping, with what the process used.

use std::io;
use std::time::Duration;

use orchestrator_core::Bytes;
use orchestrator_core::metrics::Usage;
use orchestrator_core::scheduler::ExitStatus;

/// How a child ended and what it and its own reaped children used. `usage.wall` is left at zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reaped {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// From `wait4`'s rusage. Storage bytes are counted there in blocks of 512 bytes, from the same counters as
    /// `/proc/PID/io`.
    pub(crate) usage: Usage,
}

/// Reaps one child if it has ended. `Ok(None)` while it lives.
///
/// # Errors
/// `ECHILD` when it is no child of ours (any more).
pub(crate) fn reap(pid: u32) -> io::Result<Option<Reaped>> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ECHILD))?;
    let mut status = 0;
    // SAFETY: rusage is plain data for which all-zero bytes are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live locals of the right types.
        let reaped = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) };
        if reaped == pid {
            return Ok(Some(Reaped { status: decode(status), usage: convert(&usage) }));
        }
        if reaped == 0 {
            return Ok(None);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// The first of our children (launched or inherited) that has ended and waits to be reaped; it is left waiting.
pub(crate) fn peek_zombie() -> Option<u32> {
    // SAFETY: siginfo_t is plain data for which all-zero bytes are a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the pointer is to a live local of the right type.
    let outcome = unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, options) };
    if outcome != 0 {
        return None;
    }
    // SAFETY: waitid succeeded, so the child fields are the active ones; pid stays 0 when nobody has ended.
    let pid = unsafe { info.si_pid() };
    u32::try_from(pid).ok().filter(|&pid| pid != 0)
}

/// Undoes an inherited `SIG_IGN` of SIGCHLD, under which the kernel would throw exit statuses away.
pub(crate) fn ensure_children_are_kept() {
    // SAFETY: sigaction is plain data for which all-zero bytes are a value, and the calls get pointers to live locals;
    // SIG_DFL replaces SIG_IGN only, so no handler of another room is lost.
    unsafe {
        let mut current: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGCHLD, std::ptr::null(), &raw mut current) == 0
            && (current.sa_sigaction == libc::SIG_IGN || current.sa_flags & libc::SA_NOCLDWAIT != 0)
        {
            let mut default: libc::sigaction = std::mem::zeroed();
            default.sa_sigaction = libc::SIG_DFL;
            libc::sigaction(libc::SIGCHLD, &raw const default, std::ptr::null_mut());
        }
    }
}

fn decode(status: i32) -> ExitStatus {
    if libc::WIFSIGNALED(status) {
        ExitStatus::Signal(libc::WTERMSIG(status))
    } else {
        ExitStatus::Code(libc::WEXITSTATUS(status))
    }
}

fn convert(usage: &libc::rusage) -> Usage {
    Usage {
        wall: Duration::ZERO,
        cpu_user: duration(usage.ru_utime),
        cpu_system: duration(usage.ru_stime),
        peak_rss: Bytes(unsigned(usage.ru_maxrss).saturating_mul(1024)),
        read_bytes: Bytes(unsigned(usage.ru_inblock).saturating_mul(512)),
        write_bytes: Bytes(unsigned(usage.ru_oublock).saturating_mul(512)),
    }
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(unsigned(time.tv_sec)) + Duration::from_micros(unsigned(time.tv_usec))
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Adds what a descendant used that was reaped by us instead of its dead parent.
pub(crate) fn add(total: &mut Usage, other: &Usage) {
    total.cpu_user += other.cpu_user;
    total.cpu_system += other.cpu_system;
    total.peak_rss = total.peak_rss.max(other.peak_rss);
    total.read_bytes = Bytes(total.read_bytes.0 + other.read_bytes.0);
    total.write_bytes = Bytes(total.write_bytes.0 + other.write_bytes.0);
}

/// Waits for a child that was just killed and throws its status away.
pub(crate) fn reap_blocking(pid: u32) {
    if let Ok(pid) = libc::pid_t::try_from(pid) {
        // SAFETY: null pointers are allowed where status and usage are not wanted.
        unsafe { libc::wait4(pid, std::ptr::null_mut(), 0, std::ptr::null_mut()) };
    }
}
