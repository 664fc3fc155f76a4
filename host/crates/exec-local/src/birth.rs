//! Birth by `clone3`: one system call that gives process and pidfd, without a copy of the host's memory and without
//! waiting for the child.
//!
//! The child shares our memory (`CLONE_VM`) until it has called `execve` or ended, and runs beside us meanwhile: what is
//! left of a launch goes on while another core loads the program. What makes this safe:
//!
//! - Each child has a [`Cradle`] to itself: a stack, and all that it reads, laid out before. Nobody touches it until the
//!   kernel says that the child has left our memory: `CLONE_CHILD_CLEARTID` clears a word in it on `execve` and on exit.
//! - The child runs [`be_born`] alone, which makes raw system calls and nothing else: no libc (it shares our thread's
//!   `errno` and other thread-local data), no allocation, no lock, no panic. It writes one word, why it failed.
//! - `CLONE_CLEAR_SIGHAND` takes our signal handlers away from it before it lives, so none can run in our memory.
//! - It never returns: it ends in `execve` or `exit`. The assembly calls it on its own stack, so our frames are never
//!   returned to twice.
//!
//! Where the kernel (before 5.5), a sandbox or the architecture lacks this, [`is_possible`] says so.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use rustix::process::Rlimit;

use crate::image::{Call, Image};
use crate::stack::Stack;

/// What the child is to do between its birth and `execve`.
#[derive(Debug)]
#[repr(C)]
struct Birth {
    /// What to execute; nothing (a trial) when the program is null.
    call: Call,
    /// Becomes standard input, output, error.
    streams: [i32; 3],
    /// Limit of open files to take back.
    open_files: Option<libc::rlimit>,
    /// Not zero as long as the child may be in our memory; cleared by the kernel.
    here: AtomicU32,
    /// Written by the child: why it did not get as far as the program; 0 when it did.
    errno: AtomicI32,
}

/// What a child needs of our memory between its birth and `execve`. Dropped with a child in it, it is leaked.
#[derive(Debug)]
pub(crate) struct Cradle(ManuallyDrop<Parts>);

#[derive(Debug)]
struct Parts {
    stack: Stack,
    birth: Box<Birth>,
    /// What is executed is laid out here.
    image: Image,
}

// SAFETY: the pointers of `birth.call` lead into the image beside it, and the stack is nobody else's.
unsafe impl Send for Cradle {}

impl Drop for Cradle {
    fn drop(&mut self) {
        if !self.is_occupied() {
            // SAFETY: dropped here alone, and not used after.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        }
    }
}

impl Cradle {
    /// # Errors
    /// No memory for its stack.
    pub(crate) fn new() -> io::Result<Self> {
        let call = Call {
            program: std::ptr::null(),
            directory: std::ptr::null(),
            argv: std::ptr::null(),
            envp: std::ptr::null(),
            cpus: std::ptr::null(),
            cpu_bytes: 0,
        };
        let (here, errno) = (AtomicU32::new(0), AtomicI32::new(0));
        let birth = Birth { call, streams: [0; 3], open_files: None, here, errno };
        let stack = Stack::new()?;
        Ok(Self(ManuallyDrop::new(Parts { stack, birth: Box::new(birth), image: Image::default() })))
    }

    /// Where what is to be executed is laid out.
    pub(crate) fn image(&mut self) -> &mut Image {
        &mut self.0.image
    }

    /// Whether a child may still be in it.
    pub(crate) fn is_occupied(&self) -> bool {
        self.0.birth.here.load(Ordering::Acquire) != 0
    }

    /// Why the child did not become its program; `None` when it did, or has not got so far.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        let errno = self.0.birth.errno.load(Ordering::Acquire);
        (errno != 0).then(|| io::Error::from_raw_os_error(errno))
    }

    /// The child has ended, whatever the kernel did or did not write.
    pub(crate) fn empty(&self) {
        self.0.birth.here.store(0, Ordering::Release);
    }

    /// Makes a child in it that does nothing; true if it could be made.
    fn try_out(&mut self) -> bool {
        let outcome = imp::born(self);
        if let Ok((pid, _pidfd)) = outcome {
            crate::reap::reap_blocking(pid);
            self.empty();
            return true;
        }
        false
    }

    /// Makes a child that becomes the program of the call, which lies in the image.
    ///
    /// # Errors
    /// The kernel's refusal; then there is no child.
    pub(crate) fn bear(
        &mut self,
        call: Call,
        streams: [i32; 3],
        open_files: Option<Rlimit>,
    ) -> io::Result<(u32, OwnedFd)> {
        let value = |limit: Option<u64>| limit.unwrap_or(libc::RLIM_INFINITY);
        let open_files =
            open_files.map(|it| libc::rlimit { rlim_cur: value(it.current), rlim_max: value(it.maximum) });
        debug_assert!(!self.is_occupied(), "a cradle is for one child at a time");
        self.0.birth.call = call;
        self.0.birth.streams = streams;
        self.0.birth.open_files = open_files;
        imp::born(self)
    }
}

/// Whether children can be born so here; tried with one that ends at once.
pub(crate) fn is_possible() -> bool {
    Cradle::new().is_ok_and(|mut cradle| cradle.try_out())
}

