//! What is refused: which code, which key, which place, which help.

use super::{LEAST, World, codes, pointed_at, shown};
use crate::config::{Code, Severity};

/// The one finding about `LEAST` with more text.
fn one(more: &str) -> crate::config::Diagnostic {
    let mut findings = World::with(&format!("{LEAST}{more}\n")).refused();
    assert_eq!(findings.len(), 1, "{}", shown(&findings));
    findings.remove(0)
}

#[test]
fn everything_at_once() {
    let text = "binary:
  path: /bin/cat
  flag: [a]
  flags: ['{input_flie}', '{oops']
  shell: maybe
input:
  files_directory: [x]
output: {}
resource_limits:
  cpu_threshold_percent: 0
  memory_threshold_percent: 101
  disk_usage_threshold_percent: .nan
concurrency: {min: 5, max: 2}
plugins:
  metrics:
    - {name: a, class: A}
    - {name: a, class: B}
  capacity:
    - name: c
retry: {backoff: exponental, delay: soon}
";
    let findings = World::with(text).refused();
    let expected = [
        (Code::UnknownKey, "binary.flag"),
        (Code::UnknownPlaceholder, "binary.flags.0"),
        (Code::InvalidTemplate, "binary.flags.1"),
        (Code::WrongType, "binary.shell"),
        (Code::WrongType, "input.files_directory"),
        (Code::MissingKey, "output.directory"),
        (Code::OutOfRange, "resource_limits.cpu_threshold_percent"),
        (Code::OutOfRange, "resource_limits.memory_threshold_percent"),
        (Code::OutOfRange, "resource_limits.disk_usage_threshold_percent"),
        (Code::Contradiction, "concurrency.max"),
        (Code::DuplicatePlugin, "plugins.metrics.1.name"),
        (Code::MissingKey, "plugins.capacity.0.class"),
        (Code::InvalidValue, "retry.backoff"),
        (Code::InvalidValue, "retry.delay"),
    ];
    assert_eq!(codes(&findings), expected, "{}", shown(&findings));
    assert!(findings.iter().all(|finding| finding.severity == Severity::Error));
    assert!(findings.iter().all(|finding| finding.location.is_some()));
}

#[test]
fn an_unknown_key_has_its_place_and_the_nearest_name() {
    let finding = one("retry:\n  max_atempts: 3");
    let location = finding.location.clone().unwrap();
    assert_eq!((location.source_name.as_str(), location.line, location.column), ("config.yaml", 5, 3));
    assert_eq!(pointed_at(&finding), "max_atempts");
    assert_eq!(finding.message, "unknown key `max_atempts` in `retry`");
    assert_eq!(finding.help.unwrap(), "did you mean `max_attempts`?");
}

#[test]
fn a_key_in_the_wrong_section_is_told_its_own() {
    assert_eq!(one("max_attempts: 3").help.unwrap(), "it belongs to the section `retry`");
    assert_eq!(
        one("halt: {plugins: 1}").help.unwrap(),
        "`plugins` belongs to the beginning of a line: it is a section of its own"
    );
}

#[test]
fn an_unknown_placeholder_is_pointed_at_within_its_flag() {
    let findings =
        World::with(&LEAST.replace("/bin/cat", "/bin/cat, flags: [\"--in={input_flie}\"]")).refused();
    assert_eq!(pointed_at(&findings[0]), "{input_flie}");
    assert!(findings[0].message.contains("did you mean `{input_file}`?"), "{}", findings[0].message);
}

#[test]
fn placeholders_of_batches_say_that_they_are_not_there_yet() {
    let findings = World::with(&LEAST.replace("/bin/cat", "/bin/cat, flags: ['{input_files}']")).refused();
    assert_eq!(findings[0].code, Code::UnknownPlaceholder);
    assert!(findings[0].message.contains("not available yet"));
}

#[test]
fn places_are_right_behind_letters_of_several_bytes() {
    let finding = one("# Größe in Zoll: 5″ 日本\nlogging: {format: jsn}");
    assert_eq!((pointed_at(&finding), finding.location.as_ref().unwrap().line), ("jsn", 5));
}

#[test]
fn columns_count_letters_and_spans_count_bytes() {
    let findings = World::with(&format!("{LEAST}logging: {{level: 'ä日', format: jsn}}\n")).refused();
    let jsn = findings.iter().find(|finding| finding.path == "logging.format").unwrap();
    assert_eq!(pointed_at(jsn), "jsn");
    assert_eq!(jsn.location.as_ref().unwrap().column, 32);
    assert_eq!(pointed_at(&findings[0]), "'ä日'");
}

