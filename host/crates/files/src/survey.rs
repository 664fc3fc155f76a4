//! A look at the inputs before a run: how many there are, without starting the room or making any directory.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use orchestrator_core::scheduler::{Discovered, ScanReport};

use crate::error::FilesError;
use crate::options::FilesOptions;
use crate::scan::{Batches, Walk};
use crate::selector::Selector;

/// Why inputs could not be counted.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The pattern cannot be read.
    #[error(transparent)]
    Pattern(#[from] FilesError),
    /// The input directory cannot be opened or read.
    #[error("input directory cannot be read: {0}")]
    Directory(#[source] io::Error),
}

/// Counts the inputs as a scan would find them, until at least `enough` are found (in whole batches) or none is left.
///
/// # Errors
/// A pattern that cannot be read, or an input directory that cannot.
pub fn survey(options: &FilesOptions, enough: u64) -> Result<ScanReport, SurveyError> {
    let selector = Selector::new(&options.pattern, &options.exclude, options.recursive)?;
    let (stop, found) = (AtomicBool::new(false), Cell::new(0));
    let count = |batch: Vec<Discovered>| {
        found.set(found.get() + batch.len() as u64);
        stop.store(found.get() >= enough, Ordering::Relaxed);
    };
    let walk = Walk::new(options, &selector, &stop);
    walk.run(&mut Batches::new(&count)).map_err(|error| SurveyError::Directory(error.into()))
}

/// Whether a scan would take a file of this name, at the top of the input directory, for an input; false where the pattern cannot
/// be read.
#[must_use]
pub fn selects(options: &FilesOptions, name: &[u8]) -> bool {
    Selector::new(&options.pattern, &options.exclude, options.recursive)
        .is_ok_and(|selector| selector.selects(name, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_a_scan_would_find_and_makes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in");
        std::fs::create_dir(&input).unwrap();
        let mut options = FilesOptions::new(input.clone(), folder.path().join("out"), ".out");
        options.pattern = "*.dat".to_owned();
        assert_eq!(survey(&options, u64::MAX).unwrap().matched, 0);
        for number in 0..100 {
            std::fs::write(input.join(format!("{number}.dat")), "").unwrap();
        }
        std::fs::write(input.join("other"), "").unwrap();
        assert_eq!(survey(&options, u64::MAX).unwrap().matched, 100);
        assert!((1..100).contains(&survey(&options, 1).unwrap().matched));
        assert!(!folder.path().join("out").exists());
        options.input_dir = folder.path().join("nowhere");
        assert!(matches!(survey(&options, 1), Err(SurveyError::Directory(_))));
    }
}
