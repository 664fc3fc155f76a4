//! What the user wants (`concurrency.placement`).

use std::fmt;

use serde_json::{Value, json};

use crate::config::scalar::{Scalar, ValueError, scalar_traits, shown};

/// Which processors a process is given.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Placement {
    /// One memory node each where there are several and it is known what a process needs; else as `None`.
    #[default]
    Auto,
    /// All that the host may use: the kernel decides.
    None,
    /// Those of one memory node each.
    Node,
    /// So many of its own each, as far as they go round; at least 1.
    Core(u32),
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::None => f.write_str("none"),
            Self::Node => f.write_str("node"),
            Self::Core(1) => f.write_str("core"),
            Self::Core(count) => write!(f, "core:{count}"),
        }
    }
}

impl Scalar for Placement {
    const NAME: &'static str = "Placement";
    const FORMAT: &'static str = "placement";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let text = value.as_str().map(str::trim).unwrap_or_default();
        let digits = |count: &&str| count.bytes().all(|byte| byte.is_ascii_digit());
        let count = |count: &str| count.parse().ok().filter(|count| *count > 0).map(Self::Core);
        match text {
            "auto" => Some(Self::Auto),
            "none" => Some(Self::None),
            "node" => Some(Self::Node),
            "core" => Some(Self::Core(1)),
            _ => text.strip_prefix("core:").filter(digits).and_then(count),
        }
        .ok_or_else(|| ValueError::Placement(shown(value)))
    }

    fn render(&self) -> Value {
        Value::String(self.to_string())
    }

    fn describe() -> Value {
        json!({
            "description": "Which processors a process is given: auto, none, node, core, or core:2 for two each.",
            "type": "string", "pattern": r"^\s*(auto|none|node|core(:0*[1-9][0-9]{0,8})?)\s*$",
            "examples": ["auto", "none", "node", "core", "core:2"],
        })
    }
}

scalar_traits!(Placement);