#[test]
fn yaml_that_is_none_points_at_the_line() {
    let findings = World::with("binary:\n  path: \"/x\n  - a: [\n").refused();
    assert_eq!(codes(&findings).len(), 1, "{}", shown(&findings));
    assert_eq!(findings[0].code, Code::YamlSyntax);
    assert!(findings[0].location.as_ref().unwrap().line >= 2);
}

#[test]
fn parts_of_yaml_that_mean_nothing_here_are_refused() {
    let codes = |text: &str| World::with(text).refused().iter().map(|f| f.code).collect::<Vec<_>>();
    assert_eq!(codes(&format!("{LEAST}---\na: 1\n")), [Code::YamlSyntax]);
    assert_eq!(codes("- a\n- b\n"), [Code::WrongType]);
    assert_eq!(codes("binary: !custom x\n"), [Code::YamlSyntax]);
    assert_eq!(codes("? [a]\n: b\n"), [Code::YamlSyntax]);
    assert_eq!(codes(&"[".repeat(200)), [Code::YamlSyntax]);
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let inner = vec![format!("*a{}", i - 1); 10].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{inner}]\n"));
    }
    let findings = World::with(&text).refused();
    assert_eq!(findings[0].code, Code::YamlSyntax);
    assert!(findings[0].message.contains("more than"), "{}", findings[0].message);
}

#[test]
fn a_key_given_twice_names_both_lines() {
    let finding = one("retry: {max_attempts: 2}\nhalt: {}\nretry: {max_attempts: 5}");
    assert_eq!((finding.code, finding.path.as_str()), (Code::DuplicateKey, "retry"));
    assert_eq!(finding.location.unwrap().line, 6);
    assert!(finding.message.contains("first in line 4"), "{}", finding.message);
}

#[test]
fn thresholds_are_above_0_and_at_most_100() {
    for bad in ["0", "-5", "101", "100.001", ".nan", ".inf", "-.inf", "1e999"] {
        let finding = one(&format!("resource_limits: {{cpu_threshold_percent: {bad}}}"));
        assert_eq!(finding.code, Code::OutOfRange, "{bad}");
        assert_eq!(pointed_at(&finding), bad);
    }
    for good in ["0.5", "1", "100", "99.9", "1e1"] {
        World::with(&format!("{LEAST}resource_limits: {{cpu_threshold_percent: {good}}}")).loaded();
    }
    assert_eq!(one("resource_limits: {cpu_threshold_percent: eighty}").code, Code::WrongType);
    assert_eq!(one("resource_limits: {cpu_threshold_percent: '80'}").code, Code::WrongType);
}

#[test]
fn wrong_types_say_what_was_wanted_and_found() {
    let message = |text: &str| {
        let finding = one(text);
        assert_eq!(finding.code, Code::WrongType, "{text}");
        finding.message
    };
    assert_eq!(message("retry: 3"), "retry: expected a mapping, found `3`");
    assert_eq!(
        message("retry: {max_attempts: many}"),
        "retry.max_attempts: expected a whole number, found `many`"
    );
    assert_eq!(
        message("retry: {max_attempts: 1.5}"),
        "retry.max_attempts: expected a whole number, found `1.5`"
    );
    assert_eq!(
        message("calibration: {enabled: 'true'}"),
        "calibration.enabled: expected true or false, found the text \"true\""
    );
    assert_eq!(message("plugins: {metrics: {}}"), "plugins.metrics: expected a list, found a mapping");
    assert_eq!(message("plugins: {metrics: [~]}"), "plugins.metrics.0: expected a mapping, found nothing");
    assert_eq!(message("plugins: {directories: [5]}"), "plugins.directories.0: expected text, found `5`");
}

#[test]
fn numbers_out_of_range() {
    for text in [
        "retry: {max_attempts: 0}",
        "retry: {max_attempts: -1}",
        "retry: {jitter: 1.5}",
        "concurrency: {min: 0}",
        "concurrency: {min: 99999999999}",
        "calibration: {calibration_duration: 0}",
        "metrics: {interval: 0}",
        "timeouts: {stuck: 0s}",
        "plugins: {metrics: [{name: '', class: A}]}",
        "plugins: {metrics: [{name: a, class: A, interval: 0}]}",
        "plugins: {metrics: [{name: a, class: A, max_memory: 63MiB}]}",
    ] {
        assert_eq!(one(text).code, Code::OutOfRange, "{text}");
    }
}

