//! How a state directory is opened.

use std::time::Duration;

/// How many metric samples are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Retention {
    /// Samples older than this are removed.
    pub max_age: Duration,
    /// Only so many are kept.
    pub max_rows: u64,
}

impl Default for Retention {
    /// A week, 200,000 rows (about 30 MB).
    fn default() -> Self {
        Self { max_age: Duration::from_secs(7 * 24 * 3600), max_rows: 200_000 }
    }
}

/// How a state directory is opened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OpenOptions {
    /// Forget what is there (`--fresh`); also the way out of a damaged file.
    pub fresh: bool,
    /// How many metric samples are kept.
    pub retention: Retention,
}
