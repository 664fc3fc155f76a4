//! Which inputs a state knows: ten bits a task, whatever the lengths of the names.

use std::hash::{DefaultHasher, Hasher};

use orchestrator_core::scheduler::KnownTasks;

/// Bits a path, of which seven are set.
const BITS: usize = 10;
const PROBES: u32 = 7;
/// Bits of a block, which is a cache line: a question costs one look at memory.
const BLOCK: u64 = 512;

/// A set of paths that is never wrong about those it has and once in about a hundred times about others: the scan then
/// looks at their metadata for nothing. (A blocked Bloom filter: Putze, Sanders and Singler 2007.)
pub(crate) struct KnownPaths(Box<[[u64; 8]]>);

impl KnownPaths {
    pub(crate) fn new(tasks: &KnownTasks) -> Self {
        let count = usize::try_from(tasks.count()).unwrap_or_default();
        let mut known = Self::with_room_for(count);
        tasks.states().for_each(|(task, _)| known.add(tasks.path(task).as_bytes()));
        known
    }

    fn with_room_for(count: usize) -> Self {
        Self(vec![[0; 8]; (count * BITS).div_ceil(BLOCK as usize)].into())
    }

    fn add(&mut self, path: &[u8]) {
        let (hash, blocks) = (hash(path), self.0.len());
        if let Some(block) = self.0.get_mut(block(hash, blocks)) {
            bits(hash).for_each(|bit| block[bit / 64] |= 1 << (bit % 64));
        }
    }

    pub(crate) fn contains(&self, path: &[u8]) -> bool {
        let hash = hash(path);
        let block = self.0.get(block(hash, self.0.len()));
        block.is_some_and(|block| bits(hash).all(|bit| block[bit / 64] >> (bit % 64) & 1 == 1))
    }
}

/// Which block: the upper half of the hash, scaled.
fn block(hash: u64, blocks: usize) -> usize {
    ((hash >> 32) as usize * blocks) >> 32
}

/// Which bits of it: nine bits of the hash each.
fn bits(hash: u64) -> impl Iterator<Item = usize> {
    let (mut at, step) = (hash as u32, (hash >> 17) as u32 | 1);
    (0..PROBES).map(move |_| {
        at = at.wrapping_add(step);
        (u64::from(at >> 7) % BLOCK) as usize
    })
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
    fn known_paths_are_always_known_and_few_others_are_taken_for_one() {
        let mut known = KnownPaths::with_room_for(100_000);
        let names = |from: u32| (from..from + 100_000).map(|n| format!("deep/directory/{n}.dat"));
        names(0).for_each(|name| known.add(name.as_bytes()));
        assert!(names(0).all(|name| known.contains(name.as_bytes())));
        let wrong = names(100_000).filter(|name| known.contains(name.as_bytes())).count();
        assert!(wrong < 3_000, "{wrong}");
        assert!(size_of_val(&*known.0) <= 125_000 + 64);
        assert!(!KnownPaths::with_room_for(0).contains(b"anything"));
    }
}
