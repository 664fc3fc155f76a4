//! One file of the journal: `journal.N` in the state directory.
//!
//! Frames of `length (u32) checksum (u32) content`, little-endian. The first frame's content is the [`Header`] as JSON;
//! each further one is a record: its number, how many facts, the facts. Where a frame is cut or its checksum wrong, the
//! segment ends: what follows was never acknowledged as synced.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use orchestrator_core::scheduler::Fact;
use orchestrator_ports::Record;
use serde::{Deserialize, Serialize};

use super::codec;
use crate::crc::Crc;
use crate::outputs::{put, take};

const MAGIC: &str = "orchestrator journal 1";
const PREFIX: &str = "journal.";
/// Length and checksum.
const FRAME: usize = 8;

/// Whose records these are, and what folding them into the database takes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Header {
    magic: String,
    pub(crate) run: i64,
    pub(crate) command: i64,
    pub(crate) calibration_key: String,
}

impl Header {
    pub(crate) fn new(run: i64, command: i64, calibration_key: &str) -> Self {
        Self { magic: MAGIC.to_owned(), run, command, calibration_key: calibration_key.to_owned() }
    }
}

/// A segment that is no longer written to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    /// The last record in it (or before it).
    pub(crate) last: u64,
}

/// Appends to the present segment.
#[derive(Debug)]
pub(crate) struct Appender {
    directory: PathBuf,
    header: Header,
    ordinal: u64,
    file: Arc<File>,
    buffer: Vec<u8>,
    bytes: u64,
    last: u64,
}

impl Appender {
    /// Begins the journal of a run.
    ///
    /// # Errors
    /// The file cannot be made or synced.
    pub(crate) fn begin(directory: &Path, header: Header) -> io::Result<Self> {
        let ordinal = 1 + list(directory)?.last().map_or(0, |(ordinal, _)| *ordinal);
        let file = Arc::new(create(directory, ordinal, &header)?);
        let directory = directory.to_owned();
        Ok(Self { directory, header, ordinal, file, buffer: Vec::new(), bytes: 0, last: 0 })
    }

    /// Writes records with one system call.
    ///
    /// # Errors
    /// They could not be written whole; nothing may be appended after that.
    pub(crate) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        self.buffer.clear();
        for record in records {
            let begin = self.buffer.len();
            self.buffer.resize(begin + FRAME, 0);
            put(&mut self.buffer, record.number);
            put(&mut self.buffer, record.facts.len() as u64);
            record.facts.iter().for_each(|fact| codec::encode(fact, &mut self.buffer));
            seal(&mut self.buffer[begin..])?;
            self.last = record.number;
        }
        (&*self.file).write_all(&self.buffer)?;
        self.bytes += self.buffer.len() as u64;
        Ok(())
    }

    /// The file that is written to, for those who sync it.
    pub(crate) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Bytes in this segment.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the next segment is made of, so that it can be made while this one is still appended to.
    pub(crate) fn successor(&self) -> Successor {
        let (directory, header) = (self.directory.clone(), self.header.clone());
        Successor { directory, header, ordinal: self.ordinal + 1 }
    }

    /// Goes on in the segment that was made of the last successor. Gives back the old one and its file, which is still
    /// to be synced.
    pub(crate) fn rotate(&mut self, next: Arc<File>) -> (Segment, Arc<File>) {
        let old = self.present();
        self.ordinal += 1;
        self.bytes = 0;
        (old, std::mem::replace(&mut self.file, next))
    }

    /// The present segment.
    pub(crate) fn present(&self) -> Segment {
        Segment { path: name(&self.directory, self.ordinal), last: self.last }
    }
}

/// A segment to be made.
#[derive(Debug)]
pub(crate) struct Successor {
    directory: PathBuf,
    header: Header,
    ordinal: u64,
}

impl Successor {
    /// Makes its file, on the device.
    ///
    /// # Errors
    /// As any writing.
    pub(crate) fn make(&self) -> io::Result<Arc<File>> {
        create(&self.directory, self.ordinal, &self.header).map(Arc::new)
    }
}

