//! Tests of loading as a whole, over files and an environment held in memory.

mod accepted;
mod arbitrary;
mod findings;
mod layers;
mod scalars;
mod starter;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{Code, Diagnostic, LoadRequest, Loaded, Sources, load};

/// The three keys that have to be there.
pub(super) const LEAST: &str =
    "binary: {path: /bin/cat}\ninput: {files_directory: /data/in}\noutput: {directory: /data/out}\n";

/// Files, variables and a current directory.
#[derive(Default)]
pub(super) struct World {
    files: BTreeMap<PathBuf, String>,
    environment: BTreeMap<String, String>,
    current: PathBuf,
    request: LoadRequest,
}

impl Sources for World {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    fn current_directory(&self) -> &Path {
        &self.current
    }
}

impl World {
    /// A world in `/work` whose request names `config.yaml` with this text.
    pub(super) fn with(text: &str) -> Self {
        let mut world = Self { current: "/work".into(), ..Self::default() };
        world.request.file = Some("config.yaml".into());
        world.file("/work/config.yaml", text)
    }

    pub(super) fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.to_owned());
        self
    }

    pub(super) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(super) fn profile(mut self, name: &str) -> Self {
        self.request.profile = Some(name.to_owned());
        self
    }

    pub(super) fn set(mut self, text: &str) -> Self {
        self.request.set.push(text.to_owned());
        self
    }

    pub(super) fn flag(mut self, path: &str, value: impl Into<serde_json::Value>, flag: &str) -> Self {
        let (path, value, flag) = (path.to_owned(), value.into(), flag.to_owned());
        self.request.overlay.push(super::Override { path, value, flag });
        self
    }

    pub(super) fn without_file(mut self) -> Self {
        self.request.file = None;
        self
    }

    pub(super) fn load(&self) -> Result<Loaded, Vec<Diagnostic>> {
        load(&self.request, self)
    }

    /// The configuration, or a panic that shows the findings.
    pub(super) fn loaded(&self) -> Loaded {
        self.load().unwrap_or_else(|findings| panic!("{}", shown(&findings)))
    }

    /// The findings, or a panic if there are none.
    pub(super) fn refused(&self) -> Vec<Diagnostic> {
        match self.load() {
            Ok(_) => panic!("was accepted"),
            Err(findings) => findings,
        }
    }
}

pub(super) fn shown(findings: &[Diagnostic]) -> String {
    findings.iter().map(|finding| format!("[{}] {finding}", finding.code)).collect::<Vec<_>>().join("\n")
}

/// Code and path of each finding, in order.
pub(super) fn codes(findings: &[Diagnostic]) -> Vec<(Code, &str)> {
    findings.iter().map(|finding| (finding.code, finding.path.as_str())).collect()
}

/// The text that a finding points at.
pub(super) fn pointed_at(finding: &Diagnostic) -> &str {
    let location = finding.location.as_ref().unwrap();
    &location.text[location.span.clone()]
}
