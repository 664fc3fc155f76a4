//! Which entries of the input directory are inputs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::FilesError;

/// The compiled pattern and exclusions.
#[derive(Debug)]
pub(crate) struct Selector {
    include: GlobSet,
    include_on_path: bool,
    exclude_names: GlobSet,
    exclude_paths: GlobSet,
    descend: bool,
    dot_files: bool,
    dot_dirs: bool,
}

impl Selector {
    pub(crate) fn new(pattern: &str, exclude: &[String], recursive: bool) -> Result<Self, FilesError> {
        let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
        let (dirs, base) = pattern.rsplit_once('/').unwrap_or(("", pattern));
        let on_path = pattern.contains('/');
        let (paths, names): (Vec<&str>, Vec<&str>) =
            exclude.iter().map(String::as_str).partition(|glob| glob.contains('/'));
        Ok(Self {
            include: compile(&[pattern])?,
            include_on_path: on_path,
            exclude_names: compile(&names)?,
            exclude_paths: compile(&paths)?,
            descend: recursive || on_path || pattern.contains("**"),
            dot_files: base.starts_with('.'),
            dot_dirs: dirs.split('/').any(|part| part.starts_with('.'))
                || (!on_path && base.starts_with('.')),
        })
    }

    /// Whether the file `name` at `path` (relative to the input directory) is an input.
    pub(crate) fn selects(&self, path: &[u8], name: &[u8]) -> bool {
        (self.dot_files || name.first() != Some(&b'.'))
            && self.include.is_match(as_path(if self.include_on_path { path } else { name }))
            && !self.excludes(path, name)
    }

    /// Whether a scan goes into the directory `name` at `path`.
    pub(crate) fn enters(&self, path: &[u8], name: &[u8]) -> bool {
        self.descend && (self.dot_dirs || name.first() != Some(&b'.')) && !self.excludes(path, name)
    }

    /// Whether a scan goes into directories at all.
    pub(crate) fn descends(&self) -> bool {
        self.descend
    }

    fn excludes(&self, path: &[u8], name: &[u8]) -> bool {
        self.exclude_names.is_match(as_path(name)) || self.exclude_paths.is_match(as_path(path))
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

fn compile(globs: &[&str]) -> Result<GlobSet, FilesError> {
    let mut set = GlobSetBuilder::new();
    for text in globs {
        let wrong = |source| FilesError::Pattern { pattern: (*text).to_owned(), source };
        set.add(GlobBuilder::new(text).literal_separator(true).build().map_err(wrong)?);
    }
    set.build().map_err(|source| FilesError::Pattern { pattern: globs.join(" "), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(pattern: &str, path: &[u8]) -> bool {
        let name = path.rsplit(|b| *b == b'/').next().unwrap();
        Selector::new(pattern, &[], false).unwrap().selects(path, name)
    }

    #[test]
    fn a_pattern_without_slash_matches_base_names_and_one_with_slash_whole_paths() {
        assert!(selects("*.dat", b"deep/er/a.dat"));
        assert!(selects("**/*.dat", b"a.dat") && selects("**/*.dat", b"x/y/a.dat"));
        assert!(selects("x/*.dat", b"x/a.dat") && !selects("x/*.dat", b"x/y/a.dat"));
        assert!(selects("./x/*.dat", b"x/a.dat"));
        assert!(!selects("*.dat", b"a.dat.output") && !selects("*.dat", b"a_dat"));
    }

    #[test]
    fn names_are_bytes() {
        assert!(selects("*.dat", b"\xff\xfe.dat") && selects("*.dat", b"two\nlines.dat"));
        assert!(selects("*", b"-rf") && selects("*", "grüße".as_bytes()) && selects("*", b"[x]{y}"));
        assert!(selects("[ab]*", b"bc") && !selects("[ab]*", b"cb") && selects("*.{x,y}", b"q.y"));
    }

    #[test]
    fn a_leading_dot_must_be_asked_for() {
        assert!(!selects("*", b".hidden") && selects(".*", b".hidden"));
        let enters =
            |pattern: &str, name: &[u8]| Selector::new(pattern, &[], true).unwrap().enters(name, name);
        assert!(enters("*", b"dir") && !enters("*", b".git") && enters(".cache/*", b".cache"));
        assert!(!Selector::new("*", &[], false).unwrap().enters(b"dir", b"dir"));
        assert!(Selector::new("**", &[], false).unwrap().enters(b"dir", b"dir"));
    }

    #[test]
    fn exclusions_follow_the_same_rule() {
        let exclude = ["*.tmp".to_owned(), "skip/me".to_owned(), "target".to_owned()];
        let selector = Selector::new("*", &exclude, true).unwrap();
        assert!(!selector.selects(b"a/b.tmp", b"b.tmp") && selector.selects(b"a/b", b"b"));
        assert!(!selector.enters(b"skip/me", b"me") && selector.enters(b"not/me", b"me"));
        assert!(!selector.enters(b"x/target", b"target"));
    }

    #[test]
    fn a_broken_pattern_is_named() {
        let error = Selector::new("a[", &[], false).unwrap_err();
        assert!(error.to_string().contains("`a[`"), "{error}");
    }
}
