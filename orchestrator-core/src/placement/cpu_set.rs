//! A set of processors.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of processors by number, as the kernel takes it: one bit each. Cheap to clone.
#[derive(Clone, Default, Eq, Hash, PartialEq)]
pub struct CpuSet(Arc<[u64]>);

impl CpuSet {
    /// No machine numbers its processors so high; numbers from here on are refused.
    pub(super) const MOST: u32 = 1 << 16;

    /// Reads a list such as `0-3,8`, as the kernel writes it; `None` if it is none. An empty text is the empty set.
    #[must_use]
    pub fn parse(list: &str) -> Option<Self> {
        let mut all = Vec::new();
        for part in list.trim().split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
            if first > last || last >= Self::MOST {
                return None;
            }
            all.extend(first..=last);
        }
        Some(all.into_iter().collect())
    }

    /// Whether the processor is in it.
    #[must_use]
    pub fn contains(&self, cpu: u32) -> bool {
        self.0.get(cpu as usize / 64).is_some_and(|word| word >> (cpu % 64) & 1 == 1)
    }

    /// How many processors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The processors in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.0.len() as u32 * 64).filter(|cpu| self.contains(*cpu))
    }

    /// The bits: bit `n % 64` of word `n / 64` is processor `n`. The last word is not zero.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.0
    }
}

impl FromIterator<u32> for CpuSet {
    /// Numbers from 65536 on are left out.
    fn from_iter<I: IntoIterator<Item = u32>>(cpus: I) -> Self {
        let mut words: Vec<u64> = Vec::new();
        for cpu in cpus.into_iter().filter(|cpu| *cpu < Self::MOST) {
            let at = cpu as usize / 64;
            if words.len() <= at {
                words.resize(at + 1, 0);
            }
            words[at] |= 1 << (cpu % 64);
        }
        Self(words.into())
    }
}

impl fmt::Display for CpuSet {
    /// As the kernel writes it: `0-3,8`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut comma = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while let Some(next) = cpus.next_if(|next| *next == last + 1) {
                last = next;
            }
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuSet({self})")
    }
}

impl Serialize for CpuSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CpuSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = String::deserialize(deserializer)?;
        Self::parse(&list).ok_or_else(|| serde::de::Error::custom("not a list of processors"))
    }
}