#[cfg(target_arch = "x86_64")]
use x86_64 as imp;

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::asm;
    use std::os::fd::FromRawFd;

    use super::{Birth, Cradle, Ordering, OwnedFd, Parts, io};
    use crate::stack::SIZE;

    pub(super) fn born(cradle: &mut Cradle) -> io::Result<(u32, OwnedFd)> {
        let mut pidfd: i32 = -1;
        let Parts { stack, birth, .. } = &mut *cradle.0;
        let birth: &Birth = birth;
        birth.errno.store(0, Ordering::Relaxed);
        birth.here.store(1, Ordering::Release);
        let flags = libc::CLONE_VM | libc::CLONE_PIDFD | libc::CLONE_CHILD_CLEARTID;
        // SAFETY: the struct is plain data for which all-zero bytes are a value.
        let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
        // CLONE_CLEAR_SIGHAND lies above the 32 bits of libc's type.
        arguments.flags = u64::from(flags.cast_unsigned()) | 1 << 32;
        arguments.pidfd = (&raw mut pidfd).expose_provenance() as u64;
        arguments.child_tid = birth.here.as_ptr().expose_provenance() as u64;
        arguments.exit_signal = libc::SIGCHLD.cast_unsigned().into();
        arguments.stack = stack.start().expose_provenance() as u64;
        arguments.stack_size = SIZE as u64;
        // SAFETY: the cradle is free: its stack, 16-aligned, is nobody's. It stays as it is until the child has left it
        // (`is_occupied`), which its owner waits for before it is used again or freed.
        let outcome = unsafe { clone3(&arguments, &raw const *birth) };
        let Ok(pid) = u32::try_from(outcome) else {
            birth.here.store(0, Ordering::Release);
            let errno = i32::try_from(-outcome).unwrap_or(libc::EINVAL);
            return Err(io::Error::from_raw_os_error(errno));
        };
        // SAFETY: the kernel has just opened it for us (with close-on-exec).
        Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
    }

    /// The system call. In the child it goes on in [`be_born`], here it returns the child's pid or `-errno`.
    ///
    /// # Safety
    /// `arguments` must name an unused stack, `CLONE_VM` and `CLONE_CLEAR_SIGHAND`; `birth` must stay as it is until the
    /// child has left our memory.
    unsafe fn clone3(arguments: &libc::clone_args, birth: *const Birth) -> i64 {
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
                birth = in(reg) birth,
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
    unsafe extern "C" fn be_born(birth: *const Birth) -> ! {
        // SAFETY: the cradle is ours until we have left; see the module. Every argument is a number or points into it.
        unsafe {
            if !(*birth).call.program.is_null() {
                let errno = become_program(&*birth);
                (*birth).errno.store(errno, Ordering::Release);
            }
            loop {
                let _never = system(libc::SYS_exit_group, [127, 0, 0, 0]);
            }
        }
    }

    /// Gives back why it did not become the program.
    ///
    /// # Safety
    /// Only to be called by the child.
    unsafe fn become_program(birth: &Birth) -> i32 {
        /// The kernel's form: handler, flags, restorer, mask.
        static DEFAULT: [u64; 4] = [0; 4];
        static NO_SIGNALS: u64 = 0;
        let address = |at: *const libc::c_void| at.expose_provenance() as i64;
        // SAFETY: as the caller promises; the calls change the child alone, which has its own descriptors, signal
        // actions, limits and directory.
        unsafe {
            if let Err(errno) = system(libc::SYS_setpgid, [0; 4]) {
                return errno;
            }
            if !birth.call.cpus.is_null() {
                let (bytes, cpus) = (birth.call.cpu_bytes as i64, address(birth.call.cpus.cast()));
                // Processors that are gone meanwhile leave it those of the host.
                let _placed = system(libc::SYS_sched_setaffinity, [0, bytes, cpus, 0]);
            }
            if let Some(limit) = &birth.open_files {
                let limit = address((&raw const *limit).cast());
                // In the worst case it keeps the larger one.
                let _kept = system(libc::SYS_prlimit64, [0, libc::RLIMIT_NOFILE.into(), limit, 0]);
            }
            let mut target = 0;
            while target < 3 {
                // Sources are never below 3 (the standard streams are always open): none is overwritten before its
                // turn, and the copy has no close-on-exec.
                let source = birth.streams[target as usize];
                if let Err(errno) = system(libc::SYS_dup2, [source.into(), target, 0, 0]) {
                    return errno;
                }
                target += 1;
            }
            let directory = birth.call.directory;
            if !directory.is_null()
                && let Err(errno) = system(libc::SYS_chdir, [address(directory.cast()), 0, 0, 0])
            {
                return errno;
            }
            // Rust ignores SIGPIPE; programs expect the default. Ignored signals would outlive `execve`, and so would
            // blocked ones.
            let default = address((&raw const DEFAULT).cast());
            let _done = system(libc::SYS_rt_sigaction, [libc::SIGPIPE.into(), default, 0, 8]);
            let none = address((&raw const NO_SIGNALS).cast());
            let _done = system(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK.into(), none, 0, 8]);
            let (argv, envp) = (address(birth.call.argv.cast()), address(birth.call.envp.cast()));
            match system(libc::SYS_execve, [address(birth.call.program.cast()), argv, envp, 0]) {
                Err(errno) => errno,
                Ok(()) => libc::EINVAL,
            }
        }
    }

    /// A system call without libc, which would write `errno`.
    ///
    /// # Safety
    /// As the call itself asks.
    unsafe fn system(number: i64, arguments: [i64; 4]) -> Result<(), i32> {
        let outcome: i64;
        // SAFETY: the kernel changes rax, rcx, r11 and what the caller answers for.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") number => outcome,
                in("rdi") arguments[0],
                in("rsi") arguments[1],
                in("rdx") arguments[2],
                in("r10") arguments[3],
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack),
            );
        }
        if outcome < 0 { Err(outcome.wrapping_neg() as i32) } else { Ok(()) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod imp {
    use super::{Cradle, OwnedFd, io};

    /// Not written for this architecture.
    pub(super) fn born(_: &mut Cradle) -> io::Result<(u32, OwnedFd)> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
