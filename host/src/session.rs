//! What every command has at hand: the global flags, the terminal, the world that configurations come from.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::{Format, Globals, Selection};
use crate::console::Console;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::report::Report;
use crate::sources::SystemSources;
use crate::style::{Style, width};
use crate::views::words::plural;
use orchestrator_core::config::{self, Loaded};

/// One call of the program.
#[derive(Debug)]
pub(crate) struct Session {
    /// The flags that every command takes.
    pub(crate) globals: Globals,
    /// Standard error.
    pub(crate) console: Console,
    /// Files, environment and directory that configurations are loaded from.
    pub(crate) sources: SystemSources,
}

impl Session {
    /// Looks at terminal and environment.
    pub(crate) fn new(globals: &Globals) -> Self {
        let console = Console::stderr(Style::of_stderr(globals.no_color));
        Self { globals: globals.clone(), console, sources: SystemSources::new() }
    }

    /// Whether standard output is for programs.
    pub(crate) fn json(&self) -> bool {
        self.globals.format == Format::Json
    }

    /// How talk is dressed.
    pub(crate) fn style(&self) -> Style {
        self.console.style()
    }

    /// Loads the chosen configuration; its warnings are told at once.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn load(&self, selection: &Selection) -> Result<Loaded, Failure> {
        let loaded = config::load(&selection.request(), &self.sources).map_err(Failure::Config)?;
        loaded.warnings.iter().for_each(|warning| self.tell(&warning.into()));
        Ok(loaded)
    }

    /// Tells a finding: on standard error, as a snippet or as a line of JSON.
    pub(crate) fn tell(&self, report: &Report) {
        let text = if self.json() { report.json().to_string() } else { report.human(self.style(), width()) };
        self.console.line(&text);
    }

    /// Tells everything about a failure; the exit code that it ends with.
    pub(crate) fn fail(&self, failure: &Failure) -> Exit {
        if failure.is_closed_pipe() {
            return Exit::Success;
        }
        let reports = failure.reports();
        reports.iter().for_each(|report| self.tell(report));
        if reports.len() > 1 && !self.json() {
            let errors = reports.iter().filter(|report| report.exit != Exit::Success).count();
            self.console.line(&plural(errors as u64, "problem"));
        }
        failure.exit()
    }

    /// Prints data for people.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        write!(out, "{text}{end}").and_then(|()| out.flush()).map_err(Failure::Stdout)
    }

    /// Prints data for programs: one JSON value, on one line.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(crate) fn print_json<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Failure> {
        let line = serde_json::to_string(value).map_err(|error| Failure::Stdout(error.into()))?;
        self.print(&line)
    }

    /// Waits until everything that was said is written.
    pub(crate) fn close(&self) {
        self.console.close();
    }
}
