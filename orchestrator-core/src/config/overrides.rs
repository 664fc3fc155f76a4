//! What stands above the files: `ORCHESTRATOR_*` variables, `--set key=value`, flags of their own.
//!
//! `ORCHESTRATOR_RETRY__MAX_ATTEMPTS=5` and `--set retry.max_attempts=5` mean the same. Lists are reached by position
//! (`binary.flags.0`), lists of named things by name too (`plugins.metrics.system_metrics.enabled`). What the value
//! means follows from the key: text is taken as it stands (so `*.gz` and `{output_file}` need no quotes), lists and
//! mappings are YAML.

use std::sync::Arc;

use serde_json::Value;

use super::diagnostic::{Code, Diagnostic};
use super::load::{LoadRequest, Override};
use super::model::Config;
use super::nearest::nearest;
use super::schema::Rule;
use super::tree::{Entry, Kind, Node, Place, Source, SourceKind, join};
use super::yaml;
use crate::plan::template::Placeholder;

const PREFIX: &str = "ORCHESTRATOR_";

/// Variables that are no keys: they belong to the command line or to the environment of processes.
pub(crate) const RESERVED: [&str; 6] = [
    "ORCHESTRATOR_CONFIG",
    "ORCHESTRATOR_PROFILE",
    "ORCHESTRATOR_PLUGINS_DIR",
    "ORCHESTRATOR_KEY_PASSWORD",
    "ORCHESTRATOR_LOG",
    "ORCHESTRATOR_FORMAT",
];

/// Lays variables, `--set` and flags above the tree, in this order.
pub(crate) struct Overrides<'a> {
    tree: &'a mut Node,
    findings: &'a mut Vec<Diagnostic>,
}

impl<'a> Overrides<'a> {
    pub(crate) fn new(tree: &'a mut Node, findings: &'a mut Vec<Diagnostic>) -> Self {
        Self { tree, findings }
    }

    pub(crate) fn apply<'e>(
        &mut self,
        environment: impl Iterator<Item = (&'e String, &'e String)>,
        request: &LoadRequest,
    ) {
        environment.for_each(|(name, value)| self.variable(name, value));
        request.set.iter().for_each(|text| self.set(text));
        request.overlay.iter().for_each(|flag| self.flag(flag));
    }

    fn variable(&mut self, name: &str, value: &str) {
        let Some(key) = name.strip_prefix(PREFIX) else { return };
        let fact = Placeholder::ALL.iter().any(|placeholder| placeholder.variable() == name);
        if RESERVED.contains(&name) || fact || key.is_empty() {
            return;
        }
        let source = Source::new(name, value, SourceKind::Environment);
        let path = key_of_variable(key);
        if Rule::root().key(&path[0]).is_none() {
            self.unknown_variable(name, key, &source);
            return;
        }
        self.lay(&path, value, &source);
    }

    /// A name with `__` is meant for us; one without may belong to anybody.
    fn unknown_variable(&mut self, name: &str, key: &str, source: &Arc<Source>) {
        let section = key.split("__").next().unwrap_or_default().to_ascii_lowercase();
        let help = nearest(&section, Rule::root().keys())
            .map(|near| format!("did you mean {PREFIX}{}?", near.to_ascii_uppercase()))
            .unwrap_or_else(|| "keys are written as ORCHESTRATOR_SECTION__KEY".to_owned());
        let message = format!("the environment variable {name} names no section `{section}`");
        let finding = if key.contains("__") {
            Diagnostic::error(Code::UnknownKey, &section, message)
        } else {
            Diagnostic::warning(Code::UnknownVariable, "", message)
        };
        self.findings.push(finding.help(help).at(Place::whole(source).location()));
    }

    fn set(&mut self, text: &str) {
        let source = Source::new(format!("--set {text}"), text, SourceKind::Flag);
        let Some((path, value)) = text.split_once('=').filter(|(path, _)| !path.trim().is_empty()) else {
            let finding =
                Diagnostic::error(Code::InvalidOverride, "", format!("`--set {text}` has no key and value"));
            let help = "write --set section.key=value, such as --set concurrency.max=4";
            self.findings.push(finding.help(help).at(Place::whole(&source).location()));
            return;
        };
        let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
        // The source's text is the value alone, so that places within it fit.
        let source = Source::new(format!("--set {}", path.join(".")), value, SourceKind::Flag);
        self.lay(&path, value, &source);
    }

    fn flag(&mut self, flag: &Override) {
        let text = flag.value.as_str().map_or_else(|| flag.value.to_string(), str::to_owned);
        let source = Source::new(flag.flag.clone(), &text, SourceKind::Flag);
        let path: Vec<String> = flag.path.split('.').map(str::to_owned).collect();
        let place = Place::whole(&source);
        self.put(&path, Node::from_json(&flag.value, &place), &place);
    }

    fn lay(&mut self, path: &[String], value: &str, source: &Arc<Source>) {
        let place = Place::whole(source);
        let as_text = Node {
            kind: Kind::Scalar { text: value.to_owned(), plain: true, loose: true },
            place: place.clone(),
        };
        let node = match rule_at(path) {
            Some(rule) if rule.is_composite() => match yaml::parse(source, self.findings) {
                Ok(node) => node.unwrap_or(as_text),
                Err(finding) => {
                    self.findings.push(
                        Diagnostic { path: path.join("."), ..*finding }
                            .help("lists and mappings are written in YAML: [a, b], {key: value}"),
                    );
                    return;
                }
            },
            _ => as_text,
        };
        self.put(path, node, &place);
    }

    fn put(&mut self, path: &[String], node: Node, place: &Place) {
        if let Err(message) = put(self.tree, path, "", node, place) {
            let finding = Diagnostic::error(Code::InvalidOverride, &path.join("."), message);
            self.findings.push(finding.at(place.location()));
        }
    }
}

