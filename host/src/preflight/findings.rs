//! Gathers findings and shows each at its place in the configuration.

use std::path::Path;

use orchestrator_core::config::{Loaded, Location, Origin};

use crate::exit::Exit;
use crate::report::Report;

/// What the checks found so far.
pub(super) struct Findings<'a> {
    loaded: &'a Loaded,
    /// In the order of the checks.
    pub(super) reports: Vec<Report>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(loaded: &'a Loaded) -> Self {
        Self { loaded, reports: Vec::new() }
    }

    /// An error about a key; the message begins with it.
    pub(super) fn error(&mut self, exit: Exit, key: &str, message: &str, help: Option<String>) {
        let report = Report::error(exit, "preflight", format!("{key}: {message}"));
        self.add(report, key, help);
    }

    /// A warning about a key; the message begins with it.
    pub(super) fn warning(&mut self, key: &str, message: &str, help: Option<String>) {
        let report = Report::warning("preflight", format!("{key}: {message}"));
        self.add(report, key, help);
    }

    /// What somebody else found wrong with a section, shown at the first part of it that the sentence names, or else at `key`.
    pub(super) fn about(&mut self, report: Report, section: &str, key: &str) {
        let named = |path: &str| {
            let part = path.strip_prefix(section).and_then(|path| path.strip_prefix('.'));
            part.is_some_and(|part| part.split('.').any(|word| report.message.contains(&format!("`{word}`"))))
        };
        let place = self.loaded.leaves.iter().find(|leaf| named(&leaf.path));
        let key = place.map_or(key, |leaf| leaf.path.as_str()).to_owned();
        self.add(report, &key, None);
    }

    /// A warning about no key.
    pub(super) fn remark(&mut self, message: String) {
        self.reports.push(Report::warning("preflight", message));
    }

    fn add(&mut self, mut report: Report, key: &str, help: Option<String>) {
        report.help = help;
        report.location = self.location(key);
        self.reports.push(report.key(key));
    }

    /// Where the key's value stands; for a flag or a variable its name alone, nothing for a default.
    fn location(&self, key: &str) -> Option<Location> {
        let leaf = self.loaded.leaves.iter().find(|leaf| leaf.path == key)?;
        match &leaf.origin {
            Origin::Default => None,
            Origin::File { name, line, column } | Origin::Profile { name, line, column, .. } => {
                in_file(name, *line, *column)
            }
            Origin::Environment { variable: name } | Origin::Flag { flag: name } => {
                Some(Location { source_name: name.clone(), text: "".into(), span: 0..0, line: 1, column: 1 })
            }
        }
    }
}

/// The value at a line and a column of a file, as far as the line's end or a comma that ends it within braces.
fn in_file(name: &str, line: usize, column: usize) -> Option<Location> {
    let text = std::fs::read_to_string(Path::new(name)).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let before: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let rest = text.get(before..)?.lines().next()?;
    let offset: usize = rest.chars().take(column.checked_sub(1)?).map(char::len_utf8).sum();
    let value = &rest[offset..];
    let end = value.find([',', '}', ']']).filter(|_| rest.contains(['{', '['])).unwrap_or(value.len());
    let length = value[..end].trim_end().len();
    let start = before + offset;
    Some(Location {
        source_name: name.to_owned(),
        text: text.into(),
        span: start..start + length,
        line,
        column,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_at_a_place_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.yaml");
        std::fs::write(
            &file,
            "# grüße\nbinary: {path: /x y, flags: []}\ninput:\n  files_directory: /ä/b  \n",
        )
        .unwrap();
        let name = file.to_str().unwrap();
        let shown = |line, column| {
            let found = in_file(name, line, column).unwrap();
            found.text[found.span].to_owned()
        };
        assert_eq!(shown(2, 16), "/x y");
        assert_eq!(shown(4, 20), "/ä/b");
        assert_eq!(in_file(name, 9, 1), None);
        assert_eq!(in_file("/nowhere", 1, 1), None);
    }
}
