//! After a crash: what the journal has and the database has not is folded into it.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::segment::{self, Contents};
use crate::book::{Book, recorded};
use crate::error::StoreError;
use crate::lock::io_error;
use crate::sql::translate;

/// Brings the database up to date, in one transaction. Returns how many records it lacked. To be followed by a
/// checkpoint, and then [`remove_all`].
pub(crate) fn replay(
    connection: &mut Connection,
    path: &Path,
    directory: &Path,
    last_run: Option<i64>,
) -> Result<u64, StoreError> {
    let mut segments = Vec::new();
    for (_, file) in segment::list(directory).map_err(io_error("list", directory))? {
        // A segment without header has no records; one of another run is older than the database's last one.
        let contents = segment::read(&file).map_err(io_error("read", &file))?;
        segments.extend(contents.filter(|contents| Some(contents.header.run) == last_run));
    }
    let mut limit = u64::MAX;
    loop {
        match fold(connection, path, &segments, limit)? {
            Folded::All(records) => return Ok(records),
            Folded::Contradiction { number, error } => {
                // It made the run fail that wrote it: the record ends before it.
                tracing::error!(number, %error, "a record of the journal contradicts the state and is left out");
                limit = number - 1;
            }
        }
    }
}

enum Folded {
    All(u64),
    Contradiction { number: u64, error: StoreError },
}

/// Folds records up to the limit, all or (with a contradiction among them) none.
fn fold(
    connection: &mut Connection,
    path: &Path,
    segments: &[Contents],
    limit: u64,
) -> Result<Folded, StoreError> {
    let Some(Contents { header, .. }) = segments.first() else { return Ok(Folded::All(0)) };
    let wrong = translate(path);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrong)?;
    let before = recorded(&transaction, header.run).map_err(wrong)?;
    let key = header.calibration_key.clone();
    let mut book = Book::open(&transaction, path, header.run, header.command, key, before)?;
    let records = segments.iter().flat_map(|segment| &segment.records);
    for (number, facts) in records.filter(|(number, _)| (before + 1..=limit).contains(number)) {
        if *number != book.recorded() + 1 {
            // Between them lay what a power cut took before it was synced: nothing after it counts.
            break;
        }
        for fact in facts {
            if let Err(error) = book.apply(&transaction, fact) {
                return Ok(Folded::Contradiction { number: *number, error });
            }
        }
        book.note(*number);
    }
    let folded = book.recorded() - before;
    if folded > 0 {
        book.write(&transaction)?;
        transaction.commit().map_err(wrong)?;
    }
    Ok(Folded::All(folded))
}

/// Removes all segments: the database has what they have, on the device.
pub(crate) fn remove_all(directory: &Path) -> Result<(), StoreError> {
    for (_, path) in segment::list(directory).map_err(io_error("list", directory))? {
        std::fs::remove_file(&path).map_err(io_error("remove", &path))?;
    }
    Ok(())
}
