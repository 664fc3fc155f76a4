//! The structural check: the tree against the schema. Finds everything at once and gives what is sound as JSON.
//!
//! An empty value (`key:`) means the default, unless the key takes null itself. What is not sound is left out, so
//! that the rules about several keys can still be asked.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::diagnostic::{Code, Diagnostic};
use super::model::Sha256;
use super::nearest::nearest;
use super::paths::Directories;
use super::scalar::{Scalar, ValueError};
use super::schema::Rule;
use super::signal::Signal;
use super::tree::{Entry, Kind, Meaning, Node, join, meaning};
use super::units::{ByteSize, HumanDuration, Percent};
use super::values::{GlobPattern, Limit, RetryCause, Threshold, TimeLimit};
use crate::placement::Placement;
use crate::plan::template::{Template, TemplateError};

/// One walk over a tree.
pub(crate) struct Check<'a> {
    directories: &'a Directories<'a>,
    /// Variables are not filled in (a profile that was not chosen): values with `${` are passed over.
    raw: bool,
    pub(crate) findings: Vec<Diagnostic>,
    /// Paths that have findings.
    pub(crate) unsound: BTreeSet<String>,
}

impl<'a> Check<'a> {
    pub(crate) fn new(directories: &'a Directories<'a>, raw: bool) -> Self {
        Self { directories, raw, findings: Vec::new(), unsound: BTreeSet::new() }
    }

    /// Checks a node; none if nothing sound is left of it.
    pub(crate) fn node(&mut self, node: &Node, rule: Rule<'_>, path: &str) -> Option<Value> {
        if self.raw && matches!(&node.kind, Kind::Scalar { text, .. } if text.contains("${")) {
            return None;
        }
        match &node.kind {
            Kind::Map(entries) if rule.is_free() => Some(self.free_map(entries, path)),
            _ if rule.is_free() && !rule.takes("object") => self.free(node, path),
            Kind::Map(entries) if rule.takes("object") => Some(self.map(entries, rule, path, node)),
            Kind::Seq(items) if rule.takes("array") => Some(self.list(items, rule, path)),
            Kind::Scalar { text, plain, loose } if !rule.takes("array") && !rule.takes("object") => {
                self.scalar(node, (text, *plain, *loose), rule, path)
            }
            _ => self.wrong_type(node, rule, path),
        }
    }

    fn finding(&mut self, finding: Diagnostic) {
        self.unsound.insert(finding.path.clone());
        self.findings.push(finding);
    }

    fn map(&mut self, entries: &[Entry], rule: Rule<'_>, path: &str, node: &Node) -> Value {
        let mut out = Map::new();
        for entry in entries {
            let path = join(path, &entry.key);
            let Some(inner) = rule.key(&entry.key).or_else(|| rule.any_key()) else {
                self.unknown_key(entry, rule, &path);
                continue;
            };
            if entry.node.is_null() && !inner.nullable() && !stands_for_text(&entry.node, inner) {
                if rule.any_key().is_some() {
                    out.insert(entry.key.clone(), Value::from(""));
                }
            } else if let Some(value) = self.node(&entry.node, inner, &path) {
                out.insert(entry.key.clone(), value);
            }
        }
        for key in rule.required().filter(|key| !entries.iter().any(|e| e.key == *key && !e.node.is_null())) {
            let message = format!("`{}` is missing", join(path, key));
            self.finding(
                Diagnostic::error(Code::MissingKey, &join(path, key), message).at(node.place.location()),
            );
        }
        // Without its required keys the mapping cannot be read.
        if rule.required().all(|key| out.contains_key(key)) { Value::Object(out) } else { Value::Null }
    }

