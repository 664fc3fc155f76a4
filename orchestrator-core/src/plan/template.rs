//! Templates: text with `{placeholders}` that are filled in for each attempt.
//!
//! A value goes in byte for byte: names that are not UTF-8, with blanks or line breaks stay what they are, and one
//! template always gives exactly one argument. `{{` and `}}` stand for braces. Under `shell: true` the surrounding
//! text is shell syntax and every value goes in between single quotes.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use serde_json::{Value, json};

use super::Environment;
use crate::config::nearest::nearest;
use crate::config::scalar::{Scalar, ValueError, scalar_traits, shown};
use crate::ids::{RunId, SlotId, TaskId};
use crate::units::Bytes;

/// A fact about an attempt that a template can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Placeholder {
    /// Absolute path of the input file.
    InputFile,
    /// Absolute path where the attempt writes its output (private until it is published).
    OutputFile,
    /// Last component of the input path.
    InputName,
    /// The name without its last extension.
    InputStem,
    /// Directory of the input file.
    InputDir,
    /// Size of the input in bytes.
    InputSize,
    /// The output directory of the configuration.
    OutputDir,
    /// A private directory of the attempt, removed afterwards.
    TempDir,
    /// Number of the task.
    TaskId,
    /// Which try of the task this is, from 1.
    Attempt,
    /// Which of the concurrent places it runs in, from 1; no two running attempts share one.
    Slot,
    /// Sequence number of the launch within the run, from 1.
    Seq,
    /// Number of the run.
    RunId,
}

impl Placeholder {
    /// All placeholders, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::InputFile,
        Self::OutputFile,
        Self::InputName,
        Self::InputStem,
        Self::InputDir,
        Self::InputSize,
        Self::OutputDir,
        Self::TempDir,
        Self::TaskId,
        Self::Attempt,
        Self::Slot,
        Self::Seq,
        Self::RunId,
    ];

    /// The name between the braces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InputFile => "input_file",
            Self::OutputFile => "output_file",
            Self::InputName => "input_name",
            Self::InputStem => "input_stem",
            Self::InputDir => "input_dir",
            Self::InputSize => "input_size",
            Self::OutputDir => "output_dir",
            Self::TempDir => "temp_dir",
            Self::TaskId => "task_id",
            Self::Attempt => "attempt",
            Self::Slot => "slot",
            Self::Seq => "seq",
            Self::RunId => "run_id",
        }
    }

    /// The placeholder of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|placeholder| placeholder.name() == name)
    }

    /// The environment variable that carries the same fact, such as `ORCHESTRATOR_INPUT_FILE`.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::InputFile => "ORCHESTRATOR_INPUT_FILE",
            Self::OutputFile => "ORCHESTRATOR_OUTPUT_FILE",
            Self::InputName => "ORCHESTRATOR_INPUT_NAME",
            Self::InputStem => "ORCHESTRATOR_INPUT_STEM",
            Self::InputDir => "ORCHESTRATOR_INPUT_DIR",
            Self::InputSize => "ORCHESTRATOR_INPUT_SIZE",
            Self::OutputDir => "ORCHESTRATOR_OUTPUT_DIR",
            Self::TempDir => "ORCHESTRATOR_TEMP_DIR",
            Self::TaskId => "ORCHESTRATOR_TASK_ID",
            Self::Attempt => "ORCHESTRATOR_ATTEMPT",
            Self::Slot => "ORCHESTRATOR_SLOT",
            Self::Seq => "ORCHESTRATOR_SEQ",
            Self::RunId => "ORCHESTRATOR_RUN_ID",
        }
    }
}

