//! Which inputs a state knows: eight bytes a task, whatever the lengths of the names.

use std::hash::{DefaultHasher, Hasher};

/// Hashes of known paths, sorted. A path that is not known may be taken for one (once in 2⁶⁴ pairs): the scan then looks
/// at its metadata for nothing.
pub(crate) struct KnownPaths(Box<[u64]>);

impl KnownPaths {
    pub(crate) fn new<'a>(paths: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut hashes: Vec<u64> = paths.map(hash).collect();
        hashes.sort_unstable();
        Self(hashes.into())
    }

    pub(crate) fn contains(&self, path: &[u8]) -> bool {
        self.0.binary_search(&hash(path)).is_ok()
    }
}

fn hash(path: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(path);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_paths_cost_eight_bytes_each_and_others_are_unknown() {
        let names: Vec<String> = (0..10_000).map(|number| format!("deep/directory/{number}.dat")).collect();
        let known = KnownPaths::new(names.iter().map(|name| name.as_bytes()));
        assert!(names.iter().all(|name| known.contains(name.as_bytes())));
        assert!((0..10_000).all(|number| !known.contains(format!("{number}.dat").as_bytes())));
        assert_eq!(size_of_val(&*known.0), 8 * names.len());
    }
}