    fn list(&mut self, items: &[Node], rule: Rule<'_>, path: &str) -> Value {
        let mut out = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = join(path, &index.to_string());
            let Some(inner) = rule.item() else { continue };
            out.extend(self.node(item, inner, &path).filter(|value| !value.is_null()));
        }
        Value::Array(out)
    }

    fn free_map(&mut self, entries: &[Entry], path: &str) -> Value {
        let pairs = entries
            .iter()
            .filter_map(|entry| Some((entry.key.clone(), self.free(&entry.node, &join(path, &entry.key))?)));
        Value::Object(pairs.collect())
    }

    fn free(&mut self, node: &Node, path: &str) -> Option<Value> {
        match &node.kind {
            Kind::Map(entries) => Some(self.free_map(entries, path)),
            Kind::Seq(items) => {
                let items = items
                    .iter()
                    .enumerate()
                    .filter_map(|(i, item)| self.free(item, &join(path, &i.to_string())));
                Some(Value::Array(items.collect()))
            }
            Kind::Scalar { text, plain, .. } => match meaning(text, *plain) {
                Meaning::Json(value) => Some(value),
                Meaning::NotFinite => self.not_finite(node, path),
            },
        }
    }

    fn scalar(
        &mut self,
        node: &Node,
        (text, plain, loose): (&str, bool, bool),
        rule: Rule<'_>,
        path: &str,
    ) -> Option<Value> {
        let template = matches!(rule.format(), Some("template" | "path-template"));
        let value = match meaning(text, plain) {
            Meaning::Json(Value::Null) if rule.nullable() => return Some(Value::Null),
            Meaning::Json(Value::Null) if !loose => return self.wrong_type(node, rule, path),
            // The text counts as it stands: `1.10` is no number here.
            Meaning::Json(_) | Meaning::NotFinite if template || (loose && rule.takes_only_text()) => {
                Value::from(text)
            }
            Meaning::Json(value) => value,
            Meaning::NotFinite => return self.not_finite(node, path),
        };
        if !rule.takes(json_type(&value)) {
            return self.wrong_type(node, rule, path);
        }
        if rule.choices().next().is_some() {
            return self.choice(node, value, rule, path);
        }
        if let Err(error) = parse_format(rule.format(), &value) {
            return self.refused(node, &error, path);
        }
        if let Some(bounds) = bounds_broken(&value, rule) {
            let message = format!("{path}: {} is out of range: it has to be {bounds}", node.shown());
            self.finding(Diagnostic::error(Code::OutOfRange, path, message).at(node.place.location()));
            return None;
        }
        self.directories
            .resolve(node, rule.format(), value)
            .map_err(|message| {
                let message = format!("{path}: {message}");
                self.finding(Diagnostic::error(Code::InvalidValue, path, message).at(node.place.location()));
            })
            .ok()
    }

    fn choice(&mut self, node: &Node, value: Value, rule: Rule<'_>, path: &str) -> Option<Value> {
        let text = value.as_str().unwrap_or_default();
        if rule.choices().any(|choice| choice == text) {
            return Some(value);
        }
        let all = rule.choices().collect::<Vec<_>>().join(", ");
        let help = nearest(text, rule.choices()).map_or_else(
            || format!("write one of {all}"),
            |near| format!("did you mean `{near}`? (one of {all})"),
        );
        let message = format!("{path}: `{text}` is not one of its values");
        self.finding(
            Diagnostic::error(Code::InvalidValue, path, message).help(help).at(node.place.location()),
        );
        None
    }

    fn refused(&mut self, node: &Node, error: &ValueError, path: &str) -> Option<Value> {
        let (code, location) = match error {
            ValueError::Template(TemplateError::Unknown { name, .. } | TemplateError::Reserved { name }) => {
                (Code::UnknownPlaceholder, node.place.narrowed(&format!("{{{name}}}")))
            }
            ValueError::Template(_) => (Code::InvalidTemplate, node.place.location()),
            ValueError::Percent(_) => (Code::OutOfRange, node.place.location()),
            _ => (Code::InvalidValue, node.place.location()),
        };
        self.finding(Diagnostic::error(code, path, format!("{path}: {error}")).at(location));
        None
    }

    fn not_finite(&mut self, node: &Node, path: &str) -> Option<Value> {
        let message = format!("{path}: {} is not a finite number", node.shown());
        self.finding(Diagnostic::error(Code::OutOfRange, path, message).at(node.place.location()));
        None
    }

    fn wrong_type(&mut self, node: &Node, rule: Rule<'_>, path: &str) -> Option<Value> {
        let message = format!("{path}: expected {}, found {}", wanted(rule), node.shown());
        let scalar = matches!(node.kind, Kind::Scalar { .. });
        let help = match () {
            () if rule.takes("array") && scalar => {
                Some("write a list: [a, b], or one `- item` a line".to_owned())
            }
            () if rule.takes("boolean") && scalar => Some("write true or false, without quotes".to_owned()),
            () if rule.takes("object") => {
                let keys = rule.keys().collect::<Vec<_>>().join(", ");
                (!keys.is_empty()).then(|| format!("its keys are {keys}"))
            }
            () if rule.takes_only_text() && scalar => Some("put it between quotes".to_owned()),
            () => None,
        };
        self.finding(
            Diagnostic::error(Code::WrongType, path, message).help_if(help).at(node.place.location()),
        );
        None
    }

    fn unknown_key(&mut self, entry: &Entry, rule: Rule<'_>, path: &str) {
        let section = path.strip_suffix(&entry.key).unwrap_or_default().trim_end_matches('.');
        let place = if section.is_empty() { String::new() } else { format!(" in `{section}`") };
        let message = format!("unknown key `{}`{place}", entry.key);
        let help = nearest(&entry.key, rule.keys()).map(|near| format!("did you mean `{near}`?"));
        let help = help
            .or_else(|| elsewhere(&entry.key))
            .unwrap_or_else(|| format!("the keys here are {}", rule.keys().collect::<Vec<_>>().join(", ")));
        self.finding(
            Diagnostic::error(Code::UnknownKey, path, message).help(help).at(entry.place.location()),
        );
    }
}

