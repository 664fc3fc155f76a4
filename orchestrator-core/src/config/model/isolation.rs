//! Where a plugin runs, and what it may do there.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a plugin runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// In the program's own process: fastest, and trusted with everything.
    InProcess,
    /// In a process of its own: a crash, a hang or a want of memory ends that process alone.
    Process,
    /// In a process of its own that reads, writes, connects and starts only what its grants name.
    Sandbox,
}

impl Isolation {
    /// As it is written in a configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InProcess => "in_process",
            Self::Process => "process",
            Self::Sandbox => "sandbox",
        }
    }
}

/// What a sandboxed plugin may do beyond calculating and reading system-wide statistics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// Whether it may open network connections and listen.
    pub network: bool,
    /// Files and directories, with all that is in them, that it may read.
    #[schemars(extend("items" = {"type": "string", "format": "path"}))]
    pub read: Vec<PathBuf>,
    /// Whether it may read every file that the program's user may read, such as all of /proc; it still writes none.
    pub observer: bool,
    /// Variables of the tasks' environments that it may ask for.
    pub environment: Vec<String>,
}