/// `RETRY__MAX_ATTEMPTS` to `retry`, `max_attempts`. Under mappings with free keys the case stays.
fn key_of_variable(key: &str) -> Vec<String> {
    let mut rule = Some(Rule::root());
    key.split("__")
        .map(|part| {
            let lower = part.to_ascii_lowercase();
            let free = rule.is_some_and(|rule| rule.is_free() || rule.any_key().is_some());
            rule = rule.and_then(|rule| step(rule, &lower));
            if free { part.to_owned() } else { lower }
        })
        .collect()
}

fn rule_at(path: &[String]) -> Option<Rule<'static>> {
    path.iter().try_fold(Rule::root(), |rule, part| step(rule, part))
}

fn step<'r>(rule: Rule<'r>, part: &str) -> Option<Rule<'r>> {
    if rule.is_free() {
        return Some(rule);
    }
    rule.key(part).or_else(|| rule.any_key()).or_else(|| rule.item())
}

/// Puts a node at a path, making what is missing on the way.
fn put(tree: &mut Node, path: &[String], walked: &str, node: Node, place: &Place) -> Result<(), String> {
    let Some((part, rest)) = path.split_first() else {
        *tree = node;
        return Ok(());
    };
    let here = join(walked, part);
    if let Kind::Seq(items) = &mut tree.kind {
        let length = items.len();
        let index = position(items, part).ok_or_else(|| {
            format!("`{walked}` is a list of {length}: `{part}` is neither a position from 0 nor the name of an item")
        })?;
        if index == length {
            items.push(Node::map(place.clone()));
        }
        return put(&mut items[index], rest, &here, node, place);
    }
    if !matches!(tree.kind, Kind::Map(_)) {
        *tree = Node::map(place.clone());
    }
    let Kind::Map(entries) = &mut tree.kind else { return Ok(()) };
    let index = entries.iter().position(|entry| entry.key == *part).unwrap_or_else(|| {
        let node = if rest.is_empty() { None } else { default_list(&here) };
        let node = node.unwrap_or_else(|| Node::map(place.clone()));
        entries.push(Entry { key: part.clone(), place: place.clone(), node });
        entries.len() - 1
    });
    if rest.is_empty() {
        entries[index].place = place.clone();
    }
    put(&mut entries[index].node, rest, &here, node, place)
}

/// The position meant: a number up to the length, or the `name` of an item.
fn position(items: &[Node], part: &str) -> Option<usize> {
    let named = |item: &Node| matches!(item.get("name").map(|name| &name.kind), Some(Kind::Scalar { text, .. }) if text == part);
    part.parse().ok().filter(|index| *index <= items.len()).or_else(|| items.iter().position(named))
}

/// The default of a list, so that an override can reach into it.
fn default_list(path: &str) -> Option<Node> {
    let defaults = serde_json::to_value(Config::default()).ok()?;
    let value = defaults.pointer(&format!("/{}", path.replace('.', "/"))).filter(|value| value.is_array())?;
    let source = Source::new("default", &Value::to_string(value), SourceKind::Default);
    Some(Node::from_json(value, &Place::whole(&source)))
}
