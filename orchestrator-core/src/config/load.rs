//! From files, profile, environment and flags to one configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::check::Check;
use super::diagnostic::{Code, Diagnostic, Severity};
use super::interpolate::interpolate_tree;
use super::layers::{Files, choose_profile, take_profiles};
use super::model::Config;
use super::origin::{Leaf, leaves};
use super::overrides::Overrides;
use super::paths::Directories;
use super::rules::Rules;
use super::schema::{PROFILES, Rule};
use super::tree::{Node, Place, Source, SourceKind, join};
use crate::plan::template::Template;

/// The world that a configuration is loaded from. Core reads neither files nor environment itself.
pub trait Sources {
    /// The text of a file; the path is absolute.
    ///
    /// # Errors
    /// Why it cannot be read; text that is not UTF-8 is an error too.
    fn read(&self, path: &Path) -> std::io::Result<String>;

    /// The environment variables whose names and values are UTF-8.
    fn environment(&self) -> &BTreeMap<String, String>;

    /// The absolute current directory.
    fn current_directory(&self) -> &Path;
}

/// What to load.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadRequest {
    /// The configuration file; none when flags say everything. Relative to the current directory.
    pub file: Option<PathBuf>,
    /// The profile; `ORCHESTRATOR_PROFILE` if none.
    pub profile: Option<String>,
    /// `key.path=value` of each `--set`; later ones win.
    pub set: Vec<String>,
    /// Values of flags that stand for keys; they win over `--set`.
    pub overlay: Vec<Override>,
}

/// The value that a flag gives a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// The key's path, such as `input.files_directory`.
    pub path: String,
    /// The value; a mapping is merged key by key only below its own path, everything else is replaced.
    pub value: Value,
    /// The flag as typed, such as `--input`.
    pub flag: String,
}

/// A configuration without errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration; its paths are absolute (but for a `binary.path` without a slash).
    pub config: Config,
    /// Every value with its origin, in the order of the documentation.
    pub leaves: Vec<Leaf>,
    /// What is worth a word.
    pub warnings: Vec<Diagnostic>,
    /// The files read, the named one first.
    pub files: Vec<PathBuf>,
    /// The profile used.
    pub profile: Option<String>,
    /// The profiles there are.
    pub profiles: Vec<String>,
}

/// Loads a configuration. Precedence: flag > `--set` > environment > profile > file > extended file > default.
///
/// # Errors
/// Everything that is wrong (and every warning), in the order of the text; at least one of severity error.
pub fn load(request: &LoadRequest, sources: &dyn Sources) -> Result<Loaded, Vec<Diagnostic>> {
    let environment = sources.environment();
    let mut files = Files::new(sources);
    let tree = request.file.as_deref().and_then(|file| files.load(file));
    let mut tree = tree.unwrap_or_else(nothing);
    let (mut findings, incomplete, read) = (files.findings, files.incomplete, files.read);

    let profiles = take_profiles(&mut tree, &mut findings);
    let profile = request.profile.as_ref().or_else(|| environment.get("ORCHESTRATOR_PROFILE"));
    let profile = profile.filter(|name| !name.is_empty()).cloned();
    if let Some(name) = profile.as_ref().filter(|_| !incomplete) {
        match choose_profile(&profiles, name) {
            Ok(node) if matches!(node.kind, super::tree::Kind::Map(_)) => tree.merge(node),
            // What is wrong with it is found below, with the profiles that were not chosen.
            Ok(_) => {}
            Err(finding) => findings.push(*finding),
        }
    }
    Overrides::new(&mut tree, &mut findings).apply(environment.iter(), request);
    interpolate_tree(&mut tree, "", environment, &mut findings);

    let home = environment.get("HOME").map(String::as_str);
    let directories = Directories { current: sources.current_directory(), home };
    for (name, entry) in &profiles {
        let merged = profile.as_ref() == Some(name) && matches!(entry.node.kind, super::tree::Kind::Map(_));
        if !merged && !entry.node.is_null() {
            let mut check = Check::new(&directories, true);
            check.node(&entry.node, Rule::root(), &join(PROFILES, name));
            findings.append(&mut check.findings);
        }
    }
    let mut config = judged(&tree, &directories, incomplete, &mut findings);
    if let Some(config) = &mut config {
        bare_program(config, &tree);
    }
    finish(findings, config, |config, warnings| Loaded {
        leaves: leaves(&config, &tree),
        config,
        warnings,
        files: read,
        profile,
        profiles: profiles.into_keys().collect(),
    })
}

/// A program that is told nothing about its input and output gets the input's path as its only argument, and what it
/// writes to standard output is the result: so `binary.path` and the two directories suffice. `flags: []` calls it without
/// an argument.
fn bare_program(config: &mut Config, tree: &Node) {
    let binary = &mut config.binary;
    let written = |key: &str| tree.find(key).is_some();
    if ["binary.flags", "binary.stdin", "binary.env", "binary.shell"].into_iter().any(written) {
        return;
    }
    binary.flags.extend(Template::parse("{input_file}").ok());
    if !written("binary.stdout") {
        binary.stdout = Template::parse("{output_file}").ok();
    }
}

fn nothing() -> Node {
    Node::map(Place::whole(&Source::new("", "", SourceKind::Default)))
}

/// Checks the merged tree and asks the rules.
fn judged(
    tree: &Node,
    directories: &Directories<'_>,
    incomplete: bool,
    findings: &mut Vec<Diagnostic>,
) -> Option<Config> {
    let mut check = Check::new(directories, false);
    check.unsound =
        findings.iter().map(|finding| finding.path.clone()).filter(|path| !path.is_empty()).collect();
    let value = check.node(tree, Rule::root(), "");
    // A variable that could not be filled in has been reported; what its text then is says nothing.
    let reported: Vec<_> = findings.iter().filter(|f| !f.path.is_empty()).map(|f| f.path.clone()).collect();
    check.findings.retain(|finding| !reported.contains(&finding.path));
    findings.append(&mut check.findings);
    if incomplete {
        return None;
    }
    match serde_json::from_value::<Config>(value.unwrap_or_else(|| Value::Object(serde_json::Map::new()))) {
        Ok(config) => {
            let mut rules = Rules { tree, unsound: &check.unsound, findings: Vec::new() };
            rules.ask(&config);
            findings.append(&mut rules.findings);
            Some(config)
        }
        Err(error) => {
            findings.push(Diagnostic::error(
                Code::InvalidValue,
                "",
                format!("the configuration cannot be read: {error}"),
            ));
            None
        }
    }
}

fn finish(
    mut findings: Vec<Diagnostic>,
    config: Option<Config>,
    loaded: impl FnOnce(Config, Vec<Diagnostic>) -> Loaded,
) -> Result<Loaded, Vec<Diagnostic>> {
    // By source in order of first appearance, then by place; what has no place comes last.
    let mut names: Vec<String> = Vec::new();
    for location in findings.iter().filter_map(|finding| finding.location.as_ref()) {
        if !names.contains(&location.source_name) {
            names.push(location.source_name.clone());
        }
    }
    findings.sort_by_key(|finding| match &finding.location {
        Some(at) => {
            (names.iter().position(|name| *name == at.source_name).unwrap_or(usize::MAX), at.span.start)
        }
        None => (usize::MAX, 0),
    });
    match config {
        Some(config) if findings.iter().all(|finding| finding.severity == Severity::Warning) => {
            Ok(loaded(config, findings))
        }
        _ => Err(findings),
    }
}