/// What is whole in a segment.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) header: Header,
    pub(super) records: Vec<(u64, Vec<Fact>)>,
}

/// Reads a segment; `None` when not even its header is whole (its making was interrupted).
pub(super) fn read(path: &Path) -> io::Result<Option<Contents>> {
    let bytes = std::fs::read(path)?;
    let mut rest = bytes.as_slice();
    let header = frame(&mut rest).and_then(|content| serde_json::from_slice::<Header>(content).ok());
    let Some(header) = header.filter(|header| header.magic == MAGIC) else { return Ok(None) };
    let mut records = Vec::new();
    while let Some(record) = frame(&mut rest).and_then(record) {
        records.push(record);
    }
    Ok(Some(Contents { header, records }))
}

/// The directory's segments, the oldest first.
pub(super) fn list(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(ordinal) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok()) {
            found.push((ordinal, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn name(directory: &Path, ordinal: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{ordinal}"))
}

fn create(directory: &Path, ordinal: u64, header: &Header) -> io::Result<File> {
    let options = OpenOptions::new().create(true).append(true).to_owned();
    let file = options.open(name(directory, ordinal))?;
    file.set_len(0)?;
    let mut bytes = vec![0; FRAME];
    serde_json::to_writer(&mut bytes, header)?;
    seal(&mut bytes)?;
    (&file).write_all(&bytes)?;
    file.sync_all()?;
    File::open(directory)?.sync_all()?;
    Ok(file)
}

/// Sets length and checksum of a frame whose content is complete.
fn seal(bytes: &mut [u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len() - FRAME).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let checksum = Crc::new().bytes(&length.to_le_bytes()).bytes(&bytes[FRAME..]).finish();
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes[4..FRAME].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// The content of the next whole frame.
fn frame<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let (checksum, tail) = tail.split_first_chunk::<4>()?;
    let (content, tail) = tail.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let whole = Crc::new().bytes(length).bytes(content).finish() == u32::from_le_bytes(*checksum);
    *rest = tail;
    whole.then_some(content)
}

fn record(mut content: &[u8]) -> Option<(u64, Vec<Fact>)> {
    let (number, count) = (take(&mut content)?, take(&mut content)?);
    let facts = (0..count).map(|_| codec::decode(&mut content)).collect::<Option<Vec<_>>>()?;
    content.is_empty().then_some((number, facts))
}

#[cfg(test)]
mod tests {
    use orchestrator_core::{TaskId, Timestamp};
    use orchestrator_ports::SyncMode;

    use super::*;

    fn written(directory: &Path) -> PathBuf {
        let mut appender = Appender::begin(directory, Header::new(3, 1, "key")).unwrap();
        for number in 1..=5 {
            let fact = Fact::TaskReset { task: TaskId(number), at: Timestamp(9) };
            let record = Record { number: number.into(), facts: vec![fact], sync: SyncMode::Written };
            appender.append(&[record]).unwrap();
        }
        appender.present().path
    }

    #[test]
    fn a_torn_segment_ends_before_the_tear_wherever_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path());
        let whole = std::fs::read(&path).unwrap();
        let all = read(&path).unwrap().unwrap();
        assert_eq!((all.header, all.records.len()), (Header::new(3, 1, "key"), 5));
        let mut seen = 0;
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let records = read(&path).unwrap().map_or(0, |contents| contents.records.len());
            assert!(records >= seen && records < 5, "{records} after {length} bytes");
            seen = records;
        }
        assert_eq!(seen, 4);
    }

    #[test]
    fn no_flipped_bit_is_taken_for_a_record() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path());
        let whole = std::fs::read(&path).unwrap();
        let expected = read(&path).unwrap().unwrap().records;
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bad).unwrap();
            let records = read(&path).unwrap().map_or(Vec::new(), |contents| contents.records);
            assert!(records.len() < 5 && expected.starts_with(&records), "byte {at}");
        }
    }
}
