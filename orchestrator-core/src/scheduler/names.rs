//! Names of millions of inputs: bytes in one arena, each as what differs from a name before it.
//!
//! Files of one dataset are called alike, so a name is mostly what another one is: its beginning and its end are those of
//! a *base*, a name that is kept whole, and only the middle is its own. A name is found in one step (there are no chains),
//! in any order. Records, all numbers as LEB128:
//!
//! ```text
//! 0, length, bytes                                   a whole name (it may be a base)
//! base + 1, shared at the start, shared at the end, length of the middle, bytes
//! ```

/// A base that fits badly is replaced after so many names: the list of bases stays small whatever the names are.
const LEAST_SERVED: u32 = 16;

/// Names, by where they lie.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    /// Where the bases lie.
    bases: Vec<u64>,
    /// Names since the last base.
    served: u32,
}

/// A name: three pieces to be read one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a>([&'a [u8]; 3]);

impl Names {
    /// Adds a name; returns where it lies.
    pub(super) fn add(&mut self, name: &[u8]) -> u64 {
        let at = self.bytes.len() as u64;
        let shared = self.bases.last().map(|base| shared(self.at(*base).0[0], name));
        let (start, end) = shared.unwrap_or_default();
        let middle = name.len() - start - end;
        self.served += 1;
        if self.bases.is_empty() || self.served >= LEAST_SERVED && middle * 3 > name.len() {
            self.served = 0;
            self.bases.push(at);
            self.whole(name);
        } else if middle + 4 > name.len() {
            self.whole(name);
        } else {
            for number in [self.bases.len(), start, end, middle] {
                put(&mut self.bytes, number);
            }
            self.bytes.extend_from_slice(&name[start..start + middle]);
        }
        at
    }

    fn whole(&mut self, name: &[u8]) {
        put(&mut self.bytes, 0);
        put(&mut self.bytes, name.len());
        self.bytes.extend_from_slice(name);
    }

    /// The name that lies there.
    pub(super) fn at(&self, at: u64) -> Name<'_> {
        let mut rest = self.bytes.get(at as usize..).unwrap_or_default();
        let base = take(&mut rest);
        let Some(base) = base.checked_sub(1) else {
            let length = take(&mut rest);
            return Name([rest.get(..length).unwrap_or_default(), &[], &[]]);
        };
        let [start, end, middle] = [(); 3].map(|()| take(&mut rest));
        let base = self.bases.get(base).map_or(&[][..], |base| self.at(*base).0[0]);
        let tail = base.len().saturating_sub(end);
        Name([
            base.get(..start).unwrap_or_default(),
            rest.get(..middle).unwrap_or_default(),
            base.get(tail..).unwrap_or_default(),
        ])
    }

    /// Bytes of heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.bases.capacity() * size_of::<u64>()
    }
}

impl Name<'_> {
    /// The same as FNV-1a (Fowler, Noll, Vo) of the whole: a fixed hash, so that core behaves the same in every run. Its
    /// upper bits are mixed, since tables use some of them.
    pub(super) fn hash(self) -> u64 {
        hash(&self.0)
    }

    /// Its last bytes (fewer of a shorter one), at the end of `room`.
    pub(super) fn end(self, room: &mut [u8]) -> &[u8] {
        let mut free = room.len();
        for piece in self.0.iter().rev() {
            let some = piece.len().min(free);
            room[free - some..free].copy_from_slice(&piece[piece.len() - some..]);
            free -= some;
        }
        &room[free..]
    }

    /// Whether it is this path.
    pub(super) fn is(self, path: &[u8]) -> bool {
        let [start, middle, end] = self.0;
        path.len() == start.len() + middle.len() + end.len()
            && path.starts_with(start)
            && path.ends_with(end)
            && path[start.len()..].starts_with(middle)
    }

    /// In one piece.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        self.0.concat()
    }
}

/// The hash of a path, as [`Name::hash`].
pub(super) fn hash_of(path: &[u8]) -> u64 {
    hash(&[path])
}

fn hash(pieces: &[&[u8]]) -> u64 {
    let bytes = pieces.iter().flat_map(|piece| piece.iter());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^ (hash >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// How many bytes two names have in common at the start, and of the rest at the end.
fn shared(base: &[u8], name: &[u8]) -> (usize, usize) {
    let start = base.iter().zip(name).take_while(|(one, other)| one == other).count();
    let (base, name) = (&base[start..], &name[start..]);
    let end = base.iter().rev().zip(name.iter().rev()).take_while(|(one, other)| one == other).count();
    (start, end)
}

fn put(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(rest: &mut &[u8]) -> usize {
    let mut number = 0;
    for shift in (0..).step_by(7).take(10) {
        let Some((byte, tail)) = rest.split_first() else { break };
        *rest = tail;
        number |= usize::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            break;
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes_each(names: impl Iterator<Item = String>) -> f64 {
        let (mut arena, mut count) = (Names::default(), 0);
        for name in names {
            arena.add(name.as_bytes());
            count += 1;
        }
        (arena.bytes.len() + arena.bases.len() * 8) as f64 / f64::from(count)
    }

    #[test]
    fn names_that_are_alike_take_a_few_bytes() {
        let dataset = (0..100_000).map(|n| format!("batch-{:04}/measurement-{n:07}.dat", n / 1_000));
        assert!(bytes_each(dataset) < 13.0);
        let flat =
            (0..100_000_u32).map(|n| format!("f{:07}.csv.gz", n.wrapping_mul(2_654_435_761) % 9_999_999));
        assert!(bytes_each(flat) < 13.0);
    }

    #[test]
    fn names_that_have_nothing_in_common_take_little_more_than_themselves() {
        let mixed = (0..10_000_u64).map(|n| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        assert!(bytes_each(mixed) < 16.0 + 2.0 + 0.6);
    }

    proptest! {
        #[test]
        fn every_name_comes_back(names in proptest::collection::vec("[ab/]{0,3}[^\0]{0,9}[xy.]{0,3}", 1..200)) {
            let mut arena = Names::default();
            let places: Vec<u64> = names.iter().map(|name| arena.add(name.as_bytes())).collect();
            for (name, at) in names.iter().zip(places) {
                let found = arena.at(at);
                prop_assert_eq!(found.to_bytes(), name.as_bytes());
                prop_assert_eq!(found.hash(), hash_of(name.as_bytes()));
                prop_assert!(name.as_bytes().ends_with(found.end(&mut [0; 5])));
                prop_assert_eq!(found.end(&mut [0; 5]).len(), name.len().min(5));
                for other in &names {
                    prop_assert_eq!(found.is(other.as_bytes()), name == other);
                }
            }
        }
    }
}
