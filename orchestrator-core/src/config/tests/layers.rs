//! Extended files, profiles, variables and flags: which stands above which, and what `--origin` says.

use std::path::Path;

use super::{LEAST, World, codes, pointed_at, shown};
use crate::config::{Code, HumanDuration, Limit, Loaded, Origin, Severity};

fn origin(loaded: &Loaded, path: &str) -> String {
    let leaf = loaded.leaves.iter().find(|leaf| leaf.path == path);
    leaf.unwrap_or_else(|| panic!("no leaf {path}")).origin.to_string()
}

fn attempts(world: &World) -> (u32, String) {
    let loaded = world.loaded();
    (loaded.config.retry.max_attempts, origin(&loaded, "retry.max_attempts"))
}

#[test]
fn each_layer_stands_above_the_next() {
    let file = |own: &str| {
        format!("extends: base.yaml\n{LEAST}{own}profiles: {{ci: {{retry: {{max_attempts: 5}}}}}}\n")
    };
    let base = "retry: {max_attempts: 7}\n";
    let world = |own: &str, base: &str| World::with(&file(own)).file("/work/base.yaml", base);
    assert_eq!(attempts(&world("", "")), (3, "default".to_owned()));
    assert_eq!(attempts(&world("", base)), (7, "base.yaml:1:23".to_owned()));
    let own = "retry: {max_attempts: 6}\n";
    assert_eq!(attempts(&world(own, base)), (6, "config.yaml:5:23".to_owned()));
    let world = world(own, base).profile("ci");
    assert_eq!(attempts(&world), (5, "profile ci (config.yaml:6:39)".to_owned()));
    let world = world.variable("ORCHESTRATOR_RETRY__MAX_ATTEMPTS", "4");
    assert_eq!(attempts(&world), (4, "environment variable ORCHESTRATOR_RETRY__MAX_ATTEMPTS".to_owned()));
    let world = world.set("retry.max_attempts=2");
    assert_eq!(attempts(&world), (2, "flag --set retry.max_attempts".to_owned()));
    let world = world.flag("retry.max_attempts", 1, "--no-retry");
    assert_eq!(attempts(&world), (1, "flag --no-retry".to_owned()));
}

#[test]
fn every_value_has_an_origin() {
    let loaded = World::with(LEAST).loaded();
    assert_eq!(origin(&loaded, "binary.path"), "config.yaml:1:16");
    assert_eq!(origin(&loaded, "plugins.metrics.0.class"), "default");
    assert_eq!(origin(&loaded, "binary.flags.0"), "default");
    let said = loaded.leaves.iter().filter(|leaf| leaf.origin != Origin::Default).count();
    assert_eq!(said, 3);
    assert_eq!(loaded.leaves[0].path, "binary.path");
    assert_eq!(loaded.leaves[0].value, "\"/bin/cat\"");
}

#[test]
fn mappings_are_merged_and_lists_replaced() {
    let base = "binary: {path: /x, flags: [a, b], env: {A: 1, B: 2}}\n";
    let text = "extends: [base.yaml]\nbinary: {flags: [c], env: {B: 3}}\ninput: {files_directory: /i}\noutput: {directory: /o}\n";
    let binary = World::with(text).file("/work/base.yaml", base).loaded().config.binary;
    assert_eq!(binary.path, Path::new("/x"));
    assert_eq!(binary.flags.len(), 1);
    let env: Vec<_> = binary.env.iter().map(|(k, v)| (k.as_str(), v.source())).collect();
    assert_eq!(env, [("A", "1"), ("B", "3")]);
}

#[test]
fn extended_files_are_found_beside_the_file_that_names_them() {
    let loaded = World::with(&format!("extends: [sub/a.yaml, b.yaml]\n{LEAST}"))
        .file("/work/sub/a.yaml", "extends: deeper/c.yaml\nretry: {delay: 2s}\nstate: {directory: st}\n")
        .file("/work/sub/deeper/c.yaml", "retry: {delay: 3s, jitter: 0.5, max_attempts: 9}\n")
        .file("/work/b.yaml", "retry: {jitter: 0.25}\n")
        .loaded();
    let retry = &loaded.config.retry;
    assert_eq!((retry.delay, retry.jitter, retry.max_attempts), (HumanDuration::from_secs(2), 0.25, 9));
    assert_eq!(loaded.config.state_directory(), Path::new("/work/sub/st"));
    let files = ["/work/config.yaml", "/work/sub/a.yaml", "/work/sub/deeper/c.yaml", "/work/b.yaml"];
    assert_eq!(loaded.files, files.map(Path::new));
    assert_eq!(origin(&loaded, "retry.max_attempts"), "sub/deeper/c.yaml:1:47");
}

