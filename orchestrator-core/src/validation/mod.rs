//! Verdicts over observed outputs: what the files room found in an attempt's private directory, held against the
//! configured rules. Pure; the looking is done at the edge.

use serde::{Deserialize, Serialize};

use crate::scheduler::{InputPath, OutputFault, OutputRecord};

/// What `output.validation` asks of a task's main output (the file that `{output_file}` stands for).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct OutputRules {
    /// It must exist.
    pub required: bool,
    /// It must have at least this many bytes.
    pub min_bytes: u64,
    /// It must not be empty.
    pub non_empty: bool,
}

impl Default for OutputRules {
    fn default() -> Self {
        Self { required: true, min_bytes: 0, non_empty: false }
    }
}

/// What kind of thing was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FoundKind {
    /// A regular file of this many bytes.
    File(u64),
    /// Anything that cannot be published: a symbolic link, socket, pipe or device, a directory where the main output
    /// should be, or a file that would land in the orchestrator's own directory.
    Other,
}

/// One thing found in an attempt's private output directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Path relative to that directory and, equally, to the output directory.
    pub path: InputPath,
    /// What it is.
    pub kind: FoundKind,
}

/// Judges what an attempt left behind. `main` is the main output's path relative to the output directory.
///
/// The accepted files come with the main output first (it is published last, so that whoever sees it sees the rest),
/// the others by path. An empty list is a valid verdict only when nothing is required.
///
/// # Errors
/// The first rule that is broken: something that cannot be published, then a missing main output, then its size.
pub fn verdict(
    rules: &OutputRules,
    main: &InputPath,
    found: &[Found],
) -> Result<Vec<OutputRecord>, OutputFault> {
    let mut outputs = Vec::with_capacity(found.len());
    for entry in found {
        match entry.kind {
            FoundKind::Other => return Err(OutputFault::NotAFile),
            FoundKind::File(size) => outputs.push(OutputRecord { path: entry.path.clone(), size }),
        }
    }
    outputs.sort_by(|a, b| (&a.path != main, &a.path).cmp(&(&b.path != main, &b.path)));
    match outputs.first().filter(|first| &first.path == main) {
        None if rules.required => Err(OutputFault::Missing),
        Some(first) if rules.non_empty && first.size == 0 => Err(OutputFault::Empty),
        Some(first) if first.size < rules.min_bytes => {
            Err(OutputFault::TooSmall { found: first.size, wanted: rules.min_bytes })
        }
        _ => Ok(outputs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> InputPath {
        InputPath::new(text.as_bytes())
    }

    fn file(text: &str, size: u64) -> Found {
        Found { path: path(text), kind: FoundKind::File(size) }
    }

    #[test]
    fn main_output_comes_first_and_the_rest_by_path() {
        let found = [file("z", 3), file("b.out", 1), file("a", 2)];
        let accepted = verdict(&OutputRules::default(), &path("b.out"), &found).unwrap();
        assert_eq!(accepted.iter().map(|o| o.path.to_string()).collect::<Vec<_>>(), ["b.out", "a", "z"]);
    }

    #[test]
    fn a_required_output_that_is_missing_is_a_fault_and_an_optional_one_is_not() {
        let rules = OutputRules::default();
        assert_eq!(verdict(&rules, &path("m"), &[file("log", 9)]), Err(OutputFault::Missing));
        let optional = OutputRules { required: false, ..rules };
        assert_eq!(verdict(&optional, &path("m"), &[]), Ok(vec![]));
        assert_eq!(verdict(&optional, &path("m"), &[file("log", 9)]).map(|o| o.len()), Ok(1));
    }

    #[test]
    fn sizes_are_held_against_the_main_output_alone() {
        let rules = OutputRules { required: false, min_bytes: 10, non_empty: true };
        assert_eq!(verdict(&rules, &path("m"), &[file("m", 0), file("log", 50)]), Err(OutputFault::Empty));
        let small = Err(OutputFault::TooSmall { found: 9, wanted: 10 });
        assert_eq!(verdict(&rules, &path("m"), &[file("m", 9)]), small);
        assert_eq!(verdict(&rules, &path("m"), &[file("m", 10), file("log", 0)]).map(|o| o.len()), Ok(2));
        assert_eq!(verdict(&rules, &path("m"), &[file("log", 0)]).map(|o| o.len()), Ok(1));
    }

    #[test]
    fn what_cannot_be_published_is_a_fault_wherever_it_stands() {
        let found = [file("m", 1), Found { path: path("pipe"), kind: FoundKind::Other }];
        assert_eq!(verdict(&OutputRules::default(), &path("m"), &found), Err(OutputFault::NotAFile));
    }
}
