//! The configuration before it has types: a tree in which every value knows where it stands.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::diagnostic::Location;

/// A text that values come from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: Arc<str>,
    pub(crate) kind: SourceKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourceKind {
    /// A file; relative paths in it start at its directory.
    File { directory: PathBuf },
    /// An environment variable.
    Environment,
    /// A flag.
    Flag,
    /// A default that an override reached into.
    Default,
}

impl Source {
    pub(crate) fn new(name: impl Into<String>, text: &str, kind: SourceKind) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into(), kind })
    }

    pub(crate) fn is_file(&self) -> bool {
        matches!(self.kind, SourceKind::File { .. })
    }
}

/// Where a value stands.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) source: Arc<Source>,
    pub(crate) span: Range<usize>,
    pub(crate) line: usize,
    pub(crate) column: usize,
    /// The profile it was said in.
    pub(crate) profile: Option<Arc<str>>,
}

impl Place {
    /// The whole text of a source.
    pub(crate) fn whole(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), span: 0..source.text.len(), line: 1, column: 1, profile: None }
    }

    pub(crate) fn location(&self) -> Location {
        Location {
            source_name: self.source.name.clone(),
            text: Arc::clone(&self.source.text),
            span: self.span.clone(),
            line: self.line,
            column: self.column,
        }
    }

    /// The place of `part` within this place, if it stands there literally; else the whole place.
    pub(crate) fn narrowed(&self, part: &str) -> Location {
        let mut location = self.location();
        let text = &self.source.text[self.span.clone()];
        if let Some(at) = text.find(part) {
            let before = &text[..at];
            location.span = self.span.start + at..self.span.start + at + part.len();
            location.line += before.matches('\n').count();
            location.column = match before.rfind('\n') {
                Some(newline) => before[newline + 1..].chars().count() + 1,
                None => self.column + before.chars().count(),
            };
        }
        location
    }
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Text.
    Scalar {
        text: String,
        /// Written without quotes, so that it may mean a number, a truth value or null.
        plain: bool,
        /// From a variable or a flag, where nobody can write quotes: text where nothing but text is taken.
        loose: bool,
    },
    Seq(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn map(place: Place) -> Self {
        Self { kind: Kind::Map(Vec::new()), place }
    }

    /// A JSON value at a place.
    pub(crate) fn from_json(value: &Value, place: &Place) -> Self {
        let kind = match value {
            Value::String(text) => Kind::Scalar { text: text.clone(), plain: false, loose: true },
            Value::Array(items) => Kind::Seq(items.iter().map(|item| Self::from_json(item, place)).collect()),
            Value::Object(map) => Kind::Map(
                map.iter()
                    .map(|(key, value)| {
                        let (key, place) = (key.clone(), place.clone());
                        Entry { key, node: Self::from_json(value, &place), place }
                    })
                    .collect(),
            ),
            other => Kind::Scalar { text: other.to_string(), plain: true, loose: true },
        };
        Self { kind, place: place.clone() }
    }

    /// Whether it says nothing: `~`, `null`, or nothing after the colon.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true, .. } if is_null_text(text))
    }

    /// How deep the values below are nested; 0 for a scalar.
    pub(crate) fn depth(&self) -> usize {
        match &self.kind {
            Kind::Scalar { .. } => 0,
            Kind::Seq(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Kind::Map(entries) => 1 + entries.iter().map(|entry| entry.node.depth()).max().unwrap_or(0),
        }
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The node at a path such as `plugins.metrics.0.class`.
    pub(crate) fn find(&self, path: &str) -> Option<&Self> {
        match &self.kind {
            _ if path.is_empty() => Some(self),
            Kind::Scalar { .. } => None,
            Kind::Seq(items) => {
                let (index, rest) = path.split_once('.').unwrap_or((path, ""));
                items.get(index.parse::<usize>().ok()?)?.find(rest)
            }
            // Keys may hold dots (names of environment variables, keys of plugins), so every split is tried.
            Kind::Map(entries) => entries.iter().find_map(|entry| match path.strip_prefix(&entry.key)? {
                "" => Some(&entry.node),
                rest => entry.node.find(rest.strip_prefix('.')?),
            }),
        }
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<Self> {
        match &mut self.kind {
            Kind::Map(entries) => {
                let index = entries.iter().position(|entry| entry.key == key)?;
                Some(entries.remove(index).node)
            }
            _ => None,
        }
    }

    /// Lays `over` above `self`: mappings are merged key by key, everything else is replaced.
    pub(crate) fn merge(&mut self, over: Self) {
        match (&mut self.kind, over.kind) {
            (Kind::Map(below), Kind::Map(above)) => {
                for entry in above {
                    match below.iter_mut().find(|known| known.key == entry.key) {
                        Some(known) => {
                            known.place = entry.place;
                            known.node.merge(entry.node);
                        }
                        None => below.push(entry),
                    }
                }
            }
            (_, kind) => *self = Self { kind, place: over.place },
        }
    }

    /// Calls `visit` with the path of every scalar.
    pub(crate) fn visit_scalars(&mut self, path: &str, visit: &mut impl FnMut(&str, &mut Node)) {
        match &mut self.kind {
            Kind::Scalar { .. } => visit(path, self),
            Kind::Seq(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    item.visit_scalars(&join(path, &index.to_string()), visit);
                }
            }
            Kind::Map(entries) => {
                for entry in entries {
                    entry.node.visit_scalars(&join(path, &entry.key), visit);
                }
            }
        }
    }

    /// Notes that everything here was said in a profile.
    pub(crate) fn mark_profile(&mut self, profile: &Arc<str>) {
        self.place.profile = Some(Arc::clone(profile));
        match &mut self.kind {
            Kind::Scalar { .. } => {}
            Kind::Seq(items) => items.iter_mut().for_each(|item| item.mark_profile(profile)),
            Kind::Map(entries) => {
                for entry in entries {
                    entry.place.profile = Some(Arc::clone(profile));
                    entry.node.mark_profile(profile);
                }
            }
        }
    }

    /// What it is, for a message.
    pub(crate) fn shown(&self) -> String {
        match &self.kind {
            Kind::Seq(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
            Kind::Scalar { text, plain: true, .. } if is_null_text(text) => "nothing".to_owned(),
            Kind::Scalar { text, plain: true, .. } => format!("`{}`", shortened(text)),
            Kind::Scalar { text, plain: false, .. } => format!("the text \"{}\"", shortened(text)),
        }
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 40 {
        text.to_owned()
    } else {
        text.chars().take(37).chain("...".chars()).collect()
    }
}

fn is_null_text(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// `a.b` and `c` give `a.b.c`.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What a scalar means by the core schema of YAML 1.2.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Meaning {
    Json(Value),
    /// `.nan`, `.inf`, or a number beyond what a double holds.
    NotFinite,
}

/// Resolves a scalar by the core schema of YAML 1.2 (section 10.3.2).
pub(crate) fn meaning(text: &str, plain: bool) -> Meaning {
    if !plain {
        return Meaning::Json(Value::from(text));
    }
    if is_null_text(text) {
        return Meaning::Json(Value::Null);
    }
    match text {
        "true" | "True" | "TRUE" => return Meaning::Json(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Meaning::Json(Value::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Meaning::NotFinite;
    }
    number(text, unsigned).unwrap_or_else(|| Meaning::Json(Value::from(text)))
}

fn number(text: &str, unsigned: &str) -> Option<Meaning> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(|n| Meaning::Json(Value::from(n)));
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u64::from_str_radix(digits, 8).ok().map(|n| Meaning::Json(Value::from(n)));
    }
    let digits = |c: char| c.is_ascii_digit();
    if !unsigned.is_empty() && unsigned.chars().all(digits) {
        let whole = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from));
        if let Ok(whole) = whole {
            return Some(Meaning::Json(whole));
        }
    }
    let number_like = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.contains(digits)
        && unsigned.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    let real = number_like.then(|| text.parse::<f64>().ok())??;
    Some(serde_json::Number::from_f64(real).map_or(Meaning::NotFinite, |n| Meaning::Json(Value::Number(n))))
}
