//! Holds what is printed as JSON against `docs/events.md`: every field has its name there.

use std::collections::BTreeSet;

use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../docs/events.md");

/// The sections under these headings say every field of `value`, at any depth.
#[track_caller]
pub(crate) fn says_all_of(headings: &[&str], value: &Value) {
    let said: BTreeSet<&str> = headings.iter().flat_map(|heading| words(section(heading))).collect();
    let mut fields = BTreeSet::new();
    collect(value, &mut fields);
    // Of durations anywhere, and of every event.
    let unsaid: Vec<_> = fields
        .iter()
        .filter(|field| !said.contains(*field) && !["secs", "nanos", "event"].contains(field))
        .collect();
    assert!(unsaid.is_empty(), "docs/events.md says nothing of {unsaid:?} under {headings:?}");
}

/// From a heading to the next one.
fn section(heading: &str) -> &'static str {
    let begin = DOCUMENT.lines().position(|line| line == heading).expect("the heading stands there");
    let mut sections = DOCUMENT.split_inclusive('\n').skip(begin + 1);
    let length: usize = sections.by_ref().take_while(|line| !line.starts_with('#')).map(str::len).sum();
    let start: usize = DOCUMENT.split_inclusive('\n').take(begin + 1).map(str::len).sum();
    &DOCUMENT[start..start + length]
}

/// The words between back quotes.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.flat_map(|code| code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
}

fn collect<'v>(value: &'v Value, into: &mut BTreeSet<&'v str>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            into.insert(name);
            collect(value, into);
        }),
        Value::Array(values) => values.iter().for_each(|value| collect(value, into)),
        _ => {}
    }
}

#[test]
fn a_field_that_is_said_elsewhere_or_only_in_plain_words_is_not_said() {
    let section = section("## gap");
    assert!(section.contains("`lines`") && !section.contains("run_finished"), "{section}");
    let said: Vec<_> = words("a `b.c` d `{e: \"f\"}`").filter(|word| !word.is_empty()).collect();
    assert_eq!(said, ["b", "c", "e", "f"]);
}
