//! A table on the terminal, in `bench/results.json` and between its markers in a document.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::Failure;

/// One table of figures.
#[derive(Debug)]
pub(super) struct Report {
    /// The benchmark's name, which is also that of its markers.
    pub(super) name: &'static str,
    /// What was measured, in a sentence.
    pub(super) about: String,
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Report {
    /// The table in Markdown.
    fn text(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = line(&vec!["---".to_owned(); self.columns.len()]);
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}\n\n{}{rule}{rows}", self.about, line(&self.columns))
    }

    /// Shows it.
    pub(super) fn print(&self) {
        println!("\n{}: {}", self.name, self.text());
    }

    /// Takes the rows that were kept before, if there are any.
    ///
    /// # Errors
    /// What was kept is no table.
    pub(super) fn read_rows(&mut self, root: &Path) -> Result<(), Failure> {
        let Ok(bytes) = fs::read(root.join("bench").join("results.json")) else { return Ok(()) };
        let all: Value = serde_json::from_slice(&bytes)
            .map_err(|source| Failure::Parse { tool: "bench/results.json", source })?;
        let cell = |row: &Value, name: &String| row[name].as_str().unwrap_or_default().to_owned();
        let rows = all[self.name]["rows"].as_array().into_iter().flatten();
        self.rows = rows.map(|row| self.columns.iter().map(|name| cell(row, name)).collect()).collect();
        Ok(())
    }

    /// Puts rows, the first of which names them in its first cell, in the place of those of that name, or at the end.
    pub(super) fn replace_group(&mut self, rows: Vec<Vec<String>>) {
        let first = |row: &Vec<String>| row.first().cloned().unwrap_or_default();
        let Some(name) = rows.first().map(first) else { return };
        let at = self.rows.iter().position(|row| first(row) == name).unwrap_or(self.rows.len());
        let next = self.rows.iter().skip(at + 1).position(|row| !first(row).is_empty());
        let end = next.map_or(self.rows.len(), |next| at + 1 + next);
        self.rows.splice(at..end, rows);
    }

    /// Writes it where it is kept.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub(super) fn keep(&self, root: &Path) -> Result<(), Failure> {
        let results = root.join("bench").join("results.json");
        let mut all: Map<String, Value> = match fs::read(&results) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| Failure::Parse { tool: "bench/results.json", source })?,
            Err(_) => Map::new(),
        };
        all.insert(self.name.to_owned(), self.value());
        let text = serde_json::to_string_pretty(&all)
            .map_err(|source| Failure::Parse { tool: "bench/results.json", source })?;
        let folder = root.join("bench");
        fs::create_dir_all(&folder).map_err(|error| Failure::file(&folder, error))?;
        fs::write(&results, text + "\n").map_err(|error| Failure::file(&results, error))?;
        let documents = ["performance.md", "capacity.md", "placement.md"];
        documents.iter().try_for_each(|name| self.renew(&root.join("docs").join(name)))
    }

    fn value(&self) -> Value {
        let row = |cells: &Vec<String>| -> Value {
            let cells = self.columns.iter().zip(cells);
            cells
                .map(|(name, cell)| (name.clone(), Value::String(cell.clone())))
                .collect::<Map<_, _>>()
                .into()
        };
        json!({ "about": self.about, "rows": self.rows.iter().map(row).collect::<Vec<_>>() })
    }

    /// Replaces what stands between the markers; a document without them is left alone.
    fn renew(&self, document: &Path) -> Result<(), Failure> {
        let text = fs::read_to_string(document).map_err(|error| Failure::file(document, error))?;
        let (begin, end) =
            (format!("<!-- bench: {} -->\n", self.name), format!("<!-- end: {} -->", self.name));
        let Some((before, rest)) = text.split_once(&begin) else { return Ok(()) };
        let Some((_, after)) = rest.split_once(&end) else { return Ok(()) };
        let new = format!("{before}{begin}{}{end}{after}", self.text());
        fs::write(document, new).map_err(|error| Failure::file(document, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_name_are_replaced_and_the_others_stay() {
        let row = |work: &str, who: &str| vec![work.to_owned(), who.to_owned()];
        let mut report = Report { name: "t", about: String::new(), columns: Vec::new(), rows: Vec::new() };
        for group in [["a", "1", "2"], ["b", "3", "4"], ["a", "5", "6"], ["c", "7", "8"], ["b", "9", "0"]] {
            report.replace_group(vec![row(group[0], group[1]), row("", group[2])]);
        }
        let flat: Vec<String> = report.rows.concat();
        assert_eq!(flat, ["a", "5", "", "6", "b", "9", "", "0", "c", "7", "", "8"]);
    }
}
