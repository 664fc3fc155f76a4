//! The stack of a child between its birth and `execve`.
//!
//! It is mapped, not allocated: of a thousand that were in use at once, while a thousand children loaded their programs,
//! nothing is left in the heap, where other things that were made meanwhile would keep them from being given back.

use std::io;
use std::ptr::{NonNull, null_mut};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use rustix::param::page_size;

/// Enough for the few frames between birth and `execve`; whole pages.
pub(crate) const SIZE: usize = 16 * 1024;

/// Memory for a stack; its owner says who uses it. Below it lies a page that nobody may touch.
#[derive(Debug)]
pub(crate) struct Stack(NonNull<u8>);

impl Stack {
    /// A new one, aligned to a page.
    ///
    /// # Errors
    /// No memory, or no more places, for it.
    pub(crate) fn new() -> io::Result<Self> {
        let guard = page_size();
        // SAFETY: the kernel chooses a place where nothing is.
        let whole =
            unsafe { mmap_anonymous(null_mut(), guard + SIZE, ProtFlags::empty(), MapFlags::PRIVATE)? };
        // SAFETY: within what was mapped just now.
        let start = unsafe { whole.byte_add(guard) };
        let stack = Self(NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?);
        // SAFETY: mapped just now, and nobody's yet.
        unsafe { mprotect(start, SIZE, MprotectFlags::READ | MprotectFlags::WRITE)? };
        Ok(stack)
    }

    /// Its lowest byte.
    pub(crate) fn start(&self) -> *mut u8 {
        self.0.as_ptr()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let guard = page_size();
        // SAFETY: mapped by `new` with this size, the guard below it, and unmapped here alone.
        let unmapped = unsafe { munmap(self.0.as_ptr().byte_sub(guard).cast(), guard + SIZE) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::{SIZE, Stack};

    /// Resident memory of this process in bytes.
    fn resident() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
        pages * rustix::param::page_size()
    }

    #[test]
    fn what_many_took_is_given_back_whatever_was_allocated_meanwhile() {
        let before = resident();
        let mut other = Vec::new();
        let stacks: Vec<Stack> = (0..1_000)
            .map(|_| {
                let stack = Stack::new().unwrap();
                // SAFETY: it is as long as that, and nobody else's.
                unsafe { stack.start().write_bytes(1, SIZE) };
                other.push(vec![1_u8; 100]);
                stack
            })
            .collect();
        assert!(resident() > before + 900 * SIZE, "{} after {before}", resident());
        drop(stacks);
        assert!(resident() < before + 100 * SIZE, "{} after {before}", resident());
        assert_eq!(other.len(), 1_000);
    }
}