#[test]
fn a_circle_names_its_files() {
    let findings = World::with("extends: a.yaml\n")
        .file("/work/a.yaml", "extends: sub/../b.yaml\n")
        .file("/work/sub/../b.yaml", "extends: config.yaml\n")
        .refused();
    assert_eq!(codes(&findings), [(Code::ExtendsCycle, "extends")]);
    let chain = "/work/config.yaml → /work/a.yaml → /work/b.yaml → /work/config.yaml";
    assert!(findings[0].message.contains(chain), "{}", findings[0].message);
    assert_eq!(pointed_at(&findings[0]), "config.yaml");
}

#[test]
fn a_diamond_is_no_circle() {
    World::with(&format!("extends: [a.yaml, b.yaml]\n{LEAST}"))
        .file("/work/a.yaml", "extends: c.yaml\n")
        .file("/work/b.yaml", "extends: c.yaml\n")
        .file("/work/c.yaml", "")
        .loaded();
}

#[test]
fn an_extended_file_that_is_not_there_is_pointed_at() {
    let findings = World::with(&format!("extends: [base.yml]\n{LEAST}retry: 5\n")).refused();
    assert_eq!(codes(&findings), [(Code::UnreadableFile, "extends"), (Code::WrongType, "retry")]);
    assert_eq!(pointed_at(&findings[0]), "base.yml");
}

#[test]
fn profiles_are_checked_even_when_they_are_not_chosen() {
    let text = format!(
        "{LEAST}profiles:\n  ci: {{retry: {{max_atempts: 5}}, concurrency: {{max: '${{CORES}}'}}}}\n"
    );
    let findings = World::with(&text).refused();
    assert_eq!(codes(&findings), [(Code::UnknownKey, "profiles.ci.retry.max_atempts")]);
    let findings = World::with(&format!("{LEAST}profiles: {{ci: 5}}\n")).profile("ci").refused();
    assert_eq!(codes(&findings), [(Code::WrongType, "profiles.ci")]);
}

#[test]
fn a_profile_that_is_not_there_gets_the_nearest() {
    let text = format!("{LEAST}profiles: {{nightly: {{}}, small:}}\n");
    let findings = World::with(&text).profile("nightl").refused();
    assert_eq!(codes(&findings), [(Code::UnknownProfile, "profiles")]);
    assert_eq!(findings[0].help.as_deref(), Some("did you mean `nightly`?"));
    let loaded = World::with(&text).variable("ORCHESTRATOR_PROFILE", "small").loaded();
    assert_eq!(loaded.profile.as_deref(), Some("small"));
    assert_eq!(loaded.profiles, ["nightly", "small"]);
}

#[test]
fn variables_are_filled_in() {
    let text = "binary: {path: '${TOOL}', flags: ['$${{HOME}}', 'a${X:-b}c', '$1 $', '${EMPTY:-d}']}
input: {files_directory: '${DATA:-/data}/in'}\noutput: {directory: /o}\nconcurrency: {max: '${CORES:-4}'}\n";
    let config = World::with(text).variable("TOOL", "/t${X}").variable("EMPTY", "").loaded();
    let binary = config.config.binary;
    assert_eq!(binary.path, Path::new("/t${X}"));
    let flags: Vec<_> = binary.flags.iter().map(|flag| flag.source()).collect();
    // Braces of a flag are those of a template, so a literal `${HOME}` has both escapes.
    assert_eq!(flags, ["${{HOME}}", "abc", "$1 $", "d"]);
    assert_eq!(config.config.concurrency.max, Limit::at_most(4));
    assert_eq!(config.config.input.files_directory, Path::new("/data/in"));
}

#[test]
fn a_variable_that_is_not_set_is_pointed_at_and_nothing_else_is_said() {
    let text = LEAST.replace("/data/in", "'/data/${USER_DIR}/in'")
        + "concurrency: {max: '${N}'}\nretry: {delay: '${1x}'}\n";
    let findings = World::with(&text).refused();
    let expected = [
        (Code::UnsetVariable, "input.files_directory"),
        (Code::UnsetVariable, "concurrency.max"),
        (Code::InvalidInterpolation, "retry.delay"),
    ];
    assert_eq!(codes(&findings), expected, "{}", shown(&findings));
    assert_eq!(pointed_at(&findings[0]), "${USER_DIR}");
    assert_eq!(findings[0].location.as_ref().unwrap().column, 33);
}

