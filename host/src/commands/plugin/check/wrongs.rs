//! Wrong configurations, derived from a right one and the schema.

use serde_json::{Map, Value, json};

type Section = Map<String, Value>;

/// A configuration that differs from a right one in one key.
#[derive(Clone, Debug)]
pub(super) struct Wrong {
    /// The key.
    pub(super) key: String,
    /// What was done to it.
    pub(super) what: &'static str,
    /// The whole section.
    pub(super) config: Section,
    /// Whether the schema forbids it, so that it has to be refused.
    pub(super) forbidden: bool,
}

/// Right configurations to begin with, the simplest first.
pub(super) fn right(schema: &Value) -> Vec<Section> {
    let mut all = vec![Section::new()];
    let properties = schema["properties"].as_object();
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let of = |wanted: &dyn Fn(&str) -> bool| -> Section {
        let chosen = properties.into_iter().flatten().filter(|(key, _)| wanted(key));
        chosen.map(|(key, rule)| (key.clone(), sample(rule))).collect()
    };
    all.push(of(&|key| required.contains(&key)));
    all.push(of(&|_| true));
    // `anyOf`, `oneOf`, `minProperties`: one key at a time.
    all.extend(
        properties.into_iter().flatten().map(|(key, rule)| Section::from_iter([(key.clone(), sample(rule))])),
    );
    all.dedup();
    all
}

/// A value that a rule takes.
fn sample(rule: &Value) -> Value {
    let given = [&rule["default"], &rule["examples"][0], &rule["enum"][0], &rule["const"]];
    if let Some(value) = given.into_iter().find(|value| !value.is_null()) {
        return value.clone();
    }
    match kinds(rule).first().copied() {
        Some("integer") => json!(rule["minimum"].as_i64().unwrap_or(1)),
        Some("number") => json!(rule["minimum"].as_f64().unwrap_or(1.0)),
        Some("boolean") => json!(true),
        Some("array") if rule["minItems"].as_u64() > Some(0) => json!([sample(&rule["items"])]),
        Some("array") => json!([]),
        Some("object") => right(rule).get(1).cloned().unwrap_or_default().into(),
        _ => json!("text"),
    }
}

fn kinds(rule: &Value) -> Vec<&str> {
    match &rule["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Each key missing, of another type and at its extremes, and one that does not exist.
pub(super) fn wrongs(schema: &Value, right: &Section) -> Vec<Wrong> {
    let closed = schema["additionalProperties"] == json!(false);
    let mut all = vec![with(right, "no_such_key", "an unknown key", json!(1), closed)];
    let required =
        |key: &str| schema["required"].as_array().is_some_and(|list| list.iter().any(|one| one == key));
    for (key, rule) in schema["properties"].as_object().into_iter().flatten() {
        if right.contains_key(key) {
            let mut config = right.clone();
            config.remove(key);
            all.push(Wrong { key: key.clone(), what: "the key missing", config, forbidden: required(key) });
        }
        all.extend(mistyped(rule).into_iter().map(|(what, value)| with(right, key, what, value, true)));
        all.extend(extremes(rule).into_iter().map(|(what, value, bad)| with(right, key, what, value, bad)));
    }
    all
}

fn with(right: &Section, key: &str, what: &'static str, value: Value, forbidden: bool) -> Wrong {
    let mut config = right.clone();
    config.insert(key.to_owned(), value);
    Wrong { key: key.to_owned(), what, config, forbidden }
}

fn mistyped(rule: &Value) -> Vec<(&'static str, Value)> {
    let kinds = kinds(rule);
    if kinds.is_empty() {
        return Vec::new();
    }
    let all = [
        ("string", "text", json!("text")),
        ("integer", "a number", json!(12345)),
        ("boolean", "a truth value", json!(true)),
        ("array", "a list", json!([[], {}])),
        ("object", "a mapping", json!({"a": {"b": []}})),
    ];
    let takes = |kind: &str| kinds.contains(&kind) || (kind == "integer" && kinds.contains(&"number"));
    all.into_iter().filter(|(kind, ..)| !takes(kind)).map(|(_, what, value)| (what, value)).collect()
}

/// What, value, and whether the rule forbids it.
fn extremes(rule: &Value) -> Vec<(&'static str, Value, bool)> {
    let mut all = Vec::new();
    let (least, most) = (rule["minimum"].as_f64(), rule["maximum"].as_f64());
    let outside =
        |value: f64| least.is_some_and(|least| value < least) || most.is_some_and(|most| value > most);
    for kind in kinds(rule) {
        match kind {
            "integer" => {
                for (what, value) in [
                    ("a negative number", -1),
                    ("zero", 0),
                    ("2^31", 1 << 31),
                    ("the least number", i64::MIN),
                    ("the largest number", i64::MAX),
                ] {
                    all.push((what, json!(value), outside(value as f64)));
                }
                all.push(("a number beyond 2^63", json!(u64::MAX), outside(u64::MAX as f64)));
            }
            "number" => {
                for (what, value) in [
                    ("a negative number", -1.0),
                    ("zero", 0.0),
                    ("a tiny number", 5e-324),
                    ("a huge number", 1e308),
                ] {
                    all.push((what, json!(value), outside(value)));
                }
            }
            "string" => {
                all.push(("an empty text", json!(""), rule["minLength"].as_u64() > Some(0)));
                all.push(("a long text", json!("x".repeat(64 * 1024)), rule["maxLength"].is_u64()));
                all.push(("a text of odd characters", json!("\u{0}\u{202e}\u{1f980}\n%s%n"), false));
            }
            "array" => {
                let one = sample(&rule["items"]);
                all.push(("an empty list", json!([]), rule["minItems"].as_u64() > Some(0)));
                all.push((
                    "10,000 entries",
                    json!(vec![one; 10_000]),
                    rule["maxItems"].as_u64() < Some(10_000) && rule["maxItems"].is_u64(),
                ));
            }
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Value {
        json!({"type": "object", "additionalProperties": false, "required": ["path"], "properties": {
            "path": {"type": "string", "examples": ["/a"]}, "size": {"type": "integer", "minimum": 1},
        }})
    }

    #[test]
    fn right_ones_have_what_is_required() {
        let all = right(&schema());
        assert_eq!(all[..2], [Section::new(), Section::from_iter([("path".to_owned(), json!("/a"))])]);
        assert_eq!(all[2]["size"], 1);
    }

    #[test]
    fn wrong_ones_differ_in_one_key_and_know_what_is_forbidden() {
        let right = right(&schema())[1].clone();
        let all = wrongs(&schema(), &right);
        let forbidden = |key: &str, what: &str| {
            all.iter().find(|wrong| wrong.key == key && wrong.what == what).unwrap().forbidden
        };
        assert!(forbidden("no_such_key", "an unknown key") && forbidden("path", "the key missing"));
        assert!(forbidden("size", "text") && forbidden("size", "zero") && !forbidden("size", "2^31"));
        assert!(!all.iter().any(|wrong| wrong.key == "path" && wrong.what == "text"));
        assert!(all.iter().all(|wrong| wrong.config.contains_key("path") || wrong.key == "path"));
    }
}
