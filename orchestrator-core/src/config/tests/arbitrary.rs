//! Whatever a file holds, loading ends with a configuration or with findings, never with a panic.

use proptest::prelude::*;

use super::{LEAST, World};
use crate::config::{Code, Severity};

/// Text made of the pieces that configurations are made of, so that much of it gets past the parser.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("binary:".to_owned()),
        Just("retry: ".to_owned()),
        Just("plugins:\n  metrics:\n    - name: a\n".to_owned()),
        Just("max_attempts: ".to_owned()),
        Just("extends: config.yaml\n".to_owned()),
        Just("profiles:\n  ci:\n".to_owned()),
        Just("<<: *a".to_owned()),
        Just("&a ".to_owned()),
        Just("*a".to_owned()),
        Just("${X:-".to_owned()),
        Just("${".to_owned()),
        Just("|\n".to_owned()),
        Just("---\n".to_owned()),
        Just("? ".to_owned()),
        Just("!!str ".to_owned()),
        "[\\[\\]{}:,\\-#'\"\n ]{1,4}",
        "[a-zä日\u{0}\u{feff}\r\t0-9.%]{1,5}",
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Every place that a finding names lies in its text.
fn holds(world: &World) -> Result<(), TestCaseError> {
    let findings = match world.load() {
        Ok(loaded) => loaded.warnings,
        Err(findings) => {
            prop_assert!(findings.iter().any(|finding| finding.severity == Severity::Error));
            findings
        }
    };
    for finding in findings {
        let Some(location) = finding.location else { continue };
        prop_assert!(
            location.text.get(location.span.clone()).is_some(),
            "{:?} {}",
            location.span,
            finding.message
        );
        prop_assert!(location.line >= 1 && location.column >= 1);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_global_rejects: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in any::<String>()) {
        holds(&World::with(&text))?;
    }

    #[test]
    fn text_like_a_configuration(text in pieces()) {
        holds(&World::with(&text))?;
    }

    #[test]
    fn any_override(key in "[a-z_.0-9]{0,20}", section in "(binary|plugins.metrics|retry|input)", value in any::<String>()) {
        holds(&World::with(LEAST).set(&format!("{section}.{key}={value}")).set(&key))?;
        let variable = format!("ORCHESTRATOR_{}__{}", section.replace('.', "__"), key.replace('.', "__"));
        holds(&World::with(LEAST).variable(&variable, &value))?;
    }

    /// The parser of ours agrees with the YAML library about what a plugin's own configuration says.
    #[test]
    fn scalars_mean_what_yaml_says(text in "[-+0-9.eExoa-fntrulsy~]{1,8}") {
        let reference: serde_json::Value = match serde_yaml::from_str::<serde_yaml::Value>(&text) {
            Ok(value) => match serde_json::to_value(value) { Ok(value) => value, Err(_) => return Ok(()) },
            Err(_) => return Ok(()),
        };
        // Octal, hexadecimal with a sign and not finite numbers are where libraries part.
        prop_assume!(!text.contains(['x', 'o']) && (reference.is_i64() || reference.is_u64() || reference.is_string() || reference.is_boolean()));
        // Zeros in front: 7 by the core schema, text by the library.
        prop_assume!(!text.trim_start_matches(['-', '+']).starts_with('0') || text.len() == 1);
        prop_assume!(reference.as_str().is_none_or(|s| s == text));
        let file = format!("{LEAST}plugins: {{metrics: [{{name: a, class: A, config: {{v: {text}}}}}]}}\n");
        match World::with(&file).load() {
            Ok(loaded) => prop_assert_eq!(&loaded.config.plugins.metrics[0].config["v"], &reference, "{}", text),
            Err(findings) => prop_assert!(findings.iter().all(|f| matches!(f.code, Code::OutOfRange | Code::YamlSyntax))),
        }
    }
}
