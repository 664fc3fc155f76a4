//! Recognising files that are not what we wrote, and saying what a crash took.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rusqlite::Connection;

use crate::error::StoreError;
use crate::load::verify_attempts;
use crate::lock::io_error;
use crate::sql::translate;

use orchestrator_core::RunId;

/// What the end of the previous run left.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Recovery {
    /// The previous run; `None` for a new (or fresh) state.
    pub last_run: Option<RunId>,
    /// The previous run did not end in order: it was killed, or the machine went down. With `--fresh` too: its
    /// processes may be left.
    pub unclean: bool,
    /// The machine was started anew since: the completions of the last moments want to be held against the files.
    pub rebooted: bool,
    /// Pages at the end of the write-ahead log that belong to no whole commit and were cut off. What they recorded
    /// is done again.
    pub cut_pages: u64,
}

impl Recovery {
    /// One sentence for the user; `None` when there is nothing to tell.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        if !self.unclean || self.last_run.is_none() {
            return None;
        }
        let how = if self.rebooted { "the machine went down" } else { "it was killed" };
        let cut = match self.cut_pages {
            0 => String::new(),
            pages => format!(
                "; {pages} pages of its log were not whole and were cut, what they recorded is done again"
            ),
        };
        Some(format!("the previous run did not end in order ({how}): unfinished attempts are run again{cut}"))
    }
}

/// A file below this is checked whole at every start: that takes a few milliseconds.
const SMALL: u64 = 8 << 20;

/// Looks at the file before SQLite does: an empty or foreign file would be taken for a new database.
pub(crate) fn check_header(path: &Path) -> Result<(), StoreError> {
    let damaged = |what: &str| StoreError::Damaged { path: path.to_path_buf(), what: what.to_owned() };
    let mut file = File::open(path).map_err(io_error("open", path))?;
    let length = file.metadata().map_err(io_error("inspect", path))?.len();
    let mut header = [0; 100];
    match file.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(damaged(&format!("it is cut after {length} bytes")));
        }
        Err(error) => return Err(io_error("read", path)(error)),
    }
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(damaged("its first bytes are not those of a state file"));
    }
    Ok(())
}

/// Checks the structure of the file and every attempt after an unclean end, and always where it is cheap. (Tasks are
/// checked whenever they are loaded.)
pub(crate) fn check(connection: &Connection, path: &Path, unclean: bool) -> Result<(), StoreError> {
    let small = std::fs::metadata(path).is_ok_and(|meta| meta.len() < SMALL);
    if !unclean && !small {
        return Ok(());
    }
    let words: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(translate(path))?;
    if words != "ok" {
        return Err(StoreError::Damaged { path: path.to_path_buf(), what: words });
    }
    verify_attempts(connection, path)
}

/// Frames of the write-ahead log beside the file that belong to its present generation, whole or not; to be counted
/// before SQLite opens it. (Format: <https://www.sqlite.org/fileformat2.html#walformat>.)
pub(crate) fn log_frames(path: &Path) -> u64 {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    count_frames(Path::new(&name)).unwrap_or(0)
}

fn count_frames(log: &Path) -> io::Result<u64> {
    const HEADER: usize = 32;
    const FRAME: usize = 24;
    let mut file = io::BufReader::with_capacity(1 << 16, File::open(log)?);
    let mut header = [0; HEADER];
    file.read_exact(&mut header)?;
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let page = number(8) as usize;
    if !matches!(page, 512..=65_536) || !page.is_power_of_two() {
        return Ok(0);
    }
    let mut frame = vec![0; FRAME + page];
    let mut frames = 0;
    while file.read_exact(&mut frame).is_ok() {
        frames += u64::from(frame[8..16] == header[16..24]);
    }
    Ok(frames)
}

/// Frames that SQLite found whole, from a passive checkpoint's answer.
pub(crate) fn whole_frames(connection: &Connection, path: &Path) -> Result<u64, StoreError> {
    let frames: i64 = connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
        .map_err(translate(path))?;
    Ok(u64::try_from(frames).unwrap_or(0))
}
