//! The libraries of a list of directories, and which of them exports a class.

use super::file::{ContentHash, Examined, PluginFile};
use super::problem::{FileFault, FileProblem};
use super::trust::place::{Directory, DirectoryId, Opened};
use super::trust::{PlaceFault, Trust};
use super::verified::VerifiedFile;
use orchestrator_core::config::nearest::nearest;
use orchestrator_plugin_api::PluginKind;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// What a scan of the plugin directories found.
///
/// Directories are taken in order, the files of one by name. Of several usable libraries that export the same class the
/// first one serves it.
#[derive(Debug, Default)]
pub struct Catalog {
    trust: Arc<Trust>,
    directories: Vec<PathBuf>,
    files: Vec<PluginFile>,
    /// Each with the number of its problem.
    unusable: Vec<(PluginFile, usize)>,
    problems: Vec<CatalogProblem>,
}

/// Something that a scan met and went on after.
#[derive(Debug, Error)]
pub enum CatalogProblem {
    /// A directory cannot be read.
    #[error("the plugin directory {} cannot be read ({source}); create it or leave it out", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory that is not read, since others could put libraries into it.
    #[error("the plugin directory {}: {fault}; nothing of it was read", path.display())]
    Refused {
        /// The directory.
        path: PathBuf,
        /// Why.
        fault: PlaceFault,
    },
    /// A file that is no plugin.
    #[error(transparent)]
    File(#[from] FileProblem),
    /// Two libraries export the same class.
    #[error(
        "{} exports class `{class}` as {} does, which comes first and is used; remove one of the two",
        unused.display(), used.display()
    )]
    Duplicate {
        /// The class.
        class: String,
        /// The file that serves it.
        used: PathBuf,
        /// The file that does not.
        unused: PathBuf,
    },
}

/// A class that no usable library exports.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// No library at all knows the class.
    #[error(
        "no plugin library exports the {kind} class `{class}`{}{}",
        advice(.nearest.as_deref(), .known, .directories), passed_over(.refused.as_deref())
    )]
    Unknown {
        /// The class.
        class: String,
        /// The kind that was asked for.
        kind: PluginKind,
        /// The exported class of that kind that is spelt most like it.
        nearest: Option<String>,
        /// All exported classes of that kind.
        known: Vec<String>,
        /// The directories that were searched.
        directories: Vec<PathBuf>,
        /// What was not read since others could change it, where it may be.
        refused: Option<String>,
    },
    /// The class exists, under the other list of the configuration.
    #[error("class `{class}` in {} is of kind {found}, not {wanted}; move it to `plugins.{found}`", path.display())]
    OtherKind {
        /// The class.
        class: String,
        /// The kind that was asked for.
        wanted: PluginKind,
        /// Its kind.
        found: PluginKind,
        /// The file that exports it.
        path: PathBuf,
    },
    /// A library exports the class but cannot be used.
    #[error("class `{class}` is exported only by a library that cannot be used: {problem}")]
    Unusable {
        /// The class.
        class: String,
        /// What is wrong with the library.
        problem: String,
    },
}

impl CatalogProblem {
    /// Whether nothing was read since others could change it.
    fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::File(problem) => matches!(problem.fault, FileFault::Place(_)),
            Self::Directory { .. } | Self::Duplicate { .. } => false,
        }
    }
}

impl Catalog {
    /// As [`Self::scan_trusting`], whoever signed the files.
    pub fn scan<P: AsRef<Path>>(directories: impl IntoIterator<Item = P>) -> Self {
        Self::scan_trusting(Trust::default(), directories)
    }

    /// Reads every `*.so` of the directories; nothing of them is executed. A directory named twice counts once. What others
    /// could change is not read, and what is not trusted serves no class.
    pub fn scan_trusting<P: AsRef<Path>>(trust: Trust, directories: impl IntoIterator<Item = P>) -> Self {
        let mut catalog = Self { trust: Arc::new(trust), ..Self::default() };
        let mut seen = BTreeSet::new();
        for directory in directories {
            catalog.add_directory(directory.as_ref(), &mut seen);
        }
        catalog
    }

