//! The durable record.

use orchestrator_core::metrics::Metrics;
use orchestrator_core::scheduler::Fact;
use orchestrator_core::{AttemptId, Timestamp};

/// How far a record must have gone before it is acknowledged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SyncMode {
    /// Written: survives our own death, not a power cut.
    Written,
    /// Synced: survives a power cut (a record with completions).
    Synced,
}

/// The facts of one step: one all-or-nothing record. Many may share one commit; one is never split over two.
#[derive(Clone, Debug)]
pub struct Record {
    /// Counts steps from 1 within a run; acknowledged in order.
    pub number: u64,
    /// What became true; never empty.
    pub facts: Vec<Fact>,
    /// How far it must go.
    pub sync: SyncMode,
}

/// Metrics of one moment for the history; lost on a crash without harm.
#[derive(Clone, Debug)]
pub struct SampleRow {
    /// When.
    pub at: Timestamp,
    /// Whose; `None` for the machine.
    pub attempt: Option<AttemptId>,
    /// Name → value.
    pub metrics: Metrics,
}

/// What the store tells.
#[derive(Clone, Debug)]
pub enum StoreEvent {
    /// All records up to this number went as far as they asked.
    Committed {
        /// The last record's number.
        through: u64,
    },
    /// The store cannot go on (disk full, I/O error): the run must stop; exit 74.
    Failed {
        /// What happened and what to do.
        detail: String,
    },
}

/// Appends records on a thread of its own, grouping what waits into one commit.
pub trait Store: Send {
    /// Queues a record; blocks only when the bounded queue is full (backpressure). Answer: `Committed`.
    fn append(&self, record: Record);
    /// Queues records in order, each still all-or-nothing; a store that can takes them in one go. Returns up to which
    /// number they went as far as they asked by the time it returns, if that is news: no `Committed` follows for those.
    fn append_all(&self, records: Vec<Record>) -> Option<u64> {
        records.into_iter().for_each(|record| self.append(record));
        None
    }
    /// Queues samples for the history; dropped (and counted) rather than ever delaying a record.
    fn samples(&self, rows: Vec<SampleRow>);
}
