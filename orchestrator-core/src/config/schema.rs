//! The JSON Schema of a configuration file, and how the loader reads it.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::model::Config;

static SCHEMA: LazyLock<Value> = LazyLock::new(build);

/// The JSON Schema (draft 2020-12) of a configuration file.
///
/// Descriptions come from the model's documentation. No key is required in it, because profiles, extended files,
/// variables and flags may give what a file leaves out.
pub fn schema() -> Value {
    SCHEMA.clone()
}

pub(crate) fn shared() -> &'static Value {
    &SCHEMA
}

/// The keys of a file that are no part of [`Config`].
pub(crate) const EXTENDS: &str = "extends";
pub(crate) const PROFILES: &str = "profiles";

fn build() -> Value {
    let mut root = schemars::schema_for!(Config).to_value();
    drop_empty_defaults(&mut root);
    let sections = root["properties"].clone();
    root["$defs"]["Profile"] = json!({
        "description": "Part of a configuration, laid above the file by --profile.",
        "type": "object", "properties": sections, "additionalProperties": false,
    });
    root["title"] = json!("Process Orchestrator configuration");
    root["properties"][EXTENDS] = json!({
        "description": "Files that this one builds on, relative to it; later ones stand above earlier ones. Mappings are merged, lists are replaced.",
        "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
    });
    root["properties"][PROFILES] = json!({
        "description": "Named parts of a configuration; --profile NAME lays one above the file.",
        "type": "object", "additionalProperties": { "$ref": "#/$defs/Profile" },
    });
    root
}

/// Leaves out defaults that say nothing (empty paths) and those of whole sections, which their keys repeat.
fn drop_empty_defaults(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let empty = |default: &Value| default.as_str() == Some("") || default.is_object();
            if map.get("default").is_some_and(empty) {
                map.remove("default");
            }
            map.values_mut().for_each(drop_empty_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_empty_defaults),
        _ => {}
    }
}

/// One schema with its references followed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule<'a> {
    root: &'a Value,
    schema: &'a Map<String, Value>,
    format: Option<&'a str>,
    nullable: bool,
}

impl<'a> Rule<'a> {
    /// The rule of the whole file without `extends` and `profiles`.
    pub(crate) fn root() -> Rule<'static> {
        let root = shared();
        Rule::of(root, &root["$defs"]["Profile"])
    }

    fn of(root: &'a Value, schema: &'a Value) -> Self {
        static ANY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        let is_null = |branch: &Value| branch["type"] == "null";
        let (mut at, mut format, mut nullable) = (schema, None, false);
        loop {
            format = format.or_else(|| at["format"].as_str());
            if let Some(reference) = at["$ref"].as_str() {
                at = root.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
            } else if let Some(branches) = at["anyOf"].as_array() {
                nullable |= branches.iter().any(is_null);
                at = branches.iter().find(|branch| !is_null(branch)).unwrap_or(&Value::Null);
            } else {
                break;
            }
        }
        let rule = Self { root, schema: at.as_object().unwrap_or(&ANY), format, nullable };
        Self { nullable: nullable || rule.declares("null"), ..rule }
    }

    fn declares(&self, kind: &str) -> bool {
        match self.schema.get("type") {
            Some(Value::String(only)) => only == kind,
            Some(Value::Array(several)) => several.iter().any(|one| one == kind),
            _ => false,
        }
    }

    /// Whether values of this JSON type are taken; an integer counts as a number.
    pub(crate) fn takes(&self, kind: &str) -> bool {
        self.declares(kind)
            || (kind == "string" && self.choices().next().is_some())
            || (kind == "integer" && self.declares("number"))
            || (kind == "null" && self.nullable)
    }

    /// Whether text is the only thing taken besides null.
    pub(crate) fn takes_only_text(&self) -> bool {
        self.takes("string")
            && !["number", "integer", "boolean", "array", "object"].iter().any(|k| self.takes(k))
    }

    /// Whether a list or a mapping is what is wanted.
    pub(crate) fn is_composite(&self) -> bool {
        self.takes("array") || self.takes("object") || self.is_free()
    }

    pub(crate) fn nullable(&self) -> bool {
        self.nullable
    }

    /// Whether everything below belongs to somebody else, such as a plugin's own configuration.
    pub(crate) fn is_free(&self) -> bool {
        self.schema.contains_key("x-free") || self.schema.is_empty()
    }

    pub(crate) fn format(&self) -> Option<&'a str> {
        self.format
    }

    /// The words taken, for an enumeration.
    pub(crate) fn choices(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let listed = self.schema.get("enum").and_then(Value::as_array).into_iter().flatten();
        let described = self.schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
        listed.filter_map(Value::as_str).chain(described.flat_map(|branch| {
            let listed = branch["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
            branch["const"].as_str().into_iter().chain(listed)
        }))
    }

    /// The names of the keys of a mapping with fixed keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|map| map.keys().map(String::as_str))
    }

    /// The rule of a key that the mapping names.
    pub(crate) fn key(&self, key: &str) -> Option<Self> {
        Some(Self::of(self.root, self.schema.get("properties")?.get(key)?))
    }

    /// The rule of the values of a mapping whose keys are free.
    pub(crate) fn any_key(&self) -> Option<Self> {
        self.schema
            .get("additionalProperties")
            .filter(|rule| rule.is_object())
            .map(|rule| Self::of(self.root, rule))
    }

    /// The rule of a list's items.
    pub(crate) fn item(&self) -> Option<Self> {
        self.schema.get("items").map(|items| Self::of(self.root, items))
    }

    /// Keys without which a mapping means nothing.
    pub(crate) fn required(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// A bound such as `minimum`.
    pub(crate) fn bound(&self, name: &str) -> Option<f64> {
        self.schema.get(name).and_then(Value::as_f64)
    }
}
