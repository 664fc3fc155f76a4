//! What is wrong with a configuration, and where.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a word; the configuration is used.
    Warning,
    /// The configuration cannot be used.
    Error,
}

/// The kinds of findings; [`Code::as_str`] is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// The text is not YAML, or uses a part of YAML that configurations do not.
    YamlSyntax,
    /// A key stands twice in one mapping.
    DuplicateKey,
    /// A key that does not exist.
    UnknownKey,
    /// A key without which nothing can be run is absent.
    MissingKey,
    /// A value of another type than the key takes.
    WrongType,
    /// A number outside its bounds.
    OutOfRange,
    /// A value that the key does not take.
    InvalidValue,
    /// A template with unbalanced braces.
    InvalidTemplate,
    /// A template names a placeholder that does not exist.
    UnknownPlaceholder,
    /// `${VAR}` without a default, and the variable is not set.
    UnsetVariable,
    /// `${…}` that cannot be read.
    InvalidInterpolation,
    /// An `ORCHESTRATOR_*` variable that is no key.
    UnknownVariable,
    /// A file that cannot be read.
    UnreadableFile,
    /// Files that extend one another in a circle.
    ExtendsCycle,
    /// A profile that does not exist.
    UnknownProfile,
    /// Two plugins of one list have the same name.
    DuplicatePlugin,
    /// Values that exclude one another.
    Contradiction,
    /// `--set` without `key=value`, or a position that the list does not have.
    InvalidOverride,
}

impl Code {
    /// The stable word, such as `unknown-key`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::YamlSyntax => "yaml-syntax",
            Self::DuplicateKey => "duplicate-key",
            Self::UnknownKey => "unknown-key",
            Self::MissingKey => "missing-key",
            Self::WrongType => "wrong-type",
            Self::OutOfRange => "out-of-range",
            Self::InvalidValue => "invalid-value",
            Self::InvalidTemplate => "invalid-template",
            Self::UnknownPlaceholder => "unknown-placeholder",
            Self::UnsetVariable => "unset-variable",
            Self::InvalidInterpolation => "invalid-interpolation",
            Self::UnknownVariable => "unknown-variable",
            Self::UnreadableFile => "unreadable-file",
            Self::ExtendsCycle => "extends-cycle",
            Self::UnknownProfile => "unknown-profile",
            Self::DuplicatePlugin => "duplicate-plugin",
            Self::Contradiction => "contradiction",
            Self::InvalidOverride => "invalid-override",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A place in a text: a file, or the value of a variable or a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file's path, the variable's name or the flag.
    pub source_name: String,
    /// The whole text.
    pub text: Arc<str>,
    /// The bytes meant; always on character boundaries within `text`.
    pub span: Range<usize>,
    /// Line of the beginning, from 1.
    pub line: usize,
    /// Column of the beginning in characters, from 1.
    pub column: usize,
}

/// One finding. The host prints it as a snippet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What kind it is.
    pub code: Code,
    /// The finding in one sentence fragment that names the key.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// The key's path, such as `plugins.metrics.0.class`; empty for a finding about a whole file.
    pub path: String,
    /// Where; none for what is absent everywhere.
    pub location: Option<Location>,
}

impl Diagnostic {
    pub(crate) fn error(code: Code, path: &str, message: impl Into<String>) -> Self {
        let path = path.to_owned();
        Self { severity: Severity::Error, code, message: message.into(), help: None, path, location: None }
    }

    pub(crate) fn warning(code: Code, path: &str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, path, message) }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn help_if(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    pub(crate) fn at(mut self, location: impl Into<Option<Location>>) -> Self {
        self.location = location.into();
        self
    }
}

impl fmt::Display for Diagnostic {
    /// `config.yaml:3:5: message (help)`, for logs; people get the snippet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{}:{}:{}: ", location.source_name, location.line, location.column)?;
        }
        f.write_str(&self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

impl std::error::Error for Diagnostic {}
