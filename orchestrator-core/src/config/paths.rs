//! Where relative paths start.
//!
//! A path written in a file starts at that file's directory, so that a configuration means the same wherever it is
//! called from. A path from a flag or a variable starts at the current directory, as everywhere on a command line.
//! `~/` is the home directory. `binary.path` without a slash is a name to look up in PATH and stays as it is. Paths
//! are made absolute by their text alone: links are not followed, `..` stays.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::model::is_public_key;
use super::tree::{Node, SourceKind};

/// The directories that paths can start at.
pub(crate) struct Directories<'a> {
    pub(crate) current: &'a Path,
    pub(crate) home: Option<&'a str>,
}

/// Why a path cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PathError {
    #[error("a path must not be empty")]
    Empty,
    #[error("`~/` needs the environment variable HOME")]
    NoHome,
    #[error("the directory `{0}` that this path starts at is not UTF-8: write the path in full from a flag")]
    NotUtf8(PathBuf),
    #[error("a path cannot contain a NUL byte")]
    Nul,
}

impl Directories<'_> {
    /// Makes the path absolute if the format says that it is one.
    pub(crate) fn resolve(
        &self,
        node: &Node,
        format: Option<&str>,
        value: Value,
    ) -> Result<Value, PathError> {
        let (Some(format), Some(text)) = (format, value.as_str()) else { return Ok(value) };
        let resolved = match format {
            "path" => self.absolute(node, text, |base| base)?,
            "key-or-path" if !is_public_key(text) => self.absolute(node, text, |base| base)?,
            "program" if text.contains('/') => self.absolute(node, text, |base| base)?,
            "program" if text.is_empty() => return Err(PathError::Empty),
            "path-template" if !text.starts_with('{') || text.starts_with("{{") => {
                self.absolute(node, text, |base| base.replace('{', "{{").replace('}', "}}"))?
            }
            _ => return Ok(value),
        };
        Ok(Value::String(resolved))
    }

    fn absolute(
        &self,
        node: &Node,
        text: &str,
        escape: impl Fn(String) -> String,
    ) -> Result<String, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text.contains('\0') {
            return Err(PathError::Nul);
        }
        let (base, rest) = match text.strip_prefix("~/") {
            Some(rest) => (Path::new(self.home.ok_or(PathError::NoHome)?), rest),
            None => (self.start(node), text),
        };
        if rest.starts_with('/') && base == self.start(node) {
            return Ok(tidy(Path::new(rest)));
        }
        let base = base.to_str().ok_or_else(|| PathError::NotUtf8(base.to_owned()))?;
        Ok(tidy(&Path::new(&escape(base.to_owned())).join(rest.trim_start_matches('/'))))
    }

    fn start<'n>(&'n self, node: &'n Node) -> &'n Path {
        match &node.place.source.kind {
            SourceKind::File { directory } => directory,
            _ => self.current,
        }
    }
}

/// Without `.` and doubled slashes.
fn tidy(path: &Path) -> String {
    path.components().collect::<PathBuf>().to_string_lossy().into_owned()
}
