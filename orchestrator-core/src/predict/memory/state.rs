//! What is kept across runs.

use serde::{Deserialize, Serialize};

use crate::predict::Kind;

/// One kept result. Everything the predictor knows follows from these.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryResult {
    /// Input size, bytes; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<u64>,
    /// What sort of file the input was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Peak resident memory, bytes.
    pub peak: u64,
    /// Run time, seconds.
    pub seconds: f64,
}

impl MemoryResult {
    /// Whether it can be learned from.
    pub(super) fn is_sane(&self) -> bool {
        self.peak > 0 && self.seconds.is_finite() && self.seconds >= 0.0
    }
}

/// The kept results, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryState {
    /// At most 300; more are cut from the front when restored.
    pub results: Vec<MemoryResult>,
}
