//! Birth by `clone3`: one system call that gives process and pidfd, without a copy of the host's memory.
//!
//! `CLONE_VM | CLONE_VFORK` is what `vfork` is: the child uses our memory, on a stack of its own, until it has called
//! `execve` or ended; our thread stands still meanwhile (the others go on). What makes this safe:
//!
//! - The child runs [`be_born`] alone, which makes system calls and nothing else: no allocation, no lock, no panic.
//! - All it reads was laid out before (`Birth`); all it writes is one word, before it ends, while we stand still.
//! - `CLONE_CLEAR_SIGHAND` takes our signal handlers away from it before it lives, so none can run in our memory.
//! - It never returns: it ends in `execve` or `_exit`. The assembly calls it on its own stack, so our frames are never
//!   returned to twice.
//!
//! Where the kernel (before 5.5), a sandbox or the architecture lacks this, [`Clone3::try_new`] says so by giving none.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::Rlimit;

use crate::image::Call;

/// Enough for the frames of a few thin wrappers of system calls.
const STACK: usize = 64 * 1024;

/// What the child is to do between its birth and `execve`.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Birth {
    /// What to execute; nothing (a trial) when the program is null.
    pub(crate) call: Call,
    /// Becomes standard input, output, error.
    pub(crate) streams: [i32; 3],
    /// Limit of open files to take back.
    pub(crate) open_files: Option<libc::rlimit>,
    /// Written by the child: why it did not get as far as the program; 0 when it did.
    pub(crate) errno: i32,
}

