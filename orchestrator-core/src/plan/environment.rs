//! An attempt's own environment, laid out as the kernel will be given it: one buffer for all entries, since there is one
//! for each launch.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Entries `NAME=value`, in the order in which they were set; of several of one name the last counts. Names and values
/// are any bytes; one with a NUL in it cannot be passed on, which whoever passes it on has to refuse.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Environment {
    bytes: Vec<u8>,
    /// Where each entry ends in `bytes`, and where its `=` stands.
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Entry {
    equals: usize,
    end: usize,
}

impl Environment {
    /// An empty one with room for so many entries and bytes.
    #[must_use]
    pub fn with_room(entries: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), entries: Vec::with_capacity(entries) }
    }

    /// Sets a value.
    pub fn set(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        self.set_with(name.as_ref(), |bytes| bytes.extend_from_slice(value.as_ref().as_bytes()));
    }

    /// Sets the value that is appended to the buffer.
    pub fn set_with(&mut self, name: &OsStr, append: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.extend_from_slice(name.as_bytes());
        let equals = self.bytes.len();
        self.bytes.push(b'=');
        append(&mut self.bytes);
        self.entries.push(Entry { equals, end: self.bytes.len() });
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Names and values.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&OsStr, &OsStr)> + ExactSizeIterator {
        (0..self.entries.len()).map(|index| {
            let Entry { equals, end } = self.entries[index];
            let name = &self.bytes[self.start(index)..equals];
            (OsStr::from_bytes(name), OsStr::from_bytes(&self.bytes[equals + 1..end]))
        })
    }

    /// Whole entries, `NAME=value`.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.entries.len()).map(|index| &self.bytes[self.start(index)..self.entries[index].end])
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        self.iter().rfind(|(known, _)| *known == name.as_ref()).map(|(_, value)| value)
    }

    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.entries[before].end)
    }
}

impl<N: AsRef<OsStr>, V: AsRef<OsStr>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut environment = Self::default();
        pairs.into_iter().for_each(|(name, value)| environment.set(name, value));
        environment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_their_order_and_the_last_of_a_name_counts() {
        let odd = OsStr::from_bytes(b"\xff=\n");
        let mut environment: Environment = [("A", "1"), ("B", ""), ("A", "2=2")].into_iter().collect();
        environment.set("C", odd);
        let whole: Vec<&[u8]> = environment.entries().collect();
        assert_eq!(whole, [b"A=1".as_slice(), b"B=", b"A=2=2", b"C=\xff=\n"]);
        let names: Vec<&OsStr> = environment.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["A", "B", "A", "C"]);
        assert_eq!(environment.get("A"), Some(OsStr::new("2=2")));
        assert_eq!(environment.get("B"), Some(OsStr::new("")));
        assert_eq!(environment.get("C"), Some(odd));
        assert_eq!((environment.get("D"), environment.len()), (None, 4));
        assert!(!environment.is_empty() && Environment::default().is_empty());
    }
}
