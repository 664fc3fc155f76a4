//! Input scans, private outputs, their inspection and their atomic publication on a local file system.
//!
//! See the README for the invariants. [`LocalFiles`] implements the `Files` port; [`FilesHandle`] is its synchronous
//! side for the thread that launches processes.

mod checks;
mod discard;
mod durability;
mod error;
mod fault;
mod inspect;
mod layout;
mod listing;
mod local;
mod options;
mod prepare;
mod publish;
mod scan;
mod selector;
mod survey;

pub use error::FilesError;
pub use layout::FilesHandle;
pub use local::LocalFiles;
pub use options::{Check, Durability, FilesOptions, Known};
pub use survey::{SurveyError, selects, survey};
