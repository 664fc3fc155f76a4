//! Files and profiles: what is read, in what order it is laid one above the other.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::{Code, Diagnostic};
use super::interpolate::interpolate;
use super::load::Sources;
use super::nearest::nearest;
use super::schema::{EXTENDS, PROFILES};
use super::tree::{Entry, Kind, Node, Place, Source, SourceKind};
use super::yaml;

/// So many files one configuration may be made of.
const MAX_FILES: usize = 64;

/// What files say.
pub(crate) struct Files<'a> {
    sources: &'a dyn Sources,
    /// Files read, in order.
    pub(crate) read: Vec<PathBuf>,
    pub(crate) findings: Vec<Diagnostic>,
    /// Whether a file could not be read or understood, so that what is missing says nothing.
    pub(crate) incomplete: bool,
}

impl<'a> Files<'a> {
    pub(crate) fn new(sources: &'a dyn Sources) -> Self {
        Self { sources, read: Vec::new(), findings: Vec::new(), incomplete: false }
    }

    /// Reads a file and what it extends; extended files lie below.
    pub(crate) fn load(&mut self, file: &Path) -> Option<Node> {
        self.file(file, None, &mut Vec::new())
    }

    fn fail(&mut self, finding: Diagnostic) -> Option<Node> {
        self.incomplete = true;
        self.findings.push(finding);
        None
    }

    fn file(&mut self, file: &Path, named_at: Option<&Place>, chain: &mut Vec<PathBuf>) -> Option<Node> {
        let full = self.sources.current_directory().join(file);
        // Only to recognise circles: across links `..` does not mean what the text says.
        let path = normal(&full);
        let named_at = named_at.map(Place::location);
        if self.read.len() >= MAX_FILES {
            let message = format!("more than {MAX_FILES} files are extended");
            return self.fail(Diagnostic::error(Code::ExtendsCycle, EXTENDS, message).at(named_at));
        }
        if chain.contains(&path) {
            let names = chain.iter().chain([&path]).map(|path| path.display().to_string());
            let message =
                format!("files extend one another in a circle: {}", names.collect::<Vec<_>>().join(" → "));
            return self.fail(Diagnostic::error(Code::ExtendsCycle, EXTENDS, message).at(named_at));
        }
        let text = match self.sources.read(&full) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("cannot read {}: {error}", file.display());
                let path = if named_at.is_some() { EXTENDS } else { "" };
                return self.fail(Diagnostic::error(Code::UnreadableFile, path, message).at(named_at));
            }
        };
        let directory = tidy(full.parent().unwrap_or(Path::new("/")));
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let source = Source::new(file.display().to_string(), text, SourceKind::File { directory });
        self.read.push(tidy(&full));
        let own = self.parse(&source)?;
        chain.push(path);
        let tree = self.above_extended(own, file, chain);
        chain.pop();
        Some(tree)
    }

    fn parse(&mut self, source: &Arc<Source>) -> Option<Node> {
        let whole = Place::whole(source);
        match yaml::parse(source, &mut self.findings) {
            Err(finding) => self.fail(*finding),
            Ok(Some(node)) if matches!(node.kind, Kind::Map(_)) => Some(node),
            Ok(Some(node)) if !node.is_null() => {
                let message = format!("a configuration is a mapping of sections, found {}", node.shown());
                let finding = Diagnostic::error(Code::WrongType, "", message).at(node.place.location());
                self.fail(finding.help("begin with `binary:`; `orchestrator init` writes a starter"))
            }
            Ok(_) => Some(Node::map(whole)),
        }
    }

    fn above_extended(&mut self, mut own: Node, file: &Path, chain: &mut Vec<PathBuf>) -> Node {
        let Some(extends) = own.take(EXTENDS) else { return own };
        let place = own.place.clone();
        let mut tree = Node::map(place);
        let parent = file.parent().unwrap_or(Path::new(""));
        for (name, place) in self.extended_names(extends) {
            if let Some(below) = self.file(&tidy(&parent.join(name)), Some(&place), chain) {
                tree.merge(below);
            }
        }
        tree.merge(own);
        tree
    }

    fn extended_names(&mut self, extends: Node) -> Vec<(String, Place)> {
        if extends.is_null() {
            return Vec::new();
        }
        let items = match extends.kind {
            Kind::Seq(items) => items,
            kind => vec![Node { kind, place: extends.place }],
        };
        let mut names = Vec::new();
        for item in items {
            match &item.kind {
                Kind::Scalar { text, .. } if !item.is_null() => {
                    match interpolate(text, self.sources.environment()) {
                        Ok(name) => names.push((name, item.place)),
                        Err(_) => self.unusable(&item, "has a variable that is not set"),
                    }
                }
                _ => self.unusable(&item, "is no file name"),
            }
        }
        names
    }

    fn unusable(&mut self, item: &Node, why: &str) {
        let message = format!("extends: {} {why}", item.shown());
        let finding = Diagnostic::error(Code::InvalidValue, EXTENDS, message);
        self.fail(finding.help("write a file name, or a list of them").at(item.place.location()));
    }
}

/// Takes the profiles out of the tree.
pub(crate) fn take_profiles(tree: &mut Node, findings: &mut Vec<Diagnostic>) -> BTreeMap<String, Entry> {
    let Some(profiles) = tree.take(PROFILES) else { return BTreeMap::new() };
    match profiles.kind {
        Kind::Map(entries) => entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect(),
        _ if profiles.is_null() => BTreeMap::new(),
        _ => {
            let message = format!(
                "profiles: expected a mapping of names to parts of a configuration, found {}",
                profiles.shown()
            );
            findings
                .push(Diagnostic::error(Code::WrongType, PROFILES, message).at(profiles.place.location()));
            BTreeMap::new()
        }
    }
}

/// The profile chosen, ready to be laid above the files.
///
/// # Errors
/// The finding that it does not exist.
pub(crate) fn choose_profile(
    profiles: &BTreeMap<String, Entry>,
    name: &str,
) -> Result<Node, Box<Diagnostic>> {
    let Some(entry) = profiles.get(name) else {
        let names = profiles.keys().map(String::as_str);
        let help = match nearest(name, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if profiles.is_empty() => "the configuration has no `profiles:`".to_owned(),
            None => format!("the profiles are {}", names.collect::<Vec<_>>().join(", ")),
        };
        let message = format!("there is no profile `{name}`");
        return Err(Box::new(Diagnostic::error(Code::UnknownProfile, PROFILES, message).help(help)));
    };
    let mut node = entry.node.clone();
    node.mark_profile(&name.into());
    Ok(if node.is_null() { Node::map(node.place) } else { node })
}

/// Without `.` and, where the text alone allows it, without `..`.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut out, component| {
        match component {
            Component::ParentDir if out.file_name().is_some() => {
                out.pop();
            }
            component => out.push(component),
        }
        out
    })
}

fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}
