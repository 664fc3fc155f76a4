//! The nearest valid name for a mistyped one.

/// The candidate most like `name`, if one is like it: at most a third of its letters differ, or one begins the other.
///
/// Distance is that of Damerau and Levenshtein restricted to neighbouring swaps (optimal string alignment); case and
/// the difference of `-` and `_` count nothing.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = folded(name);
    if wanted.is_empty() || wanted.len() > 64 {
        return None;
    }
    let limit = (wanted.len() / 3).max(1);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let found = folded(candidate);
            let distance = distance(&wanted, &found);
            let begins = wanted.len() >= 3 && (found.starts_with(&wanted) || wanted.starts_with(&found));
            (distance <= limit || begins).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn folded(name: &str) -> Vec<char> {
    name.chars().map(|c| if c == '-' { '_' } else { c }).flat_map(char::to_lowercase).collect()
}

fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_of_the_hand() {
        let keys = ["path", "flags", "working_directory", "stdin", "stdout"];
        assert_eq!(nearest("flag", keys), Some("flags"));
        assert_eq!(nearest("pahts", keys), None);
        assert_eq!(nearest("paht", keys), Some("path"));
        assert_eq!(nearest("Working-Directory", keys), Some("working_directory"));
        assert_eq!(nearest("workdir", keys), None);
        assert_eq!(nearest("work", keys), Some("working_directory"));
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn prefers_the_smaller_distance() {
        assert_eq!(nearest("stdot", ["stdin", "stdout"]), Some("stdout"));
    }
}
