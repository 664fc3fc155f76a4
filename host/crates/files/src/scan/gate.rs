//! How far a scan may run ahead: found files that nobody has worked off yet are bounded, however large the directory.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use orchestrator_ports::Permit;

/// Batches under way at most: some thirty thousand files, a few megabytes.
const AHEAD: usize = 32;

/// Lets so many batches through; more wait until one of those is worked off.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    under_way: usize,
    open_for_all: bool,
}

struct Place(Arc<Gate>);

impl Gate {
    /// Waits for a place.
    pub(crate) fn enter(self: &Arc<Self>) -> Permit {
        let mut state = self.lock();
        while state.under_way >= AHEAD && !state.open_for_all {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.under_way += 1;
        Permit::new(Place(Arc::clone(self)))
    }

    /// Nobody waits any more: the scan is to end.
    pub(crate) fn open_for_all(&self) {
        self.lock().open_for_all = true;
        self.room.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.under_way = state.under_way.saturating_sub(1);
        drop(state);
        self.0.room.notify_one();
    }
}