#[test]
fn what_is_overridden_is_not_filled_in() {
    let text = format!("{LEAST}concurrency: {{max: '${{N}}'}}\n");
    let config = World::with(&text).set("concurrency.max=3").loaded().config;
    assert_eq!(config.concurrency.max, Limit::at_most(3));
}

#[test]
fn overrides_take_text_as_it_stands_and_reach_into_lists() {
    let config = World::with(LEAST)
        .set("input.file_pattern=*.gz")
        .set("binary.stdout={output_file}")
        .set("binary.flags=[-c, '{input_file}']")
        .set("binary.flags.0=--best")
        .set("binary.flags.2=5")
        .set("binary.env.A=x=y")
        .set("plugins.metrics.0.enabled=false")
        .set("plugins.capacity.resource_capacity.config.reserve=2")
        .variable("ORCHESTRATOR_BINARY__ENV__CamelCase", "{{}}")
        .variable("ORCHESTRATOR_INPUT__EXCLUDE", "['*.tmp', x]")
        .variable("ORCHESTRATOR_INPUT__RECURSIVE", "true")
        .loaded()
        .config;
    assert_eq!(config.input.file_pattern.as_str(), "*.gz");
    let flags: Vec<_> = config.binary.flags.iter().map(|flag| flag.source()).collect();
    assert_eq!(flags, ["--best", "{input_file}", "5"]);
    let env: Vec<_> = config.binary.env.iter().map(|(k, v)| (k.as_str(), v.source())).collect();
    assert_eq!(env, [("A", "x=y"), ("CamelCase", "{{}}")]);
    assert!(!config.plugins.metrics[0].enabled);
    assert_eq!(config.plugins.metrics[0].class, "SystemMetricsCollector");
    assert_eq!(config.plugins.capacity[0].config["reserve"], 2);
    assert_eq!(config.input.exclude.len(), 2);
    assert!(config.input.recursive);
}

#[test]
fn an_override_of_a_default_list_leaves_the_rest_a_default() {
    let loaded = World::with(LEAST).set("plugins.metrics.0.deadline_ms=50").loaded();
    assert_eq!(origin(&loaded, "plugins.metrics.0.deadline_ms"), "flag --set plugins.metrics.0.deadline_ms");
    assert_eq!(origin(&loaded, "plugins.metrics.0.class"), "default");
}

#[test]
fn overrides_are_checked_like_files() {
    let findings = World::with(LEAST)
        .set("retry.max_atempts=1")
        .set("nonsense")
        .set("plugins.metrics.7.name=x")
        .set("binary.flags=[a")
        .variable("ORCHESTRATOR_RETRY__DELAY", "soon")
        .variable("ORCHESTRATOR_RETYR__DELAY", "1s")
        .flag("output.directory", 5, "--output")
        .refused();
    let mut found = codes(&findings);
    found.sort();
    let expected = [
        (Code::YamlSyntax, "binary.flags"),
        (Code::UnknownKey, "retry.max_atempts"),
        (Code::UnknownKey, "retyr"),
        (Code::InvalidValue, "retry.delay"),
        (Code::InvalidOverride, ""),
        (Code::InvalidOverride, "plugins.metrics.7.name"),
    ];
    let mut expected = expected.to_vec();
    expected.sort();
    // A flag's number is text where only text is taken.
    assert_eq!(found, expected, "{}", shown(&findings));
    let variable = findings.iter().find(|finding| finding.path == "retry.delay").unwrap();
    assert_eq!(variable.location.as_ref().unwrap().source_name, "ORCHESTRATOR_RETRY__DELAY");
    assert_eq!(pointed_at(variable), "soon");
}

#[test]
fn variables_of_others_are_worth_a_warning_at_most() {
    let loaded = World::with(LEAST)
        .variable("ORCHESTRATOR_PLUGINS_DIR", "/p")
        .variable("ORCHESTRATOR_KEY_PASSWORD", "secret")
        .variable("ORCHESTRATOR_INPUT_FILE", "/x")
        .variable("ORCHESTRATOR_TASK_ID", "7")
        .variable("ORCHESTRATOR_SOMETHING", "1")
        .loaded();
    assert_eq!(codes(&loaded.warnings), [(Code::UnknownVariable, "")]);
    assert_eq!(loaded.warnings[0].severity, Severity::Warning);
    assert!(loaded.warnings[0].message.contains("ORCHESTRATOR_SOMETHING"));
}
