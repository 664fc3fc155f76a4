//! A compact form of an attempt's published files. Output names mostly are the input's name and a suffix, so each is
//! written as the length of what it shares with the input's path, and the rest.
//!
//! Form: for each file `varint(size) varint(shared) varint(rest.len()) rest`.

use orchestrator_core::scheduler::{InputPath, OutputRecord};

/// Encodes against the task's path.
pub(crate) fn encode(outputs: &[OutputRecord], input: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    for output in outputs {
        let name = output.path.as_bytes();
        let shared = name.iter().zip(input).take_while(|(a, b)| a == b).count();
        put(&mut blob, output.size);
        put(&mut blob, shared as u64);
        put(&mut blob, (name.len() - shared) as u64);
        blob.extend_from_slice(&name[shared..]);
    }
    blob
}

/// Decodes; `None` when the bytes are not what [`encode`] writes.
pub(crate) fn decode(mut blob: &[u8], input: &[u8]) -> Option<Vec<OutputRecord>> {
    let mut outputs = Vec::new();
    while !blob.is_empty() {
        let size = take(&mut blob)?;
        let shared = input.get(..usize::try_from(take(&mut blob)?).ok()?)?;
        let rest = usize::try_from(take(&mut blob)?).ok()?;
        let (rest, after) = blob.split_at_checked(rest)?;
        blob = after;
        outputs.push(OutputRecord { path: InputPath::new(&[shared, rest].concat()), size });
    }
    Some(outputs)
}

/// LEB128.
pub(crate) fn put(blob: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        blob.push(number as u8 | 0x80);
        number >>= 7;
    }
    blob.push(number as u8);
}

pub(crate) fn take(blob: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = blob.split_first()?;
        *blob = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &[u8], size: u64) -> OutputRecord {
        OutputRecord { path: InputPath::new(name), size }
    }

    #[test]
    fn every_list_comes_back() {
        let input = b"dir/a.dat";
        for outputs in [
            vec![],
            vec![record(b"dir/a.dat.output", 0)],
            vec![
                record(b"dir/a.dat.output", u64::MAX),
                record(b"\xff", 1),
                record(b"dir", 300),
                record(input, 7),
            ],
        ] {
            let blob = encode(&outputs, input);
            assert_eq!(decode(&blob, input), Some(outputs));
        }
        assert_eq!(encode(&[record(b"dir/a.dat.output", 9)], input).len(), 3 + ".output".len());
    }

    #[test]
    fn broken_bytes_are_refused() {
        let blob = encode(&[record(b"dir/a.dat.output", 5)], b"dir/a.dat");
        for cut in 1..blob.len() {
            assert_eq!(decode(&blob[..cut], b"dir/a.dat"), None, "cut at {cut}");
        }
        assert_eq!(decode(&blob, b"dir"), None, "another input");
        assert_eq!(decode(&[0x80; 11], b""), None);
    }
}
