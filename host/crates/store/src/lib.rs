//! The durable record of a state directory: one SQLite database in WAL mode, one writer, a lock that names its holder.
//!
//! See the README for the invariants. The way of a run: [`StateDir::open`] → [`StateDir::load`] →
//! [`StateDir::start`] → records through [`SqliteStore`] → [`StoreGuard::finish`].
//! Commands that only look use a [`StateReader`], which needs no lock and works while a run is live.

mod book;
mod crc;
mod damage;
mod error;
mod fold;
mod identity;
mod journal;
pub mod learned;
mod load;
mod lock;
mod options;
mod outputs;
mod query;
mod queue;
mod reserved;
mod rows;
mod runs;
mod samples;
mod schema;
mod sql;
mod state_dir;
mod writer;

pub use damage::Recovery;
pub use error::StoreError;
pub use identity::HostIdentity;
pub use load::Loaded;
pub use lock::Holder;
pub use options::{OpenOptions, Retention};
pub use query::{
    AttemptOutcome, AttemptView, FailedTask, HistoryPoint, HistoryQuery, JoblogRow, MeasuredTask, Overview,
    StateReader, TaskRef, TaskView,
};
pub use queue::SqliteStore;
pub use runs::{RunEnd, RunInfo, RunView};
pub use schema::FORMAT;
pub use state_dir::StateDir;
pub use writer::StoreGuard;
