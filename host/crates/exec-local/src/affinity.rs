//! The processors of the calling thread, for ways of launching that cannot set a child's own.

use orchestrator_core::placement::CpuSet;

/// Machines with more processors than this many words have bits for are not known to the kernel's own limit.
const WORDS: usize = 1024;

/// The thread gets its processors back when this is dropped.
#[derive(Debug)]
pub(crate) struct Confined {
    before: Vec<u64>,
}

impl Drop for Confined {
    fn drop(&mut self) {
        set(&self.before);
    }
}

/// Keeps the calling thread to these processors for a while; `None` when the kernel refuses: nothing has changed then.
pub(crate) fn confine(cpus: &CpuSet) -> Option<Confined> {
    let mut before = vec![0_u64; WORDS];
    // SAFETY: the kernel writes at most as many bytes as it is told there are, into a buffer that is ours.
    let read = unsafe {
        libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(before.as_slice()), before.as_mut_ptr())
    };
    before.truncate(usize::try_from(read).ok()?.div_ceil(size_of::<u64>()));
    set(cpus.words()).then_some(Confined { before })
}

fn set(words: &[u64]) -> bool {
    // SAFETY: the kernel reads as many bytes as it is told there are, from a slice of that size.
    let outcome =
        unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(words), words.as_ptr()) };
    outcome == 0
}
