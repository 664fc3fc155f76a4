//! The sockets that processes hold open.

use std::collections::BTreeSet;
use std::fs;

/// Inodes of all sockets that any of the processes holds open; `None` when none of them may be looked into.
pub(crate) fn of_tree(pids: impl Iterator<Item = u32>) -> Option<BTreeSet<u64>> {
    pids.filter_map(of_process).reduce(|mut all, more| {
        all.extend(more);
        all
    })
}

fn of_process(pid: u32) -> Option<BTreeSet<u64>> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return has_ended(pid).then(BTreeSet::new);
    };
    let target = |entry: fs::DirEntry| fs::read_link(entry.path()).ok();
    Some(entries.flatten().filter_map(target).filter_map(|target| inode(target.to_str()?)).collect())
}

/// Gone, or a zombie: its sockets are closed.
fn has_ended(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    // `pid (name) state …`; the name may hold anything.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    matches!(state, Some('Z' | 'X'))
}

/// `socket:[12345]` → 12345.
fn inode(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{has_ended, inode, of_tree};
    use std::collections::BTreeSet;

    #[test]
    fn only_sockets_have_a_socket_inode() {
        assert_eq!(inode("socket:[12345]"), Some(12345));
        assert_eq!(inode("pipe:[12345]"), None);
        assert_eq!(inode("/tmp/socket:[1]"), None);
    }

    #[test]
    fn processes_that_have_ended_hold_nothing() {
        assert_eq!(of_tree([u32::MAX].into_iter()), Some(BTreeSet::new()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        while !has_ended(child.id()) {
            std::thread::yield_now();
        }
        assert_eq!(of_tree([child.id()].into_iter()), Some(BTreeSet::new()));
        child.wait().unwrap();
        assert!(!has_ended(std::process::id()));
        assert_eq!(of_tree(std::iter::empty()), None);
    }
}
