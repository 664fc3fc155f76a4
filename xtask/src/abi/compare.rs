//! Two layouts side by side, each a line a fact: `KEY: VALUE`.

use std::collections::BTreeMap;

/// What changed in a version that is published: anything at all.
pub(super) fn unchanged(published: &str, now: &str) -> Vec<String> {
    let (published, now) = (facts(published), facts(now));
    let mut broken = changes(&published, &now);
    let new = now.keys().filter(|key| !published.contains_key(*key));
    broken.extend(new.map(|key| {
        format!("{key} is new ({}): raise the minor version of orchestrator-plugin-api", now[key])
    }));
    broken
}

/// What a later minor version broke: whatever it changed, moved or removed, and growth of what may not grow.
pub(super) fn only_added(published: &str, now: &str) -> Vec<String> {
    let (published, now) = (facts(published), facts(now));
    let mut broken = changes(&published, &now);
    for (key, value) in &now {
        let by_value =
            key.rsplit_once('.').map(|(owner, _)| owner).filter(|owner| owner.starts_with("struct "));
        if by_value.is_some_and(|owner| published.contains_key(owner)) && !published.contains_key(key) {
            broken.push(format!("{key} is new ({value}): a by-value struct never grows"));
        }
    }
    broken
}

fn changes(published: &BTreeMap<&str, &str>, now: &BTreeMap<&str, &str>) -> Vec<String> {
    let told = published.iter().filter_map(|(key, was)| match now.get(key) {
        Some(is) if is == was => None,
        Some(is) => Some(format!("{key}: {was} → {is}")),
        None => Some(format!("{key} is gone (it was {was})")),
    });
    told.collect()
}

/// The line with the version is no fact of the layout.
fn facts(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter(|line| !line.starts_with("contract: "))
        .filter_map(|line| line.split_once(": "))
        .collect()
}
