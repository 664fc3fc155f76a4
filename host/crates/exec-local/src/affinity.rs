//! The processors of the calling thread, for ways of launching that cannot set a child's own.

use orchestrator_core::placement::CpuSet;

/// 64-bit words of a mask: room for 65,536 processors, more than any kernel is built for.
const WORDS: usize = 1024;

/// The thread gets its processors back when this is dropped.
///
/// A mask that is asked for is remembered by the kernel: a processor that is plugged in later, or that a larger cpuset
/// brings, is not in it. So where everything there is was allowed, everything is asked for.
#[derive(Debug)]
pub(crate) struct Confined {
    before: Vec<u64>,
}

impl Drop for Confined {
    fn drop(&mut self) {
        set(&[u64::MAX; WORDS]);
        if read().is_some_and(|all| all != self.before) {
            // Refused when none of these is to be had any more: then everything is right.
            set(&self.before);
        }
    }
}

/// Keeps the calling thread to these processors for a while; `None` when the kernel refuses: nothing has changed then.
pub(crate) fn confine(cpus: &CpuSet) -> Option<Confined> {
    let before = read()?;
    set(cpus.words()).then_some(Confined { before })
}

/// The calling thread's processors.
fn read() -> Option<Vec<u64>> {
    let mut words = vec![0_u64; WORDS];
    // SAFETY: the kernel writes at most as many bytes as it is told there are, into a buffer that is ours.
    let bytes = unsafe {
        libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(words.as_slice()), words.as_mut_ptr())
    };
    words.truncate(usize::try_from(bytes).ok()?.div_ceil(size_of::<u64>()));
    Some(words)
}

fn set(words: &[u64]) -> bool {
    // SAFETY: the kernel reads as many bytes as it is told there are, from a slice of that size.
    let outcome =
        unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(words), words.as_ptr()) };
    outcome == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> CpuSet {
        let words = read().unwrap();
        (0..words.len() as u32 * 64).filter(|cpu| words[*cpu as usize / 64] >> (cpu % 64) & 1 == 1).collect()
    }

    #[test]
    fn the_thread_has_its_processors_back_be_they_all_or_some() {
        let all = own();
        let one = CpuSet::from_iter(all.iter().last());
        let other = CpuSet::from_iter(all.iter().next());
        for before in [&all, &one] {
            // A thread of its own: its processors are nobody else's.
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    assert!(set(before.words()));
                    let confined = confine(&other).unwrap();
                    assert_eq!(own(), other);
                    drop(confined);
                    assert_eq!(own(), *before);
                });
            });
        }
    }

    #[test]
    fn processors_that_do_not_exist_change_nothing() {
        let before = own();
        assert!(confine(&CpuSet::from_iter([65_535])).is_none());
        assert_eq!(own(), before);
    }
}