#[test]
fn values_that_are_not_taken() {
    for text in [
        "retry: {delay: 5 parsecs}",
        "retry: {retry_on: [300]}",
        "retry: {retry_on: [everything]}",
        "shutdown: {signal: SIGNOTHING}",
        "halt: {fail: 0}",
        "halt: {fail: 150%}",
        "timeouts: {attempt: 0}",
        "timeouts: {attempt: -5%}",
        "concurrency: {max: 0}",
        "concurrency: {max: lots}",
        "logging: {max_bytes: -1}",
        "logging: {level: loud}",
        "binary2: {}\n",
        "state: {directory: ''}",
    ] {
        let expected = if text.starts_with("binary2") { Code::UnknownKey } else { Code::InvalidValue };
        assert_eq!(one(text).code, expected, "{text}");
    }
    let findings = World::with(&LEAST.replace("/data/in", "/data/in, file_pattern: '[a'")).refused();
    assert_eq!(codes(&findings), [(Code::InvalidValue, "input.file_pattern")]);
    let findings = World::with(&LEAST.replace("/data/out", "/data/out, file_suffix: /x")).refused();
    assert_eq!(codes(&findings), [(Code::InvalidValue, "output.file_suffix")]);
}

#[test]
fn contradictions() {
    for text in [
        "concurrency: {min: 3, max: 2}",
        "concurrency: {mode: fixed}",
        "retry: {delay: 2m}",
        "timeouts: {attempt: 10, slow_after: 1m}",
    ] {
        assert_eq!(one(text).code, Code::Contradiction, "{text}");
    }
    let text = LEAST.replace("/data/out", "/data/in, file_suffix: ''");
    assert_eq!(codes(&World::with(&text).refused()), [(Code::Contradiction, "output.file_suffix")]);
}

#[test]
fn a_rule_is_silent_when_one_of_its_keys_is_unsound() {
    assert_eq!(one("concurrency: {mode: fixed, max: lots}").path, "concurrency.max");
    let findings =
        World::with("binary: {path: 5}\ninput: {files_directory: /i}\noutput: {directory: /o}\n").refused();
    assert_eq!(codes(&findings), [(Code::WrongType, "binary.path")]);
}

#[test]
fn what_is_missing_says_who_can_give_it() {
    let findings = World::with("").without_file().refused();
    let expected = [
        (Code::MissingKey, "binary.path"),
        (Code::MissingKey, "input.files_directory"),
        (Code::MissingKey, "output.directory"),
    ];
    assert_eq!(codes(&findings), expected);
    assert!(findings[1].help.as_ref().unwrap().contains("--input DIR"));
}

#[test]
fn a_file_that_cannot_be_read_is_all_that_is_said() {
    let mut world = World::with("");
    world.request.file = Some("none.yaml".into());
    let findings = world.refused();
    assert_eq!(codes(&findings), [(Code::UnreadableFile, "")]);
    assert!(findings[0].message.starts_with("cannot read none.yaml: "));
}

#[test]
fn numbers_in_a_plugins_own_configuration_are_finite() {
    let finding = one("plugins: {metrics: [{name: a, class: A, config: {limits: {x: .inf}}}]}");
    assert_eq!(
        (finding.code, finding.path.as_str()),
        (Code::OutOfRange, "plugins.metrics.0.config.limits.x")
    );
}

#[test]
fn the_validation_command_knows_files_alone() {
    let text =
        LEAST.replace("/data/out", "/data/out, validation: {command: [check, '{output_file}', '{slot}']}");
    let findings = World::with(&text).refused();
    assert_eq!(
        codes(&findings),
        [(Code::InvalidTemplate, "output.validation.command.2")],
        "{}",
        shown(&findings)
    );
}

#[test]
fn trust_that_could_never_be_given_is_a_contradiction() {
    let finding = one("plugins: {trust: {require_signature: true}}");
    assert_eq!(
        (finding.code, finding.path.as_str()),
        (Code::Contradiction, "plugins.trust.require_signature")
    );
    let hash = "a5".repeat(32);
    let finding = one(&format!("plugins: {{trust: {{sha256: [{hash}], revoked: [{hash}]}}}}"));
    assert_eq!((finding.code, finding.path.as_str()), (Code::Contradiction, "plugins.trust.sha256.0"));
    let finding = one("plugins: {trust: {revoked: [abc]}}");
    assert_eq!(finding.path, "plugins.trust.revoked.0");
    assert!(finding.message.contains("64 hexadecimal digits"), "{}", finding.message);
}