    /// The one library at `path`, for whoever works on it.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn of_file(trust: Trust, path: &Path) -> Result<Self, FileProblem> {
        let trust = Arc::new(trust);
        let file = VerifiedFile::open(path, &trust)?.file().clone();
        file.check_version()?;
        Ok(Self { trust, files: vec![file], ..Self::default() })
    }

    /// The rules by which the libraries were judged.
    pub(crate) fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    /// The usable library of this content.
    pub(crate) fn with_content(&self, hash: &ContentHash) -> Option<&PluginFile> {
        self.files.iter().find(|file| file.hash == *hash)
    }

    /// The usable libraries in the order of preference.
    pub fn files(&self) -> &[PluginFile] {
        &self.files
    }

    /// What the scan met and went on after: warnings as long as nothing needs these files.
    pub fn problems(&self) -> impl Iterator<Item = &CatalogProblem> {
        self.problems.iter()
    }

    /// Libraries with a readable descriptor that this host cannot use, and why.
    pub fn unusable(&self) -> impl Iterator<Item = (&PluginFile, &CatalogProblem)> {
        self.unusable.iter().map(|(file, problem)| (file, &self.problems[*problem]))
    }

    /// The library that serves a class.
    ///
    /// # Errors
    /// No usable library exports it as that kind.
    pub fn resolve(&self, kind: PluginKind, class: &str) -> Result<&PluginFile, ResolveError> {
        if let Some(file) = self.files.iter().find(|file| file.class(kind, class).is_some()) {
            return Ok(file);
        }
        let exports = |file: &PluginFile| file.class(kind, class).is_some();
        if let Some((_, problem)) = self.unusable().find(|(file, _)| exports(file)) {
            return Err(ResolveError::Unusable { class: class.to_owned(), problem: problem.to_string() });
        }
        Err(self.other_kind(kind, class).unwrap_or_else(|| self.unknown(kind, class)))
    }

    fn add_directory(&mut self, directory: &Path, seen: &mut BTreeSet<DirectoryId>) {
        if self.directories.iter().any(|known| known == directory) {
            return;
        }
        self.directories.push(directory.to_owned());
        let path = directory.to_owned();
        match Directory::of_plugins(directory) {
            // Under another name it was read already.
            Ok(place) if place.id().is_ok_and(|id| !seen.insert(id)) => {}
            Ok(place) => self.add_files(&path, &place),
            Err(PlaceFault::Unreadable(source)) => {
                self.problems.push(CatalogProblem::Directory { path, source });
            }
            Err(fault) => self.problems.push(CatalogProblem::Refused { path, fault }),
        }
    }

    fn add_files(&mut self, path: &Path, place: &Directory) {
        let names = match place.libraries() {
            Ok(names) => names,
            Err(source) => {
                return self.problems.push(CatalogProblem::Directory { path: path.to_owned(), source });
            }
        };
        for name in names {
            let opened = place.again().map_err(PlaceFault::Unreadable).and_then(|place| place.open(&name));
            match opened {
                Ok(opened) => self.add_file(&path.join(name), opened),
                // A link to a directory is as little a library as a directory.
                Err(PlaceFault::NoFile | PlaceFault::Directory) => {}
                Err(fault) => {
                    let problem = FileProblem::new(&path.join(name), FileFault::Place(fault));
                    self.problems.push(problem.into());
                }
            }
        }
    }

    fn add_file(&mut self, path: &Path, opened: Opened) {
        let Examined { file, verdict, .. } = match PluginFile::examine(path, opened, &self.trust) {
            Ok(examined) => examined,
            Err(problem) => return self.problems.push(problem.into()),
        };
        let verdict = verdict.map_err(|fault| FileProblem::new(path, FileFault::Trust(fault)));
        match verdict.and_then(|()| file.check_version()) {
            Ok(()) => {
                self.note_duplicates(&file);
                self.files.push(file);
            }
            Err(problem) => {
                self.unusable.push((file, self.problems.len()));
                self.problems.push(problem.into());
            }
        }
    }

    fn note_duplicates(&mut self, file: &PluginFile) {
        for class in &file.descriptor.classes {
            let used = self.files.iter().find(|other| other.class(class.kind, &class.class).is_some());
            let other_content = used.filter(|used| used.hash != file.hash);
            self.problems.extend(other_content.map(|used| CatalogProblem::Duplicate {
                class: class.class.clone(),
                used: used.path.clone(),
                unused: file.path.clone(),
            }));
        }
    }

    fn other_kind(&self, wanted: PluginKind, class: &str) -> Option<ResolveError> {
        self.files.iter().find_map(|file| {
            let found = file.descriptor.classes.iter().find(|found| found.class == class)?.kind;
            Some(ResolveError::OtherKind { class: class.to_owned(), wanted, found, path: file.path.clone() })
        })
    }

    fn unknown(&self, kind: PluginKind, class: &str) -> ResolveError {
        let classes = self.files.iter().flat_map(|file| &file.descriptor.classes);
        let known: BTreeSet<&str> =
            classes.filter(|found| found.kind == kind).map(|found| found.class.as_str()).collect();
        ResolveError::Unknown {
            class: class.to_owned(),
            kind,
            nearest: nearest(class, known.iter().copied()).map(str::to_owned),
            known: known.into_iter().map(str::to_owned).collect(),
            directories: self.directories.clone(),
            refused: self.problems.iter().find(|problem| problem.is_refusal()).map(ToString::to_string),
        }
    }
}

fn passed_over(refused: Option<&str>) -> String {
    refused.map(|refused| format!("; perhaps it is where nothing was read: {refused}")).unwrap_or_default()
}

/// `; did you mean …? (classes: …; searched: …)`
fn advice(nearest: Option<&str>, known: &[String], directories: &[PathBuf]) -> String {
    let mut text = match nearest {
        Some(name) => format!("; did you mean `{name}`?"),
        None => String::from("; put its library into a plugin directory or correct the name"),
    };
    let shown: Vec<String> = directories.iter().map(|path| path.display().to_string()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let searched = if shown.is_empty() { "no directory".to_owned() } else { shown.join(", ") };
    let _ = write!(text, " (known: {known}; searched: {searched})");
    text
}
