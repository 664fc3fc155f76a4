//! Ends all children from another thread, when the one that holds the executor does not come back: it may hang in the
//! kernel, in a write to a file system that answers no more.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use crate::proctable::{ProcTable, signal_each};
use crate::{registry, signal};

/// The register is held for moments; whoever holds it for longer hangs, too. It is asked for again and again, since waiting
/// for it could hang with that thread.
const REGISTER_FOR: Duration = Duration::from_secs(1);

/// Sends SIGKILL to every process that this host launched, to their groups and to their descendants. To be followed by
/// the host's own end: nobody is told. What was born meanwhile or left its parents is found by the next start
/// ([`orphans`](crate::orphans)). False when the register of launched processes could not be had; then nothing was done.
#[must_use]
pub fn kill_launched() -> bool {
    let begin = Instant::now();
    loop {
        if let Some(launched) = registry::try_lock() {
            // Kinship first, while parents live to vouch for it.
            let mut tree: HashSet<u32> = launched.iter().copied().collect();
            let mut alive = Vec::new();
            ProcTable::read_all().close_over(&mut tree, &mut alive);
            // Held until all are signalled: none is reaped meanwhile, so each number is still its own.
            for pid in launched.iter().copied() {
                signal::to_group(pid, Signal::KILL);
                let _ = signal::as_pid(pid).map(|pid| kill_process(pid, Signal::KILL));
            }
            signal_each(&alive, Signal::KILL);
            return true;
        }
        if begin.elapsed() >= REGISTER_FOR {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
