//! A page that host and runner share: the stamp of the call under way.
//!
//! The runner can write anything into it; the host only ever compares it with its own clock.

use crate::instance::context::Stamp;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const SIZE: usize = 4096;

/// The host's view.
pub(super) struct Page {
    descriptor: OwnedFd,
    stamp: *const Stamp,
}

// SAFETY: the page stays mapped as long as the value lives, and a stamp is an atomic number.
unsafe impl Send for Page {}

impl Page {
    pub(super) fn new() -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let descriptor = memfd_create("plugin-call", flags | MemfdFlags::NOEXEC_SEAL)
            .or_else(|_| memfd_create("plugin-call", flags))?;
        ftruncate(&descriptor, SIZE as u64)?;
        // A page that the runner could cut off would be a fault of ours.
        fcntl_add_seals(&descriptor, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let stamp = map(descriptor.as_fd())?;
        Ok(Self { descriptor, stamp })
    }

    pub(super) fn stamp(&self) -> &Stamp {
        // SAFETY: `map` returned a page, aligned and zeroed, that is unmapped by `drop` alone; every bit pattern is a stamp.
        unsafe { &*self.stamp }
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: it is the page that `map` mapped; no reference outlives `self`.
        let _ = unsafe { munmap(self.stamp.cast_mut().cast(), SIZE) };
    }
}

/// The runner's view, for good.
pub(super) fn stamp_for_good(descriptor: &OwnedFd) -> io::Result<&'static Stamp> {
    let stamp = map(descriptor.as_fd())?;
    // SAFETY: the page is never unmapped; every bit pattern is a stamp.
    Ok(unsafe { &*stamp })
}

fn map(descriptor: BorrowedFd<'_>) -> io::Result<*const Stamp> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
    let page = unsafe { mmap(std::ptr::null_mut(), SIZE, access, MapFlags::SHARED, descriptor, 0) }?;
    Ok(page.cast_const().cast())
}
