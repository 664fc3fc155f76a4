//! Where each value of a configuration came from.

use std::fmt;

use super::model::Config;
use super::tree::{Node, Place, SourceKind, join};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A file.
    File {
        /// Its path as given.
        name: String,
        /// Line from 1.
        line: usize,
        /// Column from 1.
        column: usize,
    },
    /// A profile in a file.
    Profile {
        /// The profile's name.
        profile: String,
        /// The file's path as given.
        name: String,
        /// Line from 1.
        line: usize,
        /// Column from 1.
        column: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// A flag.
    Flag {
        /// The flag as typed; `--set key` for `--set`.
        flag: String,
    },
}

impl Origin {
    fn of(place: &Place) -> Self {
        let (name, line, column) = (place.source.name.clone(), place.line, place.column);
        match (&place.source.kind, &place.profile) {
            (SourceKind::Default, _) => Self::Default,
            (SourceKind::Environment, _) => Self::Environment { variable: name },
            (SourceKind::Flag, _) => Self::Flag { flag: name },
            (SourceKind::File { .. }, None) => Self::File { name, line, column },
            (SourceKind::File { .. }, Some(profile)) => {
                Self::Profile { profile: profile.to_string(), name, line, column }
            }
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Self::Profile { profile, name, line, column } => {
                write!(f, "profile {profile} ({name}:{line}:{column})")
            }
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::Flag { flag } => write!(f, "flag {flag}"),
        }
    }
}

/// One value of a configuration: a scalar, or a list or mapping that is empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// The key's path, as `--set` takes it: `plugins.metrics.0.class`.
    pub path: String,
    /// The value as YAML in one line.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// All values of a configuration in the order of its model.
pub(crate) fn leaves(config: &Config, tree: &Node) -> Vec<Leaf> {
    let mut out = Vec::new();
    if let Ok(value) = serde_yaml::to_value(config) {
        walk(&value, "", tree, &mut out);
    }
    out
}

fn walk(value: &serde_yaml::Value, path: &str, tree: &Node, out: &mut Vec<Leaf>) {
    use serde_yaml::Value;
    match value {
        Value::Sequence(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &join(path, &index.to_string()), tree, out);
            }
        }
        Value::Mapping(map) if !map.is_empty() => {
            for (key, item) in map {
                walk(item, &join(path, key.as_str().unwrap_or_default()), tree, out);
            }
        }
        leaf => {
            let origin =
                tree.find(path).filter(|node| says_something(node, leaf)).map(|node| Origin::of(&node.place));
            let value = serde_json::to_value(leaf).unwrap_or_default().to_string();
            out.push(Leaf { path: path.to_owned(), value, origin: origin.unwrap_or(Origin::Default) });
        }
    }
}

/// Nothing after the colon means the default, unless the key takes null and therefore has it.
fn says_something(node: &Node, leaf: &serde_yaml::Value) -> bool {
    !node.is_null() || leaf.is_null()
}
