//! The starter and the schema: they say what the loader does.

use serde_json::Value;

use super::{LEAST, World};
use crate::config::{Config, Starter, schema, template_yaml};

/// Removes the `#` of the lines that hold a default: `#key:` or `#` and two blanks.
fn uncommented(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with("  ") || rest.starts_with(|c: char| c.is_ascii_lowercase()) => {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_starter_is_accepted_and_begins_with_its_schema() {
    let text = template_yaml(&Starter::default());
    assert!(text.starts_with("# yaml-language-server: $schema=orchestrator.schema.json\n"));
    let loaded = World::with(&text).loaded();
    assert_eq!(loaded.warnings, []);
    assert!(loaded.config.output_required());
}

#[test]
fn the_defaults_that_the_starter_shows_are_the_defaults() {
    let text = template_yaml(&Starter::default());
    let shown = World::with(&uncommented(&text)).loaded().config;
    assert_eq!(shown, World::with(&text).loaded().config);
}

#[test]
fn the_starter_shows_every_key() {
    let shown = World::with(&uncommented(&template_yaml(&Starter::default()))).loaded();
    let silent: Vec<_> = shown
        .leaves
        .iter()
        .filter(|leaf| leaf.origin == crate::config::Origin::Default)
        // The second plugin shows the least that is needed.
        .filter(|leaf| !leaf.path.starts_with("plugins.capacity.0."))
        .map(|leaf| leaf.path.as_str())
        .collect();
    assert_eq!(silent, Vec::<&str>::new());
}

#[test]
fn odd_names_survive_the_starter() {
    let starter = Starter {
        binary: "/opt/my \"tool\": #1".to_owned(),
        flags: vec!["- x: {{}}".to_owned(), "\\n\t{input_file}".to_owned()],
        stdout: None,
        ..Starter::default()
    };
    let binary = World::with(&template_yaml(&starter)).loaded().config.binary;
    assert_eq!(binary.path.to_str(), Some("/opt/my \"tool\": #1"));
    assert_eq!(binary.flags[1].source(), "\\n\t{input_file}");
}

#[test]
fn the_schema_describes_every_key() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let mut bare = Vec::new();
    let sections = schema["$defs"].as_object().unwrap().iter();
    for (name, section) in sections.chain([(&"root".to_owned(), &schema)]) {
        for (key, rule) in section["properties"].as_object().into_iter().flatten() {
            if rule["description"].as_str().is_none_or(str::is_empty) {
                bare.push(format!("{name}.{key}"));
            }
        }
    }
    assert_eq!(bare, Vec::<String>::new());
}

#[test]
fn every_reference_of_the_schema_leads_somewhere() {
    fn references(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                out.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|inner| references(inner, out));
            }
            Value::Array(items) => items.iter().for_each(|inner| references(inner, out)),
            _ => {}
        }
    }
    let schema = schema();
    let mut found = Vec::new();
    references(&schema, &mut found);
    assert!(found.len() > 20);
    for reference in found {
        assert!(schema.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

#[test]
fn a_configuration_written_out_is_read_again_as_the_same() {
    let config = World::with(LEAST).set("timeouts.attempt=200%").set("halt.fail=3").loaded().config;
    let text = serde_yaml::to_string(&config).unwrap();
    assert_eq!(World::with(&text).loaded().config, config);
    assert_eq!(serde_yaml::from_str::<Config>(&text).unwrap(), config);
}