/// Names of semantics that later versions will know; a message can say so.
const RESERVED: [&str; 5] = ["input_files", "chunk_offset", "chunk_length", "chunk_index", "resume_offset"];

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{name}` is no placeholder.
    #[error("unknown placeholder `{{{name}}}`{}", hint(name, *nearest))]
    Unknown {
        /// The text between the braces.
        name: String,
        /// The placeholder most like it.
        nearest: Option<&'static str>,
    },
    /// `{name}` stands for batches or chunks, which this version does not make.
    #[error("placeholder `{{{name}}}` belongs to batches and chunks, which are not available yet")]
    Reserved {
        /// The text between the braces.
        name: String,
    },
    /// A brace without its partner.
    #[error("single `{brace}` at byte {at}: write `{brace}{brace}` for a literal brace")]
    Unbalanced {
        /// `{` or `}`.
        brace: char,
        /// Byte offset in the text.
        at: usize,
    },
    /// NUL cannot be passed to a process.
    #[error("contains a NUL byte at byte {at}, which no argument can carry")]
    Nul {
        /// Byte offset in the text.
        at: usize,
    },
}

fn hint(name: &str, nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!(": did you mean `{{{nearest}}}`?"),
        None => format!(
            ": write `{{{{{name}}}}}` for literal braces, or one of the placeholders of the documentation"
        ),
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    Text(String),
    Value(Placeholder),
}

/// A parsed template. Two templates are equal when their sources are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

/// The facts of one attempt. Paths are absolute, so that none begins with a dash or depends on the directory the
/// process starts in.
#[derive(Debug, Clone, Copy)]
pub struct Placeholders<'a> {
    /// Absolute path of the input file.
    pub input_file: &'a Path,
    /// Absolute path where the attempt writes its output.
    pub output_file: &'a Path,
    /// Size of the input.
    pub input_size: Bytes,
    /// Absolute path of the output directory.
    pub output_dir: &'a Path,
    /// Absolute path of the attempt's private directory.
    pub temp_dir: &'a Path,
    /// Number of the task.
    pub task_id: TaskId,
    /// Which try of the task, from 1.
    pub attempt: u32,
    /// Which concurrent place, from 1.
    pub slot: SlotId,
    /// Sequence number of the launch, from 1.
    pub seq: u64,
    /// Number of the run.
    pub run_id: RunId,
}

impl Placeholders<'_> {
    /// Appends the value of a placeholder, byte for byte.
    pub fn append(&self, placeholder: Placeholder, out: &mut Vec<u8>) {
        let path = |path: Option<&OsStr>, out: &mut Vec<u8>| {
            out.extend_from_slice(path.unwrap_or_default().as_bytes());
        };
        match placeholder {
            Placeholder::InputFile => path(Some(self.input_file.as_os_str()), out),
            Placeholder::OutputFile => path(Some(self.output_file.as_os_str()), out),
            Placeholder::InputName => path(self.input_file.file_name(), out),
            Placeholder::InputStem => path(self.input_file.file_stem(), out),
            Placeholder::InputDir => path(self.input_file.parent().map(Path::as_os_str), out),
            Placeholder::InputSize => number(self.input_size.0, out),
            Placeholder::OutputDir => path(Some(self.output_dir.as_os_str()), out),
            Placeholder::TempDir => path(Some(self.temp_dir.as_os_str()), out),
            Placeholder::TaskId => number(self.task_id, out),
            Placeholder::Attempt => number(self.attempt, out),
            Placeholder::Slot => number(self.slot, out),
            Placeholder::Seq => number(self.seq, out),
            Placeholder::RunId => number(self.run_id, out),
        }
    }

    /// The facts as environment variables: `ORCHESTRATOR_INPUT_FILE` and so on, one for each placeholder. An attempt that
    /// has no private place to write to (its paths are empty) better gets no name for it than a wrong one.
    pub fn environment(&self) -> Environment {
        // Names and numbers take some 500 bytes; the paths of the input and of the output come three times at most.
        let paths = 3 * (self.input_file.as_os_str().len() + self.output_file.as_os_str().len());
        let mut environment = Environment::with_room(Placeholder::ALL.len() + 4, 640 + paths);
        let is_private =
            |it| matches!(it, Placeholder::OutputFile | Placeholder::OutputDir | Placeholder::TempDir);
        let has_private = !self.output_dir.as_os_str().is_empty();
        for placeholder in Placeholder::ALL.into_iter().filter(|it| has_private || !is_private(*it)) {
            environment.set_with(placeholder.variable().as_ref(), |bytes| self.append(placeholder, bytes));
        }
        environment
    }
}

/// Appends a number in decimal.
fn number(number: impl fmt::Display, out: &mut Vec<u8>) {
    // Writing to a vector does not fail.
    let _written = write!(out, "{number}");
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// The first unknown placeholder, lone brace or NUL byte.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        if let Some(at) = source.find('\0') {
            return Err(TemplateError::Nul { at });
        }
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut at = 0;
        while let Some(offset) = source[at..].find(['{', '}']) {
            let brace = at + offset;
            text.push_str(&source[at..brace]);
            let rest = &source[brace..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                text.push_str(&rest[..1]);
                at = brace + 2;
                continue;
            }
            let name = placeholder_name(rest, brace)?;
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(Part::Value(lookup(name)?));
            at = brace + name.len() + 2;
        }
        text.push_str(&source[at..]);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self { source: source.to_owned(), parts })
    }

    /// A template whose expansion is `text`, whatever braces it has.
    ///
    /// # Errors
    /// [`TemplateError::Nul`].
    pub fn literal(text: &str) -> Result<Self, TemplateError> {
        Self::parse(&text.replace('{', "{{").replace('}', "}}"))
    }

    /// The text it was parsed from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the template names the placeholder.
    pub fn mentions(&self, placeholder: Placeholder) -> bool {
        self.parts.contains(&Part::Value(placeholder))
    }

    /// Fills in the values, byte for byte.
    pub fn expand(&self, values: &Placeholders<'_>) -> OsString {
        let mut out = Vec::new();
        self.append(values, &mut out);
        OsString::from_vec(out)
    }

    /// Appends the same.
    pub fn append(&self, values: &Placeholders<'_>, out: &mut Vec<u8>) {
        self.render(out, |placeholder, out| values.append(placeholder, out));
    }

    /// Fills in the values for a POSIX shell: the text is shell syntax, each value stands between single quotes.
    pub fn expand_for_shell(&self, values: &Placeholders<'_>) -> OsString {
        let mut out = Vec::new();
        self.render(&mut out, |placeholder, out| {
            let mut value = Vec::new();
            values.append(placeholder, &mut value);
            out.extend_from_slice(shell_quote(OsStr::from_bytes(&value)).as_bytes());
        });
        OsString::from_vec(out)
    }

    fn render(&self, out: &mut Vec<u8>, append: impl Fn(Placeholder, &mut Vec<u8>)) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Value(placeholder) => append(*placeholder, out),
            }
        }
    }
}

/// The name in `{name}…`; `rest` begins with a brace that is not doubled.
fn placeholder_name(rest: &str, at: usize) -> Result<&str, TemplateError> {
    let Some(inner) = rest.strip_prefix('{') else {
        return Err(TemplateError::Unbalanced { brace: '}', at });
    };
    match inner.find(['{', '}']) {
        Some(end) if inner[end..].starts_with('}') => Ok(&inner[..end]),
        _ => Err(TemplateError::Unbalanced { brace: '{', at }),
    }
}

fn lookup(name: &str) -> Result<Placeholder, TemplateError> {
    if let Some(placeholder) = Placeholder::from_name(name) {
        return Ok(placeholder);
    }
    if RESERVED.contains(&name) {
        return Err(TemplateError::Reserved { name: name.to_owned() });
    }
    let known = Placeholder::ALL.map(Placeholder::name);
    Err(TemplateError::Unknown { name: name.to_owned(), nearest: nearest(name, known) })
}

/// Quotes a value for a POSIX shell: between single quotes, each `'` as `'\''`.
pub fn shell_quote(value: &OsStr) -> OsString {
    let mut out = vec![b'\''];
    for &byte in value.as_bytes() {
        match byte {
            b'\'' => out.extend_from_slice(br"'\''"),
            _ => out.push(byte),
        }
    }
    out.push(b'\'');
    OsString::from_vec(out)
}

/// The line for `/bin/sh -c` under `shell: true`: the quoted binary, then the flags as shell syntax, joined by blanks.
pub fn shell_line(binary: &Path, flags: &[Template], values: &Placeholders<'_>) -> OsString {
    let mut line = shell_quote(binary.as_os_str());
    for flag in flags {
        line.push(" ");
        line.push(flag.expand_for_shell(values));
    }
    line
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl std::str::FromStr for Template {
    type Err = TemplateError;

    fn from_str(source: &str) -> Result<Self, TemplateError> {
        Self::parse(source)
    }
}

impl Scalar for Template {
    const NAME: &'static str = "Template";
    const FORMAT: &'static str = "template";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::String(source) => Ok(Self::parse(source)?),
            Value::Number(_) | Value::Bool(_) => Ok(Self::parse(&value.to_string())?),
            _ => Err(ValueError::Text(shown(value))),
        }
    }

    fn render(&self) -> Value {
        Value::String(self.source.clone())
    }

    fn describe() -> Value {
        json!({
            "description": "Text with placeholders: {input_file}, {output_file}, {input_name}, {input_stem}, {input_dir}, {input_size}, {output_dir}, {temp_dir}, {task_id}, {attempt}, {slot}, {seq}, {run_id}. Write {{ and }} for braces.",
            "type": ["string", "number", "boolean"],
        })
    }
}

scalar_traits!(Template);

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