/// Whether an empty value is the empty text: it came from where nobody can write quotes, and only text is taken.
fn stands_for_text(node: &Node, rule: Rule<'_>) -> bool {
    rule.takes_only_text() && matches!(&node.kind, Kind::Scalar { text, loose: true, .. } if text.is_empty())
}

/// Says which section a key belongs to that was written in the wrong one.
fn elsewhere(key: &str) -> Option<String> {
    let root = Rule::root();
    if root.key(key).is_some() {
        return Some(format!("`{key}` belongs to the beginning of a line: it is a section of its own"));
    }
    let section =
        root.keys().find(|section| root.key(section).is_some_and(|rule| rule.key(key).is_some()))?;
    Some(format!("it belongs to the section `{section}`"))
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn wanted(rule: Rule<'_>) -> String {
    if rule.choices().next().is_some() {
        return format!("one of {}", rule.choices().collect::<Vec<_>>().join(", "));
    }
    let kinds = [
        ("object", "a mapping"),
        ("array", "a list"),
        ("boolean", "true or false"),
        ("string", "text"),
        ("number", "a number"),
        ("integer", "a whole number"),
    ];
    let names = kinds.iter().filter(|(kind, _)| rule.takes(kind)).map(|(_, name)| *name);
    let mut names: Vec<_> = names.collect();
    if names.contains(&"a number") {
        names.retain(|name| *name != "a whole number");
    }
    names.join(" or ")
}

/// Runs the parser that stands behind a `format`.
fn parse_format(format: Option<&str>, value: &Value) -> Result<(), ValueError> {
    fn parsed<T: Scalar>(value: &Value) -> Result<(), ValueError> {
        T::parse(value).map(drop)
    }
    match format.unwrap_or_default() {
        HumanDuration::FORMAT => parsed::<HumanDuration>(value),
        ByteSize::FORMAT => parsed::<ByteSize>(value),
        Percent::FORMAT => parsed::<Percent>(value),
        Signal::FORMAT => parsed::<Signal>(value),
        TimeLimit::FORMAT => parsed::<TimeLimit>(value),
        Threshold::FORMAT => parsed::<Threshold>(value),
        RetryCause::FORMAT => parsed::<RetryCause>(value),
        GlobPattern::FORMAT => parsed::<GlobPattern>(value),
        Limit::FORMAT => parsed::<Limit>(value),
        Placement::FORMAT => parsed::<Placement>(value),
        Sha256::FORMAT => parsed::<Sha256>(value),
        Template::FORMAT | "path-template" => parsed::<Template>(value),
        _ => Ok(()),
    }
}

/// The bounds of the schema in words, if the value breaks them.
fn bounds_broken(value: &Value, rule: Rule<'_>) -> Option<String> {
    if let Some(text) = value.as_str() {
        let least = rule.bound("minLength").unwrap_or(0.0);
        return ((text.chars().count() as f64) < least).then(|| "not empty".to_owned());
    }
    let number = value.as_f64()?;
    let widest = match rule.format() {
        Some("uint32") => Some(f64::from(u32::MAX)),
        _ => None,
    };
    let (least, above, most) =
        (rule.bound("minimum"), rule.bound("exclusiveMinimum"), rule.bound("maximum").or(widest));
    let broken = least.is_some_and(|bound| number < bound)
        || above.is_some_and(|bound| number <= bound)
        || most.is_some_and(|bound| number > bound);
    let words = [
        least.map(|bound| format!("at least {bound}")),
        above.map(|bound| format!("above {bound}")),
        most.map(|bound| format!("at most {bound}")),
    ];
    broken.then(|| words.into_iter().flatten().collect::<Vec<_>>().join(" and "))
}
