//! Gathers what a scan finds: small first batch, so that the first launch is early; large ones later.

use std::time::{Duration, Instant};

use orchestrator_core::scheduler::Discovered;

/// Files in the first batch.
const FIRST: usize = 32;
/// Files in every other batch.
const FULL: usize = 1024;
/// A batch is handed over after this time even when it is not full.
const LINGER: Duration = Duration::from_millis(20);

/// Gathers and delivers.
pub(crate) struct Batches<'a> {
    deliver: &'a dyn Fn(Vec<Discovered>),
    found: Vec<Discovered>,
    limit: usize,
    since: Option<Instant>,
}

impl<'a> Batches<'a> {
    pub(crate) fn new(deliver: &'a dyn Fn(Vec<Discovered>)) -> Self {
        Self { deliver, found: Vec::with_capacity(FIRST), limit: FIRST, since: None }
    }

    pub(crate) fn push(&mut self, found: Discovered) {
        self.found.push(found);
        self.since.get_or_insert_with(Instant::now);
        if self.found.len() >= self.limit {
            self.flush();
        }
    }

    /// Delivers what has waited long enough; to be called now and then.
    pub(crate) fn tick(&mut self) {
        if self.since.is_some_and(|since| since.elapsed() >= LINGER) {
            self.flush();
        }
    }

    /// Delivers what is there.
    pub(crate) fn flush(&mut self) {
        if !self.found.is_empty() {
            let next = Vec::with_capacity(FULL);
            (self.deliver)(std::mem::replace(&mut self.found, next));
        }
        self.limit = FULL;
        self.since = None;
    }
}
