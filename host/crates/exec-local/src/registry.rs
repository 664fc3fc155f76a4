//! The children that this host launched itself, over all executors and checks of the process.
//!
//! As a subreaper the host inherits orphans as children, too. Whoever looks for orphans holds them against this
//! register; whoever launches or reaps a child does it under the same lock, so that a child is never taken for an
//! orphan between its birth and its entry.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, TryLockError};

static CHILDREN: LazyLock<Mutex<HashSet<u32>>> = LazyLock::new(Mutex::default);

/// The register, locked: launch, reap and judge orphans while holding it, and never wait for anything else.
pub(crate) fn lock() -> MutexGuard<'static, HashSet<u32>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same, unless somebody holds it now.
pub(crate) fn try_lock() -> Option<MutexGuard<'static, HashSet<u32>>> {
    match CHILDREN.try_lock() {
        Ok(children) => Some(children),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
