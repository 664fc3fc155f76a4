//! The sockets that processes hold open.

use std::collections::BTreeSet;
use std::fs;

/// Inodes of all sockets that any of the processes holds open; `None` when none of them can be looked at (they have
/// ended, or belong to another user).
pub(crate) fn of_tree(pids: impl Iterator<Item = u32>) -> Option<BTreeSet<u64>> {
    pids.filter_map(of_process).reduce(|mut all, more| {
        all.extend(more);
        all
    })
}

fn of_process(pid: u32) -> Option<BTreeSet<u64>> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let target = |entry: fs::DirEntry| fs::read_link(entry.path()).ok();
    Some(entries.flatten().filter_map(target).filter_map(|target| inode(target.to_str()?)).collect())
}

/// `socket:[12345]` → 12345.
fn inode(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{inode, of_tree};

    #[test]
    fn only_sockets_have_a_socket_inode() {
        assert_eq!(inode("socket:[12345]"), Some(12345));
        assert_eq!(inode("pipe:[12345]"), None);
        assert_eq!(inode("/tmp/socket:[1]"), None);
    }

    #[test]
    fn processes_that_have_ended_are_skipped() {
        let own = std::process::id();
        assert!(of_tree([u32::MAX].into_iter()).is_none());
        assert_eq!(of_tree([u32::MAX, own].into_iter()), of_tree([own].into_iter()));
    }
}
