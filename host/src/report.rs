//! One finding, as it is told: a snippet for people, a line of JSON for machines.

use std::fmt;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode,
    SourceSpan, SpanContents,
};
use orchestrator_core::config::{Diagnostic, Location, Severity};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::style::Style;

/// One finding: what is wrong, where, and what to do.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Error or warning.
    pub(crate) severity: Severity,
    /// The exit code that it asks for, were it the only one.
    pub(crate) exit: Exit,
    /// A stable word for machines, such as `unknown-key`.
    pub(crate) code: &'static str,
    /// One sentence that names the thing.
    pub(crate) message: String,
    /// What to do.
    pub(crate) help: Option<String>,
    /// The configuration's key that it is about; empty if it is about none.
    pub(crate) key: String,
    /// The text that it is about.
    pub(crate) location: Option<Location>,
}

impl Report {
    /// An error without a place.
    pub(crate) fn error(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            exit,
            code,
            message: message.into(),
            help: None,
            key: String::new(),
            location: None,
        }
    }

    /// A warning without a place.
    pub(crate) fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(Exit::Success, code, message) }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    /// The finding as people read it, without a line break at its end: a snippet when there is a text to show.
    pub(crate) fn human(&self, style: Style, width: usize) -> String {
        if self.location.as_ref().is_some_and(|at| !at.text.is_empty()) {
            return self.snippet(style, width);
        }
        let title = match self.severity {
            Severity::Error => style.error("error"),
            Severity::Warning => style.warning("warning"),
        };
        let place =
            self.location.as_ref().map(|at| format!(" (from {})", at.source_name)).unwrap_or_default();
        let help = self.help.as_ref().map(|help| format!("\n  {} {help}", style.hint("help:")));
        format!("{title}: {}{place}{}", self.message, help.unwrap_or_default())
    }

    fn snippet(&self, style: Style, width: usize) -> String {
        let theme =
            if style.colour() { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(width.max(60)).with_links(false);
        let mut text = String::new();
        match handler.render_report(&mut text, self) {
            Ok(()) => text.trim_end().to_owned(),
            Err(fmt::Error) => format!("error: {self}"),
        }
    }

    /// The finding as one JSON object (documented in `docs/events.md`).
    pub(crate) fn json(&self) -> Value {
        let mut value = json!({
            "event": match self.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "code": self.code,
            "message": self.message,
        });
        if self.severity == Severity::Error {
            value["exit_code"] = self.exit.code().into();
        }
        if let Some(help) = &self.help {
            value["help"] = help.as_str().into();
        }
        if !self.key.is_empty() {
            value["key"] = self.key.as_str().into();
        }
        if let Some(at) = &self.location {
            value["source"] = at.source_name.as_str().into();
            value["line"] = at.line.into();
            value["column"] = at.column.into();
        }
        value
    }
}

impl From<&Diagnostic> for Report {
    fn from(finding: &Diagnostic) -> Self {
        Self {
            severity: finding.severity,
            exit: if finding.severity == Severity::Error { Exit::Config } else { Exit::Success },
            code: finding.code.as_str(),
            message: finding.message.clone(),
            help: finding.help.clone(),
            key: finding.path.clone(),
            location: finding.location.clone(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report {}

impl miette::Diagnostic for Report {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.location.is_some().then_some(self as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let at = self.location.as_ref()?;
        // A mapping over many lines is shown by its first one.
        let meant = &at.text[at.span.clone()];
        let length = meant.find('\n').unwrap_or(meant.len());
        Some(Box::new(std::iter::once(LabeledSpan::new(None, at.span.start, length))))
    }
}

impl SourceCode for Report {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let at = self.location.as_ref().ok_or(MietteError::OutOfBounds)?;
        let text: &'a str = &at.text;
        let read = text.read_span(span, before, after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            at.source_name.clone(),
            read.data(),
            *read.span(),
            read.line(),
            read.column(),
            read.line_count(),
        )))
    }
}