/// The kernel's form of a limit.
pub(crate) fn as_rlimit(limit: Rlimit) -> libc::rlimit {
    let value = |limit: Option<u64>| limit.unwrap_or(libc::RLIM_INFINITY);
    libc::rlimit { rlim_cur: value(limit.current), rlim_max: value(limit.maximum) }
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use elsewhere::Clone3;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::Clone3;

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::asm;
    use std::os::fd::FromRawFd;
    use std::ptr;

    use super::{Birth, OwnedFd, STACK, io};
    use crate::image::Call;
    use crate::reap;

    /// A stack for children: one at a time uses it, while our thread stands still.
    #[derive(Debug)]
    pub(crate) struct Clone3 {
        stack: Box<[u128]>,
    }

    impl Clone3 {
        /// Tries the whole way with a child that ends at once.
        pub(crate) fn try_new() -> Option<Self> {
            let mut clone = Self { stack: vec![0; STACK / size_of::<u128>()].into() };
            let nothing =
                Call { program: ptr::null(), directory: ptr::null(), argv: ptr::null(), envp: ptr::null() };
            let mut trial = Birth { call: nothing, streams: [0; 3], open_files: None, errno: 0 };
            let (pid, _pidfd) = clone.born(&mut trial).ok()?;
            reap::reap_blocking(pid);
            Some(clone)
        }

        /// Makes the child. It has called `execve` successfully or ended when this returns (see `birth.errno`); in both
        /// cases it is to be reaped.
        ///
        /// # Errors
        /// The kernel's refusal; then there is no child.
        pub(crate) fn born(&mut self, birth: &mut Birth) -> io::Result<(u32, OwnedFd)> {
            let mut pidfd: i32 = -1;
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;
            // SAFETY: the struct is plain data for which all-zero bytes are a value.
            let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
            // CLONE_CLEAR_SIGHAND lies above the 32 bits of libc's type.
            arguments.flags = u64::from(flags.cast_unsigned()) | 1 << 32;
            arguments.pidfd = (&raw mut pidfd).expose_provenance() as u64;
            arguments.exit_signal = libc::SIGCHLD.cast_unsigned().into();
            arguments.stack = self.stack.as_mut_ptr().expose_provenance() as u64;
            arguments.stack_size = size_of_val(&*self.stack) as u64;
            // SAFETY: the stack is ours alone, 16-aligned and unused: the child before has left it, since we only go
            // on when it has. `birth` outlives the call, and with it the child's use of it.
            let outcome = unsafe { clone3(&arguments, birth) };
            let pid = u32::try_from(outcome)
                .map_err(|_| io::Error::from_raw_os_error(i32::try_from(-outcome).unwrap_or(libc::EINVAL)))?;
            // SAFETY: the kernel has just opened it for us (with close-on-exec).
            Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
        }
    }

    /// The system call. In the child it goes on in [`be_born`], here it returns the child's pid or `-errno`.
    ///
    /// # Safety
    /// `arguments` must name an unused stack, and `CLONE_VM`, `CLONE_VFORK` and `CLONE_CLEAR_SIGHAND`.
    unsafe fn clone3(arguments: &libc::clone_args, birth: &mut Birth) -> i64 {
        let outcome: i64;
        // SAFETY: the child begins with our registers but its own stack pointer, at the top of its 16-aligned stack, so
        // that `call` meets the convention of C; it never comes back from there. We see a system call that changes rax,
        // rcx, r11 and memory. rcx and r11 are not "late", lest an input be placed in them.
        unsafe {
            asm!(
                "syscall",
                "test rax, rax",
                "jnz 2f",
                "xor ebp, ebp",
                "mov rdi, {birth}",
                "call {entry}",
                "ud2",
                "2:",
                birth = in(reg) &raw mut *birth,
                entry = sym be_born,
                inlateout("rax") libc::SYS_clone3 => outcome,
                in("rdi") &raw const *arguments,
                in("rsi") size_of::<libc::clone_args>(),
                out("rcx") _,
                out("r11") _,
            );
        }
        outcome
    }

    /// The child's whole life in our memory.
    unsafe extern "C" fn be_born(birth: *mut Birth) -> ! {
        // SAFETY: the parent stands still and keeps what `birth` points to; the calls are thin wrappers of system
        // calls with arguments laid out by the parent. They may write `errno`, which we share with the parent's thread:
        // it holds nothing of worth there across this call.
        unsafe {
            if !(*birth).call.program.is_null() {
                (*birth).errno = become_program(&*birth);
            }
            libc::_exit(127)
        }
    }

    /// Gives back why it did not become the program.
    ///
    /// # Safety
    /// Only to be called by the child; pointers as [`Birth`] says.
    unsafe fn become_program(birth: &Birth) -> i32 {
        // SAFETY: as the caller promises; all pointers are to live locals or into the image.
        unsafe {
            if libc::setpgid(0, 0) != 0 {
                return errno();
            }
            if let Some(limit) = &birth.open_files {
                // In the worst case it keeps the larger one.
                libc::setrlimit(libc::RLIMIT_NOFILE, limit);
            }
            for (target, source) in (0..).zip(birth.streams) {
                // Sources are never below 3 (the standard streams are always open): none is overwritten before its
                // turn, and the copy has no close-on-exec.
                if libc::dup2(source, target) < 0 {
                    return errno();
                }
            }
            if !birth.call.directory.is_null() && libc::chdir(birth.call.directory) != 0 {
                return errno();
            }
            // Rust ignores SIGPIPE; programs expect the default. Ignored signals would outlive `execve`.
            let mut default: libc::sigaction = std::mem::zeroed();
            default.sa_sigaction = libc::SIG_DFL;
            libc::sigaction(libc::SIGPIPE, &raw const default, ptr::null_mut());
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
            libc::execve(birth.call.program, birth.call.argv, birth.call.envp);
            errno()
        }
    }

    unsafe fn errno() -> i32 {
        // SAFETY: glibc and musl give a valid pointer to the calling thread's errno.
        unsafe { *libc::__errno_location() }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod elsewhere {
    use super::{Birth, OwnedFd, io};

    /// Not written for this architecture.
    #[derive(Debug)]
    pub(crate) enum Clone3 {}

    impl Clone3 {
        pub(crate) fn try_new() -> Option<Self> {
            None
        }

        pub(crate) fn born(&mut self, _: &mut Birth) -> io::Result<(u32, OwnedFd)> {
            match *self {}
        }
    }
}
