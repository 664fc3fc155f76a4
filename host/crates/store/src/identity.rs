//! Which process on which machine: so that a holder of a lock is recognised, dead or alive.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

/// A process, told from every other one that ever had or will have its pid.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct HostIdentity {
    /// Host name.
    pub host: String,
    /// Id of this boot of the kernel.
    pub boot_id: String,
    /// The pid namespace that the pid belongs to.
    pub pid_namespace: String,
    /// Process id.
    pub pid: u32,
    /// Start time of the process in clock ticks since boot.
    pub start_ticks: u64,
}

impl HostIdentity {
    /// This process.
    ///
    /// # Errors
    /// When /proc is not mounted.
    pub fn of_this_process() -> io::Result<Self> {
        let pid = std::process::id();
        let start_ticks = start_ticks(pid)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "/proc/self/stat cannot be read"))?;
        Ok(Self { host: host_name(), boot_id: boot_id()?, pid_namespace: pid_namespace(), pid, start_ticks })
    }

    /// Whether the process lives; `None` when it cannot be seen from here (another host or container).
    #[must_use]
    pub fn is_alive(&self) -> Option<bool> {
        if self.host != host_name() || self.pid_namespace != pid_namespace() {
            return None;
        }
        if boot_id().ok()? != self.boot_id {
            return Some(false);
        }
        Some(start_ticks(self.pid) == Some(self.start_ticks))
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

fn pid_namespace() -> String {
    fs::read_link("/proc/self/ns/pid")
        .map_or_else(|_| String::new(), |link| link.to_string_lossy().into_owned())
}

/// Field 22 of `/proc/PID/stat`; the second field, in parentheses, may itself contain anything.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_until_its_pid_means_another() {
        let me = HostIdentity::of_this_process().unwrap();
        assert_eq!(me.is_alive(), Some(true));
        assert_eq!(HostIdentity { start_ticks: me.start_ticks + 1, ..me.clone() }.is_alive(), Some(false));
        assert_eq!(HostIdentity { boot_id: "earlier".into(), ..me.clone() }.is_alive(), Some(false));
        assert_eq!(HostIdentity { host: "elsewhere".into(), ..me }.is_alive(), None);
    }
}
