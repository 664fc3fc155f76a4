//! What is known of a task before it runs.

use serde::{Deserialize, Serialize};

use super::Kind;
use crate::Bytes;

/// Cheap facts about a task, known before it runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// Size of the input; `None` if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Bytes>,
    /// What sort of file it is, by its name; `None` if that says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Memory that the user asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_memory: Option<Bytes>,
}

impl Features {
    /// Nothing but the input's size.
    #[must_use]
    pub fn sized(input: Bytes) -> Self {
        Self { input: Some(input), ..Self::default() }
    }
}
